"""Committed rows as DuckDB views, and what comes out of a query."""
