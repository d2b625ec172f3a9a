"""Every pair of classes of a study with more than two: a figure and a table, part of the answer."""

from __future__ import annotations

from functools import cache

import pandas as pd

from reports.data.answer import Answers
from reports.data.class_pairs import compare_pairs, flagged_layers
from reports.figures.class_pairs import MOST_NAMED, separation_of_pairs
from reports.page.exhibits import Exhibit, Failure, Table, attempt

HEADINGS = {
    "first": "class",
    "second": "and class",
    "apart": "layers kept apart",
    "layers": "of",
    "separation": "separation (bits)",
    "separation_interval": "95 % interval",
    "auc": "AUC",
    "auc_interval": "95 % interval",
    "r2": "R²",
    "r2_interval": "95 % interval",
    "difference": "difference (bits)",
    "difference_interval": "95 % interval",
    "placebo": "random halves (bits)",
}


def parts_of_pairs(answers: Answers, layer: int) -> tuple[Exhibit | Table | Failure, ...]:
    """The figure and the table; nothing where there is one pair or none."""
    if len(answers.pairs) < 2:
        return ()
    rows = cache(lambda: compare_pairs(answers))  # once for both: it takes seconds with sixteen classes
    return (
        attempt("class-pairs-figure", "The figure of all pairs of classes", lambda: _exhibit(answers, rows())),
        attempt("class-pairs", "The table of all pairs of classes", lambda: _table(answers, rows(), layer)),
    )


def _exhibit(answers: Answers, rows: pd.DataFrame) -> Exhibit:
    bands = "Bands are 95 % intervals that hold in all layers and for all pairs at once."
    if len(answers.pairs) > MOST_NAMED:
        bands = "They are too many to be named here: the table and the data name each, with its interval."
    return Exhibit(
        "class-pairs-figure",
        "Every pair of classes",
        f"Separation of each of the {len(answers.pairs)} pairs of classes in mutual information. {bands}",
        "Line chart over the layers of the separation of each pair of classes.",
        separation_of_pairs(rows),
        answers.sql,
        {"class-pairs-layers": rows},
    )


def _table(answers: Answers, rows: pd.DataFrame, layer: int) -> Table:
    here = rows[rows["layer"] == layer].drop(columns="layer").reset_index(drop=True)
    frame = here[["first", "second"]].merge(flagged_layers(rows), on=["first", "second"])
    for name in ("separation", "auc", "r2", "difference"):
        frame[name] = here[name]
        frame[f"{name}_interval"] = _ranges(here, name)
    frame["placebo"] = here["placebo"]
    return Table(
        "class-pairs",
        f"Every pair of classes, layer {layer}",
        f"In how many layers the two are kept apart, and their numbers in layer {layer}, with 95 % intervals that hold "
        "in all layers and for all pairs at once; the last column is the placebo, the separation of random halves.",
        frame,
        HEADINGS,
        answers.sql,
    )


def _ranges(rows: pd.DataFrame, name: str) -> list[str]:
    bounds = zip(rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
    return ["" if pd.isna(low) else f"{low:.3f} to {high:.3f}" for low, high in bounds]
