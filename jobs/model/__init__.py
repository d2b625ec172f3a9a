"""The model: found, identified, loaded, run."""
