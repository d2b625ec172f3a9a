"""The correlation of pairs alone: steps 1 and 5, and of 3 and 6 what belongs to them.

For measures that need no histogram. Each vector's sums are tabulated by the outlier sets of its partners, and each pair
is finished from them, as in `marginals` and `finish`: the results are the same to the last bit. There, a vector's
binning says whether it is constant against a set. Here that is looked at only where what the set leaves of the sum of
squares is so small a rest that it may be: a constant vector leaves none.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import outlier_sets, valid_dimensions
from analysis.engine.compilation import compiled, inlined
from analysis.engine.covariance import centred_products
from analysis.engine.marginals import CANCELLATION
from analysis.engine.scratch import Scratch
from analysis.engine.simd.binning import lowest_bit
from analysis.engine.vectors import OutlierSets, Vectors


class Sums(NamedTuple):
    """The sums of R vectors against T outlier sets: fields of `Marginals` by the same names, [R, T] each.

    Where `cancelled`, `scale` only says whether the vector is constant there: NaN if so, else 1.
    """

    members: NDArray[np.int64]  # int64 [R], which of the vectors
    set_of: NDArray[np.int64]  # int64 [R], the vector's outlier set, numbered among those of this side
    total: NDArray[np.float64]
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    cancelled: NDArray[np.bool_]


def correlate(
    a: Vectors,
    rows: NDArray[np.int64],
    b: Vectors,
    columns: NDArray[np.int64] | None,
    scratch: Scratch,
    origin: NDArray[np.int64],
    corr: NDArray[np.float64],
) -> None:
    """Writes the correlation of pair (i, j) to `corr[origin[i] + j]`, i of `rows` and j of `columns`.

    `rows`, `columns` are int64, ascending; None for columns means the rows, and pairs of which i comes first.
    """
    sets_a, set_of_a = np.unique(a.set_of[rows], return_inverse=True)
    if columns is None:
        sums_a = sums_b = _tabulate(a, rows, set_of_a, outlier_sets(a, sets_a))
    else:
        sets_b, set_of_b = np.unique(b.set_of[columns], return_inverse=True)
        sums_a = _tabulate(a, rows, set_of_a, outlier_sets(b, sets_b))
        sums_b = _tabulate(b, columns, set_of_b, outlier_sets(a, sets_a))
    products = centred_products(a, rows, b, columns, scratch)
    _finish(a, sums_a, b, sums_b, products, columns is None, origin, corr)


def _tabulate(vectors: Vectors, members: NDArray[np.int64], set_of: NDArray[np.int64], sets: OutlierSets) -> Sums:
    shape = (members.size, len(sets.masks))
    sums = Sums(
        members, set_of.astype(np.int64), np.empty(shape), np.empty(shape), np.empty(shape), np.empty(shape, np.bool_)
    )
    _fill(vectors, sets, sums)
    return sums


@compiled
def _fill(vectors: Vectors, sets: OutlierSets, sums: Sums) -> None:
    x, dims, masks = vectors.x, sets.dims, sets.masks
    to_mask = np.empty(masks.shape[1], np.uint64)
    number = np.empty(masks.shape[0], np.int64)
    for r in range(sums.members.size):
        i = sums.members[r]
        total, shift, scale, cancelled = sums.total[r], sums.shift[r], sums.scale[r], sums.cancelled[r]
        valid_dimensions(vectors, i, sets, to_mask)
        for s in range(number.size):
            n, rest, squares = vectors.n[i], vectors.total[i], vectors.squares[i]
            for w in range(to_mask.size):
                word = masks[s, w] & to_mask[w]
                while word:
                    d = dims[64 * w + lowest_bit(word)]
                    word &= word - np.uint64(1)
                    n -= 1
                    difference = x[i, d] - vectors.mean[i]
                    rest -= difference
                    squares -= difference**2
            number[s], total[s], scale[s] = n, rest, squares
        own_constant, least = vectors.lowest[i] == vectors.highest[i], CANCELLATION * vectors.squares[i]
        # Divisions and square roots by themselves: a loop without branches, of whole registers.
        for s in range(number.size):
            shift[s] = total[s] / number[s]
            about_mean = scale[s] - total[s] * shift[s]
            scale[s] = np.nan if number[s] < 2 or own_constant else 1 / np.sqrt(about_mean)
            cancelled[s] = about_mean < least
        for s in range(number.size):
            if cancelled[s] and number[s] > 1:
                scale[s] = np.nan if own_constant or _is_constant(vectors, i, masks[s], dims, to_mask) else 1.0


@inlined
def _is_constant(
    vectors: Vectors, i: int, mask: NDArray[np.uint64], dims: NDArray[np.int64], to_mask: NDArray[np.uint64]
) -> bool:
    """Whether a vector has one value only in the valid dimensions that a set leaves."""
    values = vectors.x[i].copy()
    for w in range(to_mask.size):
        word = mask[w] & to_mask[w]
        while word:
            values[dims[64 * w + lowest_bit(word)]] = np.nan
            word &= word - np.uint64(1)
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for value in values:
        if vectors.lowest[i] <= value <= vectors.highest[i]:
            low, high = min(low, value), max(high, value)
    return bool(low == high)


@compiled
def _finish(
    a: Vectors,
    of_a: Sums,
    b: Vectors,
    of_b: Sums,
    products: NDArray[np.float64],
    diagonal: bool,
    origin: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    members_b, sets_b = of_b.members, of_b.set_of
    shifts_b, scales_b, cancelled_b = of_b.shift, of_b.scale, of_b.cancelled
    for r in range(of_a.members.size):
        i, u = of_a.members[r], np.uintp(of_a.set_of[r])
        totals, scales, cancelled = of_a.total[r], of_a.scale[r], of_a.cancelled[r]
        for c in range(np.uintp(r + 1 if diagonal else 0), np.uintp(members_b.size)):
            j, s = members_b[c], np.uintp(sets_b[c])
            product, scale = products[r, c] - totals[s] * shifts_b[c, u], scales[s] * scales_b[c, u]
            if cancelled[s] or cancelled_b[c, u]:
                product, afresh = _summed_afresh(a, i, b, j)
                scale = scale if np.isnan(scales[s]) or np.isnan(scales_b[c, u]) else afresh
            corr = product * scale
            out[origin[i] + j] = 1.0 if corr > 1.0 else -1.0 if corr < -1.0 else corr


@compiled
def _summed_afresh(a: Vectors, i: int, b: Vectors, j: int) -> tuple[float, float]:
    """Centred product, means first, and what turns it into the correlation: as in `finish`."""
    x, y = a.x[i], b.x[j]
    valid = np.empty(x.size, np.bool_)
    n, mean_x, mean_y = 0, 0.0, 0.0
    for d in range(x.size):
        valid[d] = a.lowest[i] <= x[d] <= a.highest[i] and b.lowest[j] <= y[d] <= b.highest[j]
        if valid[d]:
            n += 1
            mean_x += x[d]
            mean_y += y[d]
    mean_x, mean_y = mean_x / n, mean_y / n
    product, square_x, square_y = 0.0, 0.0, 0.0
    for d in range(x.size):
        if valid[d]:
            delta_x, delta_y = x[d] - mean_x, y[d] - mean_y
            product += delta_x * delta_y
            square_x += delta_x * delta_x
            square_y += delta_y * delta_y
    return product, 1 / np.sqrt(square_x * square_y)
