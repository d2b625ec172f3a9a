"""Damage found and mended; many small files made into few."""
