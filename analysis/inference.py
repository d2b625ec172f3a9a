"""How sure an estimate over layers is: from books where there are enough, else from the passages of the books at hand.

Three situations, and what may be said in each:

- **5 books and more.** The books are a sample of others. Each has one estimate; their mean's interval is the wild
  bootstrap-t's with max-t over the layers (`analysis.bootstrap`). Beside it stands a sign-flip p value, which is exact
  for symmetric effects, and the skewness of the books' effects, which says how symmetric they are.
- **2 to 4 books.** Too few to speak of others. The books are held fixed and their passages are the observations.
- **One book.** Its passages are the observations.

For passages the observations are jackknife pseudo-values (`analysis.contrasts`), which go the same way; the interval is
widened by what neighbouring passages share, for where a study takes passages that touch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.bootstrap import half_widths_over_books, sign_flip_p_values
from analysis.contrasts import Floats, deviations

BOOKS_TO_SPEAK_OF_OTHERS = 5
"""From so many books on, intervals are about books like these and not about these books alone."""

OVER_BOOKS = "books: wild bootstrap-t, max-t over layers"
FIXED_BOOKS = "passages of fixed books: jackknife pseudo-values, wild bootstrap-t, max-t over layers"
ONE_BOOK = "passages of one book: jackknife pseudo-values, wild bootstrap-t, max-t over layers"
NO_INTERVAL = "no interval: too few books or passages"


@dataclass(frozen=True)
class Evidence:
    """Estimates in some layers and how sure they are; arrays are float64 [layers].

    `low`, `high`: 95 % interval that holds in all layers at once; NaN where there is none. `p`: sign-flip p value
    corrected for the layers; `skewness` of the books' effects: both NaN where books are not the observations.
    `n`: how many observations, `books` of how many books; `estimator`: how the interval was made.
    """

    estimate: Floats
    low: Floats
    high: Floats
    p: Floats
    skewness: Floats
    estimator: str
    n: int
    books: int

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Whether the interval leaves out 0, bool [layers]."""
        return self.above | (self.high < 0)

    @property
    def above(self) -> NDArray[np.bool_]:
        """Whether the interval lies above 0, bool [layers]: what "kept apart" asks of a separation."""
        return np.asarray(self.low > 0)


def infer(estimates: Floats, by_passage: Sequence[Floats] = (), seed: int = 0, *, together: bool = True) -> Evidence:
    """The mean over books of their estimates, with the interval that so many books allow.

    `estimates`: float64 [books, layers], NaN where a book has none. `by_passage`: for each book its pseudo-values,
    [passages, layers]; without them fewer than 5 books give no interval. `together`: intervals hold in all layers at
    once, else each by itself.
    """
    estimates = np.asarray(estimates, dtype=np.float64)
    present = np.isfinite(estimates)
    informative = np.asarray(present.any(axis=1))
    books = int(informative.sum())
    if books >= BOOKS_TO_SPEAK_OF_OTHERS:
        return _over_books(estimates[informative], seed, together)
    fixed = [values for values, kept in zip(by_passage, informative, strict=True) if kept] if len(by_passage) else []
    return _over_passages(estimates[informative], fixed, seed, together)


def skewness(by_book: Floats) -> Floats:
    """Adjusted skewness G1 [layers] of the books' effects [books, layers]; NaN below three books or without spread.

    Joanes and Gill (1998, doi:10.1111/1467-9884.00122). Intervals from a dozen books are too short where it is large.
    """
    books = len(by_book)
    if books < 3:
        return np.full(by_book.shape[1], np.nan)
    centred = by_book - by_book.mean(axis=0)
    second, third = (centred**2).mean(axis=0), (centred**3).mean(axis=0)
    adjusted = third * math.sqrt(books * (books - 1)) / (books - 2)
    skewness: NDArray[np.float64] = np.divide(
        adjusted, second**1.5, out=np.full(len(second), np.nan), where=second > 1e-24 * np.abs(by_book).max()
    )
    return skewness


def _over_books(estimates: Floats, seed: int, together: bool) -> Evidence:
    present = np.isfinite(estimates)
    count = present.sum(axis=0)
    mean = _means(estimates)
    enough = count >= BOOKS_TO_SPEAK_OF_OTHERS
    away = np.where(present & enough, estimates - mean, np.nan)
    half = half_widths_over_books(away, together=together, seed=seed)
    p, skewed = np.full(len(mean), np.nan), np.full(len(mean), np.nan)
    whole = present.all(axis=0)
    if whole.any():
        p[whole] = sign_flip_p_values(estimates[:, whole], seed)
        skewed[whole] = skewness(estimates[:, whole])
    return Evidence(mean, mean - half, mean + half, p, skewed, OVER_BOOKS, len(estimates), len(estimates))


def _over_passages(estimates: Floats, by_passage: Sequence[Floats], seed: int, together: bool) -> Evidence:
    mean = _means(estimates)
    nothing = np.full(len(mean), np.nan)
    passages = sum(len(values) for values in by_passage)
    half = nothing
    if passages:
        stacked = deviations(by_passage, np.isfinite(estimates))
        half = half_widths_over_books(stacked, together=together, seed=seed) * _neighbours(by_passage)
    known = bool(np.isfinite(half).any())
    name = NO_INTERVAL if not known else ONE_BOOK if len(estimates) == 1 else FIXED_BOOKS
    return Evidence(mean, mean - half, mean + half, nothing, nothing, name, passages, len(estimates))


def _neighbours(by_passage: Sequence[Floats]) -> float:
    """By how much passages that follow each other widen an interval, 1 or more.

    sqrt(1 + 2 r), r being the correlation of neighbours (Newey and West 1987, doi:10.2307/1913610, with one lag). It is
    pooled over layers and books: that of one layer is too noisy. An estimate from P values is too low by about 1 / P.
    """
    found = []
    for values in by_passage:
        away = values - values.mean(axis=0)
        squares = (away**2).sum(axis=0)
        usable = np.isfinite(squares) & (squares > 0)
        if usable.any():
            products = (away[1:] * away[:-1]).sum(axis=0)
            found.append(float((products[usable] / squares[usable]).mean()) + 1 / len(values))
    return float(np.sqrt(1 + 2 * max(0.0, float(np.mean(found))))) if found else 1.0


def _means(estimates: Floats) -> Floats:
    """Means over the books that have a value, [layers]; NaN where none has."""
    count = np.isfinite(estimates).sum(axis=0)
    mean: Floats = np.full(estimates.shape[1], np.nan)
    np.divide(np.nansum(estimates, axis=0), count, out=mean, where=count > 0)
    return mean
