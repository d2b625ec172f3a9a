"""Two stores over relative depth: means of each class, and the difference between the first two."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.absence import why_not_drawn
from reports.data.classes import Classes
from reports.figures.style import INK, QUANTITY_LABELS, class_style, legend, new_figure, note, report_style

LINE_STYLES = ("-", "--")
DOTS: tuple[str | tuple[int, tuple[int, int]], ...] = (":", (0, (1, 4)))


def compare_depths(
    means: pd.DataFrame, differences: pd.DataFrame, chance: pd.DataFrame, classes: Classes, difference: str
) -> Figure:
    """Draw the means and the differences of two studies against relative depth.

    `means` has study, quantity, depth, class, mean, low, high, varies; `differences` has study, quantity, depth,
    difference, low, high, varies; `chance` has study, depth, class, chance. The studies come in the order of their
    rows: first solid, second dashed. `classes` has the classes of both; `difference` says in words which two are set
    apart.
    """
    with report_style():
        figure = new_figure(10, 3.8)
        left, right = figure.subplots(1, 2)
        mi_means, mi_differences = means[(means["quantity"] == "mi") & means["varies"]], _varying(differences)
        for study, style, dots in zip(means["study"].unique(), LINE_STYLES, DOTS, strict=False):
            drawn = mi_means[mi_means["study"] == study]
            _draw_means(left, drawn, study, style, classes)
            _draw_chance(left, chance[(chance["study"] == study) & chance["depth"].isin(drawn["depth"])], dots, classes)
            rows = mi_differences[mi_differences["study"] == study].sort_values("depth")
            right.plot(rows["depth"], rows["difference"], color=INK, linestyle=style, label=study)
            right.fill_between(rows["depth"], rows["low"], rows["high"], color=INK, alpha=0.12, linewidth=0)
        left.set(xlabel="relative depth", ylabel=f"mean {QUANTITY_LABELS['mi']}", title="Within each class")
        right.set(xlabel="relative depth", ylabel="difference (bits)", title=difference)
        right.axhline(0, color=INK, linewidth=0.7)
        for axes, rows in ((left, mi_means), (right, mi_differences)):
            axes.grid(axis="y")
            if len(rows):
                legend(axes)
            else:
                wanted = classes.named if axes is left else classes.compared or ()
                note(axes, why_not_drawn(means[means["quantity"] == "mi"], wanted))
    return figure


def _varying(differences: pd.DataFrame) -> pd.DataFrame:
    chosen = (differences["quantity"] == "mi") & differences["difference"].notna() & differences["varies"]
    return differences[chosen]


def _draw_means(axes: Axes, means: pd.DataFrame, study: str, style: str, classes: Classes) -> None:
    for mark_class in classes.names:
        rows = means[means["class"] == mark_class].sort_values("depth")
        if rows.empty:
            continue
        drawn = class_style(classes, mark_class)
        colour, label = drawn.colour, f"{mark_class}, {study}"
        axes.plot(
            rows["depth"],
            rows["mean"],
            color=colour,
            linestyle=style,
            marker=drawn.marker,
            markersize=3,
            label=label,
        )
        axes.fill_between(rows["depth"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)


def _draw_chance(axes: Axes, chance: pd.DataFrame, dots: str | tuple[int, tuple[int, int]], classes: Classes) -> None:
    for mark_class in classes.names:
        rows = chance[chance["class"] == mark_class].sort_values("depth")
        colour = class_style(classes, mark_class).colour
        axes.plot(rows["depth"], rows["chance"], color=colour, linestyle=dots, linewidth=1)
