"""Means and differences between the classes as frames, with the intervals of `analysis.bootstrap`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.bootstrap import (
    RESAMPLES,
    percentile_interval,
    resampled_pair_means,
    simultaneous_half_width,
    token_counts,
)
from store.keys import MARK_CLASSES

QUANTITIES = ("mi", "cov")
CLASSES = MARK_CLASSES
TOKEN_BOOKS = 4
"""With more books than this, tokens are not resampled by themselves."""


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


def draws_over_tokens(pairs: pd.DataFrame, layers: Iterable[int], seed: int = 0) -> np.ndarray:
    """Bootstrap over the tokens of one book: `[RESAMPLES, quantity, layer, class]` from its pairs.

    `pairs` has layer, class, i, j, mi, cov. One draw of tokens serves all layers, so that differences between layers
    keep their dependence.
    """
    layers = list(layers)
    draws = np.full((RESAMPLES, len(QUANTITIES), len(layers), len(CLASSES)), np.nan)
    for column, mark_class in enumerate(CLASSES):
        rows = pairs[pairs["class"] == mark_class]
        if rows.empty:
            continue
        counts = token_counts(int(rows["j"].max()) + 1, [seed, column])
        for layer, slab in rows.groupby("layer", observed=True):
            i, j = slab["i"].to_numpy(dtype=np.intp), slab["j"].to_numpy(dtype=np.intp)
            values = np.stack([slab[quantity].to_numpy() for quantity in QUANTITIES])
            draws[:, :, layers.index(int(layer)), column] = resampled_pair_means(i, j, values, counts)
    return draws


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
    low, high = (np.full(mean.shape, np.nan),) * 2 if draws is None else percentile_interval(draws)
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

    `standardised` divides the difference by the root mean square of the two classes' standard deviations over pairs,
    which `moments` has.
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
            half[varies] = simultaneous_half_width((draws[:, number, :, 1] - draws[:, number, :, 0])[:, varies])
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
