"""What was done, and who is told."""
