"""The only module that makes paths inside a store. All of them are relative to the store, with forward slashes.

study.json
pairs/layer=00/class=internal/<shard>.parquet
summaries/<shard>.parquet
_commits/<shard>.json
_runs/<run>.json
_lock.json
"""

from __future__ import annotations

import re

from store.columns import TABLES
from store.keys import ChunkKey, ShardKey

STUDY = "study.json"
LOCK = "_lock.json"
COMMITS = "_commits/"
RUNS = "_runs/"

_CHUNK = re.compile(
    r"(?P<table>[a-z_]+)/"
    r"(?:layer=(?P<layer>\d{2,})/class=(?P<mark_class>[a-z]+)/)?"
    r"(?P<shard>[0-9a-f]{16})(?:-p(?P<part>\d{4}))?\.parquet"
)


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
    partitioned = bool(TABLES[key.table].partitioned_by)
    return key if partitioned == (layer is not None) and chunk_path(key) == path else None


def commit_path(shard: ShardKey) -> str:
    """Where a shard's commit record lives: the moment this file exists, the shard does."""
    return f"{COMMITS}{shard}.json"


def run_path(run: str) -> str:
    """Where the record of one run lives."""
    return f"{RUNS}{run}.json"
