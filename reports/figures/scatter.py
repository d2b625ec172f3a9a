"""Mutual information against correlation and covariance: one layer in detail, and every layer in a grid."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.nulls import gaussian_mi
from reports.data.classes import Classes
from reports.figures.style import (
    INK,
    NEUTRAL,
    POINT_ALPHA,
    QUANTITY_LABELS,
    TYPE_COLOURS,
    WIDTH,
    class_colour_map,
    class_style,
    in_figure,
    new_figure,
    note,
    panel_title,
    report_style,
    robust_limits,
    what_is_shown,
)

GRID_COLUMNS = 8
PANEL_COLUMNS = 2
CORRELATIONS_SHOWN = 3
LEGEND_CLASSES = 6
GRID_LEFT_OUT = 0.003
"""Share of the points at either end of an axis of the grid that its limits leave out."""
TYPE_PAIRS = len(TYPE_COLOURS)
"""So many pairs of mark types, the most frequent ones, have a colour of their own; all others are grey."""
CURVE_POINTS = 200


def mi_against_correlation(sample: pd.DataFrame, layer: int, classes: Classes) -> Figure:
    """A panel a class with the curve of Gaussian vectors, -log2(1 - corr^2) / 2, and one of all classes together.

    `sample` has class, corr, mi, and mark, other_mark: the mark types of the pair. They colour the points of a class of
    several types.
    """
    sample = _with_values(sample, "corr")
    low, high = _padded(robust_limits(sample["corr"].to_numpy(dtype=float), 0.001))
    grid = np.linspace(max(low, -0.999), min(high, 0.999), CURVE_POINTS)
    curve = pd.DataFrame({"corr": grid, "gaussian_mi": gaussian_mi(grid)})
    curves = dict.fromkeys(classes.names, curve)
    return _panels(sample, "corr", curves, {name: classes.title(name) for name in classes.names}, layer, classes)


def mi_against_covariance(
    sample: pd.DataFrame, reference: pd.DataFrame, moments: pd.DataFrame, layer: int, classes: Classes
) -> Figure:
    """A panel a class, with its r over all pairs, and one of all together where there are more than one.

    `sample` has class, cov, mi, mark, other_mark; `reference` has class, cov, gaussian_mi; `moments` has layer, class,
    r.
    """
    correlations = _correlations(moments, layer)
    curves = {name: reference[reference["class"] == name] for name in classes.names}
    titles = {name: f"{classes.title(name)}: {_r_text(correlations.get(name))}" for name in classes.names}
    return _panels(_with_values(sample, "cov"), "cov", curves, titles, layer, classes)


def mi_against_covariance_by_layer(samples: pd.DataFrame, moments: pd.DataFrame, classes: Classes) -> Figure:
    """One panel a layer with all classes and the r of the first few; MI on one axis for all, covariance on its own.

    `samples` has layer, class, cov, mi; `moments` has layer, class, r over all pairs.
    """
    samples = _with_values(samples, "cov")
    layers = sorted({int(layer) for layer in moments["layer"]})
    columns = min(GRID_COLUMNS, max(1, math.ceil(math.sqrt(len(layers) * 1.6))))
    rows = max(1, math.ceil(len(layers) / columns))
    with report_style():
        figure = new_figure(max(4.5, 1.25 * columns), 1.25 * rows + 0.7)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        by_layer = dict(tuple(samples.groupby("layer", observed=True)))
        for axes, layer in zip(grid.flat, layers, strict=False):
            _draw_small(axes, by_layer.get(layer, samples.iloc[:0]), _correlations(moments, layer), layer, classes)
        for axes in grid.flat[len(layers) :]:
            axes.set_visible(False)
        varying = samples[samples["layer"] > 0] if len(layers) > 1 else samples
        if len(varying):
            grid[0, 0].set_ylim(*_padded(_limits_of_all_layers(varying)))
        figure.supxlabel("covariance (each layer on its own scale)", fontsize=9.5)
        figure.supylabel(QUANTITY_LABELS["mi"], fontsize=9.5)
        figure.legend(handles=_class_handles(classes), loc="outside upper center", ncols=min(len(classes.names), 6))
    return figure


def _panels(
    sample: pd.DataFrame,
    quantity: str,
    curves: dict[str, pd.DataFrame],
    titles: dict[str, str],
    layer: int,
    classes: Classes,
) -> Figure:
    """MI against a quantity, a panel a class and one of all, on the same axes."""
    with report_style():
        count = len(classes.names) + (len(classes.names) > 1)
        columns = min(count, PANEL_COLUMNS)
        rows = math.ceil(count / columns)
        figure = new_figure(WIDTH, 0.5 + rows * 2.9)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        extent = _extent(sample, quantity, list(curves.values()))
        for axes, name in zip(panels, classes.names, strict=False):
            points = sample[sample["class"] == name]
            _draw_class(axes, points, quantity, name, class_style(classes, name).colour, extent)
            axes.plot(curves[name][quantity], curves[name]["gaussian_mi"], color=INK, linewidth=1.2, linestyle="--")
            panel_title(axes, titles[name])
        if len(classes.names) > 1:
            _draw_all(panels[count - 1], sample, quantity, classes)
        for axes in panels[count:]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel(QUANTITY_LABELS["mi"])
        for axes in panels[count - columns : count]:
            axes.set_xlabel(QUANTITY_LABELS[quantity])
            axes.tick_params(labelbottom=True)
        panels[0].set(xlim=extent[:2], ylim=extent[2:])
        what_is_shown(figure, f"layer {layer}")
    return figure


def _draw_class(
    axes: Axes,
    points: pd.DataFrame,
    quantity: str,
    mark_class: str,
    colour: str,
    extent: tuple[float, float, float, float],
) -> None:
    """The class's points by their pair of mark types, or counted in hexagons of one size where all are of one type."""
    if points.empty:
        note(axes, f"no {mark_class} pair in the sample has a value")
        return
    kinds = type_pairs(points)
    if kinds.nunique() > 1:
        _draw_types(axes, points, quantity, kinds)
        return
    axes.hexbin(
        points[quantity],
        points["mi"],
        gridsize=70,
        extent=extent,
        bins="log",
        mincnt=1,
        linewidths=0.1,
        cmap=class_colour_map(colour),
        rasterized=True,
    )


def type_pairs(points: pd.DataFrame) -> pd.Series:
    """The pair of mark types of each point in words, `, and ;`; `other types` beyond the most frequent ones.

    `any types` where the types are not known, or so many that the frequent ones are less than half of all pairs.
    """
    if "mark" not in points:
        return pd.Series("any types", index=points.index)
    kinds = points["mark"].astype(str) + " and " + points["other_mark"].astype(str)
    counts = kinds.value_counts()
    common = counts.index[:TYPE_PAIRS] if len(counts) > TYPE_PAIRS else counts.index
    if len(points) and counts.iloc[: len(common)].sum() < len(points) / 2:
        return pd.Series("any types", index=points.index)
    return kinds.where(kinds.isin(common), "other types")


def _draw_types(axes: Axes, points: pd.DataFrame, quantity: str, kinds: pd.Series) -> None:
    order = [kind for kind in kinds.value_counts().index if kind != "other types"]
    colours = dict(zip(order, TYPE_COLOURS, strict=False)) | {"other types": NEUTRAL}
    shuffled = np.random.default_rng(0).permutation(len(points))
    axes.scatter(
        points[quantity].to_numpy()[shuffled],
        points["mi"].to_numpy()[shuffled],
        s=3,
        c=kinds.map(colours).to_numpy()[shuffled],
        alpha=POINT_ALPHA,
        linewidths=0,
        rasterized=True,
    )
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=4, color=colours[kind], label=in_figure(kind))
        for kind in [*order, *({"other types"} & set(kinds))]
    ]
    axes.legend(handles=handles, loc="upper left", fontsize=7.5, handletextpad=0.1)


def _draw_all(axes: Axes, sample: pd.DataFrame, quantity: str, classes: Classes) -> None:
    axes.set(title="both" if len(classes.names) == 2 else "all")
    _scatter_mixed(axes, sample, quantity, classes, size=3)
    if len(classes.names) <= LEGEND_CLASSES:  # a longer one would lie on the points, and the panels name the colours
        axes.legend(handles=_class_handles(classes), loc="upper left", fontsize=7.5, handletextpad=0.1)


def _draw_small(axes: Axes, points: pd.DataFrame, correlations: dict[str, float], layer: int, classes: Classes) -> None:
    _scatter_mixed(axes, points, "cov", classes, size=2)
    if len(points):
        _fit_panel(axes, points)
    else:
        axes.text(0.5, 0.4, "none in the sample", fontsize=6.5, ha="center", transform=axes.transAxes)
    axes.set_title(f"layer {layer}", fontsize=8.5, pad=2)
    axes.tick_params(labelsize=6.5, length=2, pad=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    shown = [name for name in classes.names if name in correlations][:CORRELATIONS_SHOWN]
    for row, mark_class in enumerate(shown):
        axes.text(
            0.04,
            0.97 - 0.13 * row,
            _r_text(correlations[mark_class]),
            color=class_style(classes, mark_class).colour,
            fontsize=6.5,
            va="top",
            transform=axes.transAxes,
        )


def _fit_panel(axes: Axes, points: pd.DataFrame) -> None:
    """Limits that show nearly all points; layer 0, which may lie outside them, says what it holds."""
    axes.set_xlim(*_padded(robust_limits(points["cov"].to_numpy(dtype=float), GRID_LEFT_OUT)))
    if (points["layer"] == 0).all():
        means = points.groupby("class", observed=True)["mi"].mean()
        values = " and ".join(f"{value:.3g}" for value in means) if len(means) < 3 else f"{points['mi'].mean():.3g}"
        text = f"embeddings alone:\nmean {values} bits"
        axes.text(0.5, 0.4, text, fontsize=6.5, ha="center", transform=axes.transAxes)


def _limits_of_all_layers(samples: pd.DataFrame) -> tuple[float, float]:
    limits = [
        robust_limits(points["mi"].to_numpy(dtype=float), GRID_LEFT_OUT)
        for _, points in samples.groupby("layer", observed=True)
    ]
    return min(low for low, _ in limits), max(high for _, high in limits)


def _with_values(pairs: pd.DataFrame, quantity: str) -> pd.DataFrame:
    return pairs[np.isfinite(pairs["mi"]) & np.isfinite(pairs[quantity])]


def _scatter_mixed(axes: Axes, points: pd.DataFrame, quantity: str, classes: Classes, size: float) -> None:
    """All classes in one artist in a shuffled order, so that none lies on top of the others."""
    order = np.random.default_rng(0).permutation(len(points))
    shuffled = points.iloc[order]
    colours = (
        shuffled["class"]
        .astype(str)
        .map({name: class_style(classes, name).colour for name in classes.names})
        .to_numpy()
    )
    axes.scatter(
        shuffled[quantity], shuffled["mi"], s=size, c=colours, alpha=POINT_ALPHA, linewidths=0, rasterized=True
    )


def _extent(sample: pd.DataFrame, quantity: str, curves: list[pd.DataFrame]) -> tuple[float, float, float, float]:
    """Limits of the quantity, then of MI, that show nearly all points and the curves where they begin."""
    low, high = robust_limits(sample["mi"].to_numpy(dtype=float), 0.0005)
    lowest = min((curve["gaussian_mi"].min() for curve in curves if len(curve)), default=low)
    x = _padded(robust_limits(sample[quantity].to_numpy(dtype=float), 0.001))
    return (*x, *_padded((min(low, lowest), high)))


def _padded(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    pad = 0.08 * (high - low)
    return low - pad, high + pad


def _correlations(moments: pd.DataFrame, layer: int) -> dict[str, float]:
    rows = moments[moments["layer"] == layer]
    return {str(mark_class): float(r) for mark_class, r in zip(rows["class"], rows["r"], strict=True)}


def _r_text(r: float | None) -> str:
    return "no pairs" if r is None else "r undefined" if math.isnan(r) else f"r = {r:.2f}"


def _class_handles(classes: Classes) -> list[Line2D]:
    return [
        Line2D([], [], marker="o", linestyle="", markersize=4, color=class_style(classes, name).colour, label=name)
        for name in classes.names
    ]
