"""The only module that makes paths inside a store. All of them are relative to the store, with forward slashes.

study.json
pairs/layer=00/class=internal/<shard>.parquet
summaries/<shard>.parquet
_commits/<shard>.json               what one shard consists of
_commits/generation-000001.json     many shards rewritten as one
_runs/<run>.json
_lock/run-000001.json
"""

from __future__ import annotations

import re
import uuid

from store.columns import TABLES
from store.keys import MARK_CLASSES, ChunkKey, ShardKey

STUDY = "study.json"
LOCKS = "_lock/"
COMMITS = "_commits/"
RUNS = "_runs/"
TEMPORARY_SUFFIX = ".tmp"
"""Ends the names of files that are being written: never `.parquet`, so that no engine takes them for data."""

_CHUNK = re.compile(
    r"(?P<table>[a-z_]+)/"
    r"(?:layer=(?P<layer>\d{2,})/class=(?P<mark_class>[a-z]+)/)?"
    r"(?P<shard>[0-9a-f]{16})(?:-p(?P<part>\d{4,}))?\.parquet"
)
_RECORD = re.compile(r"_commits/(?:[0-9a-f]{16}|generation-(?P<number>\d{6,}))\.json")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOCK = re.compile(r"_lock/(?P<purpose>[a-z]+)-(?P<term>\d{6,})\.json")
_TEMPORARY = re.compile(rf"(?P<folder>(?:.*/)?)\.(?P<name>[^/]+)\.[0-9a-f]{{32}}{re.escape(TEMPORARY_SUFFIX)}")


def chunk_path(key: ChunkKey) -> str:
    """Where a chunk's file lives: a function of the key alone, never of the attempt that writes it.

    >>> chunk_path(ChunkKey("pairs", ShardKey("00c0ffee00c0ffee"), 3, "internal"))
    'pairs/layer=03/class=internal/00c0ffee00c0ffee.parquet'
    """
    partitions = ""
    if TABLES[key.table].partitioned_by:
        partitions = f"layer={key.layer:02d}/class={key.mark_class}/"
    part = f"-p{key.part:04d}" if key.part else ""
    return f"{key.table}/{partitions}{key.shard}{part}.parquet"


def parse_chunk_path(path: str) -> ChunkKey | None:
    """The key of a chunk's path, or None where the path is not one that `chunk_path` makes."""
    match = _CHUNK.fullmatch(path)
    if match is None or match["table"] not in TABLES:
        return None
    layer = None if match["layer"] is None else int(match["layer"])
    key = ChunkKey(match["table"], ShardKey(match["shard"]), layer, match["mark_class"], int(match["part"] or 0))
    if bool(TABLES[key.table].partitioned_by) != (layer is not None):
        return None
    if layer is not None and key.mark_class not in MARK_CLASSES:
        return None
    return key if chunk_path(key) == path else None


def commit_path(shard: ShardKey) -> str:
    """Where a shard's commit record lives: the moment this file exists, the shard does."""
    return f"{COMMITS}{shard}.json"


def generation_path(number: int) -> str:
    """Where the record of one compaction lives. Numbers grow by one, so two compactions cannot both take one."""
    return f"{COMMITS}generation-{number:06d}.json"


def is_record_path(path: str) -> bool:
    """Whether a path is that of a shard's commit record or of a generation's."""
    return _RECORD.fullmatch(path) is not None


def run_path(run: str) -> str:
    """Where the record of one run lives. Raises ValueError for a name that is no plain file name."""
    if not _RUN.fullmatch(run):
        raise ValueError(f"run name {run!r} must consist of letters, digits, dots, dashes and underscores")
    return f"{RUNS}{run}.json"


def lock_path(purpose: str, term: int) -> str:
    """Where the holder of a lock's n-th term signs."""
    return f"{LOCKS}{purpose}-{term:06d}.json"


def parse_lock_path(path: str) -> tuple[str, int] | None:
    """The purpose and term of a lock's path, or None where it is not one."""
    match = _LOCK.fullmatch(path)
    return None if match is None else (match["purpose"], int(match["term"]))


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
    """Whether a path is one of the store's own that holds no table: the study, a record, a run, a lock."""
    if path == STUDY or is_record_path(path) or parse_lock_path(path) is not None:
        return True
    return path.startswith(RUNS) and path.endswith(".json") and _RUN.fullmatch(path[len(RUNS) : -5]) is not None
