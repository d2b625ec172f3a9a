"""Joint terms of all pairs of a tile, from bit rows.

A joint count is the population count of the AND of two bit rows, and a masked dimension is simply in no row. Three
things make this cheap:

- One word of x meets the same word of LANES partners in one instruction (`add_joint_terms`). Words of x that are 0 are
  skipped: an emptier bin of x costs as much as it has dimensions. Partners mostly ask for the same binning of x; where
  they do not, each lane gets a word of the binning that it asks for (`spread_row`).
- Only the first ranks of both sides are counted so. The rest are sparse: they hold a few dimensions, whose codes are
  compared (`analysis.engine.sparse`). Where to cut is decided per tile (`choose_ranks`) and changes the pace, never a
  count.
- Counts are integers up to D, so n log2 n comes from a table, in fixed point: sums are exact and order-free.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled, inlined
from analysis.engine.scratch import Scratch
from analysis.engine.simd.counting import (
    LANES,
    RANKS_AT_ONCE,
    add_joint_terms,
    add_joint_terms_spread,
    put_in_lane,
    spread_row,
)
from analysis.engine.sparse import LISTED, list_dimensions, sparse_terms
from analysis.engine.vectors import Binned, Binnings, Tile

COST_OF_WORD, COST_OF_CELL, COST_OF_DIMENSION, COST_OF_COMPARISON = 0.04, 0.2, 0.45, 0.05
"""Nanoseconds per pair: words of two bin rows counted, a look-up, a dimension compared, and each of its comparisons."""

SAMPLED = 64
"""Binnings, at most, on which the choice of ranks rests."""

GROUP_BYTES = 32_768
"""Bit rows of the partners that a row of the tile meets in one go: most of a first-level cache."""


class BitRows(NamedTuple):
    """The bit rows of the first ranks of V binnings: where they are, and which of their words are not 0."""

    start: NDArray[np.int64]  # int64 [V * ranks], the first item of the row
    filled: NDArray[np.uint64]  # uint64 [V * ranks, masks]: bit w % 64 of mask w // 64 for word w


class Lanes(NamedTuple):
    """Which binnings of a row LANES neighbouring columns ask for."""

    asked: NDArray[np.int64]  # int64 [LANES], the binnings, each once
    masks: NDArray[np.uint64]  # uint64 [LANES, LANES], flat: by binning, all ones for a lane that asks for it


class Mixed(NamedTuple):
    """The bit rows of a row whose columns ask for several of its binnings: a word of its own for each lane."""

    words: NDArray[np.uint64]  # uint64 [ranks, words, LANES], flat
    rows: BitRows
    sources: NDArray[np.int64]  # int64 [LANES], scratch


class Counters(NamedTuple):
    """Memory of the innermost loop."""

    partners: NDArray[np.uint64]  # uint64 [groups, ranks, words, LANES], flat: the bit rows of the columns
    packed: NDArray[np.int64]  # int64 [groups * LANES], which binning of a column is in its lane
    counts: NDArray[np.int64]  # int64 [ranks, RANKS_AT_ONCE, LANES], flat
    terms: NDArray[np.int64]  # int64 [LANES]


def joint_terms(tile: Tile, table: NDArray[np.int64], scratch: Scratch) -> NDArray[np.int64]:
    """Joint terms of each pair: int64 [R, C] in units of `table` (int64 [D + 1]).

    On the diagonal, entries with r >= c are not filled. The array lies in `scratch`.
    """
    a, b, same = tile.rows.binned, tile.columns.binned, tile.rows is tile.columns
    ranks = max(choose_ranks(a.binnings), choose_ranks(b.binnings))
    shape, triangle = (len(a.set_of), len(b.set_of)), int(tile.on_diagonal)
    joint = scratch.joint.array(shape, np.int64)
    of_columns = scratch.sparse_columns.array(shape[::-1], np.int64)
    sparse_a = list_dimensions(a.binnings, ranks)
    sparse_b = sparse_a if same else list_dimensions(b.binnings, ranks)
    sparse_terms(sparse_a, a, b, 2 * LISTED, triangle, table, joint)
    sparse_terms(sparse_b, b, a, LISTED, -triangle, table, of_columns)
    rows, counters = _bit_rows(a.binnings, ranks), _counters(ranks, b.binnings.bits.shape[2])
    _add_bit_rows(a, b, tile.on_diagonal, rows, counters, table, of_columns, joint)
    return joint


def _counters(ranks: int, words: int) -> Counters:
    size = ranks * words * LANES
    groups = max(1, GROUP_BYTES // (size * 8))
    return Counters(
        partners=_aligned(groups * size, np.uint64),
        packed=np.empty(groups * LANES, np.int64),
        counts=_aligned(ranks * RANKS_AT_ONCE * LANES, np.int64),
        terms=np.empty(LANES, np.int64),
    )


def _aligned(size: int, dtype: type) -> NDArray[Any]:
    """64-bit items of 0 that start on a cache line, as loads of whole registers like it."""
    space: NDArray[Any] = np.zeros(size + 8, dtype)
    start = -space.ctypes.data % 64 // 8
    return space[start : start + size]


@compiled
def choose_ranks(binnings: Binnings) -> int:
    """How many of a binning's bins, fullest first, are cheaper to count by bit rows than to compare."""
    number, bins, words = binnings.bits.shape
    filled, comparing = np.zeros(bins + 1), np.zeros(bins + 1)
    step = max(1, number // SAMPLED)
    for v in range(0, number, step):
        for rank in range(bins):
            b = binnings.by_rank[v, rank]
            count = binnings.counts[v, b]
            for w in range(words):
                filled[rank + 1] += binnings.bits[v, b, w] != 0
            if count > 1:
                comparing[rank] += count * (COST_OF_DIMENSION + COST_OF_COMPARISON * (count - 1) / 2)
    best, lowest, seen = bins, np.inf, (number + step - 1) // step
    for ranks in range(1, bins + 1):
        cost = COST_OF_WORD * ranks * filled[: ranks + 1].sum() + COST_OF_CELL * ranks**2 * seen
        cost += 2 * comparing[ranks:].sum()
        if cost < lowest:
            best, lowest = ranks, cost
    return int(best)


@compiled
def _bit_rows(binnings: Binnings, ranks: int) -> BitRows:
    bits, by_rank = binnings.bits, binnings.by_rank
    number, bins, words = bits.shape
    start, filled = np.empty(number * ranks, np.int64), np.empty((number * ranks, (words + 63) // 64), np.uint64)
    for v in range(number):
        for rank in range(ranks):
            row, entry = bits[v, by_rank[v, rank]], v * ranks + rank
            start[entry] = (v * bins + by_rank[v, rank]) * words
            for mask in range(filled.shape[1]):
                found = np.uint64(0)
                for w in range(64 * mask, min(64 * mask + 64, words)):
                    found |= np.uint64(row[w] != 0) << np.uint64(w & 63)
                filled[entry, mask] = found
    return BitRows(start, filled)


@compiled
def _add_bit_rows(
    a: Binned,
    b: Binned,
    diagonal: bool,
    rows: BitRows,
    counters: Counters,
    table: NDArray[np.int64],
    of_columns: NDArray[np.int64],
    joint: NDArray[np.int64],
) -> None:
    """Adds the cells of the first ranks of both sides, and `of_columns` [C, R], to what `joint` [R, C] holds.

    Columns come in groups that fit the first-level cache, packed afresh only where a column's binning changes. Within
    a group, a row of the tile meets all columns before the next row comes: its loop lengths repeat and are predicted.
    """
    chosen_a, set_a, bits_a = a.chosen, a.set_of, a.binnings.bits
    chosen_b, set_b, binnings_b = b.by_set, b.set_of, b.binnings
    partners, packed, counts, terms = counters.partners, counters.packed, counters.counts, counters.terms
    ranks, words, group = rows.start.size // bits_a.shape[0], bits_a.shape[2], packed.size
    size = ranks * words * LANES
    lanes = Lanes(np.empty(LANES, np.int64), np.empty(LANES * LANES, np.uint64))
    mixed = _room_for_mixed(rows, ranks, words)
    for begin in range(0, set_b.size, group):
        packed[:] = -1
        last_set = -1
        stop = min(begin + group, set_b.size)
        for r in range(min(set_a.size, stop - 1) if diagonal else set_a.size):
            if set_a[r] != last_set:
                last_set = set_a[r]
                chosen = chosen_b[last_set]
                for c in range(begin, stop):
                    binning, offset = chosen[c], (c - begin) // LANES * size + (c - begin) % LANES
                    if packed[c - begin] != binning:
                        packed[c - begin] = binning
                        _pack(binnings_b, binning, ranks, partners, offset)
            for first in range(max(begin, (r + 1) // LANES * LANES) if diagonal else begin, stop, LANES):
                start, end = max(first, r + 1) if diagonal else first, min(first + LANES, stop)
                asked = _asked(chosen_a[r], set_b, first, start, end, lanes)
                if asked > 1:
                    _mix(bits_a, rows, lanes, asked, mixed)
                terms[:] = 0
                for rank in range(0, ranks, RANKS_AT_ONCE):
                    offset = (first - begin) // LANES * size + rank * words * LANES
                    width = min(RANKS_AT_ONCE, ranks - rank)
                    if asked > 1:
                        add_joint_terms_spread(mixed.words, mixed.rows.start, mixed.rows.filled, 0, ranks,
                                               partners, offset, width, counts, table, terms)  # fmt: skip
                    else:
                        add_joint_terms(bits_a, rows.start, rows.filled, lanes.asked[0] * ranks, ranks,
                                        partners, offset, width, counts, table, terms)  # fmt: skip
                for c in range(start, end):
                    joint[r, c] += terms[c - first] + of_columns[c, r]


@inlined
def _room_for_mixed(rows: BitRows, ranks: int, words: int) -> Mixed:
    own = BitRows(np.arange(ranks) * words, np.empty((ranks, rows.filled.shape[1]), np.uint64))
    return Mixed(np.zeros(ranks * words * LANES, np.uint64), own, np.empty(LANES, np.int64))


@inlined
def _asked(chosen: NDArray[np.int64], set_b: NDArray[np.int64], first: int, start: int, end: int, lanes: Lanes) -> int:
    """Fills in the binnings of a row that columns `start` to `end` ask for; `first` is lane 0. Returns their number.

    Columns of one set follow each other, so most lanes ask for what the lane before asked for.
    """
    asked, masks = lanes.asked, lanes.masks
    number = 0
    for c in range(start, end):
        binning = chosen[set_b[c]]
        k = number - 1
        while k >= 0 and asked[k] != binning:
            k -= 1
        if k < 0:
            k = number
            number += 1
            asked[k] = binning
            for lane in range(LANES):
                masks[k * LANES + lane] = 0
        masks[k * LANES + c - first] = np.uint64(0xFFFFFFFFFFFFFFFF)
    return number


@inlined
def _mix(bits: NDArray[np.uint64], rows: BitRows, lanes: Lanes, asked: int, mixed: Mixed) -> None:
    """Gathers a row's bit rows where lanes ask for several of its binnings: a word of its own for each lane.

    Binnings of a vector differ little, so that nearly the same words are not 0, and all cost about what one does.
    """
    start, filled, sources, words, own = mixed.rows.start, mixed.rows.filled, mixed.sources, mixed.words, lanes.asked
    ranks = start.size
    for rank in range(ranks):
        for mask in range(filled.shape[1]):
            found = np.uint64(0)
            for k in range(asked):
                sources[k] = rows.start[own[k] * ranks + rank]
                found |= rows.filled[own[k] * ranks + rank, mask]
            filled[rank, mask] = found
        spread_row(bits, sources, lanes.masks, asked, filled, rank, words, start[rank])


@inlined
def _pack(binnings: Binnings, binning: int, ranks: int, partners: NDArray[np.uint64], offset: int) -> None:
    """Puts the bit rows of a binning's first ranks into one lane of the partners."""
    bits, by_rank = binnings.bits, binnings.by_rank
    words = bits.shape[2]
    for first in range(0, ranks, RANKS_AT_ONCE):
        width = min(RANKS_AT_ONCE, ranks - first)
        for rank in range(width):
            row, place = binning * bits.shape[1] + by_rank[binning, first + rank], first * words + rank
            put_in_lane(bits, row * words, words, partners, offset + place * LANES, width * LANES)
