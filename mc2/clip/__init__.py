"""A CLIP model: architecture, weights, tokenizers and images, in the forms of mc2 and of open_clip."""
