"""What a report reads from a store, and the statistics of it."""
