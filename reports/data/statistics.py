"""Statistics of the report, frame to frame. Drawing is elsewhere; estimates with an error are in answer.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.effects import cliffs_delta
from analysis.nulls import gaussian_mi
from analysis.summaries import EDGES


def gaussian_reference(sample: pd.DataFrame, groups: int = 40) -> pd.DataFrame:
    """What jointly Gaussian vectors of the same correlation would share, against the pairs' covariance.

    Pairs of each class are cut into groups of equal size by `cov`; each row holds a group's median `cov` and its
    mean Gaussian mutual information in bits. Constant vectors, whose correlation is NaN, are left out.
    """
    frames = []
    for mark_class, rows in sample.dropna(subset=["corr"]).groupby("class", observed=True):
        ordered = rows.sort_values("cov", kind="stable")
        correlation = np.clip(ordered["corr"].to_numpy(dtype=float), -1 + 1e-9, 1 - 1e-9)
        bits = gaussian_mi(correlation)
        covariance = ordered["cov"].to_numpy(dtype=float)
        for part in np.array_split(np.arange(len(ordered)), min(groups, max(1, len(ordered) // 20))):
            frames.append((mark_class, np.median(covariance[part]), bits[part].mean()))
    return pd.DataFrame(frames, columns=["class", "cov", "gaussian_mi"])


def cliffs_delta_by_layer(values: pd.DataFrame, first: str, second: str) -> pd.Series:
    """Cliff's delta of the second class against the first, by layer; NaN where a class has no values.

    `values` has layer, class, mi: one array of a book's pairs in each row.
    """
    nothing = np.empty(0, dtype=np.float32)
    deltas = {}
    for layer, rows in values.groupby("layer"):
        mi = dict(zip(rows["class"], rows["mi"], strict=True))
        deltas[layer] = cliffs_delta(mi.get(second, nothing), mi.get(first, nothing))
    return pd.Series(deltas, name="cliffs_delta", dtype=float)


def densities(histograms: pd.DataFrame, edges: Mapping[str, np.ndarray] = EDGES) -> pd.DataFrame:
    """Histogram counts as the share of the pairs of a layer and class, and that share per unit of the quantity.

    `histograms` has quantity, layer, class, bin, pairs; `edges` the fixed edges by quantity, as the
    store has them. Bins between the first and last occupied one that hold no pair are filled with zero. Open-ended
    outer bins are left out.
    """
    frames = []
    for (quantity, layer, mark_class), rows in histograms.groupby(["quantity", "layer", "class"], observed=True):
        borders = np.asarray(edges[quantity], dtype=float)
        counts = np.zeros(len(borders) - 1)
        inside = rows[rows["bin"] < len(counts)]
        counts[inside["bin"].to_numpy()] = inside["pairs"].to_numpy()
        counts[~np.isfinite(np.diff(borders))] = 0
        occupied = np.flatnonzero(counts)
        if not occupied.size:
            continue
        kept = np.arange(occupied[0], occupied[-1] + 1)
        width = borders[kept + 1] - borders[kept]
        frames.append(
            pd.DataFrame(
                {
                    "quantity": quantity,
                    "layer": layer,
                    "class": mark_class,
                    "left": borders[kept],
                    "right": borders[kept + 1],
                    "pairs": counts[kept].astype(np.int64),
                    "share": counts[kept] / rows["pairs"].sum(),
                    "density": counts[kept] / rows["pairs"].sum() / width,
                }
            )
        )
    columns = ["quantity", "layer", "class", "left", "right", "pairs", "share", "density"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def by_class(activation_means: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Mean activations: one row a dimension, and a column `mean_<class>` for each, NaN for one without marks."""
    wide = activation_means.pivot_table(index="dimension", columns="class", values="mean", observed=True)
    return wide.reindex(columns=list(classes)).add_prefix("mean_").rename_axis(columns=None).reset_index()


def outlier_shares(dimensions: pd.DataFrame, classes: Sequence[str], most: int) -> pd.DataFrame:
    """The dimensions of each layer that most marks leave out: one row each, with the share of each class's marks.

    `dimensions` has layer, dimension, class, left_out, marks, marks_without (over all classes). The shares are
    columns `share_<class>`, NaN for one without marks; `dimensions_in_layer` counts the dimensions that any mark leaves
    out.
    """
    keys = ["layer", "dimension", "marks_without"]
    shares = dimensions.assign(share=dimensions["left_out"] / dimensions["marks"])
    wide = shares.pivot_table(index=keys, columns="class", values="share", observed=True)
    frame = wide.reindex(columns=list(classes)).add_prefix("share_").rename_axis(columns=None).reset_index()
    frame = frame.sort_values(["layer", "marks_without", "dimension"], ascending=[True, False, True])
    counts = frame.groupby("layer")["dimension"].transform("size")
    columns = ["layer", "dimension", *(f"share_{name}" for name in classes), "marks_without", "dimensions_in_layer"]
    return frame.assign(dimensions_in_layer=counts)[columns].groupby("layer").head(most).reset_index(drop=True)


@dataclass(frozen=True)
class Square:
    """A quantity of all pairs of marks, float32 `[N, N]`, the classes one after the other; `marks` counts each's."""

    values: np.ndarray
    marks: Mapping[str, int]


def pair_square(pairs: pd.DataFrame, value: str, classes: Sequence[str]) -> Square:
    """The symmetric matrix of a quantity over the marks of several classes; NaN on the diagonal and where no pair is.

    `pairs` has class, other, i, j (ordinals within `class` and `other`) and the quantity; without `other`, all are
    within a class. Classes without pairs are left out.

    >>> pairs = pd.DataFrame({"class": ["a", "a"], "other": ["a", "b"], "i": [0, 1], "j": [1, 0], "mi": [0.5, 0.25]})
    >>> pair_square(pairs, "mi", ["a", "b"]).values.tolist()
    [[nan, 0.5, nan], [0.5, nan, 0.25], [nan, 0.25, nan]]
    """
    first = pairs["class"].astype(str).to_numpy()
    second = pairs["other"].astype(str).to_numpy() if "other" in pairs else first
    i, j = pairs["i"].to_numpy(dtype=np.int64), pairs["j"].to_numpy(dtype=np.int64)
    marks: dict[str, int] = {}
    start: dict[str, int] = {}
    for name in classes:
        count = 1 + max(i[first == name].max(initial=-1), j[second == name].max(initial=-1))
        if count:
            start[name], marks[name] = sum(marks.values()), int(count)
    size = sum(marks.values())
    matrix = np.full((size, size), np.nan, dtype=np.float32)
    row = i + pd.Series(first).map(start).to_numpy(dtype=np.int64)
    column = j + pd.Series(second).map(start).to_numpy(dtype=np.int64)
    matrix[row, column] = matrix[column, row] = pairs[value].to_numpy(dtype=np.float32)
    return Square(matrix, marks)


def spread_over_books(book_means: pd.DataFrame) -> pd.DataFrame:
    """Quantiles over books of their means, by quantity, layer and class: q05, q25, q50, q75, q95."""
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    frames = []
    for quantity in ("mi", "cov"):
        grouped = book_means.groupby(["layer", "class"], observed=True)[f"{quantity}_mean"]
        wide = grouped.quantile(levels).unstack()
        wide.columns = [f"q{round(100 * level):02d}" for level in levels]
        frames.append(wide.reset_index().assign(quantity=quantity))
    return pd.concat(frames, ignore_index=True)
