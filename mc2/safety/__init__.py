"""Safety: scores of images and texts, and what is left out, or blurred, because of them."""
