"""Means and differences between the classes as frames, with the intervals of `analysis.bootstrap`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.bootstrap import (
    RESAMPLES,
    half_widths_over_books,
    mark_counts,
    percentile_interval,
    resampled_pair_means,
    simultaneous_half_width,
)
from reports.data.classes import Classes

QUANTITIES = ("mi", "cov")
TOKEN_BOOKS = 4
"""With more books than this, marks are not resampled by themselves."""
CLAIM_BOOKS = 8
"""With fewer books than this, what they have in common says little of others: layers are not counted."""


def observed_means(book_means: pd.DataFrame, layers: Iterable[int], classes: Classes) -> np.ndarray:
    """Each book's mean of each quantity, float64 `[books, quantity, layer, class]`; NaN where it has no pairs.

    Classes come in the study's order.

    `book_means` has layer, class, book, mi_mean, cov_mean; books come in the order of their names.
    """
    index = pd.MultiIndex.from_product([list(layers), classes.names])
    tables = []
    for quantity in QUANTITIES:
        wide = book_means.pivot_table(
            index="book", columns=["layer", "class"], values=f"{quantity}_mean", observed=True
        )
        tables.append(wide.reindex(columns=index).to_numpy(dtype=float).reshape(len(wide), -1, len(classes.names)))
    return np.stack(tables, axis=1)


def draws_over_marks(
    pairs_by_layer: Iterable[pd.DataFrame], means: np.ndarray, classes: Classes, seed: int = 0
) -> np.ndarray:
    """Bootstrap over the marks of one book: `[RESAMPLES, quantity, layer, class]` from its pairs, layer by layer.

    Each frame has class, i, j, mi, cov of one layer. One draw of marks serves all layers, so that differences between
    layers keep their dependence. Draws are centred on `means`, `[quantity, layer, class]` over all of the book's pairs,
    which matters where the frames hold only some of its marks.
    """
    draws = np.full((RESAMPLES, *means.shape), np.nan)
    counts: dict[tuple[int, int], np.ndarray] = {}
    for layer, pairs in enumerate(pairs_by_layer):
        for column, mark_class in enumerate(classes.names):
            rows = pairs[pairs["class"] == mark_class]
            if rows.empty:
                continue
            key = (column, int(rows["j"].max()) + 1)
            if key not in counts:
                counts[key] = mark_counts(key[1], [seed, column])
            i, j = rows["i"].to_numpy(dtype=np.intp), rows["j"].to_numpy(dtype=np.intp)
            values = np.stack([rows[quantity].to_numpy() for quantity in QUANTITIES])
            shift = means[:, layer, column] - np.nanmean(values, axis=1, dtype=np.float64)
            draws[:, :, layer, column] = resampled_pair_means(i, j, values, counts[key]) + shift
    return draws


def layer_means(
    by_book: np.ndarray, draws: np.ndarray | None, layers: Iterable[int], moments: pd.DataFrame, classes: Classes
) -> pd.DataFrame:
    """Mean over books by quantity, layer and class, with 95 % intervals of each mean by itself.

    `by_book` is from `observed_means`. Intervals are percentiles of `draws` over marks, `[RESAMPLES, quantity, layer,
    class]`; without draws they come from the books, if there are more than `TOKEN_BOOKS`. `moments` has layer, class,
    mi_min, mi_max, cov_min, cov_max over all pairs. Rows: quantity, layer, class, books, mean, low, high, varies (see
    `varying`); classes without pairs in a layer are left out.
    """
    mean, deviations = _means_and_deviations(by_book)
    low, high = (np.full(mean.shape, np.nan),) * 2
    if draws is not None:
        low, high = percentile_interval(draws)
    elif len(by_book) > TOKEN_BOOKS:
        half = half_widths_over_books(deviations.reshape(len(by_book), -1), together=False).reshape(mean.shape)
        low, high = mean - half, mean + half
    index = pd.MultiIndex.from_product([QUANTITIES, list(layers), classes.names], names=["quantity", "layer", "class"])
    columns = {"books": np.isfinite(by_book).sum(axis=0), "mean": mean, "low": low, "high": high}
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


def layer_differences(
    means: pd.DataFrame,
    by_book: np.ndarray,
    draws: np.ndarray | None,
    layers: Sequence[int],
    moments: pd.DataFrame,
    classes: Classes,
) -> pd.DataFrame:
    """The second class minus the first by quantity and layer, with 95 % intervals that hold for all layers at once.

    `means` is from `layer_means`, with the same `by_book`, `draws` and `layers`. `standardised` divides the difference
    by the root mean square of the two classes' standard deviations over pairs, which `moments` has.
    Rows: quantity, layer, difference, low, high, standardised, varies; a layer where neither class varies has no
    interval, since nothing is estimated there. No rows where one class alone is named.
    """
    columns = ["quantity", "layer", "difference", "low", "high", "standardised", "varies"]
    if classes.compared is None:
        return pd.DataFrame(columns=columns).astype({"varies": bool} | dict.fromkeys(columns[2:6], float))
    two = list(classes.compared)
    frames = []
    for number, quantity in enumerate(QUANTITIES):
        rows = means[(means["quantity"] == quantity) & means["class"].isin(two)]
        wide = rows.pivot_table(index="layer", columns="class", values="mean").reindex(index=list(layers), columns=two)
        difference = (wide[two[1]] - wide[two[0]]).to_numpy()
        varies = rows.groupby("layer")["varies"].any().reindex(wide.index).eq(True).to_numpy()
        half = np.full(len(wide), np.nan)
        half[varies] = _half_widths_at_once(
            by_book[:, number, varies, :2], None if draws is None else draws[:, number, varies, :2]
        )
        spread = moments.pivot_table(index="layer", columns="class", values=f"{quantity}_std")
        spread = spread.reindex(index=wide.index, columns=two)
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


def less_chance(differences: pd.DataFrame, chance: pd.DataFrame, classes: Classes) -> pd.DataFrame:
    """The differences with a column `by_chance`: how far apart independent vectors would set the classes, in bits.

    `chance` has layer, class, chance. Covariance is unbiased: zero there. NaN where the level is not known. It is no
    correction: the bias of dependent vectors is smaller.
    """
    if classes.compared is None:
        return differences.assign(by_chance=differences["difference"])
    first, second = classes.compared
    level = chance.pivot_table(index="layer", columns="class", values="chance").reindex(columns=[first, second])
    bias = differences["layer"].map(level[second] - level[first])
    return differences.assign(by_chance=bias.where(differences["quantity"] == "mi", 0.0))


def _means_and_deviations(by_book: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the books that have a value, and each book's deviation from it, NaN where it has none."""
    count = np.isfinite(by_book).sum(axis=0)
    mean = np.divide(np.nansum(by_book, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean, by_book - mean


def _half_widths_at_once(by_book: np.ndarray, draws: np.ndarray | None) -> np.ndarray:
    """Of second - first in each layer, from one quantity's means `[books, layer, two classes]` and draws of them.

    A book without one of the classes still has its share in the mean of the other.
    """
    if draws is not None:
        return simultaneous_half_width(draws[:, :, 1] - draws[:, :, 0])
    if len(by_book) <= TOKEN_BOOKS:
        return np.full(by_book.shape[1], np.nan)
    _, deviations = _means_and_deviations(by_book)
    count = np.isfinite(by_book).sum(axis=0)
    present = np.isfinite(by_book).any(axis=2)
    shares = np.nan_to_num(deviations) * present.sum(axis=0)[:, None] / np.maximum(count, 1)
    estimated = present & (count > 1).all(axis=1)
    return half_widths_over_books(np.where(estimated, shares[:, :, 1] - shares[:, :, 0], np.nan), together=True)
