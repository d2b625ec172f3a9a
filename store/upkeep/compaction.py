"""Many small files into few, with the same rows, while readers and even a run go on.

A **generation** takes the rows of a group of committed shards into new files, one per table, layer and class (more
where they would be too large). Its record, published last, names the records it replaces: with that one publication
readers that open the store see the new files. Readers that opened it before keep the old ones, which go after a grace
period. Killed anywhere, a compaction has either not happened (its files are overwritten by an equal attempt, or removed
by `verify --fix`) or happened, and the removal of old files goes on at the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from store import lock, paths
from store.columns import TABLES, Table
from store.commits import CommitRecord, CommittedBook, FileReceipt, live_records, load_records, superseded_books
from store.encoding import decode, order_of
from store.errors import ChunkDamaged, NoStore, StoreLocked
from store.keys import ChunkKey, ShardKey
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import read_study
from store.upkeep.completeness import by_book
from store.writer import publish_chunk

TARGET_BYTES = 128 << 20
"""A generation is full when its largest file would have about this size."""

GRACE_S = 3600.0

_Partition = tuple[str, int | None, str | None]


@dataclass(frozen=True)
class CompactionReport:
    """Files that readers open before and after, rows moved, generations made and old files removed."""

    files_before: int
    files_after: int
    rows: int
    generations: int
    removed: int


def compact(
    location: str | Path,
    target_bytes: int = TARGET_BYTES,
    grace_s: float = GRACE_S,
    progress: Callable[[int, int], None] | None = None,
) -> CompactionReport:
    """Rewrite small shards into generations, then remove what earlier generations replaced `grace_s` ago.

    `progress` is called with the number of generations made and planned. Raises NoStore, StoreLocked while another
    compaction is at work, ChunkDamaged where a file to be rewritten is not what was committed.
    """
    objects = object_store(location)
    if read_study(objects) is None:
        raise NoStore(f"{objects.location} holds no store; check --store")
    with lock.StoreLock(objects, lock.MAINTENANCE) as held:
        records = load_records(objects)
        live = live_records(records)
        groups = plan_groups(live, target_bytes)
        number = max((record.number or 0 for record in records), default=0)
        rows = 0
        for done, group in enumerate(groups):
            if progress is not None:
                progress(done, len(groups))
            generation = _rewrite(objects, group, number + done + 1, target_bytes, superseded_books(live))
            held.check()
            if not objects.put_new(generation.path, generation.stamped().to_json()):
                raise StoreLocked(f"{generation.path} was published by another compaction; run this again later")
            rows += sum(file.rows for file in generation.files)
        removed = remove_replaced(objects, grace_s)
    files_before = sum(len(record.files) for record in live)
    files_after = sum(len(record.files) for record in live_records(load_records(objects)))
    return CompactionReport(files_before, files_after, rows, len(groups), removed)


def plan_groups(live: Iterable[CommitRecord], target_bytes: int) -> list[list[CommitRecord]]:
    """Which records to rewrite together, so that the largest file of each group reaches the target size.

    A record that is half as large already is left alone, and so is a group of one.
    """
    small = [record for record in live if _largest_partition([record]) < target_bytes / 2]
    groups: list[list[CommitRecord]] = []
    filled: dict[_Partition, int] = {}
    for record in sorted(small, key=lambda record: record.path):
        if not groups or max(filled.values(), default=0) >= target_bytes:
            groups.append([])
            filled = {}
        groups[-1].append(record)
        for partition, size in _partition_bytes([record]).items():
            filled[partition] = filled.get(partition, 0) + size
    return [group for group in groups if len(group) > 1]


def remove_replaced(objects: ObjectStore, grace_s: float) -> int:
    """Remove the files, then the records, that a generation replaced longer than `grace_s` seconds ago.

    The record goes last, so that a removal that was killed is found and finished by the next one.
    """
    records = load_records(objects)
    now = datetime.now(UTC)
    expired = {
        path
        for record in records
        if record.replaces and (now - datetime.fromisoformat(record.committed)).total_seconds() >= grace_s
        for path in record.replaces
    }
    kept_files = {file.path for record in records if record.path not in expired for file in record.files}
    removed = 0
    for record in records:
        if record.path not in expired:
            continue
        for file in record.files:
            if file.path not in kept_files:
                objects.delete(file.path)
                removed += 1
        objects.delete(record.path)
    return removed


def _rewrite(
    objects: ObjectStore,
    group: list[CommitRecord],
    number: int,
    target_bytes: int,
    superseded: dict[str, set[tuple[str, str]]],
) -> CommitRecord:
    """Publish a generation's files and return its record, to be published by the caller."""
    replaced = tuple(record.path for record in group)
    name = ShardKey(hashlib.sha256("\n".join([str(number), *replaced]).encode()).hexdigest()[:16])
    files: list[FileReceipt] = []
    for (table, layer, mark_class), sources in sorted(_by_partition(group).items(), key=str):
        tables = [_read(objects, file) for _, file in sources]
        if table == "books":
            of_records = [superseded.get(record.path, set()) for record, _ in sources]
            tables = [_without(rows, hidden) for rows, hidden in zip(tables, of_records, strict=True)]
        merged = merge(TABLES[table], tables)
        size = sum(file.bytes for _, file in sources)
        for part, rows in enumerate(_pieces(merged, size, 2 * target_bytes)):
            files.append(publish_chunk(objects.location, ChunkKey(table, name, layer, mark_class, part), rows))
    books = tuple(_books_kept(group, superseded))
    shards = tuple(sorted(shard for record in group for shard in record.holds))
    return CommitRecord(name, tuple(files), books, number=number, shards=shards, replaces=replaced)


def merge(spec: Table, tables: list[pa.Table]) -> pa.Table:
    """The rows of sorted tables with distinct books, sorted.

    Where books come first in the order, whole books are put in order and no row is compared.
    """
    tables = [table for table in tables if table.num_rows]
    if not tables:
        return spec.schema.empty_table()
    if spec.sorted_by[0] == "book" and pa.types.is_dictionary(spec.schema.field("book").type):
        books = [piece for table in tables for piece in by_book(table)]
        return pa.concat_tables([rows for _, rows in sorted(books, key=lambda piece: piece[0])]).unify_dictionaries()
    together = pa.concat_tables(tables).unify_dictionaries()
    return together.take(pa.array(order_of(spec, together)))


def _read(objects: ObjectStore, file: FileReceipt) -> pa.Table:
    """A committed file's rows, checked against its receipt, so that no damage is carried on."""
    where = objects.address(file.path)
    data = objects.read(file.path)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ChunkDamaged(f"{where} is not what was committed; `interpunct verify --fix` drops it, then run again")
    return decode(TABLES[file.path.partition("/")[0]], data, where)


def _by_partition(records: Iterable[CommitRecord]) -> dict[_Partition, list[tuple[CommitRecord, FileReceipt]]]:
    """The files of each table, layer and class, in the order of the records and, within one, of its parts."""
    partitions: dict[_Partition, list[tuple[CommitRecord, FileReceipt]]] = {}
    for record in records:
        for file in sorted(record.files, key=lambda file: file.path):
            key = paths.parse_chunk_path(file.path)
            if key is None:
                raise ChunkDamaged(f"{record.path} lists {file.path}, which is no path of a store; verify it first")
            partitions.setdefault((key.table, key.layer, key.mark_class), []).append((record, file))
    return partitions


def _partition_bytes(records: Iterable[CommitRecord]) -> dict[_Partition, int]:
    return {partition: sum(file.bytes for _, file in files) for partition, files in _by_partition(records).items()}


def _largest_partition(records: Iterable[CommitRecord]) -> int:
    return max(_partition_bytes(records).values(), default=0)


def _pieces(table: pa.Table, size: int, limit: int) -> Iterator[pa.Table]:
    """The table, cut evenly where its file would be larger than the limit."""
    pieces = max(1, -(-size // limit))
    rows = -(-table.num_rows // pieces)
    for start in range(0, max(table.num_rows, 1), max(rows, 1)):
        yield table.slice(start, rows)


def _without(books: pa.Table, hidden: set[tuple[str, str]]) -> pa.Table:
    identities = zip(books.column("book").to_pylist(), books.column("source").to_pylist(), strict=True)
    keep = np.array([identity not in hidden for identity in identities], dtype=bool)
    return books.filter(pa.array(keep))


def _books_kept(group: list[CommitRecord], superseded: dict[str, set[tuple[str, str]]]) -> Iterator[CommittedBook]:
    for record in group:
        hidden = superseded.get(record.path, set())
        yield from (book for book in record.books if (book.key, book.source) not in hidden)
