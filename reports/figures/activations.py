"""Mean activation per dimension of each class in one layer, and the second class against the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.data.statistics import by_class
from reports.figures.style import (
    INK,
    NEUTRAL,
    WIDTH,
    class_style,
    legend,
    new_figure,
    note,
    report_style,
    symmetric_log,
    what_is_shown,
)

LABELLED_DIMENSIONS = 4
FAR_OUT = 1.5
"""Dimensions beyond so many times the 99 % quantile have their numbers beside them."""
VECTOR_POINTS = 2_000


def mean_activations(frame: pd.DataFrame, layer: int, classes: Classes) -> Figure:
    """Above: mean activation of each dimension. Below, where two are named: second against first, a point a dimension.

    `frame` has class, dimension, mean as the query `activation_means` gives them, or dimension and `mean_<class>` (NaN
    for a class without marks). The axes turn logarithmic on either side of zero where a few dimensions dwarf the
    others.
    """
    if "class" in frame:
        frame = by_class(frame, classes.names)
    with report_style():
        figure = new_figure(WIDTH, 3.2 if classes.compared is None else 6.8)
        threshold = _linear_threshold(frame, classes.names)
        if classes.compared is None:
            _draw_by_dimension(figure.subplots(), frame, threshold, classes)
        else:
            by_dimension, against = figure.subplots(2, 1, height_ratios=(1, 1.5))
            _draw_by_dimension(by_dimension, frame, threshold, classes)
            _draw_against(against, frame, threshold, classes.compared)
        what_is_shown(figure, f"layer {layer}")
    return figure


def _draw_by_dimension(axes: Axes, frame: pd.DataFrame, threshold: float | None, classes: Classes) -> None:
    # The first classes are drawn last, so that the many grey dimensions of random tokens hide none of theirs.
    for place, mark_class in enumerate(classes.names):
        if frame[f"mean_{mark_class}"].notna().any():
            axes.plot(
                frame["dimension"],
                frame[f"mean_{mark_class}"],
                color=class_style(classes, mark_class).colour,
                zorder=3 - place / 100,
                linewidth=0.7,
                alpha=0.8,
                label=mark_class,
                rasterized=len(frame) > VECTOR_POINTS,
            )
    axes.set(xlabel="dimension", ylabel="mean activation")
    axes.margins(x=0.01)
    if threshold:
        _turn_logarithmic(axes.yaxis, threshold, _values(frame, classes.names))
    if axes.lines:
        legend(axes)


def _draw_against(axes: Axes, frame: pd.DataFrame, threshold: float | None, compared: tuple[str, str]) -> None:
    first, second = compared
    values = _values(frame, compared)
    both = values.dropna()
    axes.set(xlabel=f"{first}: mean activation", ylabel=f"{second}: mean activation")
    if both.empty:
        absent = [name for name in compared if values[name].isna().all()]
        note(axes, f"no {' and no '.join(absent)} marks" if absent else "no dimension has a mean in both classes")
        return
    axes.scatter(both[first], both[second], s=10, color=NEUTRAL, alpha=0.7, linewidths=0, rasterized=True)
    if threshold:
        _turn_logarithmic(axes.xaxis, threshold, both)
        _turn_logarithmic(axes.yaxis, threshold, both)
    low, high = float(both.min().min()), float(both.max().max())
    axes.plot([low, high], [low, high], color=INK, linewidth=0.7, linestyle="--", label="equal")
    if len(both) > 1 and both[first].std() > 0 and both[second].std() > 0:
        axes.set_title(f"r = {both[first].corr(both[second]):.3f}")
    axes.set_aspect("equal", adjustable="box")
    for dimension in _far_out(both):
        point = (both.loc[dimension, first], both.loc[dimension, second])
        axes.annotate(str(dimension), point, xytext=(4, 2), textcoords="offset points", fontsize=7.5)
    axes.legend(loc="best")


def _far_out(both: pd.DataFrame) -> list[int]:
    """The largest dimensions that stand alone, so that their numbers do not lie on each other or in the crowd."""
    sizes = both.abs().max(axis=1)
    return list(sizes[sizes > FAR_OUT * sizes.quantile(0.99)].nlargest(LABELLED_DIMENSIONS).index)


def _values(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The means of some classes, a column each by its name, with the dimension as index."""
    values = frame.set_index("dimension")[[f"mean_{name}" for name in names]]
    return values.set_axis(list(names), axis=1)


def _turn_logarithmic(axis: Axis, threshold: float, values: pd.DataFrame) -> None:
    symmetric_log(axis, threshold, float(values.min().min()), float(values.max().max()))


def _linear_threshold(frame: pd.DataFrame, names: Sequence[str]) -> float | None:
    """Where a logarithmic axis turns linear, or None where a linear axis shows every dimension."""
    sizes = np.abs(_values(frame, names).to_numpy(dtype=float))
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return None
    typical = float(np.quantile(sizes, 0.9))
    return 2 * typical if typical > 0 and sizes.max() > 25 * typical else None
