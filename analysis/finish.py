"""From sums to statistics: the last arithmetic of each pair, in float64."""

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
def finish(a, b, rows, columns, variants_a, variants_b, views_a, views_b, set_a, set_b, joint, products,
           diagonal, table, unit, pairs):  # fmt: skip
    """Writes the statistics of a tile's pairs; on the diagonal each unordered pair once, the smaller index as x.

    `joint` and `products` are [R, C]: sums of n log2 n and of centred products over the dimensions that both keep.
    """
    for r in range(rows.size):
        for c in range(r + 1 if diagonal else 0, columns.size):
            i, j, s, t = rows[r], columns[c], set_b[c], set_a[r]
            n = views_a.left[r, s]
            scale = unit / n if n > 0 else np.nan
            margin_a, margin_b = views_a.margin[r, s], views_b.margin[c, t]
            hx, hy = (table[n] - margin_a) * scale, (table[n] - margin_b) * scale
            mi = max(np.int64(0), table[n] + joint[r, c] - margin_a - margin_b) * scale
            cov, corr = np.nan, np.nan
            if n >= 2:
                total_a, total_b = views_a.total[r, s], views_b.total[c, t]
                product = products[r, c] - total_a * total_b / n
                square_a = views_a.squares[r, s] - total_a * total_a / n
                square_b = views_b.squares[c, t] - total_b * total_b / n
                va, vb = views_a.variant[r, s], views_b.variant[c, t]
                if square_a < CANCELLATION * a.squares[i] or square_b < CANCELLATION * b.squares[j]:
                    product, square_a, square_b = _two_pass(a.x[i], variants_a.codes[va], b.x[j], variants_b.codes[vb])
                cov = product / (n - 1)
                if not (variants_a.constant[va] or variants_b.constant[vb]):
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
