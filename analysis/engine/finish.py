"""From sums to statistics: the last arithmetic of each pair, in float64."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import ABSENT, Variants, Vectors
from analysis.engine.compilation import compiled
from analysis.engine.marginals import Views
from analysis.engine.nlogn import Terms


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
    places_a: NDArray[np.int64],
    places_b: NDArray[np.int64],
    variants_a: Variants,
    variants_b: Variants,
    views_a: Views,
    views_b: Views,
    set_a: NDArray[np.int64],
    set_b: NDArray[np.int64],
    joint: NDArray[np.int64],
    products: NDArray[np.float64],
    diagonal: bool,
    terms: Terms,
    pairs: Pairs,
) -> None:
    """Writes the statistics of a tile's pairs.

    `joint` and `products` are [R, C]: sums of n log2 n and of centred products over the dimensions that both keep. They
    are in the tile's order, as `rows` and `columns` are; `places_a` and `places_b` tell where in it each vector stands.
    On the diagonal they hold results where the row comes before the column. Results are written in the order of the
    pairs, since more is written for each pair than is read.
    """
    margins_b, entropies_b, shifts_b = views_b.margin, views_b.entropy, views_b.shift
    scales_b, cancelled_b, origin = views_b.scale, views_b.cancelled, pairs.origin
    table, per_dimension, per_degree = terms.table, terms.per_dimension, terms.per_degree
    out_mi, out_cov, out_corr, out_n, out_hx, out_hy = pairs.mi, pairs.cov, pairs.corr, pairs.n, pairs.hx, pairs.hy
    for t in range(places_a.size):
        r = np.uintp(places_a[t])
        left, margins, entropies = views_a.left[r], views_a.margin[r], views_a.entropy[r]
        totals, scales, cancelled = views_a.total[r], views_a.scale[r], views_a.cancelled[r]
        i, u = np.uintp(rows[r]), np.uintp(set_a[r])
        # Unsigned numbers: for signed ones the compiler adds a case for indices from the end to each look-up.
        for place in range(np.uintp(t + 1 if diagonal else 0), np.uintp(places_b.size)):
            c = np.uintp(places_b[place])
            j, s = np.uintp(columns[c]), np.uintp(set_b[c])
            n, k = np.uintp(left[s]), np.uintp(origin[i]) + j
            above, below = (c, r) if diagonal and c < r else (r, c)
            units = table[n] + joint[above, below] - margins[s] - margins_b[c, u]
            product, scale = products[above, below] - totals[s] * shifts_b[c, u], scales[s] * scales_b[c, u]
            if cancelled[s] or cancelled_b[c, u]:
                product, scale = _summed_afresh(a, b, i, j, variants_a, variants_b, views_a.variant[r, s],
                                                views_b.variant[c, u])  # fmt: skip
            corr = product * scale
            out_n[k], out_mi[k] = n, max(np.int64(0), units) * per_dimension[n]
            out_hx[k], out_hy[k] = entropies[s], entropies_b[c, u]
            out_cov[k] = product * per_degree[n]
            out_corr[k] = 1.0 if corr > 1.0 else -1.0 if corr < -1.0 else corr


@compiled
def _summed_afresh(
    a: Vectors, b: Vectors, i: np.uintp, j: np.uintp, variants_a: Variants, variants_b: Variants, va: int, vb: int
) -> tuple[float, float]:
    """Centred product, and what turns it into the correlation; NaN and NaN where fewer than two dimensions are left."""
    product, square_a, square_b = _two_pass(a.x[i], variants_a.codes[va], b.x[j], variants_b.codes[vb])
    if variants_a.constant[va] or variants_b.constant[vb]:
        return product, np.nan
    return product, 1 / np.sqrt(square_a * square_b)


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
