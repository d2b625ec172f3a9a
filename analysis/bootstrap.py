"""Intervals and p values of means over books, or over anything that is as good as independent, by flipping signs.

Pairs that share a mark are not independent, and marks of one passage resemble each other, so neither is ever an
observation. Books are: each counts with one mean, whose deviation carries the variation of its marks. Where books are
few, their passages are, see `analysis.inference`.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
CONFIDENCE = 0.95
DRAWS_AT_ONCE = 50

EXACT_FLIPS = 12
"""With up to so many books all 2^books sign patterns are tried; with more, `RANDOM_FLIPS` of them."""

RANDOM_FLIPS = 5_000


def half_widths_over_books(deviations: NDArray[np.float64], *, together: bool, seed: int = 0) -> NDArray[np.float64]:
    """Half-widths `[quantities]` of the intervals of means over books; NaN where fewer than two books have a value.

    `deviations` is `[books, quantities]`, each column the books' shares in one estimate, which sum to zero, NaN where
    a book has none. `together`: the half-widths hold for all quantities at once (max-t, Westfall and Young 1993,
    Resampling-Based Multiple Testing), else each by itself.

    The wild bootstrap-t, which holds for a dozen clusters where drawing books with replacement gives far too narrow
    intervals (Cameron, Gelbach and Miller 2008, doi:10.1162/rest.90.3.414): the signs of whole books are drawn (so
    dependence between quantities stays), and the mean of each draw is set against that draw's own standard error.
    """
    books = np.isfinite(deviations).sum(axis=0)
    half = np.full(deviations.shape[1], np.nan)
    usable = books > 1
    if not usable.any():
        return half
    chosen, count = np.nan_to_num(deviations[:, usable]), books[usable]
    error = np.sqrt((chosen**2).sum(axis=0) / (count * (count - 1)))
    t = _studentised_sign_flips(chosen, count, seed)
    if together:
        t = t.max(axis=1, keepdims=True)
    # A quantile that is infinite (two books, or books that deviate by the same amount) bounds nothing.
    bound = np.quantile(t, CONFIDENCE, axis=0, method="higher")
    half[usable] = np.multiply(bound, error, out=np.full(len(error), np.nan), where=np.isfinite(bound))
    return half


def sign_flip_p_values(by_book: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """p values [layers] of "the mean over books is 0", corrected for the number of layers; NaN below two books.

    `by_book`: float64 [books, layers] without NaN. The sign of each book is flipped in every way (2^books for up to
    12 books, else 5,000 random ones); a layer's p value is the share of patterns whose largest |t| over the layers
    reaches its own. Exact where the books' effects are symmetric about 0 (Fisher 1935; for the maximum, Westfall and
    Young 1993): with few books it cannot be small, 2 / 2^5 = 0.0625 for five.
    """
    books, layers = by_book.shape
    if books < 2:
        return np.full(layers, np.nan)
    observed = _absolute_t(np.ones((1, books)), by_book, books)[0]
    if books <= EXACT_FLIPS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=books)))
    else:
        flips = np.random.default_rng(seed).choice((1.0, -1.0), size=(RANDOM_FLIPS - 1, books))
        signs = np.concatenate([np.ones((1, books)), flips])
    largest = _absolute_t(signs, by_book, books).max(axis=1)
    # The pattern as it was observed counts, whatever rounding does to it.
    return np.array([(largest >= own * (1 - 1e-12)).mean() for own in observed])


def _studentised_sign_flips(
    deviations: NDArray[np.float64], books: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """|t| of the mean of books with signs drawn, `[RESAMPLES, quantities]`; see `_absolute_t`."""
    rng = np.random.default_rng(seed)
    t = np.zeros((RESAMPLES, deviations.shape[1]))
    for start in range(0, RESAMPLES, DRAWS_AT_ONCE):
        signs = rng.choice([-1.0, 1.0], size=(min(DRAWS_AT_ONCE, RESAMPLES - start), len(deviations)))
        t[start : start + len(signs)] = _absolute_t(signs, deviations, books)
    return t


def _absolute_t(
    signs: NDArray[np.float64], by_book: NDArray[np.float64], books: NDArray[np.int64] | int
) -> NDArray[np.float64]:
    """|mean| over its standard error under each pattern of signs, `[patterns, quantities]`; infinite without spread.

    `by_book` is `[books, quantities]`, zero where a book has no value; `books` counts those that have one.
    """
    mean = signs @ by_book / books
    squares = (by_book**2).sum(axis=0) / books
    # The pattern's own variance; squares do not change with a sign. What is left by rounding alone counts as none.
    variance = squares - mean**2
    spread = variance > 1e-12 * squares
    t: NDArray[np.float64] = np.where((squares > 0) & ~spread, np.inf, 0.0)
    np.divide(np.abs(mean) * np.sqrt(books - 1), np.sqrt(np.maximum(variance, 0)), out=t, where=spread)
    return t
