"""Two stores on the same books over relative depth: what each finds, and the paired difference."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reports.figures.style import INK, NEUTRAL, legend, new_figure, note, report_style

STUDIES = ("this store", "the other")


def compare_depths(rows: pd.DataFrame, label: str) -> Figure:
    """Left: one quantity in either store. Right: the first less the second, with its band.

    `rows` has depth, here, there, difference, low, high of one quantity, see `reports.data.comparison`; `label` names
    the quantity.
    """
    with report_style():
        figure = new_figure(10, 3.6)
        left, right = figure.subplots(1, 2)
        left.set(xlabel="relative depth", ylabel=label, title="Each store")
        right.set(xlabel="relative depth", ylabel=f"difference of {label}", title=f"{STUDIES[0]} less {STUDIES[1]}")
        for axes in (left, right):
            axes.grid(axis="y")
        if rows.empty:
            note(left, "not measured in both")
            note(right, "not measured in both")
            return figure
        left.plot(rows["depth"], rows["here"], color=INK, marker="o", markersize=3.2, label=STUDIES[0])
        left.plot(rows["depth"], rows["there"], color=NEUTRAL, linestyle="--", label=STUDIES[1])
        legend(left)
        right.axhline(0, color=INK, linewidth=0.8)
        right.plot(rows["depth"], rows["difference"], color=INK, marker="o", markersize=3.2)
        right.fill_between(rows["depth"], rows["low"], rows["high"], color=INK, alpha=0.15, linewidth=0)
    return figure
