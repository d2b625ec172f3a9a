"""The only module that makes paths inside a store. All of them are relative to the store, with forward slashes.

study.json
pairs/layer=00/class=internal/<shard>-<attempt>.parquet
summaries/<shard>-<attempt>.parquet
_commits/00000012.json                one entry of the log: a shard committed, a term begun, files given up
_commits/checkpoint-00000012.json     what the log says up to an entry, for quick reading
_runs/<run>.json
_lock/run-00000012.json               the sign of life of the holder of a term
"""

from __future__ import annotations

import hashlib
import re
import uuid

from store.columns import TABLES
from store.keys import ChunkKey, ShardKey

STUDY = "study.json"
LOCKS = "_lock/"
COMMITS = "_commits/"
RUNS = "_runs/"
TEMPORARY_SUFFIX = ".tmp"
"""Ends the names of files that are being written: never `.parquet`, so that no engine takes them for data."""

_CHUNK = re.compile(
    r"(?P<table>[a-z_]+)/"
    r"(?:layer=(?P<layer>\d{2,5})/)?(?:class=(?P<mark_class>[A-Za-z0-9][A-Za-z0-9_-]{0,31})/)?"
    r"(?:other=(?P<other>[A-Za-z0-9][A-Za-z0-9_-]{0,31})/)?"
    r"(?P<shard>[0-9a-f]{16})-(?P<attempt>[0-9a-f]{12})(?:-p(?P<part>\d{4,9}))?\.parquet"
)
_PARTITION = re.compile(r"[a-z_]+/layer=\d+(?:/class=[A-Za-z0-9_-]+(?:/other=[A-Za-z0-9_-]+)?)?")
_ENTRY = re.compile(r"_commits/(?P<number>\d{8,12})\.json")
_CHECKPOINT = re.compile(r"_commits/checkpoint-(?P<number>\d{8,12})\.json")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCK = re.compile(r"_lock/(?P<purpose>[a-z]+)-(?P<term>\d{8,12})\.json")
_TEMPORARY = re.compile(rf"(?P<folder>(?:.*/)?)\.(?P<name>[^/]+)\.[0-9a-f]{{32}}{re.escape(TEMPORARY_SUFFIX)}")


def attempt_of(run: str) -> str:
    """What tells the files of one run from those of any other: 12 hexadecimal digits of the run's name."""
    return hashlib.sha256(run.encode()).hexdigest()[:12]


def chunk_path(key: ChunkKey, run: str) -> str:
    """Where the file lives that a run makes of a chunk.

    No two runs share a name, so that a file which was given up can be removed at any later time: nobody names it again.

    >>> chunk_path(ChunkKey("pairs", ShardKey("00c0ffee00c0ffee"), 3, "internal"), "run-1")
    'pairs/layer=03/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet'
    """
    return _chunk_path(key, attempt_of(run))


def _chunk_path(key: ChunkKey, attempt: str) -> str:
    partitions = "".join(f"{name}={value}/" for name, value in key.partition)
    part = f"-p{key.part:04d}" if key.part else ""
    return f"{key.table}/{partitions}{key.shard}-{attempt}{part}.parquet"


def parse_chunk_path(path: str) -> ChunkKey | None:
    """The key of a chunk's path, or None where the path is not one that `chunk_path` makes."""
    match = _CHUNK.fullmatch(path)
    if match is None or match["table"] not in TABLES:
        return None
    layer = None if match["layer"] is None else int(match["layer"])
    part = int(match["part"] or 0)
    key = ChunkKey(match["table"], ShardKey(match["shard"]), layer, match["mark_class"], match["other"], part)
    if tuple(name for name, _ in key.partition) != TABLES[key.table].partitioned_by:
        return None
    return key if _chunk_path(key, match["attempt"]) == path else None


def is_made_by(path: str, run: str) -> bool:
    """Whether a chunk's path is one that this run makes."""
    match = _CHUNK.fullmatch(path)
    return match is not None and match["attempt"] == attempt_of(run)


def entry_path(number: int) -> str:
    """Where the n-th entry of the log lives, counted from 1. A number is taken once, and never free again."""
    return f"{COMMITS}{number:08d}.json"


def parse_entry_path(path: str) -> int | None:
    """The number of a log entry's path, or None where it is not one."""
    match = _ENTRY.fullmatch(path)
    return int(match["number"]) if match and entry_path(int(match["number"])) == path else None


def checkpoint_path(number: int) -> str:
    """Where the checkpoint lives that says what entries 1 to n come to."""
    return f"{COMMITS}checkpoint-{number:08d}.json"


def parse_checkpoint_path(path: str) -> int | None:
    """The number of a checkpoint's path, or None where it is not one."""
    match = _CHECKPOINT.fullmatch(path)
    return int(match["number"]) if match and checkpoint_path(int(match["number"])) == path else None


def run_path(run: str) -> str:
    """Where the record of one run lives. Raises ValueError for a name that is not a plain file name."""
    if not _RUN.fullmatch(run):
        raise ValueError(f"run name {run!r} must consist of letters, digits, dots, dashes and underscores")
    return f"{RUNS}{run}.json"


def parse_run_path(path: str) -> str | None:
    """The run of a run record's path, or None where it is not one."""
    run = path.removeprefix(RUNS).removesuffix(".json")
    return run if _RUN.fullmatch(run) and path == f"{RUNS}{run}.json" else None


def is_run_name(name: str) -> bool:
    """Whether a name is one that a run can have: letters, digits, dots, dashes and underscores."""
    return _RUN.fullmatch(name) is not None


def lock_path(purpose: str, term: int) -> str:
    """Where the holder of a term signs; the term's number is that of the log entry which began it."""
    return f"{LOCKS}{purpose}-{term:08d}.json"


def parse_lock_path(path: str) -> tuple[str, int] | None:
    """The purpose and term of a lock's path, or None where it is not one."""
    match = _LOCK.fullmatch(path)
    if match is None or lock_path(match["purpose"], int(match["term"])) != path:
        return None
    return match["purpose"], int(match["term"])


def temporary_name(name: str) -> str:
    """A name that no other writer uses, for a file that is to become `name` in the same folder."""
    return f".{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"


def is_temporary(path: str) -> bool:
    """Whether a path is one under which a file of a store is being written, or was when its writer died."""
    match = _TEMPORARY.fullmatch(path)
    return match is not None and is_of_a_store(match["folder"] + match["name"])


def is_of_a_store(path: str) -> bool:
    """Whether a path is one that this module makes: a table's file, a record, a lock, or one of them half written."""
    return parse_chunk_path(path) is not None or is_bookkeeping(path) or is_temporary(path)


def is_bookkeeping(path: str) -> bool:
    """Whether a path is one of the store's own that holds no table: the study, the log, a run, a lock."""
    if path == STUDY or any(parse(path) is not None for parse in (parse_entry_path, parse_checkpoint_path)):
        return True
    return parse_lock_path(path) is not None or parse_run_path(path) is not None


def is_folder_of_a_store(path: str) -> bool:
    """Whether a path is that of a folder in which a store has files."""
    folders = [*TABLES, *(name.rstrip("/") for name in (COMMITS, LOCKS, RUNS))]
    return path in folders or _PARTITION.fullmatch(path) is not None
