"""Mutual information against covariance: one layer in detail, and every layer in a grid."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reports.data.classes import Classes
from reports.figures.style import (
    INK,
    POINT_ALPHA,
    QUANTITY_LABELS,
    class_colour_map,
    class_style,
    new_figure,
    note,
    panel_title,
    report_style,
    robust_limits,
)

GRID_COLUMNS = 8
PANEL_COLUMNS = 4
CORRELATIONS_SHOWN = 3
GRID_LEFT_OUT = 0.003
"""Share of the points at either end of an axis of the grid that its limits leave out."""


def mi_against_covariance(
    sample: pd.DataFrame, reference: pd.DataFrame, moments: pd.DataFrame, layer: int, classes: Classes
) -> Figure:
    """A panel a class, with its r over all pairs, and one of all together where there are more than one.

    `sample` has class, cov, mi; `reference` has class, cov, gaussian_mi; `moments` has layer, class, r.
    """
    sample = _with_values(sample)
    with report_style():
        count = len(classes.names) + (len(classes.names) > 1)
        rows = math.ceil(count / PANEL_COLUMNS)
        columns = math.ceil(count / rows)
        figure = new_figure(11, 0.6 + rows * (3.4 if columns < PANEL_COLUMNS else 3.0))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        correlations = _correlations(moments, layer)
        extent = _extent(sample, reference)
        for axes, mark_class in zip(panels, classes.names, strict=False):
            points = sample[sample["class"] == mark_class]
            colour = class_style(classes, mark_class).colour
            _draw_class(axes, points, reference[reference["class"] == mark_class], mark_class, colour, extent)
            panel_title(axes, f"{classes.title(mark_class)}: {_r_text(correlations.get(mark_class))}")
        if len(classes.names) > 1:
            _draw_all(panels[count - 1], sample, classes)
        for axes in panels[count:]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel(QUANTITY_LABELS["mi"])
        panels[0].set(xlim=extent[:2], ylim=extent[2:])
        figure.suptitle(f"Mutual information against covariance, layer {layer}")
    return figure


def mi_against_covariance_by_layer(samples: pd.DataFrame, moments: pd.DataFrame, classes: Classes) -> Figure:
    """One panel a layer with all classes and the r of the first few; MI on one axis for all, covariance on its own.

    `samples` has layer, class, cov, mi; `moments` has layer, class, r over all pairs.
    """
    samples = _with_values(samples)
    layers = sorted({int(layer) for layer in moments["layer"]})
    columns = min(GRID_COLUMNS, max(1, math.ceil(math.sqrt(len(layers) * 1.6))))
    rows = max(1, math.ceil(len(layers) / columns))
    with report_style():
        figure = new_figure(max(4.5, 1.5 * columns), 1.35 * rows + 0.9)
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
        figure.legend(handles=_class_handles(classes), loc="outside upper right", ncols=min(len(classes.names), 6))
        figure.suptitle("Mutual information against covariance, layer by layer", x=0.02, ha="left")
    return figure


def _draw_class(
    axes: Axes,
    points: pd.DataFrame,
    reference: pd.DataFrame,
    mark_class: str,
    colour: str,
    extent: tuple[float, float, float, float],
) -> None:
    """The class's points counted in hexagons, which are of one size in both panels."""
    axes.set_xlabel(QUANTITY_LABELS["cov"])
    if points.empty:
        note(axes, f"no {mark_class} pair in the sample has a value")
        return
    axes.hexbin(
        points["cov"],
        points["mi"],
        gridsize=70,
        extent=extent,
        bins="log",
        mincnt=1,
        linewidths=0.1,
        cmap=class_colour_map(colour),
        rasterized=True,
    )
    axes.plot(reference["cov"], reference["gaussian_mi"], color=INK, linewidth=1.2, linestyle="--", label="Gaussian")
    axes.legend(loc="upper left")


def _draw_all(axes: Axes, sample: pd.DataFrame, classes: Classes) -> None:
    axes.set(xlabel=QUANTITY_LABELS["cov"], title="Both" if len(classes.names) == 2 else "All")
    _scatter_mixed(axes, sample, classes, size=3)
    axes.legend(handles=_class_handles(classes), loc="upper left", ncols=1 if len(classes.names) <= 6 else 2)


def _draw_small(axes: Axes, points: pd.DataFrame, correlations: dict[str, float], layer: int, classes: Classes) -> None:
    _scatter_mixed(axes, points, classes, size=2)
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


def _with_values(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[np.isfinite(pairs["mi"]) & np.isfinite(pairs["cov"])]


def _scatter_mixed(axes: Axes, points: pd.DataFrame, classes: Classes, size: float) -> None:
    """All classes in one artist in a shuffled order, so that none lies on top of the others."""
    order = np.random.default_rng(0).permutation(len(points))
    shuffled = points.iloc[order]
    colours = (
        shuffled["class"]
        .astype(str)
        .map({name: class_style(classes, name).colour for name in classes.names})
        .to_numpy()
    )
    axes.scatter(shuffled["cov"], shuffled["mi"], s=size, c=colours, alpha=POINT_ALPHA, linewidths=0, rasterized=True)


def _extent(sample: pd.DataFrame, reference: pd.DataFrame) -> tuple[float, float, float, float]:
    """Limits of covariance, then of MI, that show nearly all points and the whole reference curve."""
    low, high = robust_limits(sample["mi"].to_numpy(dtype=float), 0.0005)
    curve = reference["gaussian_mi"].to_numpy(dtype=float)
    x = _padded(robust_limits(sample["cov"].to_numpy(dtype=float), 0.001))
    return (*x, *_padded((min(low, curve.min(initial=low)), high)))


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
