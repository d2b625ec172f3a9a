"""The figures of `docs/pitfalls.md`, drawn from a real study: what each artefact does, beside the study's own numbers.

interpunct run pg219.txt pg1342.txt pg98.txt --store study
interpunct sensitivity --store study
python -m website.pitfalls study                           writes docs/figures/
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.data.answer import find_answers
from reports.data.classes import Classes
from reports.data.sensitivity import Survival, find_survival
from reports.figures.choices import Panel, choices_over_layers
from reports.figures.style import (
    INK,
    NEUTRAL,
    WIDTH,
    class_style,
    legend,
    new_figure,
    over_layers,
    report_style,
    to_png,
)
from reports.sections.sensitivity import panels_of
from store.query.reader import Store, open_store

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"
BOOK, BOOK_OF_ABBREVIATIONS = "pg219", "pg1342"
FIRST, SECOND = "internal", "terminal"
NORMAL_95 = 1.96

HALVES_OF_PAIRS = """
    WITH placed AS (
        SELECT i, passage, dense_rank() OVER (ORDER BY passage) - 1 AS place
        FROM marks WHERE book = '{book}' AND class = '{name}'
    ), half AS (
        SELECT i, passage, place >= (max(place) OVER () + 1) // 2 AS later FROM placed
    )
    SELECT layer, avg(mi) FILTER (one.later) - avg(mi) FILTER (NOT one.later) AS estimate,
           sqrt(var_samp(mi) FILTER (one.later) / count(*) FILTER (one.later)
                + var_samp(mi) FILTER (NOT one.later) / count(*) FILTER (NOT one.later)) AS error
    FROM pairs
    JOIN half one ON one.i = pairs.i
    JOIN half two ON two.i = pairs.j
    WHERE pairs.class = '{name}' AND book = '{book}' AND layer > 0
        AND one.later = two.later AND one.passage <> two.passage
    GROUP BY layer ORDER BY layer
"""
"""The second half of a class's passages less the first, with the standard error that pairs would have if each were an
observation of its own."""


def main() -> None:
    """Draw every figure of the page, and say what its last section counts."""
    parser = argparse.ArgumentParser(prog="python -m website.pitfalls", description=__doc__.splitlines()[0])
    parser.add_argument("store")
    location = parser.parse_args().store
    FOLDER.mkdir(exist_ok=True)
    with open_store(location) as store:
        for name, draw in ARTEFACTS.items():
            path = FOLDER / f"pitfalls-{name}.png"
            path.write_bytes(to_png(draw(store)))
            print(f"{path}: {path.stat().st_size:,} bytes")
        print(flagged(store, BOOK).to_string(index=False))


def abbreviations(store: Store) -> Figure:
    """What the rule about abbreviations does in a book that has hardly any, and in one that is full of them."""
    panels = [
        Panel(f"{title}: which marks", panel.label, panel.rows)
        for book, title in ((BOOK, "Heart of Darkness"), (BOOK_OF_ABBREVIATIONS, "Pride and Prejudice"))
        for panel in panels_of(_survival(store, book), "difference", "selection")
    ]
    return choices_over_layers(panels)


def dependence(store: Store) -> Figure:
    """The difference of a class's own halves, with the interval of pairs and that of passages."""
    classes = Classes.of(store.study)
    with report_style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (name, of_pairs, of_passages) in zip(panels, _halves(store, BOOK), strict=True):
            axes.axhline(0, color=INK, linewidth=0.8)
            colour = class_style(classes, name).colour
            axes.fill_between(
                of_passages["layer"], of_passages["low"], of_passages["high"], color=NEUTRAL, alpha=0.3, linewidth=0,
                label="95 %, passages are observations",
            )  # fmt: skip
            width = NORMAL_95 * of_pairs["error"]
            axes.errorbar(
                of_pairs["layer"], of_pairs["estimate"], width, color=colour, fmt="o", markersize=2.5, elinewidth=1.4,
                label="95 %, pairs are observations",
            )  # fmt: skip
            axes.set_title(f"{name}: second half less first")
            axes.grid(axis="y")
            over_layers(axes)
        panels[0].set_ylabel("difference (bits)")
        legend(panels[0])
    return figure


def flagged(store: Store, book: str) -> pd.DataFrame:
    """By class: in how many layers the halves differ surely, by pairs and by passages, of how many."""
    rows = []
    for name, of_pairs, of_passages in _halves(store, book):
        by_pairs = int((np.abs(of_pairs["estimate"]) > NORMAL_95 * of_pairs["error"]).sum())
        by_passages = int(((of_passages["low"] > 0) | (of_passages["high"] < 0)).sum())
        rows.append({"class": name, "pairs": by_pairs, "passages": by_passages, "layers": len(of_passages)})
    return pd.DataFrame(rows)


def _halves(store: Store, book: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Each class, and the difference of its halves by layer: from pairs with `error`, from passages with bounds."""
    answers = find_answers(store, Classes.of(store.study), [book])
    for name in (FIRST, SECOND):
        of_passages = answers.of_class("halves_difference", "mi", name)
        of_pairs = store.sql(HALVES_OF_PAIRS.format(book=book, name=name)).df()
        yield name, of_pairs, of_passages[of_passages["layer"] > 0]


def _survival(store: Store, book: str) -> Survival:
    survival = find_survival(store, FIRST, SECOND, [book])
    if survival is None:
        raise SystemExit(f"{book} was not tried in this store: interpunct sensitivity --store STORE comes first")
    return survival


def _axes(quantity: str, *axes: str) -> Callable[[Store], Figure]:
    """Draws a quantity of the book over the layers under the choices of these axes."""
    return lambda store: choices_over_layers(panels_of(_survival(store, BOOK), quantity, *axes))


ARTEFACTS: Mapping[str, Callable[[Store], Figure]] = {
    "opening": _axes("difference", "half"),
    "abbreviations": abbreviations,
    "context": _axes("difference", "context", "bos"),
    "mean": _axes("difference", "states"),
    "thresholds": _axes("difference", "outlier_z"),
    "bins": _axes("difference", "bins", "estimator"),
    "dependence": dependence,
    "controls": _axes("separation", "words", "weights"),
}
"""The figure of each artefact, in the order of the page."""

if __name__ == "__main__":
    main()
