"""What a worker does: texts to passages, passages to blocks, blocks to files."""
