"""What the steps of the pair engine hand to each other, and the words for it.

=========================  =============================================================================================
vector                     what the engine is given: the hidden state of one mark in one layer, D numbers
masked, valid              a vector masks its outlier dimensions; a pair's valid dimensions are masked by neither. `n`
                           is always a number of valid dimensions
outlier set                the dimensions that a vector masks. Vectors of a layer share few sets, so whatever depends on
                           a partner's mask alone is made once a set
binning of a vector        one equal-width division between two of its values, which gives each dimension a code: its
                           bin, or ABSENT outside. The edges of a pair span its valid dimensions: they move where the
                           partner masks this vector's extreme. So a vector has a few binnings, and each (vector,
                           outlier set) one of them, its binning *against* that set
marginal, joint histogram  counts of the valid dimensions of a pair by the bin of one vector, or of both
joint terms                sum of n log2 n over the cells n of a joint histogram, in units
unit                       n log2 n is kept in fixed point; a unit is its last bit
bit row                    one bin of a binning as D bits: bit d % 64 of word d // 64 for dimension d
rank                       the place of a bin among those of its binning, fullest first
sparse bin                 a bin beyond the ranks that are counted by bit rows: too few dimensions to be worth it
tile, side                 R row vectors by C column vectors whose pairs are made together; its rows, or its columns
diagonal                   of a tile whose rows and columns are the same vectors: only pairs with row < column count
panel                      centred vectors, dimension by dimension, as the matrix product reads them
=========================  =============================================================================================

Four vectors of six dimensions go through all steps here, in three bins. The last one masks its last dimension:

>>> import numpy as np
>>> from analysis.engine import covariance, finish, joint, nlogn, outliers, scratch, tile
>>> from analysis.engine.vectors import PairStatistics, Target, TileSums
>>> x = np.array([[0, 1, 2, 3, 4, 6], [5, 4, 3, 2, 1, 0], [0, 0, 0, 6, 6, 6], [0, 1, 2, 3, 4, 50]], np.float32)
>>> vectors = outliers.find_outliers(x, outlier_z=1.9)
>>> vectors.n.tolist(), vectors.set_of.tolist(), [vectors.masked(k).tolist() for k in (0, 1)]
([6, 6, 6, 5], [0, 0, 0, 1], [[], [5]])

The first vector reaches from 0 to 6, and from 0 to 4 where a partner masks its 6. The second has two binnings for the
same reason, and the other two have one each, whoever they meet. All pairs are one tile, whose rows are its columns:

>>> memory, weights = scratch.Scratch(), nlogn.n_log_n(6)
>>> whole = tile.diagonal(vectors, np.arange(4), 3, weights, memory)
>>> side = whole.rows
>>> side.binned.chosen.tolist()  # a row is a vector, a column an outlier set, an entry the binning against it
[[0, 4], [1, 5], [2, 2], [3, 3]]
>>> side.binned.binnings.codes[[0, 4], :6].tolist()  # the first vector's; 255 is ABSENT
[[0, 0, 1, 1, 2, 2], [0, 0, 1, 2, 2, 255]]
>>> side.binned.binnings.bits[[0, 4], :, 0].tolist()  # as bit rows: 3 is bits 0 and 1, 12 is 2 and 3
[[3, 12, 48], [3, 4, 24]]

What one side of a pair settles is made once for each vector and outlier set:

>>> side.marginals.n.tolist()
[[6, 5], [6, 5], [6, 5], [5, 5]]
>>> side.marginals.entropy.round(3).tolist()
[[1.585, 1.522], [1.585, 1.522], [1.0, 0.971], [1.522, 1.522]]

The rest takes two vectors. The first and the last are the same where both are valid, so the cells of their joint
histogram are 2, 1 and 2, and they tell each other all of their entropy:

>>> sums = TileSums(joint.joint_terms(whole, weights.units, memory), covariance.products(whole, memory))
>>> (sums.joint[0, 3] * weights.bits_per_unit[1]).tolist()  # 2 log2 2 + 1 log2 1 + 2 log2 2
4.0
>>> sums.products[0, 2].round(9).tolist()  # of (0, 1, 2, 3, 4, 6) and (0, 0, 0, 6, 6, 6), each less its mean
30.0
>>> target = Target(origin=np.array([-1, 1, 2, 2]), pairs=PairStatistics.empty(6))  # pair (0, 1) is entry 0
>>> finish.finish(whole, sums, weights, target)
>>> target.pairs.n.tolist()  # pairs (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)
[6, 6, 5, 6, 5, 5]
>>> target.pairs.mi.round(3).tolist()
[1.585, 0.667, 1.522, 0.667, 1.522, 0.971]
>>> target.pairs.corr.round(3).tolist()
[-0.99, 0.845, 1.0, -0.878, -1.0, 0.866]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ABSENT = 255
"""Code of a dimension that lies in no bin of a binning."""


class Vectors(NamedTuple):
    """Vectors with their outliers found; N vectors of D dimensions, S distinct outlier sets. From `outliers`."""

    x: NDArray[np.float32]  # float32 [N, D], dimensions rearranged, padded with NaN to a multiple of 64
    dimension: NDArray[np.int64]  # int64 [D], which dimension stands at each place; below, dimensions are such places
    lowest: NDArray[np.float32]  # float32 [N], over the valid dimensions; +inf where none is
    highest: NDArray[np.float32]  # float32 [N]; -inf where none is valid
    n: NDArray[np.int64]  # int64 [N], number of valid dimensions
    mean: NDArray[np.float64]  # float64 [N], over the valid dimensions
    total: NDArray[np.float64]  # float64 [N], sum of x - mean: what rounding left
    squares: NDArray[np.float64]  # float64 [N], sum of (x - mean)^2
    set_of: NDArray[np.int64]  # int64 [N], the vector's outlier set
    set_start: NDArray[np.int64]  # int64 [S + 1], into set_dims
    set_dims: NDArray[np.int64]  # int64, the masked dimensions, ascending within a set
    set_bits: NDArray[np.uint64]  # uint64 [S, words], the same as bits: dimension d is bit d % 64 of word d // 64

    def masked(self, outlier_set: int) -> NDArray[np.int64]:
        """The dimensions of an outlier set, as numbered before they were rearranged."""
        return self.dimension[self.set_dims[self.set_start[outlier_set] : self.set_start[outlier_set + 1]]]


class OutlierSets(NamedTuple):
    """The outlier sets that vectors meet, over the U dimensions that any of them masks. From `binning`."""

    dims: NDArray[np.int64]  # int64 [U], ascending
    masks: NDArray[np.uint64]  # uint64 [sets, words]: bit u % 64 of word u // 64: the set masks dims[u]


class Binnings(NamedTuple):
    """V binnings of some vectors. From `binning`."""

    bits: NDArray[np.uint64]  # uint64 [V, bins, words]: the bit rows
    codes: NDArray[np.uint8]  # uint8 [V, D]: the bin of each dimension, or ABSENT
    counts: NDArray[np.int64]  # int64 [V, bins]: dimensions per bin
    by_rank: NDArray[np.int64]  # int64 [V, bins]: the bins, fullest first
    constant: NDArray[np.bool_]  # bool [V]: all values equal


class Chosen(NamedTuple):
    """Which binning each of R vectors has against each of T outlier sets. From `binning`."""

    binning: NDArray[np.int64]  # int64 [R, T], into Binnings
    same_as: NDArray[np.int64]  # int64 [R, T], this set or an earlier one that masks the same dimensions of the vector


class Marginals(NamedTuple):
    """What a vector's side settles of its pairs with vectors of an outlier set: [R, T] each. From `marginals`."""

    n: NDArray[np.int64]  # int64, valid dimensions of the pair
    units: NDArray[np.int64]  # int64, sum of n log2 n over the marginal histogram
    entropy: NDArray[np.float64]  # float64, of the marginal histogram, in bits; NaN where no dimension is valid
    total: NDArray[np.float64]  # float64, sum of x - mean over the valid dimensions, for the vector's own mean
    shift: NDArray[np.float64]  # float64, that sum divided by n
    scale: NDArray[np.float64]  # float64, 1 / square root of the sum of squares about the mean of the valid dimensions
    cancelled: NDArray[np.bool_]  # bool, the sum of squares is too small a rest of the vector's own to be exact


class Binned(NamedTuple):
    """R vectors, binned to meet vectors of T outlier sets. From `tile`.

    Vector r and vector c of the other side are binned as `chosen[r, other.set_of[c]]` and `other.chosen[c, set_of[r]]`.
    """

    set_of: NDArray[np.int64]  # int64 [R], the vector's outlier set, numbered among those of this side
    chosen: NDArray[np.int64]  # int64 [R, T], the vector's binning against each outlier set of the other side
    by_set: NDArray[np.int64]  # int64 [T, R], the same with the sets first
    binnings: Binnings


class Side(NamedTuple):
    """The rows or the columns of a tile: R vectors, ready to meet those of the other side. From `tile`."""

    vectors: Vectors
    members: NDArray[np.int64]  # int64 [R], which of the vectors, in the order of outlier sets
    binned: Binned
    marginals: Marginals


class Tile(NamedTuple):
    """R rows by C columns of vectors. From `tile`."""

    rows: Side
    columns: Side
    on_diagonal: bool


class SparseBins(NamedTuple):
    """The dimensions of V binnings that lie in sparse bins of two dimensions or more, bin by bin. From `sparse`."""

    start: NDArray[np.int64]  # int64 [V + 1], where a binning's dimensions start in the next two
    dims: NDArray[np.uint16]  # uint16
    earlier: NDArray[np.uint16]  # uint16, how many dimensions of the same bin stand before


class TileSums(NamedTuple):
    """What the pairs of a tile sum to, both [R, C]; on the diagonal, only where row < column.

    Made by `joint` and `covariance`.
    """

    joint: NDArray[np.int64]  # int64, joint terms in units
    products: NDArray[np.float64]  # float64, products of the centred vectors, 0 where masked


class NLogN(NamedTuple):
    """n log2 n and other weights for n = 0 .. D dimensions. From `nlogn`."""

    units: NDArray[np.int64]  # int64 [D + 1], n log2 n in fixed point: sums are exact, and do not depend on order
    bits_per_unit: NDArray[np.float64]  # float64 [D + 1], bits of entropy of one unit by n; NaN for 0
    per_degree: NDArray[np.float64]  # float64 [D + 1], 1 / (n - 1); NaN for 0 and 1


class PairStatistics(NamedTuple):
    """Statistics of pairs (x, y), one entry a pair; entropies in bits. From `finish`.

    `mi`: plug-in mutual information H(x) + H(y) - H(x, y) of the joint histogram. `cov`: covariance over the `n` valid
    dimensions, divided by n - 1. `corr`: Pearson's correlation over the same. `hx`, `hy`: marginal entropies of the
    same histogram. Where no dimension is valid `mi`, `hx` and `hy` are NaN; `cov` is NaN for n < 2, and `corr` also
    where a vector is constant.
    """

    mi: NDArray[np.float64]
    cov: NDArray[np.float64]
    corr: NDArray[np.float64]
    n: NDArray[np.int32]
    hx: NDArray[np.float64]
    hy: NDArray[np.float64]

    @classmethod
    def empty(cls, pairs: int) -> PairStatistics:
        """Room for so many pairs."""
        mi, cov, corr, hx, hy = (np.empty(pairs) for _ in range(5))
        return cls(mi=mi, cov=cov, corr=corr, n=np.empty(pairs, np.int32), hx=hx, hy=hy)


class Target(NamedTuple):
    """Where results go: pair (i, j) is entry `origin[i] + j`."""

    origin: NDArray[np.int64]  # int64 [N]
    pairs: PairStatistics
