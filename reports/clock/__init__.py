"""Reports on a schedule."""
