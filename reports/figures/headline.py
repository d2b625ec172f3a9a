"""Mean mutual information of each class over the layers, and the difference between the first two."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.absence import why_not_drawn
from reports.data.classes import Classes
from reports.figures.style import (
    INK,
    QUANTITY_LABELS,
    WIDTH,
    class_style,
    legend,
    new_figure,
    not_drawn,
    note,
    over_layers,
    report_style,
)


def headline(means: pd.DataFrame, differences: pd.DataFrame | None, chance: pd.DataFrame, classes: Classes) -> Figure:
    """Above: means by class and the chance level. Below, where two are named: second - first, as it is and less that.

    `means` has quantity, layer, class, mean, low, high, varies; `differences` quantity, layer, difference, low, high,
    varies, by_chance, or is None where no difference is to be drawn; `chance` layer, class, chance. Bands are 95 %
    intervals, where there are any.
    """
    alone = classes.compared is None or differences is None
    with report_style():
        figure = new_figure(WIDTH, 3.4 if alone else 5.8)
        above = figure.add_subplot(1 if alone else 2, 1, 1)
        mine = means[means["quantity"] == "mi"]
        _draw_means(above, mine, chance, classes)
        if classes.compared is not None and differences is not None:
            below = figure.add_subplot(2, 1, 2)
            _draw_difference(below, differences[differences["quantity"] == "mi"], classes)
            if not below.lines:
                note(below, why_not_drawn(mine, classes.compared))
    return figure


def _draw_means(axes: Axes, means: pd.DataFrame, chance: pd.DataFrame, classes: Classes) -> None:
    axes.set(xlabel="layer", ylabel=f"mean {QUANTITY_LABELS['mi']}")
    not_drawn(axes, means)
    if not means["varies"].any():
        note(axes, why_not_drawn(means, classes.named))
        return
    means = means[means["varies"]]
    for name in classes.names:
        rows = means[means["class"] == name].sort_values("layer")
        if len(rows):
            style = class_style(classes, name)
            axes.plot(rows["layer"], rows["mean"], color=style.colour, marker=style.marker, markersize=3.5, label=name)
            axes.fill_between(rows["layer"], rows["low"], rows["high"], color=style.colour, alpha=0.25, linewidth=0)
    _draw_chance(axes, chance[chance["layer"].isin(means["layer"])], classes)
    over_layers(axes)
    axes.grid(axis="y")
    if axes.lines:
        legend(axes)


def _draw_chance(axes: Axes, chance: pd.DataFrame, classes: Classes) -> None:
    label: str | None = "if independent"
    for name in classes.names:
        rows = chance[chance["class"] == name].sort_values("layer")
        colour = class_style(classes, name).colour
        axes.plot(rows["layer"], rows["chance"], color=colour, linestyle=":", label=label)
        label = None


def _draw_difference(axes: Axes, differences: pd.DataFrame, classes: Classes) -> None:
    axes.set(xlabel="layer", ylabel="difference (bits)", title=classes.difference)
    rows = differences[differences["difference"].notna() & differences["varies"]].sort_values("layer")
    if rows.empty:
        return
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.plot(
        rows["layer"], rows["difference"], color=INK, marker="o", markersize=3.5, linewidth=1.2, label="as estimated"
    )
    axes.plot(
        rows["layer"],
        rows["difference"] - rows["by_chance"],
        color=INK,
        linestyle="--",
        linewidth=1.2,
        label="less that of independent vectors",
    )
    axes.legend(loc="best")
    axes.fill_between(rows["layer"], rows["low"], rows["high"], color=INK, alpha=0.15, linewidth=0)
    over_layers(axes)
    axes.grid(axis="y")
