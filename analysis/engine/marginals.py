"""What one side of a pair settles, once for each vector and outlier set of its partners.

Which dimensions are valid, the marginal entropy and the sums for the covariance depend on a vector and on its
partner's masked dimensions alone, that is on the partner's outlier *set*. Marks of a layer share few sets, so these are
tabulated per (vector, set) instead of per pair, down to the last division and square root.
"""

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import valid_dimensions
from analysis.engine.compilation import compiled
from analysis.engine.scratch import SideScratch
from analysis.engine.simd.binning import lowest_bit
from analysis.engine.vectors import ABSENT, Binnings, Chosen, Marginals, NLogN, OutlierSets, Vectors

CANCELLATION = 1e-5
"""Where a partner masks all but this share of a vector's sum of squares, the pair is summed afresh."""


def tabulate(
    vectors: Vectors,
    members: NDArray[np.int64],
    sets: OutlierSets,
    binnings: Binnings,
    chosen: Chosen,
    weights: NLogN,
    scratch: SideScratch,
) -> Marginals:
    """The marginals of the vectors `members` (int64 [R]) against `sets`. They lie in `scratch`.

    `scale` is NaN for a constant vector and for fewer than two dimensions.
    """
    shape = chosen.binning.shape
    marginals = Marginals(
        n=scratch.n.array(shape, np.int64),
        units=scratch.units.array(shape, np.int64),
        entropy=scratch.entropy.array(shape, np.float64),
        total=scratch.total.array(shape, np.float64),
        shift=scratch.shift.array(shape, np.float64),
        scale=scratch.scale.array(shape, np.float64),
        cancelled=scratch.cancelled.array(shape, np.bool_),
    )
    _fill(vectors, members, sets, binnings, chosen, weights, marginals)
    return marginals


@compiled
def _fill(
    vectors: Vectors,
    members: NDArray[np.int64],
    sets: OutlierSets,
    binnings: Binnings,
    chosen: Chosen,
    weights: NLogN,
    marginals: Marginals,
) -> None:
    chosen_binning, same_as, valid, units = chosen.binning, chosen.same_as, marginals.n, marginals.units
    entropy, total, shift = marginals.entropy, marginals.total, marginals.shift
    scale, cancelled = marginals.scale, marginals.cancelled
    x, codes, counts, constant = vectors.x, binnings.codes, binnings.counts, binnings.constant
    own_n, own_total, own_squares, own_mean = vectors.n, vectors.total, vectors.squares, vectors.mean
    dims, masks, table, bits_per_unit = sets.dims, sets.masks, weights.units, weights.bits_per_unit
    full = np.zeros(counts.shape[0], np.int64)
    for v in range(full.size):
        for b in range(counts.shape[1]):
            full[v] += table[counts[v, b]]
    gone, touched = np.zeros(counts.shape[1], np.int64), np.empty(dims.size, np.int64)
    to_mask = np.empty(masks.shape[1], np.uint64)
    for r in range(members.size):
        i = members[r]
        valid_dimensions(vectors, i, sets, to_mask)
        for s in range(chosen_binning.shape[1]):
            other = same_as[r, s]
            if other < s:
                valid[r, s], units[r, s], total[r, s] = valid[r, other], units[r, other], total[r, other]
                scale[r, s], cancelled[r, s] = scale[r, other], cancelled[r, other]
                continue
            v, n, less = chosen_binning[r, s], own_n[i], np.int64(0)
            rest, squares = own_total[i], own_squares[i]
            touches = 0
            for w in range(to_mask.size):
                word = masks[s, w] & to_mask[w]
                while word:
                    d = dims[64 * w + lowest_bit(word)]
                    word &= word - np.uint64(1)
                    n -= 1
                    difference = x[i, d] - own_mean[i]
                    rest -= difference
                    squares -= difference**2
                    b = codes[v, d]
                    if b != ABSENT:
                        count = counts[v, b] - gone[b]
                        less += table[count] - table[count - 1]
                        gone[b] += 1
                        touched[touches] = b
                        touches += 1
            for k in range(touches):
                gone[touched[k]] = 0
            valid[r, s], units[r, s], total[r, s] = n, full[v] - less, rest
            scale[r, s], cancelled[r, s] = squares, constant[v]
        least = CANCELLATION * own_squares[i]
        # Divisions and square roots by themselves: a loop without branches, of whole registers.
        for s in range(chosen_binning.shape[1]):
            n = valid[r, s]
            entropy[r, s] = (table[n] - units[r, s]) * bits_per_unit[n]
            shift[r, s] = total[r, s] / n
            about_mean = scale[r, s] - total[r, s] * shift[r, s]
            scale[r, s] = np.nan if n < 2 or cancelled[r, s] else 1 / np.sqrt(about_mean)
            cancelled[r, s] = about_mean < least
