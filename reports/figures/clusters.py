"""Clusters of marks: pairs coloured by the clusters of their two marks, and the clusters' sizes over the layers."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from reports.figures.style import INK, QUANTITY_LABELS, new_figure, over_layers, report_style


def clouds(pairs: pd.DataFrame, names: Mapping[int, str]) -> Figure:
    """Each pair in the plane of covariance and MI, in the colour of its clusters' pair, so that a cloud has a name.

    `pairs` has first, second (clusters, first <= second), mi, cov; `names` by cluster.
    """
    with report_style():
        figure = new_figure(10, 4.6)
        axes = figure.subplots()
        colours = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
        groups = sorted(pairs.groupby(["first", "second"]), key=lambda item: -len(item[1]))
        for number, ((first, second), rows) in enumerate(groups):
            label = f"{_short(names, first)} x {_short(names, second)} ({len(rows):,})"
            colour = colours[number % len(colours)]
            axes.plot(
                rows["cov"], rows["mi"], ".", markersize=2.5, alpha=0.5, color=colour, label=label, rasterized=True
            )
        axes.set(xlabel="covariance", ylabel=QUANTITY_LABELS["mi"])
        shown = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7, markerscale=4, frameon=False)
        shown.set_title("clusters of the two marks (pairs)", FontProperties(size=7.5))
    return figure


def river(frame: pd.DataFrame, marks: int) -> Figure:
    """The clusters of each layer by their names, one above the other; where marks are one group, nothing is drawn.

    `frame` has layer, name, marks. Clusters of one name have one colour through all layers.
    """
    sizes = frame.pivot_table(index="layer", columns="name", values="marks", aggfunc="sum", fill_value=0)
    order = sizes.sum().sort_values(ascending=False).index
    common, colours = list(order[:9]), mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]
    with report_style():
        figure = new_figure(10, 4.2)
        axes = figure.subplots()
        floor = pd.Series(0.0, index=sizes.index)
        for number, name in enumerate((*common, "other names")):
            height = sizes[name] if name in common else sizes[order[9:]].sum(axis=1)
            if height.sum():
                axes.bar(
                    sizes.index, height, 0.9, floor, color=colours[number] if name in common else "0.8", label=name
                )
            floor = floor + height
        axes.axhline(marks, color=INK, linewidth=0.6)
        axes.set(ylabel="marks")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=7, frameon=False)
        over_layers(axes)
    return figure


def _short(names: Mapping[int, str], cluster: int) -> str:
    name = names.get(int(cluster), "")
    return f"{int(cluster)}: unexplained" if name.startswith("not explained") else f"{int(cluster)}: {name}"
