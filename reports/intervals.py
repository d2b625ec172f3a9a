"""Means and differences between the classes, with intervals that respect how pairs hang together.

Pairs that share a mark are not independent, and marks of one book resemble each other. So books are resampled whole,
which carries the variation of their tokens with it. Where there are only a few books, the tokens within each drawn book
are resampled too, and a pair counts as often as both of its tokens were drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from store.keys import MARK_CLASSES

RESAMPLES = 1_000
CONFIDENCE = 0.95
QUANTITIES = ("mi", "cov")
CLASSES = MARK_CLASSES
TOKEN_BOOKS = 4
"""With more books than this, tokens are not resampled by themselves."""
BOOKS_AT_ONCE = 50


def observed_means(book_means: pd.DataFrame, layers: Iterable[int]) -> np.ndarray:
    """Each book's mean of each quantity, float64 `[books, quantity, layer, class]`; NaN where it has no pairs.

    `book_means` has layer, class, book, mi_mean, cov_mean; books come in the order of their names.
    """
    index = pd.MultiIndex.from_product([list(layers), CLASSES])
    tables = []
    for quantity in QUANTITIES:
        wide = book_means.pivot_table(
            index="book", columns=["layer", "class"], values=f"{quantity}_mean", observed=True
        )
        tables.append(wide.reindex(columns=index).to_numpy(dtype=float).reshape(len(wide), -1, len(CLASSES)))
    return np.stack(tables, axis=1)


def draws_over_books(means: np.ndarray, seed: int = 0) -> np.ndarray:
    """Bootstrap over whole books: `[RESAMPLES, quantity, layer, class]` from `observed_means`."""
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


def draws_over_tokens(pairs: pd.DataFrame, layers: Iterable[int], seed: int = 0) -> np.ndarray:
    """Bootstrap over the tokens of one book: `[RESAMPLES, quantity, layer, class]` from its pairs.

    `pairs` has layer, class, i, j, mi, cov. One draw of tokens serves all layers, so that differences between layers
    keep their dependence. A token drawn twice makes no pair with itself.
    """
    layers = list(layers)
    draws = np.full((RESAMPLES, len(QUANTITIES), len(layers), len(CLASSES)), np.nan)
    for column, mark_class in enumerate(CLASSES):
        rows = pairs[pairs["class"] == mark_class]
        if rows.empty:
            continue
        marks = int(rows["j"].max()) + 1
        rng = np.random.default_rng([seed, column])
        weights = rng.multinomial(marks, np.full(marks, 1 / marks), size=RESAMPLES).astype(np.float32)
        for layer, slab in rows.groupby("layer", observed=True):
            draws[:, :, layers.index(int(layer)), column] = _weighted_means(slab, marks, weights)
    return draws


def draws_over_books_then_tokens(by_book: Mapping[str, np.ndarray], seed: int = 0) -> np.ndarray:
    """Two-stage bootstrap: books with replacement, and for each drawn book one draw of its tokens.

    `by_book` holds `draws_over_tokens` of each book.
    """
    rng = np.random.default_rng(seed)
    stacked = np.stack([by_book[book] for book in sorted(by_book)])
    books = rng.integers(len(stacked), size=(RESAMPLES, len(stacked)))
    which = rng.integers(RESAMPLES, size=books.shape)
    drawn = stacked[books, which]
    present = np.isfinite(drawn)
    count = present.sum(axis=1)
    total = np.where(present, drawn, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def layer_means(
    means: np.ndarray, draws: np.ndarray | None, layers: Iterable[int], moments: pd.DataFrame
) -> pd.DataFrame:
    """Mean over books by quantity, layer and class, with percentile intervals of each mean by itself.

    `moments` has layer, class, mi_min, mi_max, cov_min, cov_max over all pairs. Rows: quantity, layer, class, books,
    mean, low, high, varies (see `varying`); classes without pairs in a layer are left out.
    """
    present = np.isfinite(means)
    count = present.sum(axis=0)
    mean = np.divide(np.nan_to_num(means).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
    low, high = (np.full(mean.shape, np.nan),) * 2 if draws is None else _percentiles(draws, np.isfinite(mean))
    index = pd.MultiIndex.from_product([QUANTITIES, list(layers), CLASSES], names=["quantity", "layer", "class"])
    columns = {"books": count, "mean": mean, "low": low, "high": high}
    frame = pd.DataFrame({name: values.reshape(-1) for name, values in columns.items()}, index=index).reset_index()
    frame = frame[frame["books"] > 0].reset_index(drop=True)
    return frame.merge(varying(moments), on=["quantity", "layer", "class"], how="left")


def varying(moments: pd.DataFrame) -> pd.DataFrame:
    """Whether the words around the marks move the pairs, by quantity, layer and class (column `varies`).

    They do not in layer 0, where a mark's state is its embedding alone, nor where all pairs are equal. Such a layer
    says nothing of context, and its values would hide the other layers. It counts where it is the only one.
    """
    in_context = (moments["layer"] > 0) | (moments["layer"].nunique() == 1)
    return pd.concat(
        moments[["layer", "class"]].assign(
            quantity=quantity, varies=in_context & (moments[f"{quantity}_max"] > moments[f"{quantity}_min"])
        )
        for quantity in QUANTITIES
    )


def layer_differences(means: pd.DataFrame, draws: np.ndarray | None, moments: pd.DataFrame) -> pd.DataFrame:
    """Terminal minus internal by quantity and layer, with intervals that hold for all layers at once.

    The half-width is the 95 % quantile, over resamples, of the largest deviation of any layer in its own standard
    errors (max-t, Westfall and Young 1993), times the layer's standard error. `standardised` divides the difference
    by the root mean square of the two classes' standard deviations over pairs, which `moments` has.
    Rows: quantity, layer, difference, low, high, standardised, varies; a layer where neither class varies has no
    interval, since nothing is estimated there.
    """
    frames = []
    for number, quantity in enumerate(QUANTITIES):
        rows = means[means["quantity"] == quantity]
        wide = rows.pivot_table(index="layer", columns="class", values="mean").reindex(columns=list(CLASSES))
        difference = (wide["terminal"] - wide["internal"]).to_numpy()
        varies = rows.groupby("layer")["varies"].any().reindex(wide.index).to_numpy()
        half = np.full(len(wide), np.nan)
        if draws is not None:
            half[varies] = _simultaneous_half_width((draws[:, number, :, 1] - draws[:, number, :, 0])[:, varies])
        spread = moments.pivot_table(index="layer", columns="class", values=f"{quantity}_std")
        spread = spread.reindex(index=wide.index, columns=list(CLASSES))
        pooled = np.sqrt((spread**2).mean(axis=1, skipna=False)).to_numpy()
        frame = {
            "quantity": quantity,
            "layer": wide.index.to_numpy(),
            "difference": difference,
            "low": difference - half,
            "high": difference + half,
            "standardised": np.divide(difference, pooled, out=np.full(len(wide), np.nan), where=pooled > 0),
            "varies": varies,
        }
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def less_chance(differences: pd.DataFrame, chance: pd.DataFrame) -> pd.DataFrame:
    """The differences with a column `by_chance`: how far apart the estimator's bias alone sets the classes, in bits.

    `chance` has layer, class, chance. Covariance is unbiased: zero there. NaN where the level is not known.
    """
    level = chance.pivot_table(index="layer", columns="class", values="chance").reindex(columns=list(CLASSES))
    bias = differences["layer"].map(level["terminal"] - level["internal"])
    return differences.assign(by_chance=bias.where(differences["quantity"] == "mi", 0.0))


def _weighted_means(slab: pd.DataFrame, marks: int, weights: np.ndarray) -> np.ndarray:
    """Means of mi and cov over the pairs of one layer and class, each pair weighted by its tokens' draws."""
    i, j = slab["i"].to_numpy(dtype=np.intp), slab["j"].to_numpy(dtype=np.intp)
    finite = np.isfinite(slab["mi"].to_numpy()) & np.isfinite(slab["cov"].to_numpy())
    if finite.all() and len(slab) == marks * (marks - 1) // 2:
        # Sum over all pairs of w_i w_j: the square of the sum without its diagonal, halved.
        there = (weights.sum(axis=1, dtype=np.float64) ** 2 - (weights.astype(np.float64) ** 2).sum(axis=1)) / 2
    else:
        there = _quadratic(i, j, finite.astype(np.float32), marks, weights)
    sums = [
        _quadratic(i, j, np.where(finite, slab[quantity], 0).astype(np.float32), marks, weights)
        for quantity in QUANTITIES
    ]
    return np.stack([np.divide(s, there, out=np.full(len(s), np.nan), where=there > 0) for s in sums], axis=1)


def _quadratic(i: np.ndarray, j: np.ndarray, values: np.ndarray, marks: int, weights: np.ndarray) -> np.ndarray:
    """Sum over pairs of w_i w_j value_ij for each row w of `weights`: one matrix product for all resamples."""
    matrix = np.zeros((marks, marks), dtype=np.float32)
    matrix[i, j] = values
    return np.einsum("rm,rm->r", weights @ matrix, weights, dtype=np.float64)


def _percentiles(draws: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.full(wanted.shape, np.nan), np.full(wanted.shape, np.nan)
    low[wanted], high[wanted] = np.nanquantile(draws[:, wanted], [tail, 1 - tail], axis=0)
    return low, high


def _simultaneous_half_width(draws: np.ndarray) -> np.ndarray:
    """Half-widths for every layer at once from `[RESAMPLES, layer]`; NaN for a layer without both classes."""
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
