"""A store of many books out of one: every table of a real run, each book a copy, for measuring and not for reading.

    python -m benchmarks.copies demo/store /tmp/many --books 52     1.0e8 pairs within classes and as many between

`benchmarks.made_up_store` makes the tables of pairs fast; here all tables are there that a run writes. Sums of passages
differ from copy to copy by 2 %, so that books are not all equal.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store import paths
from store.columns import MEASURES, TABLES
from store.commits import CommitRecord, CommittedBook, FileReceipt, live_records, load_records
from store.keys import ShardKey
from store.objects.locations import object_store
from store.query.reader import open_store
from store.writer import StudyWriter, publish_chunk, read_leftover

RUN = "copies"
BOOKS_PER_SHARD = 26


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies", description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a store of one book")
    parser.add_argument("target", type=Path)
    parser.add_argument("--books", type=int, default=52)
    arguments = parser.parse_args()
    copy_books(arguments.source, arguments.target, arguments.books)


def copy_books(source: str, target: Path, books: int) -> None:
    """Commit so many copies of the one book that the source holds."""
    with open_store(source) as store:
        study = store.study
    (record,) = live_records(load_records(object_store(source)))
    (book,) = record.books
    writer = StudyWriter.open(target, study)
    names = [f"copy{number:04d}" for number in range(books)]
    with writer.lock():
        for start in range(0, books, BOOKS_PER_SHARD):
            chosen = names[start : start + BOOKS_PER_SHARD]
            shard = ShardKey.of("copies", chosen)
            files = list(_copied(source, target, record.files, shard, chosen))
            committed = tuple(CommittedBook(name, _checksum(name), f"/{name}.txt", book.status) for name in chosen)
            writer.commit(CommitRecord(shard, tuple(files), committed, RUN))
            print(f"{start + len(chosen)} of {books} books", flush=True)


def _copied(
    source: str, target: Path, files: tuple[FileReceipt, ...], shard: ShardKey, names: list[str]
) -> Iterator[FileReceipt]:
    for file in files:
        key = paths.parse_chunk_path(file.path)
        assert key is not None
        table = read_leftover(source, key, file.path)
        copies = pa.concat_tables([_called(table, key.table, key.layer or 0, name) for name in names])
        order = [name for name in TABLES[key.table].sorted_by if name in copies.column_names]
        if order[0] != "book":  # else they are in order, book after book
            keys = pa.table([_plain(copies.column(name)) for name in order], order)
            copies = copies.take(pc.sort_indices(keys, [(name, "ascending") for name in order]))
        yield publish_chunk(target, replace(key, shard=shard), copies, RUN)


def _called(table: pa.Table, kind: str, layer: int, name: str) -> pa.Table:
    """The rows of one book under another name; sums of passages are a little more or less."""
    column = table.schema.get_field_index("book")
    renamed = pa.array([name] * len(table), pa.string()).cast(table.schema.field("book").type)
    table = table.set_column(column, table.schema.field("book"), renamed)
    if kind == "books":
        for field, value in (("sha256", _checksum(name)), ("source", f"/{name}.txt")):
            table = table.set_column(table.schema.get_field_index(field), table.schema.field(field), pa.array([value]))
    if kind == "passage_sums":
        generator = np.random.default_rng([layer, int(name[4:])])
        for measure in set(MEASURES) & set(table.column_names):
            sums = table.column(measure).to_numpy() * (1 + 0.02 * generator.normal())
            field = table.schema.field(measure)
            table = table.set_column(table.schema.get_field_index(measure), field, pa.array(sums, field.type))
    return table


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts for a dictionary of texts: Arrow sorts no other."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _checksum(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


if __name__ == "__main__":
    main()
