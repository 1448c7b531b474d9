"""Before and after the download of images by img2dataset: what it is to fetch, and how that went."""
