"""One function a figure: a frame in, a matplotlib Figure out. Nothing here asks the store or computes a statistic."""
