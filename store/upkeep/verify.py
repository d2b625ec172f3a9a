"""Every damage found and named: what is committed is read, and held against its record and against itself.

Of each committed file: it is there, it has the bytes of its record, it is a sound Parquet file of its table's schema
and order, with as many rows as promised. Of each record: every book has its marks and, in every layer, all that is
computed of them and of their pairs; the summaries are those of the pairs (see `completeness`). Files that no store
makes are named, and left alone: they are somebody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from store import documents, lock, paths
from store.columns import TABLES
from store.commits import CommitRecord, FileReceipt
from store.encoding import decode
from store.entries import Note, Verdict
from store.errors import ChunkDamaged, ObjectIrregular, ObjectMissing, StoreError, StoreUnavailable
from store.keys import ChunkKey
from store.log import CommitLog, LogState
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.study import Study, require_study
from store.upkeep.completeness import completeness
from store.upkeep.contents import Contents, Expected

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
    study = require_study(objects)
    log = CommitLog.read(objects, from_start=True)
    live = log.state.live()
    findings = Findings(records=len(live))
    findings.damages += _damaged_entries(log)
    found = {key.layer for record in live for _, key in _keyed(record) if key and key.layer is not None}
    expected = Expected.of(study, _layers(study) | found)
    for done, record in enumerate(live):
        if progress is not None:
            progress(done, len(live))
        findings.damages += _check_record(objects, log.state.records[record.number], expected, findings)
    findings.damages += _double_claims(live)
    _confirm(objects, findings)
    # Listed before the log is read anew: what was committed since the first reading is then known, too.
    listed = {entry.path: entry.regular for entry in objects.walk()}
    known = {file.path for record in [*live, *_read_log(objects).visible()] for file in record.files}
    findings.damages += _damaged_checkpoints(objects, listed)
    for path in sorted(listed):
        if not listed[path] and (paths.parse_run_path(path) or paths.parse_lock_path(path)):
            findings.damages.append(Damage(path, "is a link or no regular file"))
        if paths.is_bookkeeping(path) or path in known:
            continue
        if paths.is_of_a_store(path):
            findings.uncommitted.append(path)
        elif not listed[path] and paths.is_folder_of_a_store(path):
            findings.damages.append(Damage(path, _LINKED))
        else:
            findings.foreign.append(path)
    return findings


def fix(location: str | Path, progress: Callable[[int, int], None] | None = None) -> Findings:
    """Verify, drop every shard with a damage from the log, and remove its files and uncommitted ones.

    The next run of the same command recomputes what was dropped. Ends every term: raises StoreLocked while a run or a
    compaction works on the store, StoreError where one of its folders is a link. Returns what was found, dropped and
    removed.
    """
    objects = object_store(location)
    with lock.StoreLock(objects, lock.REPAIR) as held:
        total = findings = verify(location, progress)
        while findings.damages:
            _drop(held, findings, total)
            # A dropped generation brings the records that it replaced back to life, so look again.
            findings = verify(location)
            total.damages += findings.damages
        # No term began since the files were listed, or this raises: each was written by a run that is over. Whatever
        # runs from here on writes, and names, files of its own, so that these may go at any later time.
        held.append(lambda _: Note(Verdict.SWEPT))
        # What this process's own heartbeat has half written at this moment is no leftover.
        leftovers = [path for path in findings.uncommitted if not held.is_own_sign(path)]
        for path in leftovers:
            objects.delete(path)
        total.removed += leftovers
        total.uncommitted = []
    return total


def _drop(held: lock.StoreLock, findings: Findings, total: Findings) -> None:
    """Append that the damaged entries do not count. Their files are then uncommitted, and go with the others."""
    objects = held.log.objects
    for damage in findings.damages:
        if damage.what == _LINKED:
            raise StoreError(
                f"{objects.address(damage.path)} {_LINKED}; put the folder itself in its place. Nothing was changed"
            )
    state = held.log.refresh()
    numbers = sorted({n for d in findings.damages if (n := paths.parse_entry_path(d.record or "")) is not None})
    for number in numbers:
        record = state.records.get(number)
        total.dropped_shards += [paths.entry_path(number)] if record is None else record.holds
    of_the_log = tuple(number for number in numbers if number <= state.last)
    if of_the_log:
        held.append(lambda _: Note(Verdict.DROPPED, of_the_log))
    for damage in findings.damages:  # what the log can do without, and what lies beyond its end
        beyond = (paths.parse_entry_path(damage.path) or 0) > state.last
        if beyond or (damage.record is None and paths.is_bookkeeping(damage.path)):
            objects.delete(damage.path)
            total.removed.append(damage.path)


_LINKED = "is a link or no folder, and a store reads and removes nothing through one"


def _read_log(objects: ObjectStore) -> LogState:
    return CommitLog.read(objects, from_start=True).state


def _damaged_entries(log: CommitLog) -> Iterator[Damage]:
    for number, what in sorted(log.state.damaged.items()):
        path = paths.entry_path(number)
        yield Damage(path, f"is not a sound entry of the log: {what}", path)


def _damaged_checkpoints(objects: ObjectStore, listed: Iterable[str]) -> Iterator[Damage]:
    """Checkpoints that do not say what the entries say."""
    for path in sorted(listed):
        number = paths.parse_checkpoint_path(path)
        if number is None:
            continue
        try:
            found = LogState.from_json(objects.read(path, documents.MOST_BYTES), number)
        except ObjectMissing:
            continue
        except StoreUnavailable:
            raise
        except StoreError as error:
            yield Damage(path, f"is not a sound checkpoint: {error}")
            continue
        if found.to_json() != CommitLog.read(objects, from_start=True, up_to=number).state.to_json():
            yield Damage(path, "is a checkpoint that does not say what the log says")


def _confirm(objects: ObjectStore, findings: Findings) -> None:
    """Take back the damages of records that a compaction replaced since they were read: their files may have gone."""
    if any(damage.record is not None for damage in findings.damages):
        state = _read_log(objects)
        stand = {record.path for record in state.live()} | {paths.entry_path(number) for number in state.damaged}
        findings.damages = [d for d in findings.damages if d.record is None or d.record in stand]


def _check_record(objects: ObjectStore, record: CommitRecord, expected: Expected, findings: Findings) -> list[Damage]:
    """The damages of one record; its sound files are counted in the findings."""
    contents = Contents(record, expected)
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
        return Damage(file.path, f"is listed in {record.path} and is not a path of it", record.path)
    try:
        data = objects.read(file.path)
        if len(data) != file.bytes:
            return Damage(file.path, f"has {len(data)} bytes; its commit says {file.bytes}", record.path)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return Damage(file.path, "has other bytes than were committed (sha256 differs)", record.path)
        table = decode(TABLES[key.table], data, file.path)
    except ObjectMissing:
        return Damage(file.path, "is missing", record.path)
    except ObjectIrregular:
        return Damage(file.path, "is a link, lies behind one, or is not a regular file", record.path)
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
    """Shards, used books and trials that two live records hold: readers would see rows twice. The first one stands.

    A shard may be there again where a book of it was removed and taken once more.
    """
    holders: dict[str, CommitRecord] = {}
    for record in live:
        shards = () if any(book.is_removed for book in record.books) else record.holds
        trials = (f"{name!r} of book {t.key} ({t.sha256})" for t in record.tried for name in t.specifications)
        for held in (*(f"shard {name}" for name in shards), *(f"book {key}" for key in record.used), *trials):
            if (first := holders.setdefault(held, record)) is not record:
                yield Damage(record.path, f"holds {held}, which {first.path} holds too", record.path)
                break
