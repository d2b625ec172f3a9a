"""Mean mutual information of both classes over the layers, and the difference between the classes."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.absence import why_not_drawn
from reports.figures.style import (
    CLASS_COLOURS,
    CLASSES,
    INK,
    QUANTITY_LABELS,
    new_figure,
    not_drawn,
    note,
    over_layers,
    report_style,
)


def headline(means: pd.DataFrame, differences: pd.DataFrame, chance: pd.DataFrame) -> Figure:
    """Left: means by class and the chance level. Right: terminal - internal, as it is and less that.

    `means` has quantity, layer, class, mean, low, high, varies; `differences` quantity, layer, difference, low, high,
    varies, by_chance; `chance` layer, class, chance. Bands are 95 % intervals, where there are any.
    """
    with report_style():
        figure = new_figure(10, 3.8)
        left, right = figure.subplots(1, 2)
        _draw_means(left, means[means["quantity"] == "mi"], chance)
        _draw_difference(right, differences[differences["quantity"] == "mi"])
        if not right.lines:
            note(right, why_not_drawn(means[means["quantity"] == "mi"]))
    return figure


def _draw_means(axes: Axes, means: pd.DataFrame, chance: pd.DataFrame) -> None:
    axes.set(xlabel="layer", ylabel=f"mean {QUANTITY_LABELS['mi']}", title="Within each class")
    not_drawn(axes, means)
    if not means["varies"].any():
        note(axes, why_not_drawn(means))
        return
    means = means[means["varies"]]
    for mark_class in CLASSES:
        rows = means[means["class"] == mark_class].sort_values("layer")
        if len(rows):
            colour = CLASS_COLOURS[mark_class]
            axes.plot(rows["layer"], rows["mean"], color=colour, marker="o", markersize=3.5, label=mark_class)
            axes.fill_between(rows["layer"], rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
    _draw_chance(axes, chance[chance["layer"].isin(means["layer"])])
    over_layers(axes)
    axes.grid(axis="y")
    if axes.lines:
        axes.legend(loc="best")


def _draw_chance(axes: Axes, chance: pd.DataFrame) -> None:
    label: str | None = "if independent"
    for mark_class in CLASSES:
        rows = chance[chance["class"] == mark_class].sort_values("layer")
        axes.plot(rows["layer"], rows["chance"], color=CLASS_COLOURS[mark_class], linestyle=":", label=label)
        label = None


def _draw_difference(axes: Axes, differences: pd.DataFrame) -> None:
    axes.set(xlabel="layer", ylabel="difference (bits)", title="Terminal minus internal")
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
