"""Do two classes of marks differ, and are they kept apart: estimates from sums over passages, and pseudo-values.

Everything here is computed from the sums of a measure over the pairs of each two passages of a book, so that it costs
the same whether these pairs are ten thousand or a hundred million.

For classes A and B the **likeness** W_A, W_B is the mean of a measure over the pairs within a class and B_AB over the
pairs between them. The **difference** is W_B - W_A: whether the marks of one class are more alike than those of the
other. The **separation** is (W_A + W_B) / 2 - B_AB: whether marks are more alike within the classes than between; it is
0 for two random halves of one class. All have the measure's unit.

Marks of one passage resemble each other and marks of different passages nearly do not, so the passages of a book are
its independent observations. `PairSums.across` keeps the pairs of marks of different passages that do not touch: marks
that are neighbours in the text then count neither as likeness of a class nor against it, and two random halves of a
class are separated by nothing. (Where passages touch and their pairs count, the last marks of one and the first of the
next make a separation that is small in one book and found in thirty.) The
estimates are ratios of sums over pairs of passages; their **pseudo-values**
(Quenouille 1956, doi:10.1093/biomet/43.3-4.353; for U-statistics Arvesen 1969, doi:10.1214/aoms/1177697287) are one
number a passage, whose mean and spread are the estimate and its error. They go where the means of books go: through
`analysis.bootstrap.half_widths_over_books`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
K = TypeVar("K")

FEWEST_PASSAGES = 6
"""With fewer, leaving out those that touch leaves too few pairs to say how sure their mean is."""


@dataclass(frozen=True)
class PairSums:
    """Sums of a measure over the pairs of each two of P passages, in some layers.

    `pairs`: int64 [P, P], how many pairs; `sums`: float64 [layers, P, P]. Entry (p, q): the first mark of a pair lies
    in passage p, the second in q. Within a class a pair stands once, in either order.
    """

    pairs: NDArray[np.int64]
    sums: Floats

    def mean(self) -> Floats:
        """Mean over all pairs: [layers]; NaN where there are none."""
        return _ratio(self.sums.sum(axis=(1, 2)), self.pairs.sum())

    def means_without(self) -> Floats:
        """Means over the pairs without each passage in turn: [P, layers]."""
        pairs = self.pairs.sum() - _touching(self.pairs[None])[:, 0]
        sums = self.sums.sum(axis=(1, 2)) - _touching(self.sums)
        return _ratio(sums, pairs[:, None])

    def pseudo_values(self) -> Floats:
        """One number a passage, [P, layers], whose mean estimates `mean`; NaN where no pairs are left without it."""
        return _jackknifed(self.mean(), self.means_without())

    def of(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> PairSums:
        """The pairs of the passages `rows` with the passages `columns`, as pairs between two groups.

        For a class of its own: pairs stand once, in either order, and are gathered from both.
        """
        both = self.pairs + self.pairs.T, self.sums + self.sums.transpose(0, 2, 1)
        grid = np.ix_(rows, columns)
        return PairSums(both[0][grid], both[1][:, grid[0], grid[1]])

    def across(self, touching: NDArray[np.bool_] | None = None) -> PairSums:
        """The pairs whose marks lie in different passages.

        `touching`: bool [P - 1], whether a passage touches the next one in the text; such two are no pair either.
        """
        apart = ~np.eye(len(self.pairs), dtype=np.bool_)
        if touching is not None:
            here = np.flatnonzero(touching)
            apart[here, here + 1] = apart[here + 1, here] = False
        return PairSums(np.where(apart, self.pairs, 0), np.where(apart, self.sums, 0.0))

    def within(self, passages: NDArray[np.integer]) -> PairSums:
        """The pairs whose marks both lie in some passages."""
        grid = np.ix_(passages, passages)
        return PairSums(self.pairs[grid], self.sums[:, grid[0], grid[1]])


class Contrast(NamedTuple):
    """Likeness of the classes A and B, and between them: float64 arrays of one shape, in the measure's unit."""

    first: Floats
    second: Floats
    between: Floats

    @property
    def difference(self) -> Floats:
        """W_B - W_A."""
        return self.second - self.first

    @property
    def separation(self) -> Floats:
        """(W_A + W_B) / 2 - B_AB."""
        return (self.first + self.second) / 2 - self.between


def contrast(first: PairSums, second: PairSums, between: PairSums) -> Contrast:
    """The likeness of each class and between them, from one book's sums: arrays [layers]."""
    return Contrast(first.mean(), second.mean(), between.mean())


def pseudo_values(first: PairSums, second: PairSums, between: PairSums) -> Contrast:
    """One number a passage and layer for each likeness, [P, layers], whose mean over passages estimates it.

    NaN where a class has no pairs without the passage. The difference and the separation of pseudo-values are those of
    the difference and the separation.
    """
    return Contrast(first.pseudo_values(), second.pseudo_values(), between.pseudo_values())


def counted(parts: Mapping[K, PairSums], touching: NDArray[np.bool_]) -> dict[K, PairSums]:
    """The pairs of one book that likeness, difference and separation are over, of all of its sums alike.

    Those of marks of different passages that do not touch; in a book of two to five passages those that touch as well;
    of a single passage all pairs, since there are no others. `touching`: bool [P - 1], as in `PairSums.across`.
    """
    used = np.sum([part.pairs + part.pairs.T for part in parts.values()], axis=0)
    passages = int(np.count_nonzero(used.sum(axis=0)))
    if passages < 2:
        return dict(parts)
    left_out = touching if passages >= FEWEST_PASSAGES else None
    return {key: part.across(left_out) for key, part in parts.items()}


def deviations(by_book: Sequence[Floats], present: NDArray[np.bool_] | None = None) -> Floats:
    """Deviations [passages of all books, layers] of the mean over books, for `half_widths_over_books`.

    `by_book`: pseudo-values of each book, [P, layers]. The books are held fixed and their passages are the
    observations: scaled so that the error of the stacked deviations is that of the mean of the books' estimates.
    `present`: bool [books, layers], which books that mean is over; the others' deviations are NaN. A book in it whose
    error is not known leaves that of the mean unknown.
    """
    layers = by_book[0].shape[1]
    counted = np.ones((len(by_book), layers), dtype=np.bool_) if present is None else present
    sizes = np.array([len(values) for values in by_book])
    total = sizes @ counted
    stacked, unknown = [], np.zeros(layers, dtype=np.bool_)
    for values, count, of_book in zip(by_book, sizes, counted, strict=True):
        apart = count * (count - 1)
        scale = (
            np.sqrt(total * (total - 1) / apart) / np.maximum(counted.sum(axis=0), 1)
            if apart
            else np.full(layers, math.nan)
        )
        away = scale * (values - values.mean(axis=0))
        unknown |= of_book & ~np.isfinite(away).all(axis=0)
        stacked.append(np.where(of_book, away, np.nan))
    return np.where(unknown, np.nan, np.concatenate(stacked))


def halves(passages: int, seed: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A book's passages in two halves for a placebo: first and second half, or with a `seed` two random ones."""
    order = np.arange(passages) if seed is None else np.random.default_rng(seed).permutation(passages)
    return np.sort(order[: passages // 2]), np.sort(order[passages // 2 :])


def placebo(within: PairSums, one: NDArray[np.integer], other: NDArray[np.integer]) -> tuple[Contrast, Contrast]:
    """The contrast of one class with itself: its marks in some passages against those in others.

    Returns the contrast [layers] and its pseudo-values [P, layers], in the order of `one` and then `other`. There is
    nothing to find: whoever finds a difference or a separation here would find one anywhere.
    """
    first, second, between = within.within(one), within.within(other), within.of(one, other)
    whole = contrast(first, second, between)
    # Leaving out a passage of one half leaves the other half's likeness as it is.
    left = Contrast(
        np.concatenate([first.means_without(), np.tile(whole.first, (len(other), 1))]),
        np.concatenate([np.tile(whole.second, (len(one), 1)), second.means_without()]),
        _means_without_rows_and_columns(between),
    )
    return whole, Contrast(*(_jackknifed(w, without) for w, without in zip(whole, left, strict=True)))


def explained_share(first: PairSums, second: PairSums, between: PairSums) -> Floats:
    """R^2 of PERMANOVA [layers]: the share of the marks' squared distances that the classes explain, 0 to 1.

    For correlations over **all** pairs: the squared distance of two marks is 1 - r, half that of the standardised
    vectors. Anderson (2001, doi:10.1111/j.1442-9993.2001.01070.pp.x). N marks make N (N - 1) / 2 pairs, so the pairs
    say how many marks a class has.
    """
    far = [part.pairs.sum() - part.sums.sum(axis=(1, 2)) for part in (first, second, between)]
    marks = [_marks_of(part.pairs.sum()) for part in (first, second)]
    return _share(far, marks)


def pseudo_explained_shares(first: PairSums, second: PairSums, between: PairSums) -> Floats:
    """One number a passage, [P, layers], for `explained_share`: its jackknife over the passages."""
    parts = (first, second, between)
    left = [part.pairs.sum() - _touching(part.pairs[None])[:, 0] for part in parts]
    far = [
        pairs[:, None] - (part.sums.sum(axis=(1, 2)) - _touching(part.sums))
        for part, pairs in zip(parts, left, strict=True)
    ]
    marks = [_marks_of(pairs)[:, None] for pairs in left[:2]]
    return _jackknifed(explained_share(*parts), _share(far, marks))


def auc_of_histograms(low: NDArray[np.integer], high: NDArray[np.integer]) -> float:
    """P(a value of `high` is above one of `low`), from counts in the same ascending bins of equal width.

    0.5 where neither tends to be larger; NaN where one is empty. Of two values in one bin it is not known which is
    larger. Both densities are taken for straight lines there, 1 + a (u - 1/2) over the bin's width: then the larger one
    is of `high` with a chance of 1/2 + (a_high - a_low) / 12. Counting ties half would draw every AUC towards 0.5.
    """
    pairs = float(low.sum()) * float(high.sum())
    if not pairs:
        return math.nan
    below = np.cumsum(low) - low
    within_bin = 0.5 + (_slopes(high) - _slopes(low)) / 12
    return float((high * (below + low * within_bin)).sum() / pairs)


def _slopes(counts: NDArray[np.integer]) -> Floats:
    """The slope of the density in each bin, for a mean of 1, from the counts of its neighbours: -2 to 2."""
    padded = np.pad(counts.astype(np.float64), 1)
    slopes = np.divide(padded[2:] - padded[:-2], 2.0 * counts, out=np.zeros(len(counts)), where=counts > 0)
    clipped: Floats = np.clip(slopes, -2.0, 2.0)
    return clipped


def _marks_of(pairs: NDArray[np.number] | np.number) -> Floats:
    """How many marks make so many pairs; 1 where there is none."""
    return np.asarray((1 + np.sqrt(1 + 8 * np.asarray(pairs, dtype=np.float64))) / 2)


def _share(far: Sequence[Floats], marks: Sequence[Floats]) -> Floats:
    """R^2 from sums of squared distances within two classes and between them, and the marks of either."""
    total = (far[0] + far[1] + far[2]) / (marks[0] + marks[1])
    return _ratio(total - far[0] / marks[0] - far[1] / marks[1], total)


def _touching(values: Floats | NDArray[np.int64]) -> Floats:
    """Sums over the pairs with a mark in each passage: [P, layers] from [layers, P, P]."""
    diagonal = np.diagonal(values, axis1=1, axis2=2)
    touching = values.sum(axis=2) + values.sum(axis=1) - diagonal
    return np.asarray(touching.T, dtype=np.float64)


def _jackknifed(whole: Floats, without: Floats) -> Floats:
    """Pseudo-values [P, layers]: P times an estimate [layers] less P - 1 times it without each passage [P, layers]."""
    passages = len(without)
    return passages * whole - (passages - 1) * without


def _means_without_rows_and_columns(between: PairSums) -> Floats:
    """Means without each row's and then each column's passage, where rows and columns are different passages."""
    pairs, sums = between.pairs.sum(), between.sums.sum(axis=(1, 2))
    rows = _ratio(sums - between.sums.sum(axis=2).T, (pairs - between.pairs.sum(axis=1))[:, None])
    columns = _ratio(sums - between.sums.sum(axis=1).T, (pairs - between.pairs.sum(axis=0))[:, None])
    return np.concatenate([rows, columns])


def _ratio(numerator: Floats, denominator: Floats | NDArray[np.int64] | np.integer) -> Floats:
    below = np.broadcast_to(np.asarray(denominator, dtype=np.float64), np.shape(numerator))
    quotient: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, below, out=quotient, where=below > 0)
    return quotient
