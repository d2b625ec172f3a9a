"""The steps of the pair engine."""
