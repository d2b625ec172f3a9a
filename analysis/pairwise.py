"""Mutual information, covariance and correlation of all pairs of vectors, each taken as D paired observations.

`pair_statistics` does all pairs of a few hundred or thousand vectors at once. For more, `prepare` once and take the
triangle of pairs in blocks of rows (`row_ranges`, `row_range`); `cross_statistics` does the pairs between two groups.
Results do not depend on how the pairs are cut.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.engine.binning import Variants, Vectors, find_variants, outlier_sets
from analysis.engine.compilation import announced
from analysis.engine.covariance import products
from analysis.engine.finish import Pairs, finish
from analysis.engine.joint import Tile, joint_terms
from analysis.engine.marginals import Views, tabulate
from analysis.engine.nlogn import Terms, terms
from analysis.engine.outliers import find_outliers, first_unusable, rearranged
from analysis.engine.scratch import Scratch
from analysis.engine.simd.counting import LANES

BINS_ALLOWED = (2, 64)
DIMENSIONS_ALLOWED = (2, 65_535)

LARGEST = float(np.finfo(np.float32).max) / 2
"""Differences of values below this are numbers of float32 too."""

SIDE = 512
"""Most rows, and most columns, of a tile."""

_memory = Scratch()


@dataclass(frozen=True)
class PairStatistics:
    """Statistics of pairs (x, y), one entry a pair; entropies in bits.

    `mi`: plug-in mutual information H(x) + H(y) - H(x, y) of the joint histogram. `cov`: covariance over the `n`
    dimensions left, divided by n - 1. `corr`: Pearson's correlation over the same. `hx`, `hy`: marginal entropies of
    the same histogram. Where no dimension is left `mi`, `hx` and `hy` are NaN; `cov` is NaN for n < 2, and `corr`
    also where a vector is constant.
    """

    mi: NDArray[np.float64]
    cov: NDArray[np.float64]
    corr: NDArray[np.float64]
    n: NDArray[np.int32]
    hx: NDArray[np.float64]
    hy: NDArray[np.float64]


@dataclass(frozen=True)
class PreparedVectors:
    """Checked vectors with their outliers found; what blocks of pairs are computed from. See `prepare`."""

    x: NDArray[np.float32]
    bins: int
    vectors: Vectors

    @property
    def keep(self) -> NDArray[np.bool_]:
        """bool [N, D]: which dimensions each vector keeps."""
        keep = np.ones(self.x.shape, np.bool_)
        for token, outlier_set in enumerate(self.vectors.set_of):
            keep[token, self.vectors.left_out(outlier_set)] = False
        return keep

    @property
    def outlier_counts(self) -> NDArray[np.int64]:
        """int64 [D]: how many vectors left this dimension out."""
        tokens = np.bincount(self.vectors.set_of, minlength=len(self.vectors.set_start) - 1)
        counts = np.zeros(self.x.shape[1], np.int64)
        left_out = self.vectors.dimension[self.vectors.set_dims]
        np.add.at(counts, left_out, np.repeat(tokens, np.diff(self.vectors.set_start)))
        return counts


def pair_statistics(x: NDArray[np.float32], bins: int = 15, outlier_z: float = 5.0) -> PairStatistics:
    """Statistics of all pairs of the vectors in `x`, float32 [N, D]: arrays in `numpy.triu_indices(N, 1)` order.

    A dimension is left out of a pair where |z| > `outlier_z` in either vector, z from the vector's own mean and
    standard deviation (ddof = 1). The joint histogram is `numpy.histogram2d`'s over the dimensions left, `bins` x
    `bins`.

    Raises ValueError for a wrong shape or type and for values that are not finite, naming the vector.
    """
    prepared = prepare(x, bins, outlier_z)
    return row_range(prepared, 0, len(prepared.x))


def prepare(x: NDArray[np.float32], bins: int = 15, outlier_z: float = 5.0, *, where: str = "") -> PreparedVectors:
    """Checks float32 [N, D] vectors and finds their outliers. `where` ("layer 3, class internal") goes into errors.

    Raises ValueError for a wrong shape or type and for values that are not finite.
    """
    x = _checked(x, bins, where)
    _load_kernels()
    return PreparedVectors(x, bins, find_outliers(x, outlier_z))


def row_ranges(marks: int, max_pairs: int) -> list[tuple[int, int]]:
    """Cuts the triangle of pairs of so many marks into ranges of rows of at most `max_pairs` pairs (or one row).

    A function of its arguments alone; the ranges cover 0 to `marks` in order.
    """
    if max_pairs < 1:
        raise ValueError(f"max_pairs is {max_pairs}; a block holds at least 1 pair")
    ranges, start = [], 0
    while start < marks:
        stop, pairs = start + 1, marks - 1 - start
        while stop < marks and pairs + marks - 1 - stop <= max_pairs:
            pairs += marks - 1 - stop
            stop += 1
        ranges.append((start, stop))
        start = stop
    return ranges


def row_range(prepared: PreparedVectors, start: int, stop: int) -> PairStatistics:
    """All pairs (i, j) with start <= i < stop and i < j < N, in row-major order."""
    tokens = len(prepared.x)
    if not 0 <= start <= stop <= tokens:
        raise ValueError(f"rows {start} to {stop} are not a range within the {tokens} vectors")
    before = _pairs_before(np.arange(tokens + 1), tokens)
    origin = before[:-1] - before[start] - np.arange(tokens) - 1
    tiles = _triangle(start, stop, tokens, SIDE)
    return _compute(prepared, prepared, tiles, origin, before[stop] - before[start])


def cross_statistics(a: PreparedVectors, b: PreparedVectors) -> PairStatistics:
    """All pairs of a vector of `a` (as x) with a vector of `b` (as y): flat arrays [Na * Nb], row-major.

    Raises ValueError where the two were not prepared alike.
    """
    if a.bins != b.bins or a.x.shape[1] != b.x.shape[1]:
        raise ValueError(
            f"prepared with {a.bins} bins of {a.x.shape[1]} dimensions and {b.bins} bins of {b.x.shape[1]} dimensions; "
            "prepare both groups with the same bins and the same model"
        )
    tiles = ((rows, columns, False) for rows in _spans(0, len(a.x), SIDE) for columns in _spans(0, len(b.x), SIDE))
    b = replace(b, vectors=rearranged(b.vectors, a.vectors.dimension))
    return _compute(a, b, tiles, np.arange(len(a.x)) * len(b.x), len(a.x) * len(b.x))


@functools.cache
def _load_kernels() -> None:
    """Compiles every kernel, or loads it from where an earlier process kept it."""
    with announced():
        x = np.sin(np.arange(1, 7 * 65 + 1, dtype=np.float32) ** 2).reshape(7, 65)
        prepared = PreparedVectors(x, 5, find_outliers(x, 1.4))
        row_range(prepared, 0, 7)
        cross_statistics(prepared, prepared)


def _checked(x: NDArray[np.float32], bins: int, where: str) -> NDArray[np.float32]:
    place = f" in {where}" if where else ""
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype != np.float32:
        found = f"{x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(f"vectors{place} are {found}; pass a float32 array [vectors, dimensions]")
    if not BINS_ALLOWED[0] <= bins <= BINS_ALLOWED[1]:
        raise ValueError(f"bins is {bins}; choose from {BINS_ALLOWED[0]} to {BINS_ALLOWED[1]}")
    if not DIMENSIONS_ALLOWED[0] <= x.shape[1] <= DIMENSIONS_ALLOWED[1]:
        raise ValueError(
            f"vectors{place} have {x.shape[1]} dimensions; between {DIMENSIONS_ALLOWED[0]} and {DIMENSIONS_ALLOWED[1]} "
            "are possible"
        )
    x = np.ascontiguousarray(x)
    token = first_unusable(x, LARGEST)
    if token >= 0:
        dimension = int(np.flatnonzero(~(np.abs(x[token]) < LARGEST))[0])
        raise ValueError(
            f"token {token}{place} has the value {x[token, dimension]} in dimension {dimension}; all values must be "
            "finite and within the range of float32: leave the token out or run the model in float32"
        )
    return x


def _pairs_before(row: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
    """How many pairs of the triangle stand before row `row`."""
    return row * (2 * tokens - row - 1) // 2


def _spans(start: int, stop: int, side: int) -> Iterator[NDArray[np.int64]]:
    for first in range(start, stop, side):
        yield np.arange(first, min(first + side, stop))


def _triangle(
    start: int, stop: int, tokens: int, side: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], bool]]:
    """Tiles (rows, columns, is on the diagonal) that cover the pairs of a range of rows."""
    for rows in _spans(start, stop, side):
        yield rows, rows, True
        for columns in _spans(int(rows[-1]) + 1, tokens, side):
            yield rows, columns, False


_Tiles = Iterable[tuple[NDArray[np.int64], NDArray[np.int64], bool]]


def _compute(
    a: PreparedVectors, b: PreparedVectors, tiles: _Tiles, origin: NDArray[np.int64], pairs: int
) -> PairStatistics:
    by_number = terms(a.x.shape[1])
    floats = {name: np.empty(pairs) for name in ("mi", "cov", "corr", "hx", "hy")}
    out = Pairs(origin=origin, n=np.empty(pairs, np.int32), **floats)
    for rows, columns, diagonal in tiles:
        _tile(a.vectors, rows, b.vectors, columns, a.bins, diagonal, by_number, out)
    return PairStatistics(n=out.n, **floats)


def _tile(
    a: Vectors,
    rows: NDArray[np.int64],
    b: Vectors,
    columns: NDArray[np.int64],
    bins: int,
    diagonal: bool,
    terms: Terms,
    out: Pairs,
) -> None:
    rows, row_sets, set_a = _by_set(a, rows)
    columns, column_sets, set_b = (rows, row_sets, set_a) if diagonal else _by_set(b, columns)
    variants_a, views_a = variants_b, views_b = _look(a, rows, b, column_sets, bins, terms, "row")
    if not diagonal:
        variants_b, views_b = _look(b, columns, a, row_sets, bins, terms, "column")
    tile = Tile(variants_a, variants_b, views_a.variant, views_b.variant, set_a, set_b, diagonal)
    joint = joint_terms(tile, terms.table, _memory)
    sums = products(a, rows, b, columns, diagonal, _memory)

    finish(
        a, b, rows, columns, np.argsort(rows), np.argsort(columns), variants_a, variants_b, views_a, views_b, set_a,
        set_b, joint, sums, diagonal, terms, out,
    )  # fmt: skip


def _look(
    vectors: Vectors,
    rows: NDArray[np.int64],
    partners: Vectors,
    sets: NDArray[np.int64],
    bins: int,
    terms: Terms,
    side: str,
) -> tuple[Variants, Views]:
    """The vectors `rows` as partners of the outlier sets `sets` see them."""
    met = outlier_sets(partners, sets)
    variants, variant, alike = find_variants(vectors, rows, met, bins, _memory, side)
    return variants, tabulate(vectors, rows, met, variant, alike, variants, terms, _memory, side)


def _by_set(
    vectors: Vectors, index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The vectors in the order of their outlier sets, the sets that occur, and which of these each vector has.

    Neighbours then ask for the same variants. Sets of fewer vectors than there are lanes come first: among the others
    they would break up lanes that agree, and on the diagonal the first columns are in the fewest pairs.
    """
    sets, set_of, vectors_of = np.unique(vectors.set_of[index], return_inverse=True, return_counts=True)
    order = np.lexsort((set_of, vectors_of[set_of] >= LANES))
    return index[order], sets, set_of[order]
