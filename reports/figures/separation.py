"""Mutual information within two classes, between them, and within random tokens; and what sets the two apart."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.figures.style import INK, QUANTITY_LABELS, class_style, legend, new_figure, note, over_layers, report_style


def within_and_between(frame: pd.DataFrame, classes: Classes) -> Figure:
    """Left: four lines over the layers. Right: separation, half the sum of the two within less the one between.

    `frame` has layer, first, second, between_them, baseline (NaN without one), separation. Layer 0, the embeddings, is
    named and not drawn where there are others. Raises ValueError where one class alone is named.
    """
    if classes.compared is None:
        raise ValueError("a study of one class has no pairs between two")
    drawn = frame[frame["layer"] > 0] if frame["layer"].nunique() > 1 else frame
    with report_style():
        figure = new_figure(10, 3.8)
        left, right = figure.subplots(1, 2)
        _draw_means(left, drawn, classes)
        right.set(ylabel="separation (bits)", title="Separation: half of both within, less between")
        right.axhline(0, color=INK, linewidth=0.8)
        right.plot(drawn["layer"], drawn["separation"], color=INK, marker="o", markersize=3.5, linewidth=1.2)
        for axes, column in ((left, "between_them"), (right, "separation")):
            _name_embeddings(axes, frame, drawn, column)
            axes.grid(axis="y")
            over_layers(axes)
    return figure


def _draw_means(axes: Axes, frame: pd.DataFrame, classes: Classes) -> None:
    axes.set(ylabel=f"mean {QUANTITY_LABELS['mi']}", title="Within each and between them")
    for column, name in zip(("first", "second"), classes.compared or (), strict=False):
        style = class_style(classes, name)
        axes.plot(
            frame["layer"],
            frame[column],
            color=style.colour,
            marker=style.marker,
            markersize=3.5,
            label=f"within {name}",
        )
    axes.plot(frame["layer"], frame["between_them"], color=INK, linestyle="--", label="between them")
    if classes.baseline is not None and frame["baseline"].notna().any():
        style = class_style(classes, classes.baseline)
        label = f"within {classes.baseline}"
        axes.plot(frame["layer"], frame["baseline"], color=style.colour, marker=style.marker, label=label)
    if frame.empty:
        note(axes, "no layer has pairs between them")
    else:
        legend(axes)


def _name_embeddings(axes: Axes, frame: pd.DataFrame, drawn: pd.DataFrame, column: str) -> None:
    if len(drawn) == len(frame):
        return
    value = float(frame.loc[frame["layer"] == 0, column].iloc[0])
    axes.set_title(axes.get_title(), pad=15)
    text = f"not drawn: layer 0, untouched by context ({column.split('_')[0]} {value:.3g})"
    axes.text(0.5, 0.99, text, transform=axes.transAxes, fontsize=7.5, alpha=0.7, ha="center", va="bottom")
