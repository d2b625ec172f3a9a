"""Joint entropies of all pairs of a tile of vectors, from bit rows.

A variant is one bit row per bin: bit d is set where dimension d lies in the bin. A joint count is the population count
of the AND of two bit rows, and a left-out dimension is simply in no row. Three things make this cheap:

- One word of x meets the same word of LANES partners in one instruction (`add_joint_terms`). Words of x that are 0 are
  skipped: an emptier bin of x costs as much as it has dimensions.
- Only the fullest bins of both sides are counted so. The rest hold a few dimensions, whose codes are compared
  (`analysis.sparse`). Where to cut is decided per tile (`choose_ranks`) and changes the pace, never a count.
- Counts are integers up to D, so n log2 n comes from a table, in fixed point: sums are exact and order-free.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.compilation import compiled, inlined
from analysis.products import products_within
from analysis.scratch import Scratch
from analysis.sparse import fullest, list_dimensions, sparse_terms
from analysis.variants import Variants
from analysis.vector_code import LANES, RANKS_AT_ONCE, add_joint_terms

COST_OF_WORD, COST_OF_CELL, COST_OF_DIMENSION, COST_OF_COMPARISON = 0.04, 0.2, 0.45, 0.05
"""Nanoseconds per pair: words of two bin rows counted, a look-up, a dimension compared, and each of its comparisons."""

SAMPLED = 64
"""Variants, at most, on which the choice of ranks rests."""

GROUP_BYTES = 32_768
"""Bit rows of the partners that a row of the tile meets in one go: most of a first-level cache."""


_memory = Scratch()


class Rows(NamedTuple):
    """The words that are not 0 of the bit rows of V variants' fullest bins, by rank."""

    start: NDArray[np.int64]  # int64 [V * ranks + 1], where a bin's words start in the next two
    words: NDArray[np.uint64]  # uint64
    places: NDArray[np.uint16]  # uint16, which word of the row each is


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


class Engine(Protocol):
    """What does the work of a tile; all engines give the same joint terms to the last bit."""

    side: int
    """Most rows, and most columns, of a tile."""
    threads: int
    """Cores that finish a tile."""

    def joint_terms(self, tile: Tile, table: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum of n log2 n over the joint histogram of each pair: int64 [R, C] in units of `table` (int64 [D + 1]).

        On the diagonal, entries with r >= c are not filled. Valid until the thread's next call, as the products are.
        """

    def products(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [R, C]: the sums of products of two sets of centred vectors, [R, D] and [C, D].

        Of a set with itself (`a is b`), entries below the diagonal need not be filled.
        """


class CpuEngine:
    """The engine of bit rows, on one core."""

    side = 512
    threads = 1

    def joint_terms(self, tile: Tile, table: NDArray[np.int64]) -> NDArray[np.int64]:
        variants_a, variants_b = tile.variants_a, tile.variants_b
        ranks = max(choose_ranks(variants_a), choose_ranks(variants_b))
        rows = _filled_rows(variants_a, ranks)
        words = variants_b.bits.shape[2]
        shape = len(tile.set_a), len(tile.set_b)
        joint = _memory.array("joint terms", shape, np.int64)
        other_way = _memory.array("joint terms, the other way", shape[::-1], np.int64)
        same = variants_a is variants_b
        by_set_b = _transposed(tile.chosen_b, "columns' variants by set")
        by_set_a = by_set_b if same else _transposed(tile.chosen_a, "rows' variants by set")
        lists_a = list_dimensions(variants_a, ranks)
        lists_b = lists_a if same else list_dimensions(variants_b, ranks)
        all_b, fullest_a = fullest(variants_b, variants_b.counts.shape[1]), fullest(variants_a, ranks)
        a, b, way = (tile.chosen_a, tile.set_a), (tile.chosen_b, tile.set_b), int(tile.diagonal)
        sparse_terms(lists_a, *a, variants_b.codes, all_b, by_set_b, tile.set_b, way, table, joint)
        sparse_terms(lists_b, *b, variants_a.codes, fullest_a, by_set_a, tile.set_a, -way, table, other_way)
        group = max(1, GROUP_BYTES // (ranks * words * LANES * 8))
        partners = _aligned(group * ranks * words * LANES, np.uint64)
        counts = _aligned(RANKS_AT_ONCE * LANES, np.int64)
        _fill(
            rows, tile.chosen_a, tile.set_a, variants_b.bits, variants_b.by_population,
            by_set_b, tile.set_b, tile.diagonal, ranks, partners, counts, table, other_way, joint,
        )  # fmt: skip
        return joint

    def products(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        out = _memory.array("products", (len(a), len(b)), np.float64)
        return products_within(a, out) if a is b else np.matmul(a, b.T, out=out)


def _transposed(chosen: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    by_set = _memory.array(name, chosen.shape[::-1], np.int64)
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


def _filled_rows(variants: Variants, ranks: int) -> Rows:
    number, _, words = variants.bits.shape
    most = 1 + int(np.minimum(variants.counts, words).sum())
    filled, places = _memory.array("words", (most,), np.uint64), _memory.array("places", (most,), np.uint16)
    start = np.empty(number * ranks + 1, np.int64)
    _list_words(variants.bits, variants.by_population, ranks, start, filled, places)
    return Rows(start, filled, places)


@compiled
def _list_words(
    bits: NDArray[np.uint64],
    by_population: NDArray[np.int64],
    ranks: int,
    start: NDArray[np.int64],
    filled: NDArray[np.uint64],
    places: NDArray[np.uint16],
) -> None:
    number, _, words = bits.shape
    end = np.uintp(0)
    for v in range(number):
        for rank in range(ranks):
            start[v * ranks + rank] = end
            row = bits[v, by_population[v, rank]]
            for w in range(np.uintp(words)):
                filled[end], places[end] = row[w], w
                end += np.uintp(row[w] != 0)
    start[number * ranks] = end


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
    table: NDArray[np.int64],
    other_way: NDArray[np.int64],
    joint: NDArray[np.int64],
) -> None:
    """Adds the cells of the fullest bins of both sides, and `other_way` [C, R], to what `joint` [R, C] holds.

    Columns come in groups that fit the first-level cache, packed afresh only where a column's variant changes. Within
    a group, a row of the tile meets all columns before the next row comes: its loop lengths repeat and are predicted.
    """
    words = bits.shape[2]
    row_start, row_words, places = rows.start, rows.words, rows.places
    size = ranks * words * LANES
    group = partners.size // size * LANES
    packed, terms = np.empty(group, np.int64), np.empty(LANES, np.int64)
    first_rows, masks = np.empty(LANES, np.int64), np.empty(LANES * LANES, np.int64)
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
                variants = _ways(chosen_a[r], set_b, first, start, end, ranks, first_rows, masks)
                terms[:] = 0
                for rank in range(0, ranks, RANKS_AT_ONCE):
                    offset = (first - begin) // LANES * size + rank * words * LANES
                    add_joint_terms(row_start, first_rows, masks, variants, ranks, row_words, places, partners, offset,
                                    min(RANKS_AT_ONCE, ranks - rank), counts, table, terms)  # fmt: skip
                for c in range(start, end):
                    joint[r, c] += terms[c - first] + other_way[c, r]


@inlined
def _ways(
    chosen: NDArray[np.int64],
    set_b: NDArray[np.int64],
    first: int,
    start: int,
    end: int,
    ranks: int,
    first_rows: NDArray[np.int64],
    masks: NDArray[np.int64],
) -> int:
    """Fills in the ways in which a row is binned against the columns `start` to `end`; `first` is in lane 0.

    Columns of one set follow each other, so most lanes ask for what the lane before asked for.
    """
    variants = 0
    for c in range(start, end):
        row = chosen[set_b[c]] * ranks
        k = variants - 1
        while k >= 0 and first_rows[k] != row:
            k -= 1
        if k < 0:
            k = variants
            variants += 1
            first_rows[k] = row
            for lane in range(LANES):
                masks[k * LANES + lane] = 0
        masks[k * LANES + c - first] = -1
    return variants


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
            row, place = bits[variant, by_population[variant, first + rank]], offset + (first * words + rank) * LANES
            for w in range(words):
                partners[np.uintp(place)] = row[w]
                place += width * LANES
