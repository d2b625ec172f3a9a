"""`open_store`: SQL over what is committed, and over nothing else.

A store is opened at one moment: the commit records are read once, and the views list the files of those records. Runs
and compactions may go on meanwhile; files that a compaction replaces stay for a grace period. Views are made when a
query first names them, since a list of 100,000 files has its price.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa

from store.amendments import rows_that_count, taken_again, titles_of
from store.columns import TABLES
from store.commits import CommitRecord, FileReceipt, outdated_trials, superseded_books
from store.encoding import decode
from store.entries import Amendment
from store.errors import QueryError, StoreError
from store.log import CommitLog
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.query import sandbox
from store.query.engine_files import EngineFiles, reason_of
from store.query.sandbox import Limits
from store.query.sql_views import MAIN, Clipped, Partitions, Place, files_view, study_view
from store.study import Study, require_study

STUDY_VIEW = "study"

_WORD = re.compile(r"\w+")


def open_store(
    location: str | Path,
    layers: Iterable[int] | None = None,
    classes: Iterable[str] | None = None,
    books: Iterable[str] | None = None,
    limits: Limits | None = None,
    attach: Mapping[str, str | Path] | None = None,
) -> Store:
    """Open a store for reading, all of it or only some layers, classes and books, whose files alone are then opened.

    `limits` says how much memory, disk and time a query may take. `attach` opens other stores beside it, all of each:
    with `{"other": location}` their views are `other.pairs`, `other.books` and so on. Raises NoStore where there is
    none, StoreError where a record is damaged or a layer or class does not exist, QueryError where a name cannot be
    attached.
    """
    wanted = Partitions(
        layers=None if layers is None else frozenset(layers),
        classes=None if classes is None else frozenset(classes),
        books=None if books is None else frozenset(books),
    )
    objects = object_store(location)
    study = require_study(objects)
    _check_named(wanted, study)
    state = CommitLog.read(objects).require_sound()
    attached = {sandbox.schema_name(name): open_store(other) for name, other in (attach or {}).items()}
    return Store(objects, study, state.live(), wanted, limits, state.amendments.values(), attached)


def _check_named(wanted: Partitions, study: Study) -> None:
    """Raise StoreError for a class or a layer that the study does not have."""
    unknown = sorted((wanted.classes or frozenset()) - set(study.class_names))
    if unknown:
        raise StoreError(f"class {unknown[0]!r} is not one of {', '.join(study.class_names)}")
    deep = study.model.get("hidden_layers")
    if isinstance(deep, int):
        for layer in wanted.layers or ():
            if not isinstance(layer, Integral) or not 0 <= int(layer) < deep:
                raise StoreError(f"layer {layer!r} is not one of the study's, the whole numbers 0 to {deep - 1}")


class Store:
    """What was committed when the store was opened. A context manager; queries run on one DuckDB connection."""

    def __init__(
        self,
        objects: ObjectStore,
        study: Study,
        records: list[CommitRecord],
        wanted: Partitions,
        limits: Limits | None = None,
        amendments: Iterable[Amendment] = (),
        attached: Mapping[str, Store] | None = None,
    ) -> None:
        self.location = objects.location
        self.study = study
        self.records = records
        self.amendments = tuple(amendments)
        self.attached = dict(attached or {})
        """Other stores whose views can be named here, by the name that stands before theirs."""
        self._objects = objects
        self._wanted = wanted
        self._limits = limits or Limits()
        self._engine_files = EngineFiles(self._limits.spill)
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._views: set[tuple[str, str]] = set()

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
        shards = sorted({name for record in self.records for name in record.holds})
        amended = [f"entry {entry.number}" for entry in self.amendments]
        amended += [f"again {key}" for key in taken_again(self.amendments, self.records)]
        return hashlib.sha256("\n".join([self.study.fingerprint, *shards, *amended]).encode()).hexdigest()[:16]

    def tables(self) -> list[str]:
        """The views that queries may name; those of attached stores with the store's name before theirs."""
        others = [f"{name}.{view}" for name, other in self.attached.items() for view in other.tables()]
        return self._own_views() + others

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """The result of a query, not yet computed: `.df()`, `.arrow()`, `.fetchall()` compute it.

        Columns of the same name are told apart as `class`, `class_1`. Of several statements, the last one's result.
        Raises QueryError with DuckDB's own words for a query that is wrong, or that does anything but read the store.
        """
        return list(self.results(query))[-1]

    def results(self, query: str) -> Iterator[duckdb.DuckDBPyRelation]:
        """The result of each statement of a query, as `sql` gives it, one after the other up to one that is wrong.

        All must be statements that only read before the first result is given.
        """
        connection = self._open_connection()
        statements = sandbox.readable_statements(connection, query)
        self._make_views(query)
        for statement in statements:
            try:
                result = _with_unique_names(connection.sql(statement))
            except duckdb.Error as error:
                raise QueryError(reason_of(error)) from error
            yield result

    def _own_views(self) -> list[str]:
        kept = self.study.config.get("keep_hidden_states") or self._files("hidden_states")
        return [name for name in TABLES if name != "hidden_states" or kept] + [STUDY_VIEW]

    def _open_connection(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            self._connection = sandbox.confined_connection(self._engine_files, self._limits)
            for name in self.attached:
                self._connection.execute(f"CREATE SCHEMA {sandbox.quoted_name(name)}")
        return self._connection

    def _make_views(self, query: str) -> None:
        """Make the views whose names occur in the query; all of them for one that may look at the catalog."""
        words = {word.lower() for word in _WORD.findall(query)}
        asks_catalog = any(word.startswith(("duckdb_", "information_", "show")) for word in words)
        for schema, store in {MAIN: self, **self.attached}.items():
            names = store._own_views()
            named = [name for name in names if name in words]
            looks_around = asks_catalog or not named
            if schema != MAIN and not looks_around and schema not in words:
                continue
            place = Place(self._open_connection(), self._engine_files, schema)
            for name in names if looks_around else named:
                if (schema, name) not in self._views:
                    store._make_view(name, place)
                    self._views.add((schema, name))

    def _make_view(self, name: str, place: Place) -> None:
        try:
            if name == STUDY_VIEW:
                study_view(place, self.study)
            else:
                files, rows = self._book_files() if name == "books" else (self._clipped_files(name), None)
                files_view(place, self._objects, TABLES[name], files, self._wanted, rows)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise StoreError(
                f"{self.location}: the files of {name} cannot be read ({reason_of(error).splitlines()[0]});"
                " `interpunct verify` names what is damaged"
            ) from error

    def _files(self, table: str, records: Iterable[CommitRecord] | None = None) -> list[FileReceipt]:
        """The committed files of a table that hold rows of the layers and classes asked for."""
        return [
            file
            for record in (self.records if records is None else records)
            if self._is_wanted(record)
            for file in record.files
            if file.path.startswith(f"{table}/") and file.rows and self._wanted.include(file.path)
        ]

    def _is_wanted(self, record: CommitRecord) -> bool:
        """Whether the record has rows of a book that was asked for."""
        keys = (*(book.key for book in record.books), *(tried.key for tried in record.tried))
        return self._wanted.books is None or not self._wanted.books.isdisjoint(keys)

    def _clipped_trials(self) -> list[Clipped]:
        """The files of `sensitivity`, with the books whose rows in them are of a text that is not used now."""
        outdated = outdated_trials(self.records)
        groups: dict[frozenset[str], list[CommitRecord]] = {}
        for record in self.records:
            without = outdated.get(record.path, frozenset())
            if any(tried.key not in without for tried in record.tried):
                groups.setdefault(without, []).append(record)
        clipped = [Clipped(self._files("sensitivity", of), without) for without, of in groups.items()]
        return [each for each in clipped if each.files]

    def _clipped_files(self, table: str) -> list[Clipped]:
        """The files of a table, with the removed books whose rows are left out of them."""
        if table == "sensitivity":
            return self._clipped_trials()
        groups: list[tuple[set[str], list[CommitRecord]]] = [(set(), [r for r in self.records if not r.hidden])]
        hidden = {key for record in self.records for key in record.hidden}
        together: tuple[set[str], list[CommitRecord]] = (hidden, [])
        for record in self.records:
            if record.hidden and hidden.isdisjoint(record.used):
                together[1].append(record)
            elif record.hidden:  # a book of it was removed elsewhere, and taken again
                groups.append((set(record.hidden), [record]))
        clipped = [Clipped(self._files(table, of), frozenset(without)) for without, of in [*groups, together]]
        return [each for each in clipped if each.files]

    def _book_files(self) -> tuple[list[Clipped], pa.Table | None]:
        """The files of `books` that are read as they are, and the rows of those in which something was amended."""
        superseded, titles = superseded_books(self.records), titles_of(self.amendments)
        amended = {
            record.path
            for record in self.records
            if record.path in superseded or record.hidden or any(book.key in titles for book in record.books)
        }
        whole = self._files("books", [record for record in self.records if record.path not in amended])
        tables: list[pa.Table] = []
        for record in self.records:
            left_out = superseded.get(record.path, set())
            paths = [file.path for file in self._files("books", [record])] if record.path in amended else []
            for path, data in zip(paths, self._objects.read_all(paths), strict=True):
                rows = decode(TABLES["books"], data, self._objects.address(path))
                tables.append(rows_that_count(rows, record, left_out, titles))
        return [Clipped(whole)] if whole else [], pa.concat_tables(tables) if tables else None


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
