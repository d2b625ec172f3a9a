"""The two sides that write: workers publish chunks, and the one driver commits shards.

    worker   publish_chunk(location, key, table, run) -> FileReceipt
    driver   with writer.lock(): writer.commit(CommitRecord(shard, files, books, run))

Both can be repeated at any time within a run: names are a function of the key and the run, and the first to publish
wins. No run ever writes, or commits, a file of another's: it copies the rows that a stopped one left.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from store import lock, paths
from store.columns import TABLES
from store.commits import CommitRecord, Committed, FileReceipt, committed, live_records, load_records
from store.encoding import decode, encode
from store.entries import entry_from_json, entry_to_json
from store.errors import ChunkDamaged, ObjectIrregular, StoreError
from store.keys import ChunkKey, ShardKey
from store.log import LogState
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import Study, create_or_match


def publish_chunk(location: str | Path, key: ChunkKey, table: pa.Table, run: str) -> FileReceipt:
    """Validate, encode and publish one file of a run, once; safe to repeat from any number of its workers.

    Where a sound file stands already, its receipt is returned; one that is damaged is replaced.
    Raises ChunkInvalid where the table does not satisfy its spec, StoreUnavailable where the storage fails.
    """
    return settle_chunk(location, key, table, run)[0]


def settle_chunk(location: str | Path, key: ChunkKey, table: pa.Table, run: str) -> tuple[FileReceipt, pa.Table]:
    """`publish_chunk`, with the rows that stand in the store afterwards: another attempt's where it was first.

    Two processors may differ in the last bit of a float, so what is derived from the rows has to be derived from the
    rows that won.
    """
    objects = object_store(location)
    path = paths.chunk_path(key, run)
    data = encode(TABLES[key.table], table, str(key))
    if not objects.put_new(path, data):
        try:
            return _decoded(key, path, objects.read(path), objects.address(path))
        except (ChunkDamaged, ObjectIrregular):
            objects.put(path, data)
    return FileReceipt(path, table.num_rows, len(data), hashlib.sha256(data).hexdigest()), table


def read_chunk(location: str | Path, key: ChunkKey, run: str) -> pa.Table:
    """The table that a run published, committed or not. Raises ObjectMissing, ChunkDamaged."""
    return read_leftover(location, key, paths.chunk_path(key, run))


def read_leftover(location: str | Path, key: ChunkKey, path: str) -> pa.Table:
    """The rows of a file that a stopped run left of this chunk. Raises ObjectMissing, ChunkDamaged."""
    objects = object_store(location)
    return _decoded(key, path, objects.read(path), objects.address(path))[1]


class StudyWriter:
    """The driver's side of one store.

    `retaken` are the removed books that this driver was told to take again: key -> the attempt that was removed.
    """

    def __init__(self, objects: ObjectStore, study: Study) -> None:
        self._objects = objects
        self._lock: lock.StoreLock | None = None
        self._leftovers: dict[str, dict[ChunkKey, str]] | None = None
        self.retaken: dict[str, int] = {}
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

    def uncommitted_chunks(self, shard: ShardKey) -> dict[ChunkKey, str]:
        """The files that stopped runs left of a shard, the newest of each chunk: its path, for `read_leftover`.

        They may be damaged, and may be removed at any time; a run that wants their rows publishes them as its own.
        The store's files are listed once per writer: these are the files from before this writer first asked.
        """
        if self._leftovers is None:
            self._leftovers = self._list_leftovers()
        return self._leftovers.get(shard.name, {})

    def commit(self, record: CommitRecord) -> bool:
        """Make a shard visible, whole, to every reader; False where another attempt had committed it.

        Raises StoreError outside `lock()`, where one of its used books is visible in another shard, and where one was
        removed and is not `retaken`; StoreLocked where another driver has taken over: then nothing of this becomes
        visible, now or later.
        """
        if self._lock is None:
            raise StoreError(f"commit of shard {record.shard} outside `with writer.lock():`; take the lock first")
        entry_from_json(entry_to_json(record.numbered(1, 1)), 1)  # what no reader would take must not get in

        def made(state: LogState) -> CommitRecord | None:
            removed = {book for book in record.used if state.removed_last(book) > self.retaken.get(book, 0)}
            if record.shard.name in state.shards and all(b in state.used or b in removed for b in record.used):
                return None
            for book in record.used:
                if book in removed:
                    raise StoreError(
                        f"{self.location}: book {book} was removed; `interpunct run ... --retake {book}` takes it again"
                    )
                if book in state.used:
                    raise StoreError(
                        f"{self.location}: book {book} of shard {record.shard} is in the store already, by"
                        f" {paths.entry_path(state.used[book])}; it must not be there twice"
                    )
            return record

        return self._lock.append(made) is not None

    def record_run(self, run: str, record: dict[str, Any]) -> None:
        """Write down what a run did or is doing; a later call for the same run replaces the record."""
        self._objects.put(paths.run_path(run), json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n")

    def _list_leftovers(self) -> dict[str, dict[ChunkKey, str]]:
        listed = sorted((entry.modified, entry.path) for table in TABLES for entry in self._objects.walk(f"{table}/"))
        # Read after the listing: what was committed meanwhile is then known to be.
        done = {file.path for record in load_records(self._objects) for file in record.files}
        leftovers: dict[str, dict[ChunkKey, str]] = {}
        for _, path in listed:
            key = paths.parse_chunk_path(path)
            if key is not None and path not in done:
                leftovers.setdefault(key.shard.name, {})[key] = path
        return leftovers


def _decoded(key: ChunkKey, path: str, data: bytes, where: str) -> tuple[FileReceipt, pa.Table]:
    """The receipt and rows of a file that stands. Raises ChunkDamaged where it is not one of the key's table."""
    table = decode(TABLES[key.table], data, where)
    return FileReceipt(path, table.num_rows, len(data), hashlib.sha256(data).hexdigest()), table
