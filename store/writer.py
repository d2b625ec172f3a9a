"""The two sides that write: workers publish chunks, and the one driver commits shards.

    worker   publish_chunk(location, key, table) -> FileReceipt
    driver   with writer.lock(): writer.commit(CommitRecord(shard, files, books, run))

Both can be repeated at any time by anyone: names are a function of the key, and the first to publish wins.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from store import lock, paths
from store.columns import TABLES, Table
from store.commits import CommitRecord, Committed, FileReceipt, committed, live_records, load_records
from store.encoding import decode, encode
from store.errors import ChunkDamaged, ObjectMissing, StoreError
from store.keys import ChunkKey, ShardKey
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import Study, create_or_match


def publish_chunk(location: str | Path, key: ChunkKey, table: pa.Table) -> FileReceipt:
    """Validate, encode and publish one file, once; safe to repeat from any number of workers.

    Where a sound file of these rows stands already, its receipt is returned. Any other file in its place is replaced.
    Raises ChunkInvalid where the table does not satisfy its spec, StoreUnavailable where the storage fails.
    """
    return settle_chunk(location, key, table)[0]


def settle_chunk(location: str | Path, key: ChunkKey, table: pa.Table) -> tuple[FileReceipt, pa.Table]:
    """`publish_chunk`, with the rows that stand in the store afterwards: another attempt's where it was first.

    Two processors may differ in the last bit of a float, so what is derived from the rows has to be derived from the
    rows that won. Rows of other marks are another version's, left behind by a run that was stopped before an upgrade:
    its file gives way, as long as no record names it.
    """
    objects = object_store(location)
    path = paths.chunk_path(key)
    data = encode(TABLES[key.table], table, str(key))
    if not objects.put_new(path, data):
        standing = objects.read(path)
        if standing != data:
            try:
                receipt, rows = _decoded(key, standing, objects.address(path))
                if _same_rows(TABLES[key.table], rows, table) or _is_committed(objects, key.shard):
                    return receipt, rows
            except ChunkDamaged:
                pass
            objects.put(path, data)
    return FileReceipt(path, table.num_rows, len(data), hashlib.sha256(data).hexdigest()), table


def read_chunk(location: str | Path, key: ChunkKey) -> pa.Table:
    """The table that was published, committed or not. Raises ObjectMissing, ChunkDamaged."""
    return read_settled_chunk(location, key)[1]


def read_settled_chunk(location: str | Path, key: ChunkKey) -> tuple[FileReceipt, pa.Table]:
    """`read_chunk`, with the receipt of the file as it stands now. Raises ObjectMissing, ChunkDamaged."""
    objects = object_store(location)
    path = paths.chunk_path(key)
    return _decoded(key, objects.read(path), objects.address(path))


class StudyWriter:
    """The driver's side of one store."""

    def __init__(self, objects: ObjectStore, study: Study) -> None:
        self._objects = objects
        self._lock: lock.StoreLock | None = None
        self._leftovers: dict[str, list[ChunkKey]] | None = None
        self.study = study
        self.location = objects.location

    @classmethod
    def open(cls, location: str | Path, study: Study) -> StudyWriter:
        """Create the store, or join one that holds the same study.

        Raises StudyMismatch naming the fields that differ, StoreUnavailable where the place cannot be written.
        """
        objects = object_store(location)
        create_or_match(objects, study)
        return cls(objects, study)

    def lock(self) -> lock.StoreLock:
        """A context manager that keeps other drivers out. Entering it raises StoreLocked naming the owner."""
        self._lock = lock.StoreLock(self._objects, lock.RUN)
        return self._lock

    def committed(self) -> Committed:
        """What is done, read afresh."""
        return committed(live_records(load_records(self._objects)))

    def uncommitted_chunks(self, shard: ShardKey) -> dict[ChunkKey, FileReceipt]:
        """The sound files of an interrupted attempt at a shard, read and checked, with their receipts.

        The store's files are listed once per writer: these are the files from before this writer first asked.
        """
        if self._leftovers is None:
            self._leftovers = self._list_leftovers()
        receipts = {}
        for key in self._leftovers.get(shard.name, []):
            path = paths.chunk_path(key)
            try:
                receipts[key] = _decoded(key, self._objects.read(path), self._objects.address(path))[0]
            except ChunkDamaged:
                continue  # `publish_chunk` replaces it
        return receipts

    def commit(self, record: CommitRecord) -> bool:
        """Make a shard visible, whole, to every reader; False where another attempt had committed it.

        Raises StoreError outside `lock()`, StoreLocked where another driver has taken over.
        """
        if self._lock is None:
            raise StoreError(f"commit of shard {record.shard} outside `with writer.lock():`; take the lock first")
        self._lock.check()
        return self._objects.put_new(record.path, record.stamped().to_json())

    def record_run(self, run: str, record: dict[str, Any]) -> None:
        """Write down what a run did or is doing; a later call for the same run replaces the record."""
        self._objects.put(paths.run_path(run), json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n")

    def _list_leftovers(self) -> dict[str, list[ChunkKey]]:
        done = {file.path for record in load_records(self._objects) for file in record.files}
        leftovers: dict[str, list[ChunkKey]] = {}
        for table in TABLES:
            for listed in self._objects.walk(f"{table}/"):
                key = paths.parse_chunk_path(listed.path)
                if key is not None and listed.path not in done:
                    leftovers.setdefault(key.shard.name, []).append(key)
        return {shard: sorted(keys, key=paths.chunk_path) for shard, keys in leftovers.items()}


def _same_rows(spec: Table, standing: pa.Table, table: pa.Table) -> bool:
    """Whether two tables say something of the same marks, whatever they have measured there.

    In the large tables the rows' keys tell. In the others every text and whole number does: counts stand there.
    """
    names = [name for name in spec.sorted_by if name in standing.column_names]
    if not spec.partitioned_by:
        names = [c.name for c in spec.file_columns if not (pa.types.is_floating(c.type) or pa.types.is_nested(c.type))]
    return all(_plain(standing.column(name)).equals(_plain(table.column(name))) for name in names)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _is_committed(objects: ObjectStore, shard: ShardKey) -> bool:
    try:
        objects.read(paths.commit_path(shard))
    except ObjectMissing:
        return False
    return True


def _decoded(key: ChunkKey, data: bytes, where: str) -> tuple[FileReceipt, pa.Table]:
    """The receipt and rows of a file that stands. Raises ChunkDamaged where it is no sound file of the key's table."""
    table = decode(TABLES[key.table], data, where)
    return FileReceipt(paths.chunk_path(key), table.num_rows, len(data), hashlib.sha256(data).hexdigest()), table
