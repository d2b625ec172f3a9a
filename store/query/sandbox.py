"""What SQL may do in a store: read the store's views, and nothing else.

DuckDB itself is left without any file of this machine (see `engine_files`), loads no extension and keeps its settings:
that is what confines a query. The kind of each statement is looked at as a courtesy, so that whoever tries to change
something is told so in a sentence.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

import duckdb

from store.columns import TABLES
from store.errors import QueryError
from store.query.engine_files import DATA_FOLDER, SPILL_FOLDER, EngineFiles, reason_of

_ACTS = frozenset(
    """
    alter analyze attach begin call checkpoint comment commit copy create deallocate delete detach drop execute export
    force import insert install load merge pragma prepare reset rollback set truncate update use vacuum
    """.split()  # noqa: SIM905  a block of words reads better than a list of quoted ones
)
_BEFORE_A_TABLE = frozenset({"AS", "MATERIALIZED"})
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,31}")
_TAKEN = frozenset({"main", "temp", "system", "memory", "study", "information_schema", "pg_catalog", *TABLES})


def _half_of_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@dataclass(frozen=True)
class Limits:
    """How much a query may take.

    `memory`: bytes that the engine's buffers, sorts and groups take before they spill; half of this machine's memory
    unless given. `spill`: bytes on disk for that. `seconds`: how long one query may compute; None for no limit.
    """

    memory: int = field(default_factory=_half_of_memory)
    spill: int = 16 << 30
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.memory < 64 << 20:
            raise QueryError(f"a memory limit of {self.memory} bytes is too small to answer; allow 64 MB or more")
        if self.spill < 0:
            raise QueryError(f"a spill limit of {self.spill} bytes is not a size; name 0 or more")
        if self.seconds is not None and self.seconds <= 0:
            raise QueryError(f"a time limit of {self.seconds} s leaves no time to answer; name more than 0")


def confined_connection(files: EngineFiles, limits: Limits) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that can open what `files` gives it and nothing else, within limits."""
    connection = duckdb.connect(":memory:")
    connection.register_filesystem(files)
    milliseconds = 0 if limits.seconds is None else max(1, round(limits.seconds * 1000))
    for setting in (
        f"temp_directory = {quoted(SPILL_FOLDER)}",
        f"max_temp_directory_size = '{limits.spill}B'",
        f"memory_limit = '{limits.memory}B'",
        f"max_execution_time = {milliseconds}",
        "parquet_metadata_cache = true",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        f"allowed_directories = [{quoted(DATA_FOLDER)}]",
        "disabled_filesystems = 'LocalFileSystem'",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def readable_statements(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """The statements of a query, all of which only read. Raises QueryError naming the first that does not."""
    statements = _parsed(connection, query)
    if not statements:
        raise QueryError("the query is empty; for example: SELECT * FROM books")
    for statement in statements:
        act = _act_of(connection, statement)
        if act is not None:
            raise QueryError(
                f"a store is read-only and refuses {act}; use SELECT, whose result `interpunct sql -o FILE` writes, and"
                " .df().to_csv(FILE) in Python"
            )
    return [statement.query for statement in statements]


def schema_name(name: str) -> str:
    """The name under which a store is attached, in lower case. Raises QueryError where SQL has another use for it."""
    lower = name.lower()
    if not _SCHEMA.fullmatch(lower):
        raise QueryError(f"a store cannot be attached as {name!r}; a name is a letter, then letters, digits and _")
    try:
        duckdb.connect(":memory:").extract_statements(f"FROM {lower}.books")
    except duckdb.ParserException:
        is_word_of_sql = True
    else:
        is_word_of_sql = False
    if lower in _TAKEN or is_word_of_sql:
        raise QueryError(f"a store cannot be attached as {name!r}, which means something else in a query; try second")
    return lower


def quoted(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """A name of a column or view as SQL, whatever it contains."""
    return '"' + name.replace('"', '""') + '"'


def _parsed(connection: duckdb.DuckDBPyConnection, query: str) -> list[duckdb.Statement]:
    try:
        query.encode()
        return connection.extract_statements(query)
    except UnicodeEncodeError as error:
        raise QueryError(f"the query is not UTF-8: what stands at {error.start:,} is not a character") from error
    except duckdb.Error as error:
        raise QueryError(reason_of(error)) from error


def _act_of(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> str | None:
    """What a statement does beyond reading, or None."""
    words = _words(statement.query)
    try:
        kind = statement.type
    except ValueError:  # a kind that DuckDB's Python has no name for, such as UPDATE EXTENSIONS
        return words[0].name
    if kind == duckdb.StatementType.SELECT:
        # WITH x AS (COPY ...): DuckDB takes a statement that acts for a table.
        threes = zip(words, words[1:], words[2:], strict=False)
        named = (word for before, bracket, word in threes if before.name in _BEFORE_A_TABLE and bracket.text == "(")
        return next((word.name for word in named if word.acts), None)
    if kind == duckdb.StatementType.MULTI:
        # A PIVOT without its list of values becomes several statements; so does whatever is wrapped around it.
        return next((word.name for word in words if word.acts), None)
    if kind == duckdb.StatementType.EXPLAIN:
        inner = _parsed(connection, _explained(statement.query, words))
        return _act_of(connection, inner[0]) if len(inner) == 1 else "EXPLAIN of this"
    return kind.name


@dataclass(frozen=True)
class _Word:
    """A token of a query that is not a comment: its text, where it begins, and whether it is a key word."""

    text: str
    start: int
    keyword: bool

    @property
    def name(self) -> str:
        return self.text.upper()

    @property
    def acts(self) -> bool:
        return self.keyword and self.text.lower() in _ACTS


def _words(query: str) -> list[_Word]:
    """The tokens of a query as DuckDB's own lexer sees them."""
    text = query.encode()
    tokens = duckdb.tokenize(query)
    ends = [start for start, _ in tokens[1:]] + [len(text)]
    return [
        _Word(text[start:end].decode(errors="replace").strip(), start, kind == duckdb.token_type.keyword)
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]


def _explained(query: str, words: list[_Word]) -> str:
    """What an EXPLAIN explains: the query behind EXPLAIN, ANALYZE and options in brackets."""
    place = 1
    if len(words) > place and words[place].name == "ANALYZE":
        place += 1
    if len(words) > place + 1 and words[place].text == "(" and words[place + 1].name in ("ANALYZE", "FORMAT"):
        place = next((n for n, word in enumerate(words) if n > place and word.text == ")"), len(words)) + 1
    return query.encode()[words[place].start :].decode() if len(words) > place else ""
