"""The separation of each pair of classes over the layers."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.figures.style import INK, in_figure, new_figure, over_layers, report_style

MOST_NAMED = 15
_SEEN = (0.3, 0.8)
"""The part of the colour map that reads on white and on dark pages."""


def separation_of_pairs(rows: pd.DataFrame) -> Figure:
    """One line a pair of classes, without layer 0 where there are others; `rows` is from `compare_pairs`.

    More than MOST_NAMED pairs have thin lines without bands, which would hide each other.
    """
    deep = rows[rows["layer"] > 0] if rows["layer"].nunique() > 1 else rows
    pairs = list(dict.fromkeys(zip(deep["first"], deep["second"], strict=True)))
    named = len(pairs) <= MOST_NAMED
    colours = matplotlib.colormaps["viridis"](np.linspace(*_SEEN, len(pairs)))
    with report_style():
        figure = new_figure(7.6, 4)
        axes = figure.subplots()
        axes.axhline(0, color=INK, linewidth=0.8)
        for (first, second), colour in zip(pairs, colours, strict=True):
            mine = deep[(deep["first"] == first) & (deep["second"] == second)]
            label = in_figure(f"{first} and {second}")
            axes.plot(mine["layer"], mine["separation"], color=colour, linewidth=1.3 if named else 0.6, label=label)
            if named:
                low, high = mine["separation_low"], mine["separation_high"]
                axes.fill_between(mine["layer"], low, high, color=colour, alpha=0.12, linewidth=0)
        axes.set(xlabel="layer", ylabel="separation (bits)")
        axes.grid(axis="y")
        over_layers(axes)
        if named:
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
