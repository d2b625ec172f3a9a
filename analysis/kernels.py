"""Joint entropies, covariances and correlations of all pairs of a tile of vectors."""

from typing import NamedTuple

import numpy as np
from numba import njit

from analysis.variants import ABSENT, COMPILED, Variants, Vectors, Views
from analysis.vector_code import LANES, RANKS_AT_ONCE, count_row, trailing_zeros

CANCELLATION = 1e-5
"""Where a partner takes away all but this share of a vector's sum of squares, the pair is summed afresh."""


COST_OF_WORD, COST_OF_CELL, COST_OF_DIMENSION = 0.024, 0.28, 1.0
"""Nanoseconds per pair: one word of one bin row, one look-up, one dimension counted by itself. Only the pace depends
on them, never a result."""


class Side(NamedTuple):
    """One side of a tile: R vectors in the order they are taken."""

    vectors: Vectors
    index: np.ndarray  # int64 [R], into the vectors
    set_of: np.ndarray  # int64 [R], their outlier sets as numbered within the tile
    variants: Variants
    views: Views  # [R, sets of the other side]


class Sparse(NamedTuple):
    """The dimensions of V variants that lie in their emptier bins."""

    start: np.ndarray  # int64 [V + 1], into the next two
    dims: np.ndarray  # int64
    in_bin: np.ndarray  # int64


class Pairs(NamedTuple):
    """Where results go: pair (i, j) is entry `origin[i] + j` of each array."""

    origin: np.ndarray  # int64 [N]
    mi: np.ndarray  # float64
    cov: np.ndarray  # float64
    corr: np.ndarray  # float64
    n: np.ndarray  # int32
    hx: np.ndarray  # float64
    hy: np.ndarray  # float64


@njit(**COMPILED)
def choose_ranks(variants):
    """How many of a partner's bins, fullest first, are counted by bit rows; the rest is counted one by one."""
    bins = variants.counts.shape[1]
    in_rank, rows, words = np.zeros(bins), 0.0, 0.0
    for v in range(variants.counts.shape[0]):
        for rank in range(bins):
            b = variants.by_population[v, rank]
            count = variants.counts[v, b]
            if count > 1:
                in_rank[rank] += count
                rows += 1
                words += variants.row_start[v, b + 1] - variants.row_start[v, b]
    worth = (COST_OF_WORD * words + COST_OF_CELL * rows) / COST_OF_DIMENSION
    ranks = 1
    while ranks < bins and in_rank[ranks] > worth:
        ranks += 1
    return ranks


@njit(**COMPILED)
def list_sparse(variants, ranks):
    """The dimensions in each variant's emptier bins; a bin of one dimension adds nothing to any entropy."""
    bins = variants.counts.shape[1]
    start = np.zeros(variants.counts.shape[0] + 1, np.int64)
    for v in range(start.size - 1):
        start[v + 1] = start[v]
        for b in variants.by_population[v, ranks:]:
            start[v + 1] += variants.counts[v, b] if variants.counts[v, b] > 1 else 0
    dims, in_bin = np.empty(start[-1], np.int64), np.empty(start[-1], np.int64)
    end = 0
    for v in range(start.size - 1):
        for b in variants.by_population[v, ranks:]:
            if variants.counts[v, b] > 1:
                for k in range(variants.row_start[v, b], variants.row_start[v, b + 1]):
                    word = variants.words[k]
                    while word:
                        dims[end], in_bin[end] = 64 * variants.places[k] + trailing_zeros(word), b
                        word &= word - np.uint64(1)
                        end += 1
    return Sparse(start, dims, in_bin)


@njit(**COMPILED)
def fill_tile(a, b, sparse, products, diagonal, ranks, partners, counts, table, unit, pairs):
    """All pairs of a tile; with `diagonal`, rows and columns are the same and each unordered pair is done once."""
    bins = a.variants.bits.shape[1]
    cells = np.empty((bins, bins), np.int64)
    packed, chosen = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    joint, pending = np.empty(LANES, np.int64), np.empty(LANES, np.bool_)
    for first in range(0, b.index.size, LANES):
        lanes = min(LANES, b.index.size - first)
        packed[:] = -1
        for r in range(min(a.index.size, first + lanes - 1) if diagonal else a.index.size):
            for lane in range(lanes):
                c = first + lane
                pending[lane] = c > r or not diagonal
                variant = b.views.variant[c, a.set_of[r]]
                if packed[lane] != variant:
                    _pack(b.variants, variant, lane, ranks, partners)
                    packed[lane] = variant
                chosen[lane] = a.views.variant[r, b.set_of[c]]
            for lane in range(lanes):
                if not pending[lane]:
                    continue
                variant = chosen[lane]
                _dense_cells(a.variants, variant, partners, ranks, counts, table, joint)
                for other in range(lane, lanes):
                    if pending[other] and chosen[other] == variant:
                        pending[other] = False
                        joint[other] += _sparse_cells(a.variants, variant, sparse, packed[other], cells, table)
                        _finish(a, r, variant, b, first + other, packed[other], products[r, first + other], diagonal,
                                table, unit, pairs, joint[other])


@njit(**COMPILED)
def _pack(variants, variant, lane, ranks, partners):
    """Puts the fullest `ranks` bin rows of a variant into one lane of the partners."""
    words = variants.bits.shape[2]
    for first in range(0, ranks, RANKS_AT_ONCE):
        width = min(RANKS_AT_ONCE, ranks - first)
        for rank in range(width):
            row = variants.bits[variant, variants.by_population[variant, first + rank]]
            for w in range(words):
                partners[(first * words + w * width + rank) * LANES + lane] = row[w]


@njit(**COMPILED)
def _dense_cells(variants, variant, partners, ranks, counts, table, joint):
    """Sum of n log2 n over the cells of every bin of x with the packed bin rows of each partner."""
    words = variants.bits.shape[2]
    joint[:] = 0
    for row in range(variants.counts.shape[1]):
        if variants.counts[variant, row] < 2:
            continue
        start, stop = variants.row_start[variant, row], variants.row_start[variant, row + 1]
        for first in range(0, ranks, RANKS_AT_ONCE):
            width = min(RANKS_AT_ONCE, ranks - first)
            count_row(variants.words, variants.places, start, stop, partners[first * words * LANES :], width, counts)
            for rank in range(width):
                for lane in range(LANES):
                    joint[lane] += table[counts[LANES * rank + lane]]


@njit(**COMPILED)
def _sparse_cells(variants, variant, sparse, partner, cells, table):
    """Sum of n log2 n over the other cells, by counting the few dimensions in the partner's emptier bins."""
    cells[:] = 0
    total = np.int64(0)
    for k in range(sparse.start[partner], sparse.start[partner + 1]):
        code = variants.codes[variant, sparse.dims[k]]
        if code != ABSENT:
            count = cells[sparse.in_bin[k], code]
            total += table[count + 1] - table[count]
            cells[sparse.in_bin[k], code] = count + 1
    return total


@njit(**COMPILED)
def _finish(a, r, va, b, c, vb, product, diagonal, table, unit, pairs, joint):
    s, t = b.set_of[c], a.set_of[r]
    i, j = a.index[r], b.index[c]
    n = a.views.left[r, s]
    scale = unit / n if n > 0 else np.nan
    margin_a, margin_b = a.views.margin[r, s], b.views.margin[c, t]
    hx, hy = (table[n] - margin_a) * scale, (table[n] - margin_b) * scale
    mi = max(np.int64(0), table[n] + joint - margin_a - margin_b) * scale
    square_i, square_j = a.vectors.squares[i], b.vectors.squares[j]
    total_a, total_b = a.views.total[r, s], b.views.total[c, t]
    cov, corr = np.nan, np.nan
    if n >= 2:
        product -= total_a * total_b / n
        square_a = a.views.squares[r, s] - total_a * total_a / n
        square_b = b.views.squares[c, t] - total_b * total_b / n
        if square_a < CANCELLATION * square_i or square_b < CANCELLATION * square_j:
            product, square_a, square_b = _two_pass(
                a.vectors.x[i], a.variants.codes[va], b.vectors.x[j], b.variants.codes[vb]
            )
        cov = product / (n - 1)
        if not (a.variants.constant[va] or b.variants.constant[vb]):
            corr = min(1.0, max(-1.0, product / np.sqrt(square_a * square_b)))
    if diagonal and i > j:
        i, j, hx, hy = j, i, hy, hx
    k = pairs.origin[i] + j
    pairs.n[k], pairs.mi[k], pairs.hx[k], pairs.hy[k], pairs.cov[k], pairs.corr[k] = n, mi, hx, hy, cov, corr


@njit(**COMPILED)
def _two_pass(x, codes_a, y, codes_b):
    """Centred product and squares, means first, over the dimensions that both vectors keep."""
    n, mean_x, mean_y = 0, 0.0, 0.0
    for d in range(codes_a.size):
        if codes_a[d] != ABSENT and codes_b[d] != ABSENT:
            n += 1
            mean_x += x[d]
            mean_y += y[d]
    mean_x, mean_y = mean_x / n, mean_y / n
    product, square_x, square_y = 0.0, 0.0, 0.0
    for d in range(codes_a.size):
        if codes_a[d] != ABSENT and codes_b[d] != ABSENT:
            delta_x, delta_y = x[d] - mean_x, y[d] - mean_y
            product += delta_x * delta_y
            square_x += delta_x * delta_x
            square_y += delta_y * delta_y
    return product, square_x, square_y
