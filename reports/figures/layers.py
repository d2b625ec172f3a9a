"""Distributions and means over the layers, coloured by layer."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data import statistics
from reports.data.absence import why_not_drawn
from reports.data.classes import Classes
from reports.figures.style import (
    QUANTITY_LABELS,
    WIDTH,
    add_layer_colour_bar,
    class_style,
    layer_colour,
    legend,
    logarithmic,
    new_figure,
    not_drawn,
    note,
    over_layers,
    panel_title,
    report_style,
    symmetric_log,
)

SHARE_OF_A_TAIL = 1e-3
SMALLEST_COVARIANCE = 1e-6
WIDE_RANGE = 20
VECTOR_CURVES = 400
"""More curves than so many are a bitmap: of 80 layers of 7 classes they would be a megabyte and a half of the page."""


def distributions_by_layer(histograms: pd.DataFrame, means: pd.DataFrame, classes: Classes) -> Figure:
    """Covariance and MI: the distribution in each layer, a row a class, then the means over the layers.

    `histograms` has quantity, layer, class, bin, pairs as the query `layer_histograms` gives them, or left, right,
    share and density in place of the last two, as `reports.data.statistics.densities` makes of them; `means` has
    quantity, layer, class, mean and varies: a layer that context does not touch would hide the others behind one spike,
    and is named, not drawn.
    """
    shares = statistics.densities(histograms) if "bin" in histograms else histograms
    layers = sorted({int(layer) for layer in means["layer"]})
    untouched = means[~means["varies"]].groupby(["quantity", "layer", "class"], observed=True)["mean"].first()
    hidden = pd.MultiIndex.from_frame(shares[["quantity", "layer", "class"]]).isin(untouched.index)
    shares = shares[~hidden]
    with report_style():
        count = len(classes.names) + 1
        dense = 2 * len(layers) * len(classes.names) > VECTOR_CURVES
        figure = new_figure(WIDTH, 1.75 * count + 1.9)
        grid = figure.subplots(count, 2, squeeze=False, height_ratios=[*[1.75] * (count - 1), 2.6])
        for column, quantity in zip(grid.T, ("cov", "mi"), strict=True):
            mine = means[means["quantity"] == quantity]
            for axes, mark_class in zip(column, classes.names, strict=False):
                if axes is not column[0]:
                    axes.sharex(column[0])
                    axes.sharey(column[0])
                chosen = (shares["quantity"] == quantity) & (shares["class"] == mark_class)
                panel_title(axes, classes.title(mark_class))
                _draw_densities(axes, shares[chosen], layers, quantity, dense)
                if not axes.lines:
                    note(axes, why_not_drawn(mine, [mark_class]))
            _fit(list(column[:-1]), shares[shares["quantity"] == quantity], quantity)
            for axes in column[:-2]:
                axes.set_xlabel("")
            _draw_means(column[-1], mine, layers, quantity, classes)
        add_layer_colour_bar(figure, list(grid.flat), layers)
    return figure


def _draw_densities(axes: Axes, frame: pd.DataFrame, layers: list[int], quantity: str, dense: bool) -> None:
    """One line a layer. Bins of covariance grow with its size, so the line is the share of the pairs in each bin."""
    height = "share" if quantity == "cov" else "density"
    label = "pairs per bin" if quantity == "cov" else "density of pairs"
    axes.set(xlabel=QUANTITY_LABELS[quantity], ylabel=label)
    if frame.empty:
        return
    for layer, rows in frame.groupby("layer", observed=True):
        centres = (rows["left"] + rows["right"]) / 2
        axes.plot(centres, rows[height], color=layer_colour(int(layer), layers), linewidth=1, rasterized=dense)


def _fit(panels: list[Axes], frame: pd.DataFrame, quantity: str) -> None:
    """One axis for all classes: from the lowest to the highest value that a thousandth of a layer's pairs reaches."""
    seen = frame[frame["share"] > SHARE_OF_A_TAIL]
    drawn = [axes for axes in panels if axes.lines]
    if seen.empty or not drawn:
        return
    low, high = float(seen["left"].min()), float(seen["right"].max())
    for axes in drawn:
        if quantity == "cov":
            sizes = seen[["left", "right"]].abs().min(axis=1)
            symmetric_log(axes.xaxis, max(float(sizes.quantile(0.1)), SMALLEST_COVARIANCE), low, high)
        axes.set_xlim(low, high)
        axes.set_ylim(bottom=0)


def _draw_means(axes: Axes, means: pd.DataFrame, layers: list[int], quantity: str, classes: Classes) -> None:
    axes.set(title="means", xlabel="layer", ylabel=f"mean {QUANTITY_LABELS[quantity]}")
    not_drawn(axes, means)
    if not means["varies"].any():
        note(axes, why_not_drawn(means, classes.named))
        return
    means = means[means["varies"]]
    for mark_class in classes.names:
        rows = means[means["class"] == mark_class].sort_values("layer")
        if rows.empty:
            continue
        style = class_style(classes, mark_class)
        colour = style.colour
        axes.plot(rows["layer"], rows["mean"], color=colour, linewidth=1.2, label=mark_class, zorder=2)
        axes.scatter(
            rows["layer"],
            rows["mean"],
            c=[layer_colour(int(layer), layers) for layer in rows["layer"]],
            s=16,
            marker=style.marker,
            edgecolors=colour,
            linewidths=0.6,
            zorder=3,
        )
    over_layers(axes)
    sizes = means["mean"].abs()
    wide = quantity == "cov" and (sizes > 0).any() and sizes.max() > WIDE_RANGE * sizes[sizes > 0].min()
    if wide and (means["mean"] > 0).all():
        logarithmic(axes.yaxis)
    elif wide:
        symmetric_log(axes.yaxis, float(sizes[sizes > 0].min()), float(means["mean"].min()), float(sizes.max()))
    if axes.lines:
        legend(axes)
