"""The whole job as a plain loop in one process: the reference that the Ray driver is compared with."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from jobs.plan import ShardWork
from jobs.prepare import PreparedShard, RunContext
from jobs.progress import Listener
from jobs.results import Results
from jobs.stages import Stages
from jobs.tally import Tally
from jobs.tasks import BlockReceipt, StatesModel


def run_serially(
    context: RunContext,
    shards: Iterable[ShardWork],
    results: Results,
    tally: Tally,
    listener: Listener,
    stages: Stages,
) -> None:
    """Do every shard, one after the other, and commit each. An error stops the loop where it stands."""
    model: StatesModel | None = None
    for prepared in _usable_first(_prepared(context, shards, tally, stages), results.is_open):
        receipts: list[BlockReceipt] = []
        if prepared.outline.used:
            results.open()
            model = model or stages.load(context, context.run.device)
            receipts = _compute(context, prepared, model, results, tally, listener, stages)
        record = stages.finish(context, prepared, receipts)
        started = time.perf_counter()
        results.commit(record)
        tally.committed(record.shard, time.perf_counter() - started)
        listener.line("committed", shard=record.shard, books=len(record.books), files=len(record.files))


def _prepared(
    context: RunContext, shards: Iterable[ShardWork], tally: Tally, stages: Stages
) -> Iterator[PreparedShard]:
    for work in shards:
        prepared = stages.prepare(context, work)
        tally.prepared(prepared.outline)
        yield prepared


def _usable_first(shards: Iterator[PreparedShard], store_exists: bool) -> Iterator[PreparedShard]:
    """Hold back shards without a usable book until one has some: nothing else is a reason to create a store."""
    held: list[PreparedShard] = []
    for prepared in shards:
        if not store_exists and not prepared.outline.used:
            held.append(prepared)
            continue
        store_exists = True
        yield prepared
        yield from held
        held.clear()


def _compute(
    context: RunContext,
    prepared: PreparedShard,
    model: StatesModel,
    results: Results,
    tally: Tally,
    listener: Listener,
    stages: Stages,
) -> list[BlockReceipt]:
    shard = prepared.outline.shard
    leftovers = results.leftovers(shard)
    receipts = []
    for block in stages.extract(model, prepared, None):
        tally.extracted(shard, block.work)
        receipts.append(stages.compute(context, block, leftovers))
        tally.computed(receipts[-1])
        listener.update(tally)
    return receipts
