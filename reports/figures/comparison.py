"""Stores on the same books over relative depth: what each finds, the paired differences, how alike their layers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.data.classes import Classes
from reports.data.model_alignment import ClassAlignment
from reports.figures.style import (
    INK,
    MARKERS,
    MI_COLOURS,
    NEUTRAL,
    TYPE_COLOURS,
    WIDTH,
    class_style,
    cut,
    in_figure,
    legend,
    new_figure,
    note,
    panel_title,
    report_style,
)

NAME_CHARACTERS = 28


def compare_depths(rows: pd.DataFrame, label: str, here: str, there: str) -> Figure:
    """Left: one quantity in either store. Right: the first less the second, with its band.

    `rows` has depth, here, there, difference, low, high of one quantity, see `reports.data.comparison`; `label` names
    the quantity, `here` and `there` the stores.
    """
    here, there = short(here), short(there)
    with report_style():
        figure = new_figure(10, 3.6)
        left, right = figure.subplots(1, 2)
        _axes(left, label, "Each store")
        _axes(right, f"difference of {label}", f"{here} less {there}")
        if rows.empty:
            note(left, "not measured in both")
            note(right, "not measured in both")
            return figure
        left.plot(rows["depth"], rows["here"], color=INK, marker="o", markersize=3.2, label=here)
        left.plot(rows["depth"], rows["there"], color=NEUTRAL, linestyle="--", label=there)
        legend(left)
        right.axhline(0, color=INK, linewidth=0.8)
        _difference(right, rows, INK, "o", "")
    return figure


def differences_by_store(found: Mapping[str, pd.DataFrame], label: str, here: str) -> Figure:
    """The paired difference of one quantity from each of several stores, with its band; see `compare_depths`."""
    with report_style():
        figure = new_figure(WIDTH, 3.8)
        axes = figure.subplots()
        _axes(axes, f"difference of {label}", f"{short(here)} less each other store")
        measured = {name: rows for name, rows in found.items() if len(rows)}
        if not measured:
            note(axes, "not measured in both")
            return figure
        axes.axhline(0, color=INK, linewidth=0.8)
        for place, (name, rows) in enumerate(measured.items()):
            colour = TYPE_COLOURS[place % len(TYPE_COLOURS)]
            _difference(axes, rows, colour, MARKERS[place % len(MARKERS)], f"less {short(name)}")
        legend(axes)
    return figure


def align_layers(alignments: Sequence[ClassAlignment], classes: Classes, here: str, there: str) -> Figure:
    """Left: the alignment of every two layers over the first class's marks. Right: of layers as deep, by class.

    Dotted, what is reached where marks are matched at random. `here` and `there` name the stores.
    """
    first = alignments[0]
    with report_style():
        figure = new_figure(WIDTH, 3.2)
        left, right = figure.subplots(1, 2)
        edges = [(of[0] - 0.5, of[-1] + 0.5) for of in (first.other_layers, first.layers)]
        image = left.imshow(
            np.clip(first.cka, 0, 1), cmap=MI_COLOURS, vmin=0, vmax=1, origin="lower", aspect="auto",
            extent=(*edges[0], *edges[1]),
        )  # fmt: skip
        figure.colorbar(image, ax=left, fraction=0.05)
        left.set_xlabel(f"layer of {short(there)}", parse_math=False)
        left.set_ylabel(f"layer of {short(here)}", parse_math=False)
        panel_title(left, f"Linear CKA: {first.name}")
        for of_class in alignments:
            rows, style = of_class.at_depth(), class_style(classes, of_class.name)
            right.plot(
                rows["depth"], rows["cka"], color=style.colour, marker=style.marker, markersize=3, linewidth=1.1,
                label=in_figure(of_class.name),
            )  # fmt: skip
        right.axhline(max(of.chance for of in alignments), color=INK, linewidth=0.8, linestyle=":")
        _axes(right, "linear CKA", "Layers as deep")
        legend(right)
    return figure


def short(name: str) -> str:
    """A store's name as a legend and a panel's title have room for."""
    return in_figure(cut(name, NAME_CHARACTERS))


def _axes(axes: Axes, label: str, title: str) -> None:
    axes.set(xlabel="relative depth", ylabel=label)
    panel_title(axes, title)
    axes.grid(axis="y")


def _difference(axes: Axes, rows: pd.DataFrame, colour: str, marker: object, label: str) -> None:
    axes.plot(rows["depth"], rows["difference"], color=colour, marker=marker, markersize=3.2, label=label or None)
    axes.fill_between(rows["depth"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
