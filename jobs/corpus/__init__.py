"""Where books come from: sources, readers, cleaning and the survey that names each book."""
