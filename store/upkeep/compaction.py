"""Many small files into few, with the same rows, while readers and even a run go on.

A **generation** takes the rows of a group of committed shards into new files, one per table, layer and class (more
where they would be too large). Its record, published last, names the records it replaces: with that one publication
readers that open the store see the new files. Readers that opened it before keep the old ones, which go after a grace
period. Killed anywhere, a compaction has either not happened (its files are removed by `verify --fix`) or happened, and
the removal of old files goes on at the next one.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from store import lock, paths
from store.amendments import rows_that_count, without_books
from store.columns import TABLES, Table
from store.commits import CommitRecord, CommittedBook, FileReceipt, Tried, outdated_trials, superseded_books
from store.encoding import decode, order_of
from store.entries import Note, Verdict
from store.errors import ChunkDamaged, StoreLocked
from store.keys import ChunkKey, ShardKey
from store.log import LogState
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import require_study
from store.upkeep.contents import by_book
from store.writer import publish_chunk

TARGET_BYTES = 128 << 20
"""A generation is full when its largest file would have about this size."""

GRACE_S = 3600.0

_Partition = tuple[str, int | None, str | None, str | None]


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
    require_study(objects)
    with lock.StoreLock(objects, lock.MAINTENANCE) as held:
        run = f"compact-{uuid.uuid4().hex}"
        live = held.log.refresh().live()
        groups = plan_groups(live, target_bytes)
        rows = 0
        for done, group in enumerate(groups):
            if progress is not None:
                progress(done, len(groups))
            generation = _rewrite(objects, group, run, target_bytes, superseded_books(live), outdated_trials(live))
            _publish(held, generation)
            rows += sum(file.rows for file in generation.files)
        removed = remove_replaced(held, objects, grace_s)
        held.log.write_checkpoint()
        files_after = sum(len(record.files) for record in held.log.state.live())
    files_before = sum(len(record.files) for record in live)
    return CompactionReport(files_before, files_after, rows, len(groups), removed)


def plan_groups(live: Iterable[CommitRecord], target_bytes: int) -> list[list[CommitRecord]]:
    """Which records to rewrite together, so that the largest file of each group reaches the target size.

    A record that is half as large already is left alone, and so is a group of one, unless it holds rows of a book that
    was removed.
    """
    live = list(live)
    outdated = outdated_trials(live)
    clipped = {record.number for record in live if record.hidden or record.path in outdated}
    small = [record for record in live if record.number in clipped or _largest_partition([record]) < target_bytes / 2]
    groups: list[list[CommitRecord]] = []
    filled: dict[_Partition, int] = {}
    for record in sorted(small, key=lambda record: record.number):
        if not groups or max(filled.values(), default=0) >= target_bytes:
            groups.append([])
            filled = {}
        groups[-1].append(record)
        for partition, size in _partition_bytes([record]).items():
            filled[partition] = filled.get(partition, 0) + size
    return [group for group in groups if len(group) > 1 or group[0].number in clipped]


def remove_replaced(held: lock.StoreLock, objects: ObjectStore, grace_s: float) -> int:
    """Remove the files that a generation replaced longer than `grace_s` seconds ago, by the storage's own clock.

    The log says so first: from then on nothing brings them back, so that it does no harm if this process is stopped
    here and removes them days later. A removal that was killed is found in the log and finished by the next one.
    """
    published = {entry.path: entry.modified for entry in objects.walk(paths.COMMITS)}
    now = max(published.values(), default=0.0)
    state = held.log.refresh()
    expired = [
        number
        for record in state.visible()
        if now - published.get(record.path, now) >= grace_s
        for number in record.replaces
        if number in state.records and number not in state.condemned
    ]
    if expired:
        held.append(lambda _: Note(Verdict.CONDEMNED, tuple(sorted(set(expired)))))
    condemned = [held.log.state.records[number] for number in sorted(held.log.state.condemned)]
    removed = 0
    for record in condemned:
        for file in record.files:
            objects.delete(file.path)
            removed += 1
    if condemned:
        held.append(lambda _: Note(Verdict.DROPPED, tuple(record.number for record in condemned)))
    return removed


def _publish(held: lock.StoreLock, generation: CommitRecord) -> None:
    def made(state: LogState) -> CommitRecord | None:
        if generation.shard.name in {record.shard.name for record in state.live()}:  # ours, whose answer was lost
            return None
        live = {record.number for record in state.live()}
        if not live.issuperset(generation.replaces):
            raise StoreLocked(f"{held.log.objects.location}: what was compacted was replaced meanwhile; run this again")
        return generation

    held.append(made)


def _rewrite(
    objects: ObjectStore,
    group: list[CommitRecord],
    run: str,
    target_bytes: int,
    superseded: dict[str, set[tuple[str, str]]],
    outdated: dict[str, frozenset[str]],
) -> CommitRecord:
    """Publish a generation's files and return its record, to be published by the caller."""
    replaced = tuple(record.number for record in group)
    name = ShardKey(hashlib.sha256("\n".join([run, *map(str, replaced)]).encode()).hexdigest()[:16])
    files: list[FileReceipt] = []
    for (table, layer, mark_class, other), sources in sorted(_by_partition(group).items(), key=str):
        tables = [_read(objects, file) for _, file in sources]
        if table == "books":
            of_records = [(record, superseded.get(record.path, set())) for record, _ in sources]
            tables = [rows_that_count(rows, *words) for rows, words in zip(tables, of_records, strict=True)]
        else:
            gone = [outdated.get(r.path, ()) if table == "sensitivity" else r.hidden for r, _ in sources]
            tables = [without_books(rows, keys) for rows, keys in zip(tables, gone, strict=True)]
        merged = merge(TABLES[table], tables)
        size = sum(file.bytes for _, file in sources)
        for part, rows in enumerate(_pieces(merged, size, 2 * target_bytes)):
            files.append(
                publish_chunk(objects.location, ChunkKey(table, name, layer, mark_class, other, part), rows, run)
            )
    books = tuple(_books_kept(group, superseded))
    shards = tuple(sorted({shard for record in group for shard in record.holds}))
    tried = tuple(_trials_kept(group, outdated))
    return CommitRecord(name, tuple(files), books, run, shards=shards, replaces=replaced, tried=tried)


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
    """The files of each table, layer and classes, in the order of the records and, within one, of its parts."""
    partitions: dict[_Partition, list[tuple[CommitRecord, FileReceipt]]] = {}
    for record in records:
        for file in sorted(record.files, key=lambda file: file.path):
            key = paths.parse_chunk_path(file.path)
            if key is None:
                raise ChunkDamaged(f"{record.path} lists {file.path}, which is not a path of a store; verify it first")
            partitions.setdefault((key.table, key.layer, key.mark_class, key.other), []).append((record, file))
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


def _books_kept(group: list[CommitRecord], superseded: dict[str, set[tuple[str, str]]]) -> Iterator[CommittedBook]:
    for record in group:
        hidden = superseded.get(record.path, set())
        yield from (book for book in record.books if (book.key, book.source) not in hidden)


def _trials_kept(group: list[CommitRecord], outdated: dict[str, frozenset[str]]) -> Iterator[Tried]:
    for record in group:
        yield from (tried for tried in record.tried if tried.key not in outdated.get(record.path, ()))
