"""`open_store`: SQL over what is committed, and over nothing else.

A store is opened at one moment: the commit records are read once, and the views list the files of those records. Runs
and compactions may go on meanwhile; files that a compaction replaces stay for a grace period. Views are made when a
query first names them, since a list of 100,000 files has its price.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa

from store.columns import TABLES
from store.commits import CommitRecord, FileReceipt, live_records, load_records, superseded_books
from store.errors import NoStore, QueryError, StoreError
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.query import sandbox
from store.query.engine_files import EngineFiles, reason_of
from store.query.sandbox import Limits
from store.query.sql_views import Partitions, files_view, study_view
from store.study import Study, read_study

STUDY_VIEW = "study"

_WORD = re.compile(r"\w+")


def open_store(
    location: str | Path,
    layers: Iterable[int] | None = None,
    classes: Iterable[str] | None = None,
    books: Iterable[str] | None = None,
    limits: Limits | None = None,
) -> Store:
    """Open a store for reading, all of it or only some layers, classes and books, whose files alone are then opened.

    `limits` says how much memory, disk and time a query may take. Raises NoStore where there is none, StoreError where
    a record is damaged or a class does not exist.
    """
    wanted = Partitions(
        layers=None if layers is None else frozenset(layers),
        classes=None if classes is None else frozenset(classes),
        books=None if books is None else frozenset(books),
    )
    objects = object_store(location)
    study = read_study(objects)
    if study is None:
        raise NoStore(f"{objects.location} holds no store; `interpunct run BOOK --store {location}` makes one")
    unknown = sorted((wanted.classes or frozenset()) - set(study.class_names))
    if unknown:
        raise StoreError(f"class {unknown[0]!r} is not one of {', '.join(study.class_names)}")
    return Store(objects, study, live_records(load_records(objects)), wanted, limits)


class Store:
    """What was committed when the store was opened. A context manager; queries run on one DuckDB connection."""

    def __init__(
        self,
        objects: ObjectStore,
        study: Study,
        records: list[CommitRecord],
        wanted: Partitions,
        limits: Limits | None = None,
    ) -> None:
        self.location = objects.location
        self.study = study
        self.records = records
        self._objects = objects
        self._wanted = wanted
        self._limits = limits or Limits()
        self._engine_files = EngineFiles(self._limits.spill)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._views: set[str] = set()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; relations that came from it can no longer be read."""
        if self._connection is not None:
            self._connection.close()
            self._engine_files.release()
            self._connection = None
            self._views.clear()

    @property
    def snapshot(self) -> str:
        """Names what is committed: it changes exactly when that does. Compaction does not change it."""
        shards = sorted(name for record in self.records for name in record.holds)
        return hashlib.sha256("\n".join([self.study.fingerprint, *shards]).encode()).hexdigest()[:16]

    def tables(self) -> list[str]:
        """The views that queries may name."""
        kept = self.study.config.get("keep_hidden_states") or self._files("hidden_states")
        return [name for name in TABLES if name != "hidden_states" or kept] + [STUDY_VIEW]

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """The result of a query, not yet computed: `.df()`, `.arrow()`, `.fetchall()` compute it.

        Columns of the same name are told apart as `class`, `class_1`. Of several statements, the last one's result.
        Raises QueryError with DuckDB's own words for a query that is wrong, or that does anything but read the store.
        """
        return self.results(query)[-1]

    def results(self, query: str) -> list[duckdb.DuckDBPyRelation]:
        """The result of each statement of a query, as `sql` gives it. All must be right before any is computed."""
        connection = self._open_connection()
        statements = sandbox.readable_statements(connection, query)
        self._make_views(query)
        try:
            return [_with_unique_names(connection.sql(statement)) for statement in statements]
        except duckdb.Error as error:
            raise QueryError(reason_of(error)) from error

    def _open_connection(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = sandbox.confined_connection(self._engine_files, self._limits)
        return self._connection

    def _make_views(self, query: str) -> None:
        """Make the views whose names occur in the query; all of them for one that may look at the catalog."""
        words = {word.lower() for word in _WORD.findall(query)}
        names = self.tables()
        named = [name for name in names if name in words]
        looks_around = not named or any(word.startswith(("duckdb_", "information_", "show")) for word in words)
        for name in names if looks_around else named:
            if name not in self._views:
                self._make_view(name)
                self._views.add(name)

    def _make_view(self, name: str) -> None:
        connection = self._open_connection()
        try:
            if name == STUDY_VIEW:
                study_view(connection, self.study)
            else:
                files, hidden = self._book_files() if name == "books" else (self._files(name), {})
                files_view(connection, self._objects, self._engine_files, TABLES[name], files, self._wanted, hidden)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise StoreError(
                f"{self.location}: the files of {name} cannot be read ({reason_of(error).splitlines()[0]});"
                " `interpunct verify` names what is damaged"
            ) from error

    def _files(self, table: str) -> list[FileReceipt]:
        """The committed files of a table that hold rows of the layers and classes asked for."""
        return [
            file
            for record in self.records
            if self._wanted.books is None or any(book.key in self._wanted.books for book in record.books)
            for file in record.files
            if file.path.startswith(f"{table}/") and file.rows and self._wanted.include(file.path)
        ]

    def _book_files(self) -> tuple[list[FileReceipt], dict[str, set[tuple[str, str]]]]:
        """The files of `books` with a row that counts, and the rows in them, by (book, source), that do not."""
        superseded = superseded_books(self.records)
        hidden = {
            file.path: superseded[record.path]
            for record in self.records
            if record.path in superseded
            for file in record.files
            if file.path.startswith("books/")
        }
        files = [file for file in self._files("books") if len(hidden.get(file.path, ())) < file.rows]
        return files, hidden


def _with_unique_names(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The relation, columns of a name that was there before with a number behind it: `class`, `class_1`."""
    names: list[str] = []
    seen: set[str] = set()
    taken = {column.lower() for column in relation.columns}
    for column in relation.columns:
        name, number = column, 0
        if column.lower() in seen:
            while name.lower() in taken:
                number += 1
                name = f"{column}_{number}"
        names.append(name)
        seen.add(column.lower())
        taken.add(name.lower())
    if names == relation.columns:
        return relation
    return relation.project(", ".join(f"#{n} AS {sandbox.quoted_name(name)}" for n, name in enumerate(names, 1)))
