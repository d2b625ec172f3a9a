"""From sums to statistics: the last arithmetic of each pair, in float64."""

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled
from analysis.engine.vectors import ABSENT, NLogN, Target, Tile, TileSums


def finish(tile: Tile, sums: TileSums, weights: NLogN, target: Target) -> None:
    """Writes the statistics of a tile's pairs.

    The sums are in the tile's order, and results are written in the order of the pairs, since more is written for each
    pair than is read.
    """
    _finish(tile, sums, np.argsort(tile.rows.members), np.argsort(tile.columns.members), weights, target)


@compiled
def _finish(
    tile: Tile,
    sums: TileSums,
    row_order: NDArray[np.int64],
    column_order: NDArray[np.int64],
    weights: NLogN,
    target: Target,
) -> None:
    rows, columns, joint, products, diagonal = tile.rows, tile.columns, sums.joint, sums.products, tile.on_diagonal
    members_a, set_a, chosen_a, of_a = rows.members, rows.binned.set_of, rows.binned.chosen, rows.marginals
    members_b, set_b, chosen_b, of_b = columns.members, columns.binned.set_of, columns.binned.chosen, columns.marginals
    codes_a, constant_a, x_a = rows.binned.binnings.codes, rows.binned.binnings.constant, rows.vectors.x
    codes_b, constant_b, x_b = columns.binned.binnings.codes, columns.binned.binnings.constant, columns.vectors.x
    units_b, entropies_b, shifts_b = of_b.units, of_b.entropy, of_b.shift
    scales_b, cancelled_b, origin = of_b.scale, of_b.cancelled, target.origin
    n_log_n, bits_per_unit, per_degree = weights.units, weights.bits_per_unit, weights.per_degree
    out = target.pairs
    out_mi, out_cov, out_corr, out_n, out_hx, out_hy = out.mi, out.cov, out.corr, out.n, out.hx, out.hy
    for t in range(row_order.size):
        r = np.uintp(row_order[t])
        valid, units_a, entropies = of_a.n[r], of_a.units[r], of_a.entropy[r]
        totals, scales, cancelled = of_a.total[r], of_a.scale[r], of_a.cancelled[r]
        i, u = np.uintp(members_a[r]), np.uintp(set_a[r])
        # Unsigned numbers: for signed ones the compiler adds a case for indices from the end to each look-up.
        for place in range(np.uintp(t + 1 if diagonal else 0), np.uintp(column_order.size)):
            c = np.uintp(column_order[place])
            j, s = np.uintp(members_b[c]), np.uintp(set_b[c])
            n, k = np.uintp(valid[s]), np.uintp(origin[i]) + j
            above, below = (c, r) if diagonal and c < r else (r, c)
            units = n_log_n[n] + joint[above, below] - units_a[s] - units_b[c, u]
            product, scale = products[above, below] - totals[s] * shifts_b[c, u], scales[s] * scales_b[c, u]
            if cancelled[s] or cancelled_b[c, u]:
                v, w = chosen_a[r, s], chosen_b[c, u]
                product, scale = _summed_afresh(x_a[i], codes_a[v], x_b[j], codes_b[w])
                if constant_a[v] or constant_b[w]:
                    scale = np.nan
            corr = product * scale
            out_n[k], out_mi[k] = n, max(np.int64(0), units) * bits_per_unit[n]
            out_hx[k], out_hy[k] = entropies[s], entropies_b[c, u]
            out_cov[k] = product * per_degree[n]
            out_corr[k] = 1.0 if corr > 1.0 else -1.0 if corr < -1.0 else corr


@compiled
def _summed_afresh(
    x: NDArray[np.float32], codes_x: NDArray[np.uint8], y: NDArray[np.float32], codes_y: NDArray[np.uint8]
) -> tuple[float, float]:
    """Centred product, means first, and what turns it into the correlation; NaN where no dimension is valid."""
    n, mean_x, mean_y = 0, 0.0, 0.0
    for d in range(codes_x.size):
        if codes_x[d] != ABSENT and codes_y[d] != ABSENT:
            n += 1
            mean_x += x[d]
            mean_y += y[d]
    mean_x, mean_y = mean_x / n, mean_y / n
    product, square_x, square_y = 0.0, 0.0, 0.0
    for d in range(codes_x.size):
        if codes_x[d] != ABSENT and codes_y[d] != ABSENT:
            delta_x, delta_y = x[d] - mean_x, y[d] - mean_y
            product += delta_x * delta_y
            square_x += delta_x * delta_x
            square_y += delta_y * delta_y
    return product, 1 / np.sqrt(square_x * square_y)
