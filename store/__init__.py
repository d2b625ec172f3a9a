"""Where results live: keys, schemas, atomic writes, commits, DuckDB views, compaction and verification.

from store import open_store
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.query.reader import open_store

__all__ = ["open_store"]


def __getattr__(name: str) -> Any:
    """`open_store`, loaded when it is first asked for: the command line's help needs neither DuckDB nor Arrow."""
    if name == "open_store":
        from store.query.reader import open_store

        return open_store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
