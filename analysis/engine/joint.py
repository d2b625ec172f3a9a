"""Joint entropies of all pairs of a tile of vectors, from bit rows.

A variant is one bit row per bin: bit d is set where dimension d lies in the bin. A joint count is the population count
of the AND of two bit rows, and a left-out dimension is simply in no row. Three things make this cheap:

- One word of x meets the same word of LANES partners in one instruction (`add_joint_terms`). Words of x that are 0 are
  skipped: an emptier bin of x costs as much as it has dimensions. Partners mostly ask for the same variant of x; where
  they do not, each lane gets a word of the variant that it asks for (`spread_row`).
- Only the fullest bins of both sides are counted so. The rest hold a few dimensions, whose codes are compared
  (`analysis.engine.sparse`). Where to cut is decided per tile (`choose_ranks`) and changes the pace, never a count.
- Counts are integers up to D, so n log2 n comes from a table, in fixed point: sums are exact and order-free.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import Variants
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

COST_OF_WORD, COST_OF_CELL, COST_OF_DIMENSION, COST_OF_COMPARISON = 0.04, 0.2, 0.45, 0.05
"""Nanoseconds per pair: words of two bin rows counted, a look-up, a dimension compared, and each of its comparisons."""

SAMPLED = 64
"""Variants, at most, on which the choice of ranks rests."""

GROUP_BYTES = 32_768
"""Bit rows of the partners that a row of the tile meets in one go: most of a first-level cache."""


class Rows(NamedTuple):
    """The bit rows of the fullest bins of V variants, by rank: where they are, and which of their words are not 0."""

    start: NDArray[np.int64]  # int64 [V * ranks], the first item of the row
    filled: NDArray[np.uint64]  # uint64 [V * ranks, masks]: bit w % 64 of mask w // 64 for word w


class Tile(NamedTuple):
    """R rows by C columns of vectors; a pair is binned as variants `chosen_a[r, set_b[c]]` and `chosen_b[c, set_a[r]]`.

    With `diagonal` rows and columns are the same vectors, and only pairs with r < c are asked for.
    """

    variants_a: Variants
    variants_b: Variants
    chosen_a: NDArray[np.int64]  # int64 [R, sets of the columns], into variants_a
    chosen_b: NDArray[np.int64]  # int64 [C, sets of the rows], into variants_b
    set_a: NDArray[np.int64]  # int64 [R], the row's outlier set
    set_b: NDArray[np.int64]  # int64 [C], the column's
    diagonal: bool


def joint_terms(tile: Tile, table: NDArray[np.int64], memory: Scratch) -> NDArray[np.int64]:
    """Sum of n log2 n over the joint histogram of each pair: int64 [R, C] in units of `table` (int64 [D + 1]).

    On the diagonal, entries with r >= c are not filled. The array lies in `memory`.
    """
    variants_a, variants_b = tile.variants_a, tile.variants_b
    ranks = max(choose_ranks(variants_a), choose_ranks(variants_b))
    rows = _filled_rows(variants_a.bits, variants_a.by_population, ranks)
    words = variants_b.bits.shape[2]
    shape = len(tile.set_a), len(tile.set_b)
    joint = memory.array("joint terms", shape, np.int64)
    other_way = memory.array("joint terms, the other way", shape[::-1], np.int64)
    same = variants_a is variants_b
    by_set_b = _transposed(tile.chosen_b, memory, "columns' variants by set")
    by_set_a = by_set_b if same else _transposed(tile.chosen_a, memory, "rows' variants by set")
    lists_a = list_dimensions(variants_a, ranks)
    lists_b = lists_a if same else list_dimensions(variants_b, ranks)
    a, b, way = (tile.chosen_a, tile.set_a), (tile.chosen_b, tile.set_b), int(tile.diagonal)
    sparse_terms(lists_a, *a, variants_b.codes, 2 * LISTED, by_set_b, tile.set_b, way, table, joint)
    sparse_terms(lists_b, *b, variants_a.codes, LISTED, by_set_a, tile.set_a, -way, table, other_way)
    group = max(1, GROUP_BYTES // (ranks * words * LANES * 8))
    partners = _aligned(group * ranks * words * LANES, np.uint64)
    counts = _aligned(ranks * RANKS_AT_ONCE * LANES, np.int64)
    mixed = _aligned(ranks * words * LANES, np.uint64)
    _fill(
        rows, tile.chosen_a, tile.set_a, variants_b.bits, variants_b.by_population,
        by_set_b, tile.set_b, tile.diagonal, ranks, partners, counts, mixed, variants_a.bits, table, other_way,
        joint,
    )  # fmt: skip
    return joint


def _transposed(chosen: NDArray[np.int64], memory: Scratch, name: str) -> NDArray[np.int64]:
    by_set = memory.array(name, chosen.shape[::-1], np.int64)
    by_set[:] = chosen.T
    return by_set


def _aligned(size: int, dtype: type) -> NDArray[Any]:
    """64-bit items of 0 that starts on a cache line, as loads of whole registers like it."""
    space: NDArray[Any] = np.zeros(size + 8, dtype)
    start = -space.ctypes.data % 64 // 8
    return space[start : start + size]


@compiled
def choose_ranks(variants: Variants) -> int:
    """How many of a variant's bins, fullest first, are cheaper to count by bit rows than to compare."""
    number, bins, words = variants.bits.shape
    filled, comparing = np.zeros(bins + 1), np.zeros(bins + 1)
    step = max(1, number // SAMPLED)
    for v in range(0, number, step):
        for rank in range(bins):
            b = variants.by_population[v, rank]
            count = variants.counts[v, b]
            for w in range(words):
                filled[rank + 1] += variants.bits[v, b, w] != 0
            if count > 1:
                comparing[rank] += count * (COST_OF_DIMENSION + COST_OF_COMPARISON * (count - 1) / 2)
    best, lowest, seen = bins, np.inf, (number + step - 1) // step
    for ranks in range(1, bins + 1):
        cost = COST_OF_WORD * ranks * filled[: ranks + 1].sum() + COST_OF_CELL * ranks**2 * seen
        cost += 2 * comparing[ranks:].sum()
        if cost < lowest:
            best, lowest = ranks, cost
    return best


@compiled
def _filled_rows(bits: NDArray[np.uint64], by_population: NDArray[np.int64], ranks: int) -> Rows:
    number, bins, words = bits.shape
    start, filled = np.empty(number * ranks, np.int64), np.empty((number * ranks, (words + 63) // 64), np.uint64)
    for v in range(number):
        for rank in range(ranks):
            row, entry = bits[v, by_population[v, rank]], v * ranks + rank
            start[entry] = (v * bins + by_population[v, rank]) * words
            for mask in range(filled.shape[1]):
                found = np.uint64(0)
                for w in range(64 * mask, min(64 * mask + 64, words)):
                    found |= np.uint64(row[w] != 0) << np.uint64(w & 63)
                filled[entry, mask] = found
    return Rows(start, filled)


@compiled
def _fill(
    rows: Rows,
    chosen_a: NDArray[np.int64],
    set_a: NDArray[np.int64],
    bits: NDArray[np.uint64],
    by_population: NDArray[np.int64],
    chosen_b: NDArray[np.int64],
    set_b: NDArray[np.int64],
    diagonal: bool,
    ranks: int,
    partners: NDArray[np.uint64],
    counts: NDArray[np.int64],
    mixed: NDArray[np.uint64],
    bits_a: NDArray[np.uint64],
    table: NDArray[np.int64],
    other_way: NDArray[np.int64],
    joint: NDArray[np.int64],
) -> None:
    """Adds the cells of the fullest bins of both sides, and `other_way` [C, R], to what `joint` [R, C] holds.

    Columns come in groups that fit the first-level cache, packed afresh only where a column's variant changes. Within
    a group, a row of the tile meets all columns before the next row comes: its loop lengths repeat and are predicted.
    """
    words = bits.shape[2]
    size = ranks * words * LANES
    group = partners.size // size * LANES
    packed, terms = np.empty(group, np.int64), np.empty(LANES, np.int64)
    asked, of_ways, lanes = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES * LANES, np.uint64)
    mixed_rows = Rows(np.arange(ranks) * words, np.empty((ranks, rows.filled.shape[1]), np.uint64))
    for begin in range(0, set_b.size, group):
        packed[:] = -1
        last_set = -1
        stop = min(begin + group, set_b.size)
        for r in range(min(set_a.size, stop - 1) if diagonal else set_a.size):
            if set_a[r] != last_set:
                last_set = set_a[r]
                chosen = chosen_b[last_set]
                for c in range(begin, stop):
                    variant, offset = chosen[c], (c - begin) // LANES * size + (c - begin) % LANES
                    if packed[c - begin] != variant:
                        packed[c - begin] = variant
                        _pack(bits, by_population, variant, ranks, partners, offset)
            for first in range(max(begin, (r + 1) // LANES * LANES) if diagonal else begin, stop, LANES):
                start, end = max(first, r + 1) if diagonal else first, min(first + LANES, stop)
                ways = _ways(chosen_a[r], set_b, first, start, end, asked, lanes)
                if ways > 1:
                    _mix(bits_a, rows, asked, lanes, ways, ranks, of_ways, mixed, mixed_rows)
                terms[:] = 0
                for rank in range(0, ranks, RANKS_AT_ONCE):
                    offset = (first - begin) // LANES * size + rank * words * LANES
                    width = min(RANKS_AT_ONCE, ranks - rank)
                    if ways > 1:
                        add_joint_terms_spread(mixed, mixed_rows.start, mixed_rows.filled, 0, ranks,
                                               partners, offset, width, counts, table, terms)  # fmt: skip
                    else:
                        add_joint_terms(bits_a, rows.start, rows.filled, asked[0] * ranks, ranks,
                                        partners, offset, width, counts, table, terms)  # fmt: skip
                for c in range(start, end):
                    joint[r, c] += terms[c - first] + other_way[c, r]


@inlined
def _ways(
    chosen: NDArray[np.int64],
    set_b: NDArray[np.int64],
    first: int,
    start: int,
    end: int,
    asked: NDArray[np.int64],
    lanes: NDArray[np.uint64],
) -> int:
    """Fills in the variants of a row that columns `start` to `end` ask for, and the lanes that do; `first` is lane 0.

    Columns of one set follow each other, so most lanes ask for what the lane before asked for.
    """
    ways = 0
    for c in range(start, end):
        variant = chosen[set_b[c]]
        k = ways - 1
        while k >= 0 and asked[k] != variant:
            k -= 1
        if k < 0:
            k = ways
            ways += 1
            asked[k] = variant
            for lane in range(LANES):
                lanes[k * LANES + lane] = 0
        lanes[k * LANES + c - first] = np.uint64(0xFFFFFFFFFFFFFFFF)
    return ways


@inlined
def _mix(
    bits: NDArray[np.uint64],
    rows: Rows,
    asked: NDArray[np.int64],
    lanes: NDArray[np.uint64],
    ways: int,
    ranks: int,
    of_ways: NDArray[np.int64],
    mixed: NDArray[np.uint64],
    mixed_rows: Rows,
) -> None:
    """Gathers a row's bins where lanes ask for several variants of it: a word of its own for each lane.

    Variants of a vector differ little, so that nearly the same words are not 0, and all ways cost about what one does.
    """
    for rank in range(ranks):
        for mask in range(rows.filled.shape[1]):
            filled = np.uint64(0)
            for k in range(ways):
                of_ways[k] = rows.start[asked[k] * ranks + rank]
                filled |= rows.filled[asked[k] * ranks + rank, mask]
            mixed_rows.filled[rank, mask] = filled
        spread_row(bits, of_ways, lanes, ways, mixed_rows.filled, rank, mixed, mixed_rows.start[rank])


@inlined
def _pack(
    bits: NDArray[np.uint64],
    by_population: NDArray[np.int64],
    variant: int,
    ranks: int,
    partners: NDArray[np.uint64],
    offset: int,
) -> None:
    """Puts the fullest `ranks` bin rows of a variant into one lane of the partners."""
    words = bits.shape[2]
    for first in range(0, ranks, RANKS_AT_ONCE):
        width = min(RANKS_AT_ONCE, ranks - first)
        for rank in range(width):
            row, place = variant * bits.shape[1] + by_population[variant, first + rank], first * words + rank
            put_in_lane(bits, row * words, words, partners, offset + place * LANES, width * LANES)
