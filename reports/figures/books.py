"""The spread of the books in every layer: a line each where they are few, bands of quantiles where they are many."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.figures.style import (
    QUANTITY_LABELS,
    WIDTH,
    class_style,
    legend,
    logarithmic,
    new_figure,
    note,
    over_layers,
    report_style,
    symmetric_log,
)

FEW_BOOKS = 8
WIDE_RANGE = 20

VECTOR_POINTS = 2_000
"""More points than so many are a bitmap: eight books of 80 layers and 7 classes have twice as many."""


def means_by_book(means: pd.DataFrame, spread: pd.DataFrame, classes: Classes) -> Figure:
    """Two panels, mutual information and covariance, over the layers; layer 0, the embeddings, where it is alone.

    `means` has layer, class, book, mi_mean, cov_mean; `spread` has quantity, layer, class and the quantiles q05, q25,
    q50, q75, q95 over books.
    """
    if means["layer"].nunique() > 1:
        means, spread = means[means["layer"] > 0], spread[spread["layer"] > 0]
    few = means["book"].nunique() <= FEW_BOOKS
    with report_style():
        figure = new_figure(WIDTH, 5.6)
        for axes, quantity in zip(figure.subplots(2, 1, sharex=True), ("mi", "cov"), strict=True):
            axes.set(ylabel=f"mean {QUANTITY_LABELS[quantity]}")
            if few:
                _draw_lines(axes, means, quantity, classes)
            else:
                _draw_bands(axes, spread[spread["quantity"] == quantity], classes)
            axes.grid(axis="y")
            _logarithmic_if_wide(axes, means[f"{quantity}_mean"])
            over_layers(axes)
            axes.label_outer()
            if axes.lines:
                legend(axes)
            else:
                note(axes, "no layer but the embeddings has pairs")
    return figure


def _logarithmic_if_wide(axes: Axes, values: pd.Series) -> None:
    sizes = values.abs()
    if not (sizes > 0).any() or sizes.max() <= WIDE_RANGE * sizes[sizes > 0].min():
        return
    if (values.dropna() > 0).all():
        logarithmic(axes.yaxis)
    else:
        symmetric_log(axes.yaxis, float(sizes[sizes > 0].min()), float(values.min()), float(values.max()))


def _draw_lines(axes: Axes, means: pd.DataFrame, quantity: str, classes: Classes) -> None:
    for mark_class in classes.names:
        style = class_style(classes, mark_class)
        label: str | None = mark_class
        for _, rows in means[means["class"] == mark_class].groupby("book", observed=True):
            axes.plot(
                rows["layer"],
                rows[f"{quantity}_mean"],
                color=style.colour,
                linewidth=1,
                marker=style.marker,
                rasterized=len(means) > VECTOR_POINTS,
                markersize=2,
                alpha=0.8,
                label=label,
            )
            label = None


def _draw_bands(axes: Axes, spread: pd.DataFrame, classes: Classes) -> None:
    for mark_class in classes.names:
        rows = spread[spread["class"] == mark_class].sort_values("layer")
        if rows.empty:
            continue
        style = class_style(classes, mark_class)
        colour = style.colour
        axes.fill_between(rows["layer"], rows["q05"], rows["q95"], color=colour, alpha=0.15, linewidth=0)
        axes.fill_between(rows["layer"], rows["q25"], rows["q75"], color=colour, alpha=0.3, linewidth=0)
        axes.plot(rows["layer"], rows["q50"], color=colour, linestyle=style.dashes, linewidth=1.4, label=mark_class)
