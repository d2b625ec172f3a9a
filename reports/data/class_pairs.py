"""Each pair of a study's classes beside the others: what sets them apart, with intervals that hold for all pairs."""

from __future__ import annotations

import pandas as pd

from reports.data.answer import Answers

QUANTITIES = {
    "separation": ("separation", "mi"),
    "auc": ("auc", "mi"),
    "r2": ("r2", "corr"),
    "difference": ("difference", "mi"),
}
"""Columns of `compare_pairs` with the quantity and measure of each."""


def compare_pairs(answers: Answers) -> pd.DataFrame:
    """A row a pair of classes and layer, with each quantity of `QUANTITIES` and its interval (`_low`, `_high`).

    `placebo`: the largest separation of random halves of either class, by size, for comparison.
    """
    frames = []
    for pair in answers.pairs:
        frame = answers.of("difference", "mi", pair)[["first", "second", "layer"]]
        for column, (quantity, measure) in QUANTITIES.items():
            rows = answers.of(quantity, measure, pair)[["layer", "estimate", "low", "high"]]
            names = {"estimate": column, "low": f"{column}_low", "high": f"{column}_high"}
            frame = frame.merge(rows.rename(columns=names), on="layer", how="left")
        halves = [answers.of_class("random_separation", "mi", name).set_index("layer")["estimate"] for name in pair]
        frame["placebo"] = frame["layer"].map(pd.concat(halves, axis=1).abs().max(axis=1))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def flagged_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """By pair, in how many layers its separation lies above zero (`apart`) and of how many (`layers`).

    `rows` is from `compare_pairs`. Layer 0 is not counted where there are others.
    """
    deep = rows[rows["layer"] > 0] if rows["layer"].nunique() > 1 else rows
    known = deep.assign(apart=deep["separation_low"] > 0, layers=deep["separation_low"].notna())
    counted = known.groupby(["first", "second"], sort=False, observed=True)[["apart", "layers"]].sum()
    return counted.reset_index()
