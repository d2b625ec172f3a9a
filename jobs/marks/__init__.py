"""Which tokens of a text are marks."""
