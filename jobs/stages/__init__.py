"""What a worker does: texts to windows, windows to blocks, blocks to files."""
