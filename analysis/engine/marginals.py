"""What each vector looks like to partners of each outlier set: all of a pair that one side settles.

Which dimensions are left, the marginal entropy and the sums for the covariance depend on a vector and on its partner's
left-out dimensions alone, that is on the partner's outlier *set*. Tokens of a layer share few sets, so these are
tabulated per (vector, set) instead of per pair, down to the last division and square root.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import ABSENT, OutlierSets, Variants, Vectors, dimensions_kept
from analysis.engine.compilation import compiled
from analysis.engine.nlogn import Terms
from analysis.engine.scratch import Scratch
from analysis.engine.simd.binning import lowest_bit

CANCELLATION = 1e-5
"""Where a partner takes away all but this share of a vector's sum of squares, the pair is summed afresh."""


class Views(NamedTuple):
    """What a vector looks like to partners of an outlier set: [vectors, sets] each."""

    variant: NDArray[np.int64]  # int64, into Variants
    left: NDArray[np.int64]  # int64, dimensions left in the pair
    margin: NDArray[np.int64]  # int64, sum of n log2 n over the marginal counts, in units of the table
    entropy: NDArray[np.float64]  # float64, of the marginal counts, in bits; NaN where none is left
    total: NDArray[np.float64]  # float64, sum of x - mean over the dimensions left, for the vector's own mean
    shift: NDArray[np.float64]  # float64, that sum by the dimensions left
    scale: NDArray[np.float64]  # float64, 1 / square root of the sum of squares about the mean of the dimensions left
    cancelled: NDArray[np.bool_]  # bool, the sum of squares is too small a rest of the vector's own to be exact


def tabulate(
    vectors: Vectors,
    rows: NDArray[np.int64],
    sets: OutlierSets,
    variant: NDArray[np.int64],
    alike: NDArray[np.int64],
    variants: Variants,
    terms: Terms,
    memory: Scratch,
    name: str,
) -> Views:
    """Views of the vectors `rows` by `sets`, binned as `variant` [vectors, sets] says.

    A vector looks to set `alike[r, s]`, s or an earlier one, int64 [vectors, sets], as it looks to set s.

    `scale` is NaN for a constant vector and for fewer than two dimensions. The views lie in `memory`, under names that
    begin with `name`.
    """
    arrays = {field: memory.array(f"{name} {field}", variant.shape, dtype) for field, dtype in _TABULATED.items()}
    views = Views(variant=variant, **arrays)
    _fill(vectors, rows, sets, alike, variants, terms, views)
    return views


_TABULATED: dict[str, type] = {"left": np.int64, "margin": np.int64, "cancelled": np.bool_} | dict.fromkeys(
    ("entropy", "total", "shift", "scale"), np.float64
)


@compiled
def _fill(
    vectors: Vectors,
    rows: NDArray[np.int64],
    sets: OutlierSets,
    alike: NDArray[np.int64],
    variants: Variants,
    terms: Terms,
    views: Views,
) -> None:
    variant, left, margin, entropy = views.variant, views.left, views.margin, views.entropy
    total, shift, scale, cancelled = views.total, views.shift, views.scale, views.cancelled
    x, codes, counts, constant = vectors.x, variants.codes, variants.counts, variants.constant
    own_kept, own_total, own_squares, own_mean = vectors.kept, vectors.total, vectors.squares, vectors.mean
    dims, masks, table, per_dimension = sets.dims, sets.masks, terms.table, terms.per_dimension
    full = np.zeros(counts.shape[0], np.int64)
    for v in range(full.size):
        for b in range(counts.shape[1]):
            full[v] += table[counts[v, b]]
    gone, touched = np.zeros(counts.shape[1], np.int64), np.empty(dims.size, np.int64)
    kept = np.empty(masks.shape[1], np.uint64)
    for r in range(rows.size):
        i = rows[r]
        dimensions_kept(vectors, i, sets, kept)
        for s in range(variant.shape[1]):
            other = alike[r, s]
            if other < s:
                left[r, s], margin[r, s], total[r, s] = left[r, other], margin[r, other], total[r, other]
                scale[r, s], cancelled[r, s] = scale[r, other], cancelled[r, other]
                continue
            v, n, less, sum_left, squares_left = variant[r, s], own_kept[i], np.int64(0), own_total[i], own_squares[i]
            touches = 0
            for w in range(kept.size):
                word = masks[s, w] & kept[w]
                while word:
                    d = dims[64 * w + lowest_bit(word)]
                    word &= word - np.uint64(1)
                    n -= 1
                    difference = x[i, d] - own_mean[i]
                    sum_left -= difference
                    squares_left -= difference**2
                    b = codes[v, d]
                    if b != ABSENT:
                        count = counts[v, b] - gone[b]
                        less += table[count] - table[count - 1]
                        gone[b] += 1
                        touched[touches] = b
                        touches += 1
            for k in range(touches):
                gone[touched[k]] = 0
            left[r, s], margin[r, s], total[r, s] = n, full[v] - less, sum_left
            scale[r, s], cancelled[r, s] = squares_left, constant[v]
        least = CANCELLATION * own_squares[i]
        # Divisions and square roots by themselves: a loop without branches, of whole registers.
        for s in range(variant.shape[1]):
            n = left[r, s]
            entropy[r, s] = (table[n] - margin[r, s]) * per_dimension[n]
            shift[r, s] = total[r, s] / n
            about_mean = scale[r, s] - total[r, s] * shift[r, s]
            scale[r, s] = np.nan if n < 2 or cancelled[r, s] else 1 / np.sqrt(about_mean)
            cancelled[r, s] = about_mean < least
