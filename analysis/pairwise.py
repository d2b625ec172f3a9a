"""Mutual information, covariance and correlation of all pairs of vectors, each taken as D paired observations.

`pair_statistics` does all pairs of a few hundred or thousand vectors at once. For more, `prepare` once and take the
triangle of pairs in blocks of rows (`row_ranges`, `row_range`); `cross_statistics` does the pairs between two groups.
Results do not depend on how the pairs are cut.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import announced
from analysis.engine.correlation import correlate
from analysis.engine.covariance import products
from analysis.engine.finish import finish
from analysis.engine.joint import joint_terms
from analysis.engine.nlogn import n_log_n
from analysis.engine.outliers import find_outliers, first_unusable, rearranged
from analysis.engine.scratch import Scratch, scratch_of_this_thread
from analysis.engine.tile import diagonal, rectangle
from analysis.engine.vectors import NLogN, PairStatistics, Target, Tile, TileSums, Vectors

__all__ = [
    "PairStatistics", "PreparedVectors", "correlation_range", "cross_correlation_range", "cross_range",
    "cross_statistics", "pair_statistics", "prepare", "row_range", "row_ranges",
]  # fmt: skip

BINS_ALLOWED = (2, 64)
DIMENSIONS_ALLOWED = (2, 65_535)

LARGEST = float(np.finfo(np.float32).max) / 2
"""Differences of values below this are numbers of float32 too."""

SIDE = 512
"""Most rows, and most columns, of a tile."""


@dataclass(frozen=True)
class PreparedVectors:
    """Checked vectors with their outliers found; what blocks of pairs are computed from. See `prepare`."""

    x: NDArray[np.float32]
    bins: int
    outlier_z: float
    vectors: Vectors

    @property
    def valid(self) -> NDArray[np.bool_]:
        """bool [N, D]: which dimensions each vector does not mask."""
        valid = np.ones(self.x.shape, np.bool_)
        for mark, outlier_set in enumerate(self.vectors.set_of):
            valid[mark, self.vectors.masked(outlier_set)] = False
        return valid

    @property
    def masked(self) -> list[NDArray[np.int64]]:
        """The dimensions that each vector masks, ascending; vectors that mask the same share an array."""
        by_set = [np.sort(self.vectors.masked(number)) for number in range(len(self.vectors.set_start) - 1)]
        return [by_set[number] for number in self.vectors.set_of]

    @property
    def outlier_counts(self) -> NDArray[np.int64]:
        """int64 [D]: how many vectors mask this dimension."""
        marks = np.bincount(self.vectors.set_of, minlength=len(self.vectors.set_start) - 1)
        counts = np.zeros(self.x.shape[1], np.int64)
        masked = self.vectors.dimension[self.vectors.set_dims]
        np.add.at(counts, masked, np.repeat(marks, np.diff(self.vectors.set_start)))
        return counts

    @property
    def described(self) -> str:
        """How the vectors were prepared, for errors."""
        outliers = f"outliers beyond {self.outlier_z}" if self.outlier_z < np.inf else "no outliers left out"
        return f"{self.bins} bins of {self.x.shape[1]} dimensions, {outliers}"


def pair_statistics(x: NDArray[np.float32], bins: int = 15, outlier_z: float | None = 5.0) -> PairStatistics:
    """Statistics of all pairs of the vectors in `x`, float32 [N, D]: arrays in `numpy.triu_indices(N, 1)` order.

    A dimension of a pair is masked where |z| > `outlier_z` in either vector, z from the vector's own mean and
    standard deviation (ddof = 1); None masks nothing. The joint histogram is `numpy.histogram2d`'s over the valid
    dimensions, `bins` x `bins`.

    Raises ValueError for a wrong shape or type, an `outlier_z` that is not above 0, and for values that are not finite,
    naming the vector.
    """
    prepared = prepare(x, bins, outlier_z)
    return row_range(prepared, 0, len(prepared.x))


def prepare(
    x: NDArray[np.float32], bins: int = 15, outlier_z: float | None = 5.0, *, where: str = ""
) -> PreparedVectors:
    """Checks float32 [N, D] vectors and finds their outliers. `where` ("layer 3, class internal") goes into errors.

    Raises what `pair_statistics` raises.
    """
    x = _checked(x, bins, where)
    limit = np.inf if outlier_z is None else outlier_z
    if not limit > 0:
        raise ValueError(f"outlier_z is {outlier_z}; pass a number above 0, or None to leave no dimension out")
    _load_kernels()
    return PreparedVectors(x, bins, limit, find_outliers(x, limit))


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
    """All pairs (i, j) with start <= i < stop and i < j < N, in row-major order.

    Raises ValueError for rows that are not there.
    """
    vectors, number = prepared.vectors, len(prepared.x)
    origin, pairs = _triangle(start, stop, number)
    target = Target(origin, PairStatistics.empty(pairs))
    weights, scratch = n_log_n(prepared.x.shape[1]), scratch_of_this_thread()
    for rows in _spans(start, stop):
        _fill(diagonal(vectors, rows, prepared.bins, weights, scratch), weights, scratch, target)
        for columns in _spans(int(rows[-1]) + 1, number):
            tile = rectangle(vectors, rows, vectors, columns, prepared.bins, weights, scratch)
            _fill(tile, weights, scratch, target)
    return target.pairs


def correlation_range(prepared: PreparedVectors, start: int, stop: int) -> NDArray[np.float64]:
    """`corr` of `row_range` alone, to the last bit, at a third of its cost: nothing is binned."""
    vectors, number = prepared.vectors, len(prepared.x)
    origin, pairs = _triangle(start, stop, number)
    corr, scratch = np.empty(pairs), scratch_of_this_thread()
    for rows in _spans(start, stop):
        correlate(vectors, rows, vectors, None, scratch, origin, corr)
        for columns in _spans(int(rows[-1]) + 1, number):
            correlate(vectors, rows, vectors, columns, scratch, origin, corr)
    return corr


def cross_statistics(
    a: NDArray[np.float32] | PreparedVectors,
    b: NDArray[np.float32] | PreparedVectors,
    bins: int = 15,
    outlier_z: float | None = 5.0,
) -> PairStatistics:
    """All pairs of a vector of `a` (as x) with a vector of `b` (as y): flat arrays [Na * Nb], row-major.

    `a`, `b`: float32 [N, D], or already `prepare`d, and then with their own `bins` and `outlier_z`. Raises ValueError
    where the two were not prepared alike, and for what `prepare` does not take.
    """
    x, y = (
        one if isinstance(one, PreparedVectors) else prepare(one, bins, outlier_z, where=f"group {name}")
        for name, one in (("a", a), ("b", b))
    )
    return cross_range(x, y, 0, len(x.x))


def cross_range(a: PreparedVectors, b: PreparedVectors, start: int, stop: int) -> PairStatistics:
    """The pairs of `cross_statistics` with start <= i < stop: flat arrays [(stop - start) * Nb], row-major.

    Raises ValueError where the two were not prepared alike and for rows that are not there.
    """
    _check_alike(a, b)
    _check_rows(start, stop, len(a.x))
    origin = (np.arange(len(a.x)) - start) * len(b.x)
    target = Target(origin, PairStatistics.empty((stop - start) * len(b.x)))
    weights, scratch = n_log_n(a.x.shape[1]), scratch_of_this_thread()
    partners = rearranged(b.vectors, a.vectors.dimension)
    for rows in _spans(start, stop):
        for columns in _spans(0, len(b.x)):
            tile = rectangle(a.vectors, rows, partners, columns, a.bins, weights, scratch)
            _fill(tile, weights, scratch, target)
    return target.pairs


def cross_correlation_range(a: PreparedVectors, b: PreparedVectors, start: int, stop: int) -> NDArray[np.float64]:
    """`corr` of `cross_range` alone, to the last bit."""
    _check_alike(a, b)
    _check_rows(start, stop, len(a.x))
    origin = (np.arange(len(a.x)) - start) * len(b.x)
    corr, scratch = np.empty((stop - start) * len(b.x)), scratch_of_this_thread()
    partners = rearranged(b.vectors, a.vectors.dimension)
    for rows in _spans(start, stop):
        for columns in _spans(0, len(b.x)):
            correlate(a.vectors, rows, partners, columns, scratch, origin, corr)
    return corr


@functools.cache
def _load_kernels() -> None:
    """Compiles every kernel, or loads it from where an earlier process kept it."""
    with announced():
        x = np.sin(np.arange(1, 7 * 65 + 1, dtype=np.float32) ** 2).reshape(7, 65)
        prepared = PreparedVectors(x, 5, 1.4, find_outliers(x, 1.4))
        row_range(prepared, 0, 7)
        cross_statistics(prepared, prepared)
        correlation_range(prepared, 0, 7)


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
    mark = first_unusable(x, LARGEST)
    if mark >= 0:
        dimension = int(np.flatnonzero(~(np.abs(x[mark]) < LARGEST))[0])
        raise ValueError(
            f"mark {mark}{place} has the value {x[mark, dimension]} in dimension {dimension}; all values must be "
            "finite and within the range of float32: leave the mark out or run the model in float32"
        )
    return x


def _pairs_before(row: NDArray[np.int64], vectors: int) -> NDArray[np.int64]:
    """How many pairs of the triangle stand before row `row`."""
    return row * (2 * vectors - row - 1) // 2


def _triangle(start: int, stop: int, number: int) -> tuple[NDArray[np.int64], int]:
    """Where each row's pairs go, less the column, and how many pairs there are. Raises ValueError for no such rows."""
    _check_rows(start, stop, number)
    before = _pairs_before(np.arange(number + 1), number)
    return before[:-1] - before[start] - np.arange(number) - 1, int(before[stop] - before[start])


def _check_alike(a: PreparedVectors, b: PreparedVectors) -> None:
    if a.bins != b.bins or a.outlier_z != b.outlier_z or a.x.shape[1] != b.x.shape[1]:
        raise ValueError(
            f"the groups were prepared differently, with {a.described} and with {b.described}; prepare both with the "
            "same bins and outlier limit, from the same model"
        )


def _check_rows(start: int, stop: int, number: int) -> None:
    if not 0 <= start <= stop <= number:
        raise ValueError(f"rows {start} to {stop} are not a range within the {number} vectors")


def _spans(start: int, stop: int) -> Iterator[NDArray[np.int64]]:
    """The vectors of each row, or column, of tiles."""
    for first in range(start, stop, SIDE):
        yield np.arange(first, min(first + SIDE, stop))


def _fill(tile: Tile, weights: NLogN, scratch: Scratch, target: Target) -> None:
    """Takes a tile through the steps in which two vectors meet."""
    sums = TileSums(joint_terms(tile, weights.units, scratch), products(tile, scratch))
    finish(tile, sums, weights, target)
