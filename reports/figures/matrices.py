"""Pairwise matrices of both classes in one layer, with the distributions of their values below."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from reports.data.statistics import square
from reports.figures.style import (
    CLASS_COLOURS,
    CLASS_TITLES,
    CLASSES,
    COV_COLOURS,
    MI_COLOURS,
    QUANTITY_LABELS,
    in_figure,
    new_figure,
    note,
    report_style,
    robust_limits,
)

TITLES = {"mi": "Mutual information of all pairs of marks", "cov": "Covariance of all pairs of marks"}


def pair_matrices(pairs: pd.DataFrame, quantity: str, layer: int, book: str) -> Figure:
    """Two matrices on one colour scale and, below, the distributions of the same values.

    `pairs` has class, i, j (i < j) and the quantity, `mi` or `cov`, of one book in one layer. Rows and columns
    are the marks in the order of the text; the diagonal, a mark with itself, is left empty.
    """
    with report_style():
        figure = new_figure(10, 7.4)
        layout = [list(CLASSES), ["distribution", "distribution"]]
        axes = figure.subplot_mosaic(layout, height_ratios=(2.1, 1))  # type: ignore[arg-type]
        scale = colour_scale(pairs[quantity].to_numpy(dtype=float), quantity)
        for mark_class in CLASSES:
            _draw_matrix(axes[mark_class], pairs[pairs["class"] == mark_class], quantity, mark_class, scale)
        figure.colorbar(
            ScalarMappable(*scale),
            ax=[axes[name] for name in CLASSES],
            label=QUANTITY_LABELS[quantity],
            extend="both",
            pad=0.02,
        )
        _draw_distributions(axes["distribution"], pairs, quantity)
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
    axes.set_title(CLASS_TITLES[mark_class])
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
    if mark_class == CLASSES[0]:
        axes.set_ylabel("mark")


def _draw_distributions(axes: Axes, pairs: pd.DataFrame, quantity: str) -> None:
    axes.set(xlabel=QUANTITY_LABELS[quantity], ylabel="density of pairs")
    values = {name: pairs.loc[pairs["class"] == name, quantity].dropna().to_numpy(dtype=float) for name in CLASSES}
    together = np.concatenate(list(values.values()))
    if not together.size:
        note(axes, "no pairs" if pairs.empty else "no pair has a value")
        return
    edges = np.linspace(*robust_limits(together, 0.001), 81)
    for mark_class, sample in values.items():
        if sample.size:
            colour = CLASS_COLOURS[mark_class]
            heights = np.histogram(sample, edges)[0] / sample.size / np.diff(edges)
            axes.stairs(heights, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(heights, edges, color=colour, linewidth=1.1)
            axes.axvline(
                float(np.mean(sample)), color=colour, linestyle="--", label=f"{mark_class}: mean {np.mean(sample):.4g}"
            )
    axes.margins(x=0)
    axes.legend(loc="upper right")
