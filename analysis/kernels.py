"""Joint entropies of all pairs of a tile of vectors, from bit rows.

A variant is one bit row per bin: bit d is set where dimension d lies in the bin. A joint count is the population count
of the AND of two bit rows, and a left-out dimension is simply in no row. Three things make this cheap:

- One word of x meets the same word of LANES partners in one instruction (`count_row`). Words of x that are 0 are
  skipped: an emptier bin of x costs as much as it has dimensions.
- Of the partner only the fullest bins are counted so. The rest hold a few dimensions, which are counted one by one.
  Where to cut is decided per tile (`choose_ranks`) and changes the pace, never a count.
- Counts are integers up to D, so n log2 n comes from a table, in fixed point: sums are exact and order-free.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from analysis.variants import ABSENT, COMPILED, Variants
from analysis.vector_code import LANES, RANKS_AT_ONCE, count_row, lowest_bit

COST_OF_WORD, COST_OF_CELL, COST_OF_DIMENSION = 0.024, 0.28, 1.0
"""Nanoseconds per pair: one word of one bin row, one look-up, one dimension counted by itself."""


class Rows(NamedTuple):
    """The words that are not 0 of V variants' bit rows; bins of fewer than two dimensions have none."""

    start: np.ndarray  # int64 [V * bins + 1], where a bin's words start in the next two
    words: np.ndarray  # uint64
    places: np.ndarray  # int64, which word of the row each is


class Sparse(NamedTuple):
    """The dimensions of V variants that lie in their emptier bins; bins of fewer than two dimensions have none."""

    start: np.ndarray  # int64 [V + 1], where a variant's dimensions start in the next two
    dims: np.ndarray  # int64
    cells: np.ndarray  # int64, bins * (rank of the bin - ranks counted by bit rows)


def joint_terms(variants_a, variants_b, chosen_a, chosen_b, set_a, set_b, diagonal, table):
    """Sum of n log2 n over the joint histogram of each pair of a tile: int64 [R, C] in units of `table`.

    Row r and column c are binned as variants `chosen_a[r, set_b[c]]` and `chosen_b[c, set_a[r]]`. With `diagonal`
    rows and columns are the same vectors, and only entries with r < c are filled.
    """
    ranks = choose_ranks(variants_b)
    bins, words = variants_b.bits.shape[1:]
    joint = np.empty((len(set_a), len(set_b)), np.int64)
    partners, counts = _aligned(ranks * LANES * words, np.uint64), _aligned(RANKS_AT_ONCE * LANES, np.int64)
    _fill(
        _filled_rows(variants_a.bits, variants_a.counts), variants_a.codes, chosen_a, set_a,
        variants_b.bits, variants_b.by_population, _sparse(variants_b, ranks), chosen_b, set_b,
        diagonal, ranks, partners, counts, table, joint,
    )  # fmt: skip
    return joint


def _aligned(size, dtype):
    """An array of 64-bit items that starts on a cache line, as loads of whole registers like it."""
    space = np.empty(size + 8, dtype)
    start = -space.ctypes.data % 64 // 8
    return space[start : start + size]


@njit(**COMPILED)
def choose_ranks(variants):
    """How many of a partner's bins, fullest first, are cheaper to count by bit rows than dimension by dimension."""
    number, bins, words = variants.bits.shape
    in_rank, rows, filled = np.zeros(bins), 0, 0
    for v in range(number):
        for rank in range(bins):
            count = variants.counts[v, variants.by_population[v, rank]]
            if count > 1:
                in_rank[rank] += count
                rows += 1
                filled += min(count, words)
    worth = (COST_OF_WORD * filled + COST_OF_CELL * rows) / COST_OF_DIMENSION
    ranks = 1
    while ranks < bins and in_rank[ranks] > worth:
        ranks += 1
    return ranks


@njit(**COMPILED)
def _filled_rows(bits, counts):
    variants, bins, words = bits.shape
    start = np.empty(variants * bins + 1, np.int64)
    filled, places = np.empty(bits.size + 1, np.uint64), np.empty(bits.size + 1, np.int64)
    end = 0
    for v in range(variants):
        for b in range(bins):
            start[v * bins + b] = end
            if counts[v, b] > 1:
                for w in range(words):
                    filled[end], places[end] = bits[v, b, w], w
                    end += bits[v, b, w] != 0
    start[variants * bins] = end
    return Rows(start, filled, places)


@njit(**COMPILED)
def _sparse(variants, ranks):
    number, bins, words = variants.bits.shape
    start = np.zeros(number + 1, np.int64)
    for v in range(number):
        start[v + 1] = start[v]
        for b in variants.by_population[v, ranks:]:
            start[v + 1] += variants.counts[v, b] if variants.counts[v, b] > 1 else 0
    dims, cells = np.empty(start[number], np.int64), np.empty(start[number], np.int64)
    end = 0
    for v in range(number):
        for rank in range(ranks, bins):
            b = variants.by_population[v, rank]
            if variants.counts[v, b] > 1:
                for w in range(words):
                    word = variants.bits[v, b, w]
                    while word:
                        dims[end], cells[end] = 64 * w + lowest_bit(word), bins * (rank - ranks)
                        word &= word - np.uint64(1)
                        end += 1
    return Sparse(start, dims, cells)


@njit(**COMPILED)
def _fill(rows, codes, chosen_a, set_a, bits, by_population, sparse, chosen_b, set_b,
          diagonal, ranks, partners, counts, table, joint):  # fmt: skip
    """LANES columns at a time, packed afresh only where a column's variant changes from one row to the next."""
    bins, words = bits.shape[1:]
    cells = np.empty(bins * bins, np.uint16)
    packed, chosen, terms = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    for first in range(0, set_b.size, LANES):
        lanes = min(LANES, set_b.size - first)
        packed[:] = -1
        for r in range(min(set_a.size, first + lanes - 1) if diagonal else set_a.size):
            begin = max(0, r + 1 - first) if diagonal else 0
            for lane in range(begin, lanes):
                chosen[lane] = chosen_a[r, set_b[first + lane]]
                variant = chosen_b[first + lane, set_a[r]]
                if packed[lane] != variant:
                    _pack(bits, by_population, variant, lane, ranks, partners)
                    packed[lane] = variant
            for lane in range(begin, lanes):
                variant = chosen[lane]
                if variant < 0:
                    continue
                _dense_cells(rows.start, rows.words, rows.places, variant, bins, words, partners, ranks, counts, table,
                             terms)  # fmt: skip
                for other in range(lane, lanes):
                    if chosen[other] == variant:
                        chosen[other] = -1
                        joint[r, first + other] = terms[other] + _sparse_cells(
                            codes, variant, sparse.start, sparse.dims, sparse.cells, packed[other], cells,
                            bins * (bins - ranks), table,
                        )  # fmt: skip


@njit(**COMPILED)
def _pack(bits, by_population, variant, lane, ranks, partners):
    """Puts the fullest `ranks` bin rows of a variant into one lane of the partners."""
    words = bits.shape[2]
    for first in range(0, ranks, RANKS_AT_ONCE):
        width = min(RANKS_AT_ONCE, ranks - first)
        for rank in range(width):
            b = by_population[variant, first + rank]
            for w in range(words):
                partners[(first * words + w * width + rank) * LANES + lane] = bits[variant, b, w]


@njit(**COMPILED)
def _dense_cells(row_start, row_words, places, variant, bins, words, partners, ranks, counts, table, terms):
    """Sum of n log2 n over the cells of every bin of x with the packed bin rows of each partner."""
    terms[:] = 0
    for row in range(variant * bins, variant * bins + bins):
        start, stop = row_start[row], row_start[row + 1]
        if start == stop:
            continue
        for first in range(0, ranks, RANKS_AT_ONCE):
            width = min(RANKS_AT_ONCE, ranks - first)
            count_row(row_words, places, start, stop, partners, first * words * LANES, width, counts)
            for rank in range(width):
                for lane in range(LANES):
                    terms[lane] += table[counts[LANES * rank + lane]]


@njit(**COMPILED)
def _sparse_cells(codes, variant, sparse_start, sparse_dims, sparse_cells, partner, cells, used, table):
    """Sum of n log2 n over the other cells: each dimension adds what its cell's count going up by one adds."""
    cells[:used] = 0
    terms = np.int64(0)
    for k in range(sparse_start[partner], sparse_start[partner + 1]):
        code = codes[variant, sparse_dims[k]]
        if code != ABSENT:
            count = cells[sparse_cells[k] + code]
            terms += table[count + 1] - table[count]
            cells[sparse_cells[k] + code] = count + 1
    return terms
