"""Where results live: keys, schemas, atomic writes, commits, DuckDB views, compaction and verification."""
