"""Pairwise matrices of each class in one layer, with the distributions of their values below."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.data.statistics import square
from reports.figures.style import (
    COV_COLOURS,
    MI_COLOURS,
    QUANTITY_LABELS,
    class_style,
    in_figure,
    legend,
    new_figure,
    note,
    panel_title,
    report_style,
    robust_limits,
)

MOST_COLUMNS = 4
TITLES = {"mi": "Mutual information of all pairs of marks", "cov": "Covariance of all pairs of marks"}


def pair_matrices(pairs: pd.DataFrame, quantity: str, layer: int, book: str, classes: Classes) -> Figure:
    """A matrix a class on one colour scale and, below, the distributions of the same values.

    `pairs` has class, i, j (i < j) and the quantity, `mi` or `cov`, of one book in one layer. Rows and columns
    are the marks in the order of the text; the diagonal, a mark with itself, is left empty.
    """
    with report_style():
        columns = min(len(classes.names), MOST_COLUMNS)
        rows = math.ceil(len(classes.names) / columns)
        side = 9.3 / max(2, columns)
        figure = new_figure(10, rows * (side + 0.35) + 2.6)
        grid = figure.add_gridspec(rows + 1, columns, height_ratios=(*(side,) * rows, 2.1))
        axes = [figure.add_subplot(grid[divmod(place, columns)]) for place in range(len(classes.names))]
        scale = colour_scale(pairs[quantity].to_numpy(dtype=float), quantity)
        for place, (panel, mark_class) in enumerate(zip(axes, classes.names, strict=True)):
            _draw_matrix(panel, pairs[pairs["class"] == mark_class], quantity, mark_class, scale)
            panel_title(panel, classes.title(mark_class))
            if place % columns == 0:
                panel.set_ylabel("mark")
        figure.colorbar(
            ScalarMappable(*scale),
            ax=axes,
            label=QUANTITY_LABELS[quantity],
            extend="both",
            pad=0.02,
        )
        _draw_distributions(figure.add_subplot(grid[rows, :]), pairs, quantity, classes)
        figure.suptitle(f"{TITLES[quantity]}, layer {layer}, {in_figure(book)}", parse_math=False)
    return figure


def colour_scale(values: np.ndarray, quantity: str) -> tuple[Normalize, Colormap]:
    """Colours for a quantity: MI from low to high, covariance on either side of zero where it has both signs."""
    low, high = robust_limits(values)
    if quantity == "cov" and low < 0 < high:
        reach = max(-low, high)
        return Normalize(-reach, reach), COV_COLOURS
    return Normalize(low, high), MI_COLOURS


def _draw_matrix(
    axes: Axes, pairs: pd.DataFrame, quantity: str, mark_class: str, scale: tuple[Normalize, Colormap]
) -> None:
    axes.set_xlabel("mark, in the order of the text")
    if pairs.empty:
        note(axes, f"no {mark_class} pairs")
        return
    if pairs[quantity].isna().all():
        note(axes, f"no {mark_class} pair has a value")
        return
    matrix = square(pairs, quantity)
    norm, colours = scale
    axes.imshow(matrix, norm=norm, cmap=colours, interpolation="none")
    axes.spines[:].set_visible(False)


def _draw_distributions(axes: Axes, pairs: pd.DataFrame, quantity: str, classes: Classes) -> None:
    axes.set(xlabel=QUANTITY_LABELS[quantity], ylabel="density of pairs")
    values = {
        name: pairs.loc[pairs["class"] == name, quantity].dropna().to_numpy(dtype=float) for name in classes.names
    }
    together = np.concatenate(list(values.values()))
    if not together.size:
        note(axes, "no pairs" if pairs.empty else "no pair has a value")
        return
    edges = np.linspace(*robust_limits(together, 0.001), 81)
    for mark_class, sample in values.items():
        if sample.size:
            style = class_style(classes, mark_class)
            heights = np.histogram(sample, edges)[0] / sample.size / np.diff(edges)
            axes.stairs(heights, edges, fill=True, color=style.colour, alpha=min(0.35, 1 / len(values)))
            axes.stairs(heights, edges, color=style.colour, linewidth=1.1, linestyle=style.dashes)
            label = f"{mark_class}: mean {np.mean(sample):.4g}"
            axes.axvline(float(np.mean(sample)), color=style.colour, linestyle="--", label=label)
    axes.margins(x=0)
    legend(axes)
