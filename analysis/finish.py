"""From sums to statistics: the last arithmetic of each pair, in float64."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.compilation import compiled
from analysis.variants import ABSENT, Variants, Vectors, Views

CANCELLATION = 1e-5
"""Where a partner takes away all but this share of a vector's sum of squares, the pair is summed afresh."""


class Pairs(NamedTuple):
    """Where results go: pair (i, j) is entry `origin[i] + j` of each array."""

    origin: NDArray[np.int64]  # int64 [N]
    mi: NDArray[np.float64]  # float64
    cov: NDArray[np.float64]  # float64
    corr: NDArray[np.float64]  # float64
    n: NDArray[np.int32]  # int32
    hx: NDArray[np.float64]  # float64
    hy: NDArray[np.float64]  # float64


@compiled
def finish(
    a: Vectors,
    b: Vectors,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    variants_a: Variants,
    variants_b: Variants,
    views_a: Views,
    views_b: Views,
    set_a: NDArray[np.int64],
    set_b: NDArray[np.int64],
    joint: NDArray[np.int64],
    products: NDArray[np.float64],
    diagonal: bool,
    table: NDArray[np.int64],
    unit: float,
    first: int,
    last: int,
    pairs: Pairs,
) -> None:
    """Writes the statistics of the pairs in a tile's rows `first` to `last`; rows may be done in any order, or at once.

    On the diagonal each unordered pair is written once, the smaller index as x.
    `joint` and `products` are [R, C]: sums of n log2 n and of centred products over the dimensions that both keep.
    """
    left, margins_a, margins_b = views_a.left, views_a.margin, views_b.margin
    totals_a, totals_b, squares_a, squares_b = views_a.total, views_b.total, views_a.squares, views_b.squares
    chosen_a, chosen_b, codes_a, codes_b = views_a.variant, views_b.variant, variants_a.codes, variants_b.codes
    constant_a, constant_b, own_a, own_b = variants_a.constant, variants_b.constant, a.squares, b.squares
    x_a, x_b, origin = a.x, b.x, pairs.origin
    out_mi, out_cov, out_corr, out_n, out_hx, out_hy = pairs.mi, pairs.cov, pairs.corr, pairs.n, pairs.hx, pairs.hy
    for r in range(first, last):
        for c in range(r + 1 if diagonal else 0, columns.size):
            i, j, s, t = rows[r], columns[c], set_b[c], set_a[r]
            n = left[r, s]
            scale = unit / n if n > 0 else np.nan
            hx, hy = (table[n] - margins_a[r, s]) * scale, (table[n] - margins_b[c, t]) * scale
            mi = max(np.int64(0), table[n] + joint[r, c] - margins_a[r, s] - margins_b[c, t]) * scale
            cov, corr = np.nan, np.nan
            if n >= 2:
                total_a, total_b = totals_a[r, s], totals_b[c, t]
                product = products[r, c] - total_a * total_b / n
                square_a = squares_a[r, s] - total_a * total_a / n
                square_b = squares_b[c, t] - total_b * total_b / n
                va, vb = chosen_a[r, s], chosen_b[c, t]
                if square_a < CANCELLATION * own_a[i] or square_b < CANCELLATION * own_b[j]:
                    product, square_a, square_b = _two_pass(x_a[i], codes_a[va], x_b[j], codes_b[vb])
                cov = product / (n - 1)
                if not (constant_a[va] or constant_b[vb]):
                    corr = min(1.0, max(-1.0, product / np.sqrt(square_a * square_b)))
            if diagonal and i > j:
                i, j, hx, hy = j, i, hy, hx
            k = origin[i] + j
            out_n[k], out_mi[k], out_hx[k], out_hy[k], out_cov[k], out_corr[k] = n, mi, hx, hy, cov, corr


@compiled
def _two_pass(
    x: NDArray[np.float32], codes_a: NDArray[np.uint8], y: NDArray[np.float32], codes_b: NDArray[np.uint8]
) -> tuple[float, float, float]:
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
