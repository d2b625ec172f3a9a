"""Distributions and means over the layers, coloured by layer."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.absence import why_not_drawn
from reports.figures.style import (
    CLASS_COLOURS,
    CLASS_TITLES,
    CLASSES,
    QUANTITY_LABELS,
    add_layer_colour_bar,
    layer_colour,
    new_figure,
    not_drawn,
    note,
    over_layers,
    report_style,
    symmetric_log,
)

SHARE_OF_A_TAIL = 1e-3
SMALLEST_COVARIANCE = 1e-6
WIDE_RANGE = 20


def distributions_by_layer(densities: pd.DataFrame, means: pd.DataFrame) -> Figure:
    """Covariance above, MI below: the distribution in each layer by class, then the means over the layers.

    `densities` has quantity, layer, class, left, right, share, density; `means` has quantity, layer, class, mean, low,
    high (NaN where there is no interval) and varies: a layer that context does not touch would hide the others behind
    one spike, and is named instead of drawn.
    """
    layers = sorted({int(layer) for layer in means["layer"]})
    untouched = means[~means["varies"]].groupby(["quantity", "layer", "class"], observed=True)["mean"].first()
    hidden = pd.MultiIndex.from_frame(densities[["quantity", "layer", "class"]]).isin(untouched.index)
    densities = densities[~hidden]
    with report_style():
        figure = new_figure(11, 6.6)
        grid = figure.subplots(2, 3, width_ratios=(1, 1, 1.1))
        for row, quantity in zip(grid, ("cov", "mi"), strict=True):
            row[0].sharex(row[1])
            row[0].sharey(row[1])
            mine = means[means["quantity"] == quantity]
            for axes, mark_class in zip(row, CLASSES, strict=False):
                chosen = (densities["quantity"] == quantity) & (densities["class"] == mark_class)
                _draw_densities(axes, densities[chosen], layers, quantity, mark_class)
                if not axes.lines:
                    note(axes, why_not_drawn(mine, mark_class))
            _draw_means(row[2], mine, layers, quantity)
            add_layer_colour_bar(figure, list(row), layers)
        figure.suptitle("Covariance and mutual information over the layers")
    return figure


def _draw_densities(axes: Axes, frame: pd.DataFrame, layers: list[int], quantity: str, mark_class: str) -> None:
    """One line a layer. Bins of covariance grow with its size, so the line is the share of the pairs in each bin."""
    height = "share" if quantity == "cov" else "density"
    label = "share of pairs per bin" if quantity == "cov" else "density of pairs"
    axes.set(title=CLASS_TITLES[mark_class], xlabel=QUANTITY_LABELS[quantity], ylabel=label)
    if frame.empty:
        return
    for layer, rows in frame.groupby("layer", observed=True):
        centres = (rows["left"] + rows["right"]) / 2
        axes.plot(centres, rows[height], color=layer_colour(int(layer), layers), linewidth=1)
    if quantity == "cov":
        _logarithmic_covariance(axes, frame)
    else:
        seen = frame[frame["share"] > SHARE_OF_A_TAIL]
        axes.set_xlim(float(seen["left"].min()), float(seen["right"].max()))
    axes.set_ylim(bottom=0)


def _logarithmic_covariance(axes: Axes, frame: pd.DataFrame) -> None:
    """From the lowest to the highest covariance that a thousandth of a layer's pairs reaches."""
    seen = frame[frame["share"] > SHARE_OF_A_TAIL]
    low, high = float(seen["left"].min()), float(seen["right"].max())
    sizes = seen[["left", "right"]].abs().min(axis=1)
    symmetric_log(axes.xaxis, max(float(sizes.quantile(0.1)), SMALLEST_COVARIANCE), low, high)
    axes.set_xlim(low, high)


def _draw_means(axes: Axes, means: pd.DataFrame, layers: list[int], quantity: str) -> None:
    axes.set(title="Means", xlabel="layer", ylabel=f"mean {QUANTITY_LABELS[quantity]}")
    not_drawn(axes, means)
    if not means["varies"].any():
        note(axes, why_not_drawn(means))
        return
    means = means[means["varies"]]
    for mark_class in CLASSES:
        rows = means[means["class"] == mark_class].sort_values("layer")
        if rows.empty:
            continue
        colour = CLASS_COLOURS[mark_class]
        axes.plot(rows["layer"], rows["mean"], color=colour, linewidth=1.2, label=mark_class, zorder=2)
        axes.fill_between(rows["layer"], rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
        axes.scatter(
            rows["layer"],
            rows["mean"],
            c=[layer_colour(int(layer), layers) for layer in rows["layer"]],
            s=16,
            edgecolors=colour,
            linewidths=0.6,
            zorder=3,
        )
    over_layers(axes)
    sizes = means["mean"].abs()
    if quantity == "cov" and (sizes > 0).any() and sizes.max() > WIDE_RANGE * sizes.median():
        symmetric_log(axes.yaxis, float(sizes[sizes > 0].min()), float(means["mean"].min()), float(sizes.max()))
    if axes.lines:
        axes.legend(loc="best")
