"""What each choice does to a quantity in every layer: a panel an axis, the default in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.sensitivity import DEFAULT
from reports.figures.style import INK, LINES, PALETTE, WIDTH, new_figure, over_layers, report_style

COLUMNS = 2
_DEFAULT_COLOUR = PALETTE[1][0]
_COLOURS = tuple(PALETTE[place][0] for place in (0, 2, 3, 6, 4, 9, 10, 12))


@dataclass(frozen=True)
class Panel:
    """One axis: `rows` has specification, kind, layer, estimate, low and high, the default's rows among them."""

    title: str
    label: str
    rows: pd.DataFrame


def choices_over_layers(panels: Sequence[Panel]) -> Figure:
    """Estimates over the layers, a line a specification; the default's band is its 95 % interval layer by layer."""
    lines = -(-len(panels) // COLUMNS)
    with report_style():
        figure = new_figure(WIDTH if len(panels) > 1 else WIDTH * 0.75, 2.7 * lines)
        grid = figure.subplots(lines, min(COLUMNS, len(panels)), squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid.flat, panels, strict=False):
            draw_choices(axes, panel)
    return figure


def draw_choices(axes: Axes, panel: Panel) -> None:
    """One panel. Layer 0, where marks of one token are equal, is left out where there are others."""
    rows = panel.rows[panel.rows["estimate"].notna()].sort_values("layer")
    rows = rows[rows["layer"] > 0] if rows["layer"].nunique() > 1 else rows
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(title=panel.title, ylabel=panel.label)
    default = rows[rows["kind"] == DEFAULT]
    axes.fill_between(default["layer"], default["low"], default["high"], color=_DEFAULT_COLOUR, alpha=0.18, linewidth=0)
    axes.plot(default["layer"], default["estimate"], color=_DEFAULT_COLOUR, linewidth=2.2, label="default")
    others = rows[rows["kind"] != DEFAULT]
    for place, (name, of) in enumerate(others.groupby("specification", sort=False, observed=True)):
        style = LINES[1 + place % (len(LINES) - 1)] if place else "-"
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot(of["layer"], of["estimate"], color=colour, linestyle=style, linewidth=1.2, label=str(name))
    axes.grid(axis="y")
    axes.legend(loc="best", fontsize=7.5)
    over_layers(axes)
