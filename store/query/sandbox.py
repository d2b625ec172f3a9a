"""What SQL may do in a store: read the store's views, and nothing else.

DuckDB itself is told to touch no file outside the store, load no extension and keep its settings. Inside the store's
folder it could still write (`COPY ... TO`), so the kind of every statement is checked as well.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Sequence

import duckdb

from store.errors import QueryError

_BLANK = r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(
    rf"{_BLANK}EXPLAIN\b{_BLANK}(?:ANALYZE\b{_BLANK})?(?:\((?:ANALYZE|FORMAT)\b[^()]*\){_BLANK})?",
    re.IGNORECASE | re.DOTALL,
)
_ACTS = re.compile(
    r"\b(alter|attach|begin|call|checkpoint|comment|commit|copy|create|delete|detach|drop|execute|export|force|import"
    r"|insert|install|load|merge|pragma|prepare|reset|rollback|set|truncate|update|use|vacuum)\b",
    re.IGNORECASE,
)


def confined_connection(readable_folders: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads below the given folders only; what does not fit in memory spills to a private
    temporary folder."""
    connection = duckdb.connect(":memory:")
    spill = os.path.join(tempfile.gettempdir(), f"interpunct-sql-{uuid.uuid4().hex}")
    folders = [os.path.join(folder, "") for folder in readable_folders]
    connection.execute(f"SET temp_directory = {quoted(spill)}")
    connection.execute(f"SET allowed_directories = [{', '.join(map(quoted, folders))}]")
    for setting in (
        "SET python_enable_replacements = false",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(setting)
    return connection


def readable_statements(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """The statements of a query, all of which only read. Raises QueryError naming the first that does not."""
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    if not statements:
        raise QueryError("the query is empty; for example: SELECT * FROM books")
    for statement in statements:
        if not _only_reads(connection, statement):
            kind = statement.type.name
            raise QueryError(f"a store is read-only and {kind} is no reading; use SELECT, or -o FILE to write a result")
    return [statement.query for statement in statements]


def quoted(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _only_reads(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> bool:
    kind = statement.type
    if kind == duckdb.StatementType.SELECT:
        return True
    if kind == duckdb.StatementType.MULTI:
        # A PIVOT without its list of values becomes several statements; so does whatever is wrapped around it.
        return _ACTS.search(statement.query) is None
    if kind == duckdb.StatementType.EXPLAIN:
        return _explains_reading(connection, statement.query)
    return False


def _explains_reading(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """EXPLAIN ANALYZE executes what it explains, so that must be a reading too."""
    match = _EXPLAIN.match(query)
    if match is None:
        return False
    try:
        inner = connection.extract_statements(query[match.end() :])
    except duckdb.Error:
        return False
    return len(inner) == 1 and _only_reads(connection, inner[0])
