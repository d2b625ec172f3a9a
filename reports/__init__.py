"""SQL to frames, frames to figures, figures to a page: the report and its schedule."""
