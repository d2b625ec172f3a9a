"""Computes the pairs of a block on a worker, publishes them in parts, and summarises what was published."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.moments import PairSummary, merge, summarise
from analysis.pairwise import PairStatistics, PreparedVectors, prepare, row_range
from jobs.stages.extract import Block
from jobs.stages.partition import PartSlice, pairs_in_rows, pairs_of, plan_parts
from jobs.stages.prepare import RunContext
from jobs.stages.tables import BookActivation, hidden_states_table, pairs_table
from store.commits import FileReceipt
from store.errors import ChunkDamaged, ObjectIrregular, ObjectMissing
from store.keys import BlockKey, ChunkKey
from store.upkeep.completeness import by_book
from store.writer import publish_chunk, read_leftover, settle_chunk


@dataclass(frozen=True)
class BlockReceipt:
    """What computing a block gave: the files published, and the block's rows of `summaries` and `activations`.

    `reused` counts pairs that a stopped attempt had published already.
    """

    key: BlockKey
    files: tuple[FileReceipt, ...]
    summaries: Mapping[str, PairSummary]
    activations: Mapping[str, BookActivation]
    pairs: int
    reused: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)


def compute_block(context: RunContext, block: Block, leftovers: Mapping[ChunkKey, str] | None = None) -> BlockReceipt:
    """Compute all pairs within each book of a block, publish them, and summarise what was published.

    `leftovers`: the paths of a stopped run's files. Their rows are published again as this run's and summarised, not
    computed, unless a file has gone, is damaged or holds other pairs.
    Raises ValueError where a hidden state is not finite, naming layer, class and book.
    """
    clock = _Clock()
    config = context.config
    vectors = {
        book: prepare(_states_of(block, index), config.bins, config.outlier_z, where=f"{block.key} book {book}")
        for index, book in enumerate(block.books)
    }
    summaries: dict[str, PairSummary] = {}
    files, reused = [], 0
    for part, slices in enumerate(plan_parts(block.marks)):
        key = ChunkKey.of_block("pairs", block.key, part)
        path = (leftovers or {}).get(key)
        found = None if path is None else _leftover(context, key, path, block, slices)
        table = _pairs_part(block, slices, vectors) if found is None else found
        clock.lap("pairs")
        receipt, table = settle_chunk(context.location, key, table, context.run_id)
        reused += 0 if found is None else table.num_rows
        clock.lap("write")
        files.append(receipt)
        _add_summaries(summaries, block, slices, table)
        clock.lap("pairs")
    if config.keep_hidden_states:
        key = ChunkKey.of_block("hidden_states", block.key)
        states = hidden_states_table(block.books, block.marks, block.states)
        files.append(publish_chunk(context.location, key, states, context.run_id))
        clock.lap("write")
    pairs = sum(map(pairs_of, block.marks))
    activations = {book: _activation(prepared) for book, prepared in vectors.items()}
    return BlockReceipt(block.key, tuple(files), summaries, activations, pairs, reused, clock.seconds)


def _states_of(block: Block, index: int) -> NDArray[np.float32]:
    return block.states[block.offsets[index] : block.offsets[index + 1]]


def _leftover(
    context: RunContext, key: ChunkKey, path: str, block: Block, slices: Sequence[PartSlice]
) -> pa.Table | None:
    """The rows that a stopped run left of this part; None where they are gone, damaged, or those of other pairs.

    That run may have been another version's, which took other marks: the study binds the settings, not the code.
    """
    try:
        table = read_leftover(context.location, key, path)
    except (ChunkDamaged, ObjectMissing, ObjectIrregular):
        return None
    expected, held = Counter[str](), Counter[str]()
    for piece in slices:
        expected[block.books[piece.book]] += pairs_in_rows(block.marks[piece.book], piece.start, piece.stop)
    for book, rows in by_book(table):
        held[book] += rows.num_rows
    return table if held == expected else None


def _pairs_part(block: Block, slices: Sequence[PartSlice], vectors: Mapping[str, PreparedVectors]) -> pa.Table:
    rows: list[tuple[int, NDArray[np.uint16], NDArray[np.uint16], PairStatistics]] = []
    for piece in slices:
        statistics = row_range(vectors[block.books[piece.book]], piece.start, piece.stop)
        i, j = _ordinals(block.marks[piece.book], piece.start, piece.stop)
        rows.append((piece.book, i, j, statistics))
    return pairs_table(block.books, rows)


@functools.lru_cache(maxsize=2)
def _ordinals(marks: int, start: int, stop: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The ordinals i and j of the pairs of some rows of the triangle, row by row; the same in every layer."""
    i = np.arange(start, stop)
    lengths = marks - 1 - i
    firsts = np.repeat(i, lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    seconds = firsts + 1 + np.arange(lengths.sum()) - starts
    return firsts.astype(np.uint16), seconds.astype(np.uint16)


def _add_summaries(
    summaries: dict[str, PairSummary], block: Block, slices: Sequence[PartSlice], table: pa.Table
) -> None:
    """Summarise a part from its rows as stored, and merge with the parts before."""
    mi, cov = table["mi"].to_numpy(), table["cov"].to_numpy()
    start = 0
    for piece in slices:
        stop = start + pairs_in_rows(block.marks[piece.book], piece.start, piece.stop)
        summary = summarise(mi[start:stop], cov[start:stop])
        book = block.books[piece.book]
        summaries[book] = merge(summaries[book], summary) if book in summaries else summary
        start = stop


def _activation(prepared: PreparedVectors) -> BookActivation:
    mean = prepared.x.mean(axis=0, dtype=np.float64)
    return BookActivation(len(prepared.x), mean, prepared.outlier_counts)


class _Clock:
    """Seconds by name, from one lap to the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
