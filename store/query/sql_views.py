"""The SQL views of a store, made over explicit lists of files and never over a pattern.

On a local folder DuckDB reads the Parquet files itself, through `engine_files`, by their paths in the store: so layer
and classes come from the path below the store alone, whatever the folders above it are called. On S3 that would take
the httpfs extension, which is downloaded; there, a `pyarrow.dataset` over the same list stands in, into which DuckDB
pushes filters and projections down.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from store import paths
from store.columns import Table
from store.commits import FileReceipt
from store.objects.base import ObjectStore
from store.objects.local_folder import LocalFolder
from store.query.engine_files import EngineFiles
from store.query.sandbox import quoted, quoted_name
from store.study import Study

MAIN = "main"
"""DuckDB's name for the schema whose views need no name before theirs."""

_SQL_TYPES = {
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.uint16(): "USMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
}


@dataclass(frozen=True)
class Partitions:
    """The layers, classes and books a reader asked for; None stands for all."""

    layers: frozenset[int] | None = None
    classes: frozenset[str] | None = None
    books: frozenset[str] | None = None

    def include(self, path: str) -> bool:
        """Whether a file can hold rows that were asked for; files that are not partitioned always can."""
        if self.layers is None and self.classes is None:
            return True
        key = paths.parse_chunk_path(path)
        if key is None or key.layer is None:
            return True
        classes = {name for name in (key.mark_class, key.other) if name is not None}
        return (self.layers is None or key.layer in self.layers) and (self.classes is None or classes <= self.classes)

    def conditions(self, table: Table) -> list[str]:
        """The same as SQL conditions on a table's columns."""
        names = {column.name for column in table.columns}
        conditions = []
        if self.books is not None:
            conditions.append(_in("book", [quoted(name) for name in sorted(self.books)]))
        if self.layers is not None and "layer" in names:
            conditions.append(_in("layer", [str(layer) for layer in sorted(self.layers)]))
        if self.classes is not None:
            wanted = [quoted(name) for name in sorted(self.classes)]
            conditions += [_in(f'"{name}"', wanted) for name in ("class", "other") if name in names]
        return conditions


@dataclass(frozen=True)
class Clipped:
    """Files of a table, and the books whose rows do not count among theirs."""

    files: list[FileReceipt]
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Place:
    """Where views are made: an engine, the files that it can open, and a schema; `main` is the store's own."""

    connection: duckdb.DuckDBPyConnection
    engine_files: EngineFiles
    schema: str = MAIN

    def qualified(self, view: str) -> str:
        """The name of a view as SQL."""
        return view if self.schema == MAIN else f"{quoted_name(self.schema)}.{view}"

    def hand_in(self, folder: LocalFolder, files: list[str]) -> list[str]:
        """Make files of a store readable; their names for the engine."""
        return self.engine_files.hand_in(folder, files, "" if self.schema == MAIN else f"{self.schema}/")

    def variable(self, table: str, number: int) -> str:
        """The engine's variable that lists files of a table."""
        of = table if self.schema == MAIN else f"{table}_of_{self.schema}"
        return f"files_of_{of}" + (f"_{number}" if number else "")

    def create(self, relation: duckdb.DuckDBPyRelation, view: str) -> None:
        """Make the view of a relation in the schema: DuckDB makes it in the one that is in use."""
        if self.schema == MAIN:
            relation.create_view(view)
            return
        self.connection.execute(f"USE {quoted_name(self.schema)}")
        try:
            relation.create_view(view)
        finally:
            self.connection.execute("RESET search_path")


def files_view(
    place: Place,
    objects: ObjectStore,
    table: Table,
    files: list[Clipped],
    wanted: Partitions,
    rows: pa.Table | None = None,
) -> None:
    """Make one table's view, with comments: the rows of all files, and those that are given as they are."""
    connection = place.connection
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    relations: list[duckdb.DuckDBPyRelation] = []
    local: dict[str, list[str]] = {}
    for number, clipped in enumerate(files):
        paths_in_store = [file.path for file in clipped.files]
        if isinstance(objects, LocalFolder):
            variable = place.variable(table.name, number)
            local[variable] = place.hand_in(objects, paths_in_store)
            relation = _parquet_relation(connection, table, variable, local[variable])
        else:
            relation = connection.from_arrow(_dataset(objects, table, paths_in_store))
        relation = relation.project(names)
        if clipped.without:
            relation = relation.filter(f"NOT {_in('book', [quoted(key) for key in sorted(clipped.without)])}")
        relations.append(relation)
    if rows is not None or not relations:
        given = pa.schema(_fields(table)).empty_table() if rows is None else rows
        relations.append(connection.from_arrow(given).project(names))
    relation = functools.reduce(lambda together, more: together.union(more), relations)
    for condition in wanted.conditions(table):
        relation = relation.filter(condition)
    place.create(relation, table.name)
    _comment(place, table)
    for variable, addresses in local.items():
        _set_files(connection, variable, addresses)


def study_view(place: Place, study: Study) -> None:
    """Make the view `study`: one row with the fingerprint, each setting, and the model's identity as JSON."""
    row = {"fingerprint": study.fingerprint, "schema_version": study.schema_version}
    row |= {name: _plain(value) for name, value in study.config.items()}
    row |= {"model_identity": json.dumps(study.model), "written_with": json.dumps(study.written_with)}
    place.create(place.connection.from_arrow(pa.Table.from_pylist([row])), "study")
    comment = "One row: the configuration that every number of the store rests on"
    place.connection.execute(f"COMMENT ON VIEW {place.qualified('study')} IS {quoted(comment)}")


def sql_type(kind: pa.DataType) -> str:
    """The DuckDB type that a column of this Arrow type has in a view."""
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type)
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    return _SQL_TYPES[kind]


def _parquet_relation(
    connection: duckdb.DuckDBPyConnection, table: Table, variable: str, files: list[str]
) -> duckdb.DuckDBPyRelation:
    """The first of the files as DuckDB reads it; the view over it reads all, once `_set_files` names them.

    The list of files is a variable, which DuckDB looks up anew for each query: as a literal, 100,000 names take
    seconds to parse, and every comment on a column would go through them again.
    """
    _set_files(connection, variable, files[:1])
    options = ""
    if table.partitioned_by:
        types = {column.name: sql_type(column.type) for column in table.columns}
        partitions = ", ".join(f"'{name}': {types[name]}" for name in table.partitioned_by)
        options = f", hive_partitioning = true, hive_types = {{{partitions}}}"
    return connection.sql(f"SELECT * FROM read_parquet(getvariable('{variable}'){options})")


def _set_files(connection: duckdb.DuckDBPyConnection, variable: str, addresses: list[str]) -> None:
    connection.execute(f"SET VARIABLE {variable} = $1", [addresses])


def _dataset(objects: ObjectStore, table: Table, files: list[str]) -> ds.Dataset:
    """The files as an Arrow dataset; the partition of each is known from its path, so nothing is read here."""
    return ds.FileSystemDataset.from_paths(
        files,
        schema=pa.schema(_fields(table)),
        format=ds.ParquetFileFormat(),
        filesystem=pafs.SubTreeFileSystem(objects.location.removeprefix("s3://"), _s3_file_system()),
        partitions=[_partition(path) for path in files],
    )


def _partition(path: str) -> ds.Expression:
    key = paths.parse_chunk_path(path)
    if key is None or key.layer is None:
        return ds.scalar(True)
    expression = ds.field("layer") == pa.scalar(key.layer, pa.int16())
    for name, value in key.partition[1:]:
        expression &= ds.field(name) == value
    return expression


def _s3_file_system() -> pafs.S3FileSystem:
    """Arrow's S3 client, pointed to the same server and region as ours."""
    from store.objects.s3 import client, endpoint  # boto3 is slow to import; local stores do without

    server = endpoint()
    region = client(os.getpid(), server).meta.region_name
    return pafs.S3FileSystem(endpoint_override=server, region=None if region == "aws-global" else region)


def _fields(table: Table) -> list[pa.Field]:
    return [pa.field(column.name, column.type) for column in table.columns]


def _comment(place: Place, table: Table) -> None:
    view = place.qualified(table.name)
    place.connection.execute(f"COMMENT ON VIEW {view} IS {quoted(table.description)}")
    for column in table.columns:
        text = column.description + (f" [{column.unit}]" if column.unit else "")
        place.connection.execute(f'COMMENT ON COLUMN {view}."{column.name}" IS {quoted(text)}')


def _in(column: str, values: list[str]) -> str:
    return f"{column} IN ({', '.join(values)})" if values else "false"


def _plain(value: Any) -> Any:
    """A setting as one SQL value: lists of plain values stay lists, anything nested or empty becomes JSON."""
    nested = isinstance(value, list) and (not value or any(isinstance(item, list | dict) for item in value))
    return json.dumps(value) if nested or isinstance(value, dict) else value
