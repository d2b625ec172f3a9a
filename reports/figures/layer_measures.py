"""What the layers look like, whatever is asked of them: a small panel for each measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.figures.style import (
    MI_COLOURS,
    class_style,
    in_figure,
    logarithmic,
    new_figure,
    note,
    over_layers,
    report_style,
)

PANELS = (
    ("anisotropy", "Mean cosine of two states", "linear"),
    ("intrinsic_dimension", "Intrinsic dimension (TwoNN)", "linear"),
    ("norm", "Median length of a state", "log"),
    ("massive", "Largest activation over the median", "log"),
)


def layer_panels(frame: pd.DataFrame, classes: Classes, alignment: np.ndarray, layers: list[int], name: str) -> Figure:
    """Four measures by class over the layers, and the alignment of every two layers over the marks of class `name`.

    `frame` has layer, class and a column a panel; `alignment` is [layers, layers], NaN where a layer has none.
    """
    with report_style():
        figure = new_figure(10, 5.4)
        grid = figure.subplots(2, 3)
        for axes, (column, title, scale) in zip(grid.flat[:4], PANELS, strict=True):
            _draw_measure(axes, frame, classes, column, scale)
            axes.set_title(title)
        _draw_alignment(figure, grid[1, 1], alignment, layers)
        grid[1, 1].set_title(f"Linear CKA of layers: {in_figure(name)}", parse_math=False)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        many = {"ncols": 2, "fontsize": 8} if len(labels) > 8 else {}
        shown = grid[1, 2].legend(handles, labels, loc="center", title="marks of", **many)
        shown.set_in_layout(False)  # its cell has room for it, and no panel gives way to it
        grid[1, 2].set_axis_off()
    return figure


def _draw_measure(axes: Axes, frame: pd.DataFrame, classes: Classes, column: str, scale: str) -> None:
    for name in classes.names:
        rows = frame[(frame["class"] == name) & frame[column].notna()]
        style = class_style(classes, name)
        axes.plot(
            rows["layer"], rows[column], color=style.colour, marker=style.marker, markersize=3, linewidth=1.1,
            label=in_figure(name),
        )  # fmt: skip
    if frame[column].notna().any():
        if scale == "log":
            axes.set_ylabel("log scale")
            logarithmic(axes.yaxis)
        axes.grid(axis="y")
        over_layers(axes)
    else:
        note(axes, "not known")


def _draw_alignment(figure: Figure, axes: Axes, alignment: np.ndarray, layers: list[int]) -> None:
    if not np.isfinite(alignment).any():
        note(axes, "not known")
        return
    edge = (layers[0] - 0.5, layers[-1] + 0.5)
    image = axes.imshow(alignment, cmap=MI_COLOURS, vmin=0, vmax=1, origin="lower", extent=(*edge, *edge))
    figure.colorbar(image, ax=axes, fraction=0.05)
    axes.set(xlabel="layer", ylabel="layer")
