"""All pairs of marks of one book in one layer as one square, with the distributions of their values below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.data.statistics import Square, pair_square
from reports.figures.style import (
    COV_COLOURS,
    INK,
    MI_COLOURS,
    QUANTITY_LABELS,
    WIDTH,
    class_style,
    in_figure,
    new_figure,
    note,
    report_style,
    robust_limits,
    what_is_shown,
)

SIDE = 6.0
LABELLED_SHARE = 0.04
"""A class with less than this share of the marks has no label of its own beside the square."""
TITLED_SHARE = 0.2
"""From this share on there is room for its tokens too."""
LONG_LABEL = 28
"""Labels of more characters stand two beside each other, shorter ones three."""
BETWEEN_DASHES = (0, (1.2, 1.2))


def pair_matrices(pairs: pd.DataFrame, quantity: str, layer: int, book: str, classes: Classes) -> Figure:
    """Every pair within the classes and between them in one square and, below, the distributions of the same values.

    `pairs` has class, other, i, j and the quantity, `mi` or `cov`, of one book in one layer; within a class
    (`class` = `other`, the default where there is no such column) i < j. Classes follow each other in the study's
    order, marks in that of the text; the diagonal, a mark with itself, is empty.
    """
    pairs = pairs if "other" in pairs else pairs.assign(other=pairs["class"])
    with report_style():
        figure = new_figure(WIDTH, SIDE + 2.3)
        above, below = figure.subplots(2, 1, height_ratios=(SIDE, 2.3))
        square = pair_square(pairs, quantity, classes.names)
        titles = {name: in_figure(classes.title(name)) for name in classes.names}
        if np.isfinite(square.values).any():
            scale = colour_scale(pairs[quantity].to_numpy(dtype=float), quantity)
            _draw_square(above, square, titles, scale)
            label = QUANTITY_LABELS[quantity]
            figure.colorbar(ScalarMappable(*scale), ax=above, label=label, extend="both", pad=0.02, aspect=30)
        else:
            note(above, "no pairs" if pairs.empty else "no pair has a value")
        _draw_distributions(below, pairs, quantity, classes)
        if below.lines:
            longest = max(len(label) for label in below.get_legend_handles_labels()[1])
            figure.legend(loc="outside lower center", ncols=2 if longest > LONG_LABEL else 3)
        what_is_shown(figure, f"layer {layer}, {in_figure(book)}")
    return figure


def colour_scale(values: np.ndarray, quantity: str) -> tuple[Normalize, Colormap]:
    """Colours for a quantity: MI from low to high, covariance on either side of zero where it has both signs."""
    low, high = robust_limits(values)
    if quantity == "cov" and low < 0 < high:
        reach = max(-low, high)
        return Normalize(-reach, reach), COV_COLOURS
    return Normalize(low, high), MI_COLOURS


def _draw_square(axes: Axes, square: Square, titles: Mapping[str, str], scale: tuple[Normalize, Colormap]) -> None:
    norm, colours = scale
    axes.imshow(square.values, norm=norm, cmap=colours, interpolation="none")
    axes.spines[:].set_visible(False)
    marks = len(square.values)
    borders = np.cumsum(list(square.marks.values()))
    for border in borders[:-1] - 0.5:
        axes.axhline(border, color="white", linewidth=1.4)
        axes.axvline(border, color="white", linewidth=1.4)
    large = {name: count for name, count in square.marks.items() if count >= LABELLED_SHARE * marks}
    middles = {
        name: border - count / 2 - 0.5 for (name, count), border in zip(square.marks.items(), borders, strict=True)
    }
    places = [middles[name] for name in large]
    labels = [titles[name] if count >= TITLED_SHARE * marks else in_figure(name) for name, count in large.items()]
    slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if len(large) > 4 else {}
    upright: dict[str, Any] = {} if slanted else {"rotation": 90, "va": "center"}
    axes.set_xticks(places, labels, parse_math=False, **slanted)
    axes.set_yticks(places, labels, parse_math=False, **upright)
    axes.tick_params(length=0)
    axes.set(xlabel="marks, in the order of the text", ylabel="marks, in the order of the text")


def _draw_distributions(axes: Axes, pairs: pd.DataFrame, quantity: str, classes: Classes) -> None:
    axes.set(xlabel=QUANTITY_LABELS[quantity], ylabel="density of pairs")
    values = _by_block(pairs, quantity, classes)
    together = np.concatenate(list(values.values())) if values else np.empty(0)
    if not together.size:
        note(axes, "no pairs" if pairs.empty else "no pair has a value")
        return
    edges = np.linspace(*robust_limits(together, 0.001), 81)
    for name, sample in values.items():
        within = name in classes.names
        colour = class_style(classes, name).colour if within else INK
        heights = np.histogram(sample, edges)[0] / sample.size / np.diff(edges)
        if within:
            axes.stairs(heights, edges, fill=True, color=colour, alpha=min(0.3, 1 / len(values)))
        dashes = class_style(classes, name).dashes if within else BETWEEN_DASHES
        axes.stairs(heights, edges, color=colour, linewidth=1.1, linestyle=dashes)
        label = f"{in_figure(name)}: mean {np.mean(sample):.3f}"
        axes.axvline(float(np.mean(sample)), color=colour, linestyle="--" if within else BETWEEN_DASHES, label=label)
    axes.margins(x=0)


def _by_block(pairs: pd.DataFrame, quantity: str, classes: Classes) -> dict[str, np.ndarray]:
    """The values within each class by its name, and those between the first two; only what has any."""
    blocks = {name: (name, name) for name in classes.names}
    if classes.compared is not None:
        blocks["between the first two" if len(classes.named) > 2 else "between them"] = classes.compared
    values = {}
    for label, (first, second) in blocks.items():
        chosen = (pairs["class"] == first) & (pairs["other"] == second)
        sample = pairs.loc[chosen, quantity].dropna().to_numpy(dtype=float)
        if sample.size:
            values[label] = sample
    return values
