"""The answer in pictures: what is alike within and between classes, which difference is left, and book by book."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.data.answer import UNITS, Answers
from reports.data.classes import Classes
from reports.data.estimates import CENTRED
from reports.figures.style import (
    INK,
    NEUTRAL,
    WIDTH,
    class_style,
    cut,
    in_figure,
    legend,
    new_figure,
    note,
    over_layers,
    report_style,
)

TITLE_CHARACTERS = 30
BAND = 0.18


def within_and_between(answers: Answers, classes: Classes) -> Figure:
    """Above: mean mutual information within each class, between them, and of random tokens. Below: separation.

    Bands are 95 % intervals, where there are any. Below, the thin lines are random halves of each class.
    """
    with report_style():
        figure = new_figure(WIDTH, 6.2)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
        above.set(ylabel="mean mutual information (bits)")
        for name in (answers.first, answers.second):
            style = class_style(classes, name)
            draw_line(
                above, answers.of_class("likeness", "mi", name), style.colour, f"within {name}", marker=style.marker
            )
        draw_line(above, answers.of("likeness", "mi"), INK, "between them", linestyle="--")
        if classes.baseline:
            rows = answers.of_class("likeness", "mi", classes.baseline)
            draw_line(above, rows, NEUTRAL, "random tokens", marker=".")
        legend(above)
        below.set(ylabel="separation (bits)")
        below.axhline(0, color=INK, linewidth=0.8)
        for name in (answers.first, answers.second):
            rows = answers.of_class("random_separation", "mi", name)
            draw_line(
                below, rows, class_style(classes, name).colour, f"random halves of {name}", linewidth=0.9, bands=False
            )
        draw_line(below, answers.of("separation", "mi"), INK, "separation", marker="o")
        legend(below)
        _finish(below, above)
    return figure


def raw_and_centred(answers: Answers, classes: Classes) -> Figure:
    """Above: the difference of the classes, raw and centred, in one measure. Below: the placebo, on its own scale.

    Above there are centred values only where the study measures them.
    """
    measure = answers.centring_measure
    with report_style():
        figure = new_figure(WIDTH, 5.8)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
        above.set(ylabel=f"difference ({UNITS.get(measure, 'of correlation')})")
        above.axhline(0, color=INK, linewidth=0.8)
        draw_line(above, answers.of("difference", measure), INK, "raw", marker="o")
        draw_line(above, answers.of("difference", CENTRED[measure]), "#cc79a7", "centred", marker="s")
        legend(above)
        below.set(ylabel="difference of halves")
        below.axhline(0, color=INK, linewidth=0.8)
        for name in (answers.first, answers.second):
            style = class_style(classes, name)
            rows = answers.of_class("halves_difference", measure, name)
            draw_line(below, rows, style.colour, f"{name}: second half of the book less first", marker=style.marker)
        legend(below)
        _finish(below, above)
    return figure


def forest(answers: Answers, layer: int, titles: Mapping[str, str] | None = None) -> Figure:
    """Each book's separation and difference in one layer with the interval of its own passages, and their mean.

    `titles` has what books are called, where that is not their key.
    """
    titles = titles or {}
    rows = answers.by_book[(answers.by_book["layer"] == layer) & (answers.by_book["measure"] == "mi")]
    books = sorted(set(rows["book"]))
    with report_style():
        figure = new_figure(WIDTH, 1.5 + 0.24 * (len(books) + 1))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, quantity in zip(panels, ("separation", "difference"), strict=True):
            chosen = rows[rows["quantity"] == quantity].set_index("book").reindex(books)
            over = answers.of(quantity, "mi")
            over = over[over["layer"] == layer].iloc[0]
            _whiskers(axes, chosen["estimate"], chosen["low"], chosen["high"], range(1, len(books) + 1), NEUTRAL, "o")
            one = pd.Series([over["estimate"]]), pd.Series([over["low"]]), pd.Series([over["high"]])
            _whiskers(axes, *one, range(1), INK, "D")
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set(xlabel=f"{quantity} (bits)")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.grid(axis="x")
        named = [in_figure(cut(titles.get(book, book), TITLE_CHARACTERS)) for book in books]
        panels[0].set_yticks(range(len(books) + 1), ["mean", *named], parse_math=False)
        panels[0].set_ylim(-0.6, len(books) + 0.6)
    return figure


def _whiskers(
    axes: Axes, estimate: pd.Series, low: pd.Series, high: pd.Series, places: range, colour: str, marker: str
) -> None:
    axes.hlines(list(places), low, high, color=colour, linewidth=1.4)
    axes.plot(estimate, list(places), color=colour, marker=marker, markersize=4.5, linestyle="none")


def draw_line(
    axes: Axes,
    rows: pd.DataFrame,
    colour: str,
    label: str,
    marker: object = None,
    linestyle: str = "-",
    linewidth: float = 1.3,
    bands: bool = True,
) -> None:
    """One line over the layers with its band, without layer 0 where there are others."""
    if rows["layer"].nunique() > 1:
        rows = rows[rows["layer"] > 0]
    rows = rows[rows["estimate"].notna()]
    if rows.empty:
        return
    axes.plot(
        rows["layer"],
        rows["estimate"],
        color=colour,
        marker=marker,
        markersize=3.2,
        linestyle=linestyle,
        linewidth=linewidth,
        label=in_figure(label),
    )
    if bands:
        axes.fill_between(rows["layer"], rows["low"], rows["high"], color=colour, alpha=BAND, linewidth=0)


def _finish(below: Axes, above: Axes) -> None:
    over_layers(below)
    for axes in (above, below):
        axes.grid(axis="y")
        if not any(not str(line.get_label()).startswith("_") for line in axes.lines):
            note(axes, "not measured in this study")
