"""Mean activation per dimension of both classes in one layer, and one class against the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from reports.figures.style import CLASS_COLOURS, CLASSES, INK, NEUTRAL, new_figure, note, report_style, symmetric_log

LABELLED_DIMENSIONS = 4
VECTOR_POINTS = 2_000


def mean_activations(frame: pd.DataFrame, layer: int) -> Figure:
    """Left: mean activation of each dimension. Right: terminal against internal, one point a dimension.

    `frame` has dimension, internal, terminal (NaN for a class without marks). The axes turn logarithmic on
    either side of zero where a few dimensions dwarf the others.
    """
    with report_style():
        figure = new_figure(10, 4)
        by_dimension, against = figure.subplots(1, 2, width_ratios=(1.7, 1))
        threshold = _linear_threshold(frame)
        _draw_by_dimension(by_dimension, frame, threshold)
        _draw_against(against, frame, threshold)
        figure.suptitle(f"Mean activation per dimension, layer {layer}")
    return figure


def _draw_by_dimension(axes: Axes, frame: pd.DataFrame, threshold: float | None) -> None:
    for mark_class in CLASSES:
        if frame[mark_class].notna().any():
            axes.plot(
                frame["dimension"],
                frame[mark_class],
                color=CLASS_COLOURS[mark_class],
                linewidth=0.7,
                alpha=0.8,
                label=mark_class,
                rasterized=len(frame) > VECTOR_POINTS,
            )
    axes.set(xlabel="dimension", ylabel="mean activation")
    axes.margins(x=0.01)
    if threshold:
        _turn_logarithmic(axes.yaxis, threshold, frame)
    if axes.lines:
        axes.legend(loc="best", ncols=2)


def _draw_against(axes: Axes, frame: pd.DataFrame, threshold: float | None) -> None:
    both = frame.dropna()
    axes.set(xlabel="internal: mean activation", ylabel="terminal: mean activation")
    if both.empty:
        absent = [mark_class for mark_class in CLASSES if frame[mark_class].isna().all()]
        note(axes, f"no {' and no '.join(absent)} marks" if absent else "no dimension has a mean in both classes")
        return
    axes.scatter(both["internal"], both["terminal"], s=10, color=NEUTRAL, alpha=0.7, linewidths=0, rasterized=True)
    if threshold:
        _turn_logarithmic(axes.xaxis, threshold, both)
        _turn_logarithmic(axes.yaxis, threshold, both)
    low = float(both[list(CLASSES)].min().min())
    high = float(both[list(CLASSES)].max().max())
    axes.plot([low, high], [low, high], color=INK, linewidth=0.7, linestyle="--", label="equal")
    if len(both) > 1 and both["internal"].std() > 0 and both["terminal"].std() > 0:
        axes.set_title(f"r = {both['internal'].corr(both['terminal']):.3f}")
    largest = both.assign(size=both[list(CLASSES)].abs().max(axis=1)).nlargest(LABELLED_DIMENSIONS, "size")
    for row in largest.itertuples():
        axes.annotate(
            str(row.dimension), (row.internal, row.terminal), xytext=(4, 2), textcoords="offset points", fontsize=7.5
        )
    axes.legend(loc="best")


def _turn_logarithmic(axis: Axis, threshold: float, frame: pd.DataFrame) -> None:
    values = frame[list(CLASSES)]
    symmetric_log(axis, threshold, float(values.min().min()), float(values.max().max()))


def _linear_threshold(frame: pd.DataFrame) -> float | None:
    """Where a logarithmic axis turns linear, or None where a linear axis shows every dimension."""
    sizes = np.abs(frame[list(CLASSES)].to_numpy(dtype=float))
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return None
    typical = float(np.quantile(sizes, 0.9))
    return 2 * typical if typical > 0 and sizes.max() > 25 * typical else None
