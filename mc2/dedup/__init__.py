"""De-duplication: of pairs by id and text, and of training images against those of an evaluation."""
