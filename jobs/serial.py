"""The whole job as a plain loop in one process: the reference that the Ray driver is compared with.

One shard after the other, one block after the other; only while the model rests, and blocks are small, those that it
has yielded are done side by side, since the kernels, the encoding and the disk leave the interpreter's lock alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from analysis.engine.cores import usable_cores
from jobs.account.display import Listener
from jobs.account.run_store import Results
from jobs.account.tally import Tally
from jobs.stages.compute import BlockReceipt
from jobs.stages.extract import Block, ModelWork
from jobs.stages.partition import ShardWork
from jobs.stages.prepare import PreparedShard, RunContext
from jobs.stages.stages import Model, Stages
from store.keys import ShardKey

SIDE_BY_SIDE = 4
"""Blocks at once, at most. About a quarter of a small block's time holds the interpreter's lock."""

SMALL_PAIRS = 4_000_000
"""Pairs in a layer up to which blocks go side by side: a second's work. A run is stopped between blocks, and larger
ones also take more memory."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run_serially(
    context: RunContext,
    shards: Iterable[ShardWork],
    results: Results,
    tally: Tally,
    listener: Listener,
    stages: Stages,
) -> None:
    """Do every shard, one after the other, and commit each. An error stops the loop where it stands."""
    model: Model | None = None
    for prepared in _usable_first(_prepared(context, shards, tally, stages), results.is_open):
        receipts: list[BlockReceipt] = []
        if prepared.outline.used:
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
    model: Model,
    results: Results,
    tally: Tally,
    listener: Listener,
    stages: Stages,
) -> list[BlockReceipt]:
    shard = prepared.outline.shard
    leftovers = results.leftovers(shard)

    def compute(block: Block) -> BlockReceipt:
        return stages.compute(context, block, leftovers)

    receipts = []
    tally.pair_tasks = _threads(prepared)
    blocks = _counted(stages.extract(model, prepared, None), shard, tally, results, listener)
    for receipt in _in_order(compute, blocks, tally.pair_tasks):
        receipts.append(receipt)
        tally.computed(receipt)
        listener.update(tally)
    return receipts


def _counted(
    steps: Iterator[Block | ModelWork], shard: ShardKey, tally: Tally, results: Results, listener: Listener
) -> Iterator[Block]:
    """Pass on the blocks and tell of the work. A new store is made when the model has given states, not before."""
    for block in steps:
        if isinstance(block, ModelWork):
            tally.extracted(shard, block)
            listener.update(tally)
            continue
        results.open()
        tally.extracted(block.key.shard, block.work)
        yield block


def _threads(prepared: PreparedShard) -> int:
    return min(usable_cores(), SIDE_BY_SIDE) if prepared.outline.pairs <= SMALL_PAIRS else 1


def _in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """`map`, with as many items under way as there are threads; none is taken before a thread is free for it."""
    if threads == 1:
        yield from map(function, items)
        return
    under_way: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) == threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
