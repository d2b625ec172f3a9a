"""Joint entropies of all pairs of a tile of vectors, from bit rows.

A variant is one bit row per bin: bit d is set where dimension d lies in the bin. A joint count is the population count
of the AND of two bit rows, and a left-out dimension is simply in no row. Three things make this cheap:

- One word of x meets the same word of LANES partners in one instruction (`add_joint_terms`). Words of x that are 0 are
  skipped: an emptier bin of x costs as much as it has dimensions.
- Of the partner only the fullest bins are counted so. The rest hold a few dimensions, which are counted one by one.
  Where to cut is decided per tile (`choose_ranks`) and changes the pace, never a count.
- Counts are integers up to D, so n log2 n comes from a table, in fixed point: sums are exact and order-free.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.compilation import compiled, inlined
from analysis.products import products_within
from analysis.scratch import Scratch
from analysis.variants import Variants
from analysis.vector_code import LANES, RANKS_AT_ONCE, add_joint_terms, lowest_bit

COST_OF_WORD, COST_OF_CELL, COST_OF_DIMENSION = 0.024, 0.15, 2.0
"""Nanoseconds per pair: one word of one bin row, one look-up, one dimension counted by itself."""


GROUP_BYTES = 32_768
"""Bit rows of the partners that a row of the tile meets in one go: most of a first-level cache."""


_memory = Scratch()


class Rows(NamedTuple):
    """The words that are not 0 of V variants' bit rows; bins of fewer than two dimensions have none."""

    start: NDArray[np.int64]  # int64 [V * bins + 1], where a bin's words start in the next two
    words: NDArray[np.uint64]  # uint64
    places: NDArray[np.uint16]  # uint16, which word of the row each is


class Sparse(NamedTuple):
    """The dimensions of V variants that lie in their emptier bins; bins of fewer than two dimensions have none."""

    start: NDArray[np.int64]  # int64 [V + 1], where a variant's dimensions start in the next two
    dims: NDArray[np.uint16]  # uint16
    cells: NDArray[np.uint16]  # uint16, (bins + 1) * (rank of the bin - ranks counted by bit rows)


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
        rows = _filled_rows(variants_a)
        ranks = choose_ranks(variants_b, rows.start)
        words = variants_b.bits.shape[2]
        joint = _memory.array("joint terms", (len(tile.set_a), len(tile.set_b)), np.int64)
        group = max(1, GROUP_BYTES // (ranks * words * LANES * 8))
        partners = _aligned(group * ranks * words * LANES, np.uint64)
        counts = _aligned(RANKS_AT_ONCE * LANES, np.int64)
        _fill(
            rows, variants_a.codes, tile.chosen_a, tile.set_a,
            variants_b.bits, variants_b.by_population, _sparse(variants_b, ranks), tile.chosen_b, tile.set_b,
            tile.diagonal, ranks, partners, counts, table, joint,
        )  # fmt: skip
        return joint

    def products(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        out = _memory.array("products", (len(a), len(b)), np.float64)
        return products_within(a, out) if a is b else np.matmul(a, b.T, out=out)


def _aligned(size: int, dtype: type) -> NDArray[Any]:
    """64-bit items of 0 that starts on a cache line, as loads of whole registers like it."""
    space: NDArray[Any] = np.zeros(size + 8, dtype)
    start = -space.ctypes.data % 64 // 8
    return space[start : start + size]


@compiled
def choose_ranks(partners: Variants, row_start: NDArray[np.int64]) -> int:
    """How many of a partner's bins, fullest first, are cheaper to count by bit rows than dimension by dimension.

    `row_start` is that of the `Rows` that the partners meet: how many words, and how many bins that have any.
    """
    number, bins = partners.counts.shape
    in_rank, filled = np.zeros(bins), 0
    for v in range(number):
        for rank in range(bins):
            count = partners.counts[v, partners.by_population[v, rank]]
            in_rank[rank] += count if count > 1 else 0
    for k in range(row_start.size - 1):
        filled += row_start[k + 1] > row_start[k]
    per_rank = COST_OF_WORD * row_start[-1] + COST_OF_CELL * filled
    worth = per_rank / (row_start.size - 1) * bins / COST_OF_DIMENSION
    ranks = 1
    while ranks < bins and in_rank[ranks] > worth * number:
        ranks += 1
    return ranks


def _filled_rows(variants: Variants) -> Rows:
    number, bins, words = variants.bits.shape
    most = 1 + int(np.minimum(variants.counts, words).sum())
    filled, places = _memory.array("words", (most,), np.uint64), _memory.array("places", (most,), np.uint16)
    start = np.empty(number * bins + 1, np.int64)
    _list_words(variants.bits, variants.counts, start, filled, places)
    return Rows(start, filled, places)


@compiled
def _list_words(
    bits: NDArray[np.uint64],
    counts: NDArray[np.int64],
    start: NDArray[np.int64],
    filled: NDArray[np.uint64],
    places: NDArray[np.uint16],
) -> None:
    variants, bins, words = bits.shape
    end = 0
    for v in range(variants):
        for b in range(bins):
            start[v * bins + b] = end
            if counts[v, b] > 1:
                for w in range(words):
                    filled[end], places[end] = bits[v, b, w], w
                    end += bits[v, b, w] != 0
    start[variants * bins] = end


@compiled
def _sparse(variants: Variants, ranks: int) -> Sparse:
    number, bins, words = variants.bits.shape
    start = np.zeros(number + 1, np.int64)
    for v in range(number):
        start[v + 1] = start[v]
        for b in variants.by_population[v, ranks:]:
            start[v + 1] += variants.counts[v, b] if variants.counts[v, b] > 1 else 0
    dims, cells = np.empty(start[number], np.uint16), np.empty(start[number], np.uint16)
    end = 0
    for v in range(number):
        for rank in range(ranks, bins):
            b = variants.by_population[v, rank]
            if variants.counts[v, b] > 1:
                for w in range(words):
                    word = variants.bits[v, b, w]
                    while word:
                        dims[end], cells[end] = 64 * w + lowest_bit(word), (bins + 1) * (rank - ranks)
                        word &= word - np.uint64(1)
                        end += 1
    return Sparse(start, dims, cells)


@compiled
def _fill(
    rows: Rows,
    codes: NDArray[np.uint8],
    chosen_a: NDArray[np.int64],
    set_a: NDArray[np.int64],
    bits: NDArray[np.uint64],
    by_population: NDArray[np.int64],
    sparse: Sparse,
    chosen_b: NDArray[np.int64],
    set_b: NDArray[np.int64],
    diagonal: bool,
    ranks: int,
    partners: NDArray[np.uint64],
    counts: NDArray[np.int64],
    table: NDArray[np.int64],
    joint: NDArray[np.int64],
) -> None:
    """Columns in groups that fit the first-level cache, packed afresh only where a column's variant changes.

    Within a group, a row of the tile meets all columns before the next row comes: its loop lengths repeat and are
    predicted.
    """
    bins, words = bits.shape[1:]
    row_start, row_words, places = rows.start, rows.words, rows.places
    sparse_start, sparse_dims, sparse_cells = sparse.start, sparse.dims, sparse.cells
    size = ranks * words * LANES
    group = partners.size // size * LANES
    cells = np.empty((bins + 1) * bins, np.uint16)
    steps = table[1:] - table[:-1]
    packed, chosen, terms = np.empty(group, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for begin in range(0, set_b.size, group):
        packed[:] = -1
        stop = min(begin + group, set_b.size)
        for r in range(min(set_a.size, stop - 1) if diagonal else set_a.size):
            for first in range(begin, stop, LANES):
                start = max(first, r + 1) if diagonal else first
                end = min(first + LANES, stop)
                offset = (first - begin) // LANES * size
                for c in range(start, end):
                    chosen[c - first] = chosen_a[r, set_b[c]]
                    variant = chosen_b[c, set_a[r]]
                    if packed[c - begin] != variant:
                        packed[c - begin] = variant
                        _pack(bits, by_population, variant, ranks, partners, offset + c - first)
                for c in range(start, end):
                    variant = chosen[c - first]
                    if variant < 0:
                        continue
                    _dense_cells(row_start, row_words, places, variant, bins, words, partners, offset, ranks,
                                 counts, table, terms)  # fmt: skip
                    for other in range(c, end):
                        if chosen[other - first] == variant:
                            chosen[other - first] = -1
                            joint[r, other] = terms[other - first] + _sparse_cells(
                                codes, variant, bins, sparse_start, sparse_dims, sparse_cells, packed[other - begin],
                                cells, (bins + 1) * (bins - ranks), steps,
                            )  # fmt: skip


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
            b = by_population[variant, first + rank]
            for w in range(words):
                partners[offset + (first * words + w * width + rank) * LANES] = bits[variant, b, w]


@inlined
def _dense_cells(
    row_start: NDArray[np.int64],
    row_words: NDArray[np.uint64],
    places: NDArray[np.uint16],
    variant: int,
    bins: int,
    words: int,
    partners: NDArray[np.uint64],
    offset: int,
    ranks: int,
    counts: NDArray[np.int64],
    table: NDArray[np.int64],
    terms: NDArray[np.int64],
) -> None:
    """Sum of n log2 n over the cells of every bin of x with the packed bin rows of each partner."""
    terms[:] = 0
    for first in range(0, ranks, RANKS_AT_ONCE):
        add_joint_terms(row_start, variant * bins, bins, row_words, places, partners, offset + first * words * LANES,
                        min(RANKS_AT_ONCE, ranks - first), counts, table, terms)  # fmt: skip


@inlined
def _sparse_cells(
    codes: NDArray[np.uint8],
    variant: int,
    bins: int,
    sparse_start: NDArray[np.int64],
    sparse_dims: NDArray[np.uint16],
    sparse_cells: NDArray[np.uint16],
    partner: int,
    cells: NDArray[np.uint16],
    used: int,
    steps: NDArray[np.int64],
) -> int:
    """Sum of n log2 n over the other cells: each dimension adds what its cell's count going up by one adds.

    Dimensions that x leaves out go to a column of their own that adds nothing: cheaper than a branch.
    """
    for k in range(used):
        cells[k] = 0
    terms = 0
    for k in range(sparse_start[partner], sparse_start[partner + 1]):
        code = min(int(codes[variant, sparse_dims[k]]), bins)
        cell = sparse_cells[k] + code
        count = cells[cell]
        terms += steps[count] if code < bins else 0
        cells[cell] = count + 1
    return terms
