"""Every damage found and named: what is committed is read, and held against its record and against itself.

Of each committed file: it is there, it has the bytes of its record, it is a sound Parquet file of its table's schema
and order, with as many rows as promised. Of each record: every book has its n(n-1)/2 pairs in every layer, and its
tokens, activations and summaries; the summaries are those of the pairs. Files that no store makes are named, and left
alone: they are somebody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from store import lock, paths
from store.books import BookStatus
from store.columns import TABLES
from store.commits import CommitRecord, FileReceipt, live_records, load_records
from store.encoding import decode
from store.errors import ChunkDamaged, NoStore, ObjectMissing
from store.keys import ChunkKey
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import Study, read_study
from store.upkeep.completeness import Contents, completeness

_FILES_AT_ONCE = 4


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong: the file, in words what, and the record that has to go for it to be recomputed."""

    path: str
    what: str
    record: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass
class Findings:
    """What a verification saw.

    `uncommitted` files belong to a run that goes on, or was interrupted. `foreign` ones are not of the store's making.
    """

    records: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    damages: list[Damage] = field(default_factory=list)
    uncommitted: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    dropped_shards: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def verify(location: str | Path, progress: Callable[[int, int], None] | None = None) -> Findings:
    """Read everything that is committed and report. Changes nothing; a run may go on meanwhile.

    `progress` is called with the number of records done and their total. Raises NoStore.
    """
    objects = object_store(location)
    study = read_study(objects)
    if study is None:
        raise NoStore(f"{objects.location} holds no store; check --store")
    unreadable: list[str] = []
    records = load_records(objects, unreadable)
    live = live_records(records)
    findings = Findings(records=len(live))
    findings.damages += [Damage(path, "is no readable commit record", path) for path in unreadable]
    layers = _layers(study) | {
        key.layer for record in live for _, key in _keyed(record) if key and key.layer is not None
    }
    for done, record in enumerate(live):
        if progress is not None:
            progress(done, len(live))
        findings.damages += _check_record(objects, record, layers, findings)
    findings.damages += _double_claims(live)
    _look_again(objects, findings)
    # Listed before the records are read anew: what was committed since the first reading is then known, too.
    listed = {entry.path for entry in objects.walk()}
    records += load_records(objects, [])
    known = {file.path for record in records for file in record.files}
    for path in sorted(listed - known):
        if not paths.is_of_a_store(path):
            findings.foreign.append(path)
        elif not paths.is_bookkeeping(path):
            findings.uncommitted.append(path)
    return findings


def fix(location: str | Path, progress: Callable[[int, int], None] | None = None) -> Findings:
    """Verify, drop every shard with a damage from the commits, and remove damaged and uncommitted files of the store.

    The next run of the same command recomputes what was dropped. Holds both locks of the store: raises StoreLocked
    while a run or a compaction works on it. Returns what was found, dropped and removed.
    """
    objects = object_store(location)
    with lock.StoreLock(objects, lock.RUN) as run_lock, lock.StoreLock(objects, lock.MAINTENANCE):
        total = findings = verify(location, progress)
        while findings.damages:
            run_lock.check()
            _drop(objects, findings, total)
            # A dropped generation brings the records that it replaced back to life, so look again.
            findings = verify(location)
            total.damages += findings.damages
        for path in findings.uncommitted:
            objects.delete(path)
        total.removed += findings.uncommitted
        total.uncommitted = []
    return total


def _drop(objects: ObjectStore, findings: Findings, total: Findings) -> None:
    """First the records, so that no reader meets a file that has gone, then the files that a store has made.

    A record that was tampered with may list any file: one that is not of the store's making is not ours to remove.
    """
    records = {record.path: record for record in load_records(objects, [])}
    for path in sorted({damage.record for damage in findings.damages if damage.record is not None}):
        objects.delete(path)
        total.dropped_shards += records[path].holds if path in records else [Path(path).stem]
    for path in sorted({damage.path for damage in findings.damages if paths.is_of_a_store(damage.path)}):
        objects.delete(path)
        total.removed.append(path)


def _look_again(objects: ObjectStore, findings: Findings) -> None:
    """Take back the damages of records that a compaction replaced since they were read: their files may have gone."""
    if any(damage.record is not None for damage in findings.damages):
        unreadable: list[str] = []
        live = {record.path for record in live_records(load_records(objects, unreadable))} | set(unreadable)
        findings.damages = [d for d in findings.damages if d.record is None or d.record in live]


def _check_record(objects: ObjectStore, record: CommitRecord, layers: set[int], findings: Findings) -> list[Damage]:
    """The damages of one record; its sound files are counted in the findings."""
    contents = Contents(record, layers)
    damages = []
    for file, key, outcome in _checked_files(objects, record):
        if isinstance(outcome, Damage):
            damages.append(outcome)
        else:
            contents.add(key, file.path, outcome)
            findings.files += 1
            findings.rows += file.rows
            findings.bytes += file.bytes
    if not damages:  # what is missing in a damaged file need not be said again
        damages += [Damage(path, what, record.path) for path, what in completeness(contents)]
    return damages


def _checked_files(
    objects: ObjectStore, record: CommitRecord
) -> Iterator[tuple[FileReceipt, ChunkKey, Damage | pa.Table]]:
    """Each file with its table or its damage; a few at a time, since a generation's files do not fit in memory."""
    keyed = [(file, key or ChunkKey("", record.shard)) for file, key in _keyed(record)]
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        for start in range(0, len(keyed), _FILES_AT_ONCE):
            batch = keyed[start : start + _FILES_AT_ONCE]
            outcomes = pool.map(lambda item: _check_file(objects, record, item[0], item[1]), batch)
            for (file, key), outcome in zip(batch, outcomes, strict=True):
                yield file, key, outcome


def _check_file(objects: ObjectStore, record: CommitRecord, file: FileReceipt, key: ChunkKey) -> Damage | pa.Table:
    """The file's table, or what is wrong with the file.

    No listing is asked: while a run and a compaction go on, one is older or newer than the records.
    """
    if not key.table or key.shard != record.shard:
        return Damage(file.path, f"is listed in {record.path} and is no path of it", record.path)
    try:
        data = objects.read(file.path)
        if len(data) != file.bytes:
            return Damage(file.path, f"has {len(data)} bytes; its commit says {file.bytes}", record.path)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return Damage(file.path, "has other bytes than were committed (sha256 differs)", record.path)
        table = decode(TABLES[key.table], data, file.path)
    except ObjectMissing:
        return Damage(file.path, "is missing", record.path)
    except ChunkDamaged as error:
        return Damage(file.path, str(error).removeprefix(f"{file.path}: "), record.path)
    if table.num_rows != file.rows:
        return Damage(file.path, f"has {table.num_rows} rows; its commit says {file.rows}", record.path)
    return table


def _layers(study: Study) -> set[int]:
    """The layers every book must have: the embedding and one for each decoder block, where the study counts them."""
    count = study.model.get("hidden_layers")
    return set(range(count)) if isinstance(count, int) else set()


def _keyed(record: CommitRecord) -> list[tuple[FileReceipt, ChunkKey | None]]:
    return [(file, paths.parse_chunk_path(file.path)) for file in record.files]


def _double_claims(live: Iterable[CommitRecord]) -> Iterator[Damage]:
    """Shards and used books that two live records hold: readers would see their rows twice. The first one stands."""
    holders: dict[str, CommitRecord] = {}
    for record in sorted(live, key=lambda record: (record.committed, record.path)):
        shards = [f"shard {name}" for name in record.holds]
        books = [f"book {book.key}" for book in record.books if book.status is BookStatus.USED]
        for held in (*shards, *books):
            if (first := holders.setdefault(held, record)) is not record:
                yield Damage(record.path, f"holds {held}, which {first.path} holds too", record.path)
                break
