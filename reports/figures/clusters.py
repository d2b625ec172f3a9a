"""Clusters of marks: pairs in their colours, matrices in their order, and the clusters through the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from reports.figures.style import (
    INK,
    MI_COLOURS,
    NEUTRAL,
    QUANTITY_LABELS,
    in_figure,
    new_figure,
    over_layers,
    report_style,
    robust_limits,
)

Colour = tuple[float, float, float]

Step = tuple[int, int]
"""A layer and a lineage."""

_OTHERS: Colour = (0.75, 0.75, 0.75)
_ONE_GROUP: Colour = to_rgb(NEUTRAL)
_LIGHT = 0.2
"""How much of its colour a layer of one group has: next to nothing, on white and on dark pages."""
_ON_WHITE = "#14181d"
"""Ink in white boxes, which are white on dark pages too."""
_CLOUDS_NAMED = 8
_BAR = 0.34
"""Width of a layer's bar in the river; what is left to the next layer shows where the marks go."""


def cluster_colour(cluster: int) -> Colour:
    """The colour of a cluster, by its ordinal."""
    colours = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
    return to_rgb(colours[cluster]) if 0 <= cluster < len(colours) else _OTHERS


def clouds(pairs: pd.DataFrame, names: Mapping[int, str]) -> Figure:
    """Each pair in the plane of covariance and MI, in the colour of its clusters' pair, so that a cloud has a name.

    `pairs` has first, second (clusters, first <= second), mi, cov; `names` by cluster. Pairs of two clusters have the
    colour between theirs. The largest clouds are numbered in the middle of their points.
    """
    with report_style():
        figure = new_figure(10, 4.6)
        axes = figure.subplots()
        groups = sorted(pairs.groupby(["first", "second"]), key=lambda item: -len(item[1]))
        for place, ((first, second), rows) in enumerate(groups):
            colour = tuple(np.add(cluster_colour(int(first)), cluster_colour(int(second))) / 2)
            label = f"{first} x {second}: {_both(names, int(first), int(second))} ({len(rows):,})"
            axes.plot(
                rows["cov"], rows["mi"], ".", markersize=2.5, alpha=0.5, color=colour, label=label, rasterized=True
            )
            if place < _CLOUDS_NAMED:
                middle = rows["cov"].median(), rows["mi"].median()
                box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": colour, "alpha": 0.9}
                axes.annotate(
                    f"{first} x {second}",
                    middle,
                    fontsize=7,
                    ha="center",
                    va="center",
                    color=_ON_WHITE,
                    bbox=box,
                    zorder=5,
                )
        axes.set(xlabel=QUANTITY_LABELS["cov"], ylabel=QUANTITY_LABELS["mi"])
        shown = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7, markerscale=4, frameon=False)
        shown.set_title("clusters of the two marks (pairs shown)", FontProperties(size=7.5))
    return figure


def ordered_matrix(pairs: pd.DataFrame, names: Mapping[int, str]) -> Figure:
    """The matrix of MI with the marks in the order of their clusters, which stand by their names at the side.

    `pairs` has row, col (places of the two marks in that order, each pair once), first, second (their clusters), mi.
    """
    size = int(max(pairs["row"].max(), pairs["col"].max())) + 1
    matrix = np.full((size, size), np.nan)
    matrix[pairs["row"], pairs["col"]] = matrix[pairs["col"], pairs["row"]] = pairs["mi"]
    of_mark = np.full(size, -1)
    of_mark[pairs["row"]], of_mark[pairs["col"]] = pairs["first"], pairs["second"]
    with report_style():
        figure = new_figure(8.4, 5.6)
        axes = figure.subplots()
        norm = Normalize(*robust_limits(pairs["mi"].to_numpy(dtype=float)))
        axes.imshow(matrix, norm=norm, cmap=MI_COLOURS, interpolation="none")
        _name_rows(axes, of_mark, names)
        axes.set(xlabel="mark, cluster after cluster", xticks=[])
        axes.spines[:].set_visible(False)
        figure.colorbar(ScalarMappable(norm, MI_COLOURS), ax=axes, label=QUANTITY_LABELS["mi"], extend="both", pad=0.02)
    return figure


def river(steps: pd.DataFrame, flows: pd.DataFrame, names: Sequence[str]) -> Figure:
    """The clusters of each layer, one above the other, and where their marks are in the next.

    `steps` has layer, lineage, name, marks, clusters (how many the layer has); `flows` has layer, lineage, next, marks:
    marks that go from a lineage in a layer to one in the next. Clusters have the colours of their names, in the order
    of `names`; other names are grey, and a layer of one cluster is light.
    """
    colours = {name: cluster_colour(place) for place, name in enumerate(names)}
    with report_style():
        figure = new_figure(10, 4.4)
        axes = figure.subplots()
        floors, of_step = _stack(axes, steps, colours)
        _draw_flows(axes, flows, floors, of_step)
        for name, colour in colours.items():
            axes.bar([0], [0], color=colour, label=in_figure(name))
        axes.set(ylabel="marks")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7, frameon=False)
        axes.set_xlim(steps["layer"].min() - 0.6, steps["layer"].max() + 0.6)
        over_layers(axes)
    return figure


def _stack(
    axes: Axes, steps: pd.DataFrame, colours: Mapping[str, Colour]
) -> tuple[dict[Step, float], dict[Step, Colour]]:
    """Draw the bars; where each begins and its colour, by layer and lineage."""
    floors: dict[Step, float] = {}
    of_step: dict[Step, Colour] = {}
    order = {name: place for place, name in enumerate(colours)}
    for layer, rows in steps.rename(columns={"name": "called"}).groupby("layer"):
        floor = 0.0
        for row in sorted(rows.itertuples(), key=lambda row: (order.get(row.called, len(order)), row.lineage)):
            step = layer, row.lineage
            of_step[step] = colours.get(row.called, _OTHERS) if row.clusters > 1 else _ONE_GROUP
            colour = to_rgba(of_step[step], _LIGHT if of_step[step] == _ONE_GROUP else 1)
            axes.bar([layer], [row.marks], 2 * _BAR, floor, color=colour, edgecolor="white", linewidth=0.4)
            floors[step] = floor
            floor += row.marks
    return floors, of_step


def _draw_flows(axes: Axes, flows: pd.DataFrame, floors: Mapping[Step, float], of_step: Mapping[Step, Colour]) -> None:
    """Bands between neighbouring layers, as wide as the marks that both clusters have in common."""
    used_from, used_to = dict(floors), dict(floors)
    by_place = sorted(
        flows.itertuples(), key=lambda flow: (floors[flow.layer, flow.lineage], floors[flow.layer + 1, flow.next])
    )
    for flow in by_place:
        start, end = (flow.layer, flow.lineage), (flow.layer + 1, flow.next)
        low = [used_from[start], used_to[end]]
        used_from[start] += flow.marks
        used_to[end] += flow.marks
        high = [used_from[start], used_to[end]]
        colour = of_step[start] if of_step[end] == _ONE_GROUP else of_step[end]
        reach = [flow.layer + _BAR, flow.layer + 1 - _BAR]
        axes.fill_between(
            reach, low, high, color=colour, alpha=_LIGHT / 2 if colour == _ONE_GROUP else 0.35, linewidth=0
        )


def _name_rows(axes: Axes, of_mark: np.ndarray, names: Mapping[int, str]) -> None:
    """Ticks with the clusters' names in the middle of their rows, in their colours, and lines between them."""
    found = [cluster for cluster in np.unique(of_mark) if cluster >= 0]
    middles = [float(np.flatnonzero(of_mark == cluster).mean()) for cluster in found]
    axes.set_yticks(middles, [in_figure(_short(names, int(cluster))) for cluster in found], fontsize=7.5)
    for label, cluster in zip(axes.get_yticklabels(), found, strict=True):
        label.set(color=cluster_colour(int(cluster)), parse_math=False, fontweight="bold")
    for cluster in found[1:]:
        edge = float(np.flatnonzero(of_mark == cluster)[0]) - 0.5
        axes.axhline(edge, color=INK, linewidth=0.6)
        axes.axvline(edge, color=INK, linewidth=0.6)


def _short(names: Mapping[int, str], cluster: int) -> str:
    name = names.get(cluster, "")
    return f"{cluster}: unexplained" if name.startswith("not explained") else f"{cluster}: {name}"


def _both(names: Mapping[int, str], first: int, second: int) -> str:
    one, other = (in_figure(_short(names, cluster).partition(": ")[2]) for cluster in (first, second))
    return f"both {one}" if first == second else f"{one} with {other}"
