"""Joint entropies, covariances and correlations of all pairs of a tile of vectors."""

from typing import NamedTuple

import numpy as np
from numba import njit

from analysis.variants import ABSENT, COMPILED

CANCELLATION = 1e-5
"""Where a partner takes away all but this share of a vector's sum of squares, the pair is summed afresh."""


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
def fill_tile(a, rows, variants_a, views_a, column_set, b, columns, variants_b, views_b, row_set, products,
              triangle, table, unit, pairs):
    """All pairs of a tile; with `triangle`, rows and columns are the same and each unordered pair is done once."""
    bins = variants_a.counts.shape[1]
    cells = np.zeros((bins, 256), np.int64)
    for r in range(rows.size):
        for c in range(r + 1 if triangle else 0, columns.size):
            va, vb = views_a.variant[r, column_set[c]], views_b.variant[c, row_set[r]]
            cells[:] = 0
            for d in range(a.x.shape[1]):
                if variants_a.codes[va, d] != ABSENT:
                    cells[variants_a.codes[va, d], variants_b.codes[vb, d]] += 1
            joint = np.int64(0)
            for p in range(bins):
                for q in range(bins):
                    joint += table[cells[p, q]]
            _finish(a, rows, variants_a, views_a, column_set, b, columns, variants_b, views_b, row_set, products,
                    triangle, table, unit, pairs, r, c, va, vb, joint)


@njit(**COMPILED)
def _finish(a, rows, variants_a, views_a, column_set, b, columns, variants_b, views_b, row_set, products,
            triangle, table, unit, pairs, r, c, va, vb, joint):
    s, t = column_set[c], row_set[r]
    i, j = rows[r], columns[c]
    n = views_a.left[r, s]
    scale = unit / n if n > 0 else np.nan
    hx = (table[n] - views_a.margin[r, s]) * scale
    hy = (table[n] - views_b.margin[c, t]) * scale
    mi = max(np.int64(0), table[n] + joint - views_a.margin[r, s] - views_b.margin[c, t]) * scale
    if triangle and i > j:
        i, j, hx, hy = j, i, hy, hx
    k = pairs.origin[i] + j
    pairs.n[k], pairs.mi[k], pairs.hx[k], pairs.hy[k] = n, mi, hx, hy
    pairs.cov[k], pairs.corr[k] = np.nan, np.nan
    if n < 2:
        return
    total_a, total_b = views_a.total[r, s], views_b.total[c, t]
    product = products[r, c] - total_a * total_b / n
    square_a = views_a.squares[r, s] - total_a * total_a / n
    square_b = views_b.squares[c, t] - total_b * total_b / n
    if (square_a < CANCELLATION * a.squares[rows[r]]) or (square_b < CANCELLATION * b.squares[columns[c]]):
        product, square_a, square_b = _two_pass(a, rows[r], variants_a.codes[va], b, columns[c], variants_b.codes[vb])
    pairs.cov[k] = product / (n - 1)
    if not (variants_a.constant[va] or variants_b.constant[vb]):
        pairs.corr[k] = min(1.0, max(-1.0, product / np.sqrt(square_a * square_b)))


@njit(**COMPILED)
def _two_pass(a, i, codes_a, b, j, codes_b):
    """Centred product and squares, means first, over the dimensions that both vectors keep."""
    n, mean_a, mean_b = 0, 0.0, 0.0
    for d in range(codes_a.size):
        if codes_a[d] != ABSENT and codes_b[d] != ABSENT:
            n += 1
            mean_a += a.x[i, d]
            mean_b += b.x[j, d]
    mean_a, mean_b = mean_a / n, mean_b / n
    product, square_a, square_b = 0.0, 0.0, 0.0
    for d in range(codes_a.size):
        if codes_a[d] != ABSENT and codes_b[d] != ABSENT:
            delta_a, delta_b = a.x[i, d] - mean_a, b.x[j, d] - mean_b
            product += delta_a * delta_b
            square_a += delta_a * delta_a
            square_b += delta_b * delta_b
    return product, square_a, square_b
