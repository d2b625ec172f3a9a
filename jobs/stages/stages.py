"""The functions that do the work, as one value: both loops run what it holds, and a test may hold others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jobs.config import RunConfig
from jobs.corpus.references import BookRef, Source
from jobs.stages.compute import BlockReceipt, compute_block
from jobs.stages.extract import Block, ModelWork, extract_in_steps, load_model
from jobs.stages.finish import finish_shard
from jobs.stages.partition import ShardWork
from jobs.stages.prepare import PreparedShard, RunContext, prepare_shard
from jobs.stages.survey import survey_sources
from store.commits import CommitRecord
from store.keys import BlockKey, ChunkKey

Model: TypeAlias = Any
"""What `load` gives and `extract` takes: a loop hands it on and never looks inside."""


@dataclass(frozen=True)
class Stages:
    """Survey the sources; then prepare, extract, compute and finish each shard. Each is a module of `jobs.stages`."""

    survey: Callable[[Sequence[Source], RunConfig], list[BookRef]] = survey_sources
    prepare: Callable[[RunContext, ShardWork], PreparedShard] = prepare_shard
    load: Callable[[RunContext, str], Model] = load_model
    extract: Callable[[Model, PreparedShard, Sequence[BlockKey] | None], Iterator[Block | ModelWork]] = extract_in_steps
    compute: Callable[[RunContext, Block, Mapping[ChunkKey, str]], BlockReceipt] = compute_block
    finish: Callable[[RunContext, PreparedShard, Sequence[BlockReceipt]], CommitRecord] = finish_shard
