"""Means over books and over pairs of tokens, resampled, and the intervals that follow from the draws.

Pairs that share a token are not independent, and tokens of one book resemble each other. So books are resampled whole,
which carries the variation of their tokens with it. Where there are only a few books, the tokens within each drawn book
are resampled too, and a pair counts as often as both of its tokens were drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
CONFIDENCE = 0.95
BOOKS_AT_ONCE = 50


def draws_over_books(means: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Bootstrap over whole books: `[RESAMPLES, ...]` from each book's means `[books, ...]`, NaN where it has none."""
    rng = np.random.default_rng(seed)
    books = len(means)
    flat = means.reshape(books, -1)
    present = np.isfinite(flat).astype(float)
    filled = np.nan_to_num(flat)
    draws = np.full((RESAMPLES, flat.shape[1]), np.nan)
    for start in range(0, RESAMPLES, BOOKS_AT_ONCE):
        size = min(BOOKS_AT_ONCE, RESAMPLES - start)
        weights = rng.multinomial(books, np.full(books, 1 / books), size=size).astype(float)
        count = weights @ present
        np.divide(weights @ filled, count, out=draws[start : start + size], where=count > 0)
    return draws.reshape(RESAMPLES, *means.shape[1:])


def draws_over_books_then_tokens(by_book: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Two-stage bootstrap, `[RESAMPLES, ...]`: books with replacement, and for each drawn book one draw of its tokens.

    `by_book` holds `RESAMPLES` means over each book's resampled tokens, `[books, RESAMPLES, ...]`.
    """
    rng = np.random.default_rng(seed)
    books = rng.integers(len(by_book), size=(RESAMPLES, len(by_book)))
    which = rng.integers(RESAMPLES, size=books.shape)
    drawn = by_book[books, which]
    present = np.isfinite(drawn)
    count = present.sum(axis=1)
    total = np.where(present, drawn, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def token_counts(tokens: int, seed: int | Sequence[int]) -> NDArray[np.float32]:
    """How often each token is drawn when as many are drawn with replacement: `[RESAMPLES, tokens]`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(tokens, np.full(tokens, 1 / tokens), size=RESAMPLES).astype(np.float32)


def resampled_pair_means(
    i: NDArray[np.intp], j: NDArray[np.intp], values: NDArray[np.floating], counts: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Means over the pairs (i, j), i < j, each counted as often as both its tokens were drawn: `[RESAMPLES, quantity]`.

    `values` is `[quantity, pairs]`; a pair with a value that is no number is left out of all. `counts` is from
    `token_counts`. A token drawn twice makes no pair with itself; NaN for a draw without pairs.
    """
    tokens = counts.shape[1]
    finite = np.isfinite(values).all(axis=0)
    if finite.all() and len(i) == tokens * (tokens - 1) // 2:
        # Sum over all pairs of w_i w_j: the square of the sum without its diagonal, halved.
        there = (counts.sum(axis=1, dtype=np.float64) ** 2 - (counts.astype(np.float64) ** 2).sum(axis=1)) / 2
    else:
        there = _quadratic(i, j, finite.astype(np.float32), counts)
    sums = [_quadratic(i, j, np.where(finite, row, 0).astype(np.float32), counts) for row in values]
    return np.stack([np.divide(s, there, out=np.full(len(s), np.nan), where=there > 0) for s in sums], axis=1)


def percentile_interval(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds `[...]` of each mean by itself, from its draws `[RESAMPLES, ...]`; NaN where all draws are."""
    tail = (1 - CONFIDENCE) / 2
    drawn = np.isfinite(draws).any(axis=0)
    low, high = np.full(drawn.shape, np.nan), np.full(drawn.shape, np.nan)
    low[drawn], high[drawn] = np.nanquantile(draws[:, drawn], [tail, 1 - tail], axis=0)
    return low, high


def simultaneous_half_width(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half-widths `[layers]` that hold for all layers at once, from `[RESAMPLES, layers]`; NaN for one without draws.

    The 95 % quantile, over resamples, of the largest deviation of any layer in its own standard errors (max-t, Westfall
    and Young 1993, Resampling-Based Multiple Testing), times the layer's standard error.
    """
    half = np.full(draws.shape[1], np.nan)
    usable = np.isfinite(draws).mean(axis=0) > 0.5
    if not usable.any():
        return half
    chosen = draws[:, usable]
    error = np.nanstd(chosen, axis=0, ddof=1)
    deviation = np.abs(chosen - np.nanmean(chosen, axis=0))
    in_errors = np.divide(deviation, error, out=np.zeros_like(deviation), where=error > 0)
    half[usable] = np.quantile(np.nanmax(in_errors, axis=1), CONFIDENCE) * error
    return half


def _quadratic(
    i: NDArray[np.intp], j: NDArray[np.intp], values: NDArray[np.float32], counts: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Sum over pairs of w_i w_j value_ij for each row w of `counts`: one matrix product for all resamples."""
    matrix = np.zeros((counts.shape[1],) * 2, dtype=np.float32)
    matrix[i, j] = values
    return np.einsum("rm,rm->r", counts @ matrix, counts, dtype=np.float64)
