"""What survives: the default's sign against that of other specifications, layer by layer, from the table `sensitivity`.

A finding **survives** in a layer where at least `SURVIVES` of the other choices keep the default's sign. Only choices
that leave the states as they are count: a state less its class's mean, or with every dimension brought to one spread,
answers another question, and stands beside them. Controls are no choices and are never counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.specifications import RAW, share_with_sign
from reports.data.queries import Store, ask

SURVIVES = 0.95
"""From this share of the other choices on, a sign is said to survive."""

DEFAULT, CHOICE, CONTROL = "default", "choice", "control"
OTHER_MODEL = "model"

SETTINGS = (
    "states",
    "estimator",
    "bins",
    "outlier_z",
    "selection",
    "half",
    "context",
    "bos",
    "words",
    "weights",
    "model",
)
"""Columns that say what a specification is."""


@dataclass(frozen=True)
class Survival:
    """The specifications of a study, means over its tried books.

    `rows`: specification, axis, kind, the settings, quantity, layer, estimate, low, high. `sample`: marks of a class.
    """

    rows: pd.DataFrame
    books: tuple[str, ...]
    sample: int
    sql: str

    @cached_property
    def _of_the_study_s_model(self) -> pd.DataFrame:
        return self.rows[self.rows["axis"] != OTHER_MODEL]

    def estimates(self, quantity: str) -> pd.DataFrame:
        """Estimates of the study's model: a row a specification, a column a layer."""
        rows = self._of_the_study_s_model
        return rows[rows["quantity"] == quantity].pivot(index="specification", columns="layer", values="estimate")

    def default(self, quantity: str) -> pd.DataFrame:
        """The default's layer, estimate, low and high."""
        rows = self._of_the_study_s_model
        chosen = rows[(rows["quantity"] == quantity) & (rows["kind"] == DEFAULT)]
        return chosen.sort_values("layer").reset_index(drop=True)

    def choices(self, quantity: str, *, raw: bool = True) -> list[str]:
        """Names of other choices that leave the states as they are, or of those that do not."""
        rows = self._of_the_study_s_model
        chosen = rows[(rows["quantity"] == quantity) & (rows["kind"] == CHOICE) & ((rows["states"] == RAW) == raw)]
        return sorted(set(chosen["specification"].astype(str)))

    def kept(self, quantity: str) -> pd.DataFrame:
        """By layer: the default, whether its interval leaves out 0, how many choices keep its sign, of how many.

        Columns layer, estimate, sure, kept, choices, share; `kept_other_forms`, `other_forms`, `share_other_forms` of
        the choices with other forms of the states.
        """
        table, default = self.estimates(quantity), self.default(quantity)
        frame = default[["layer", "estimate"]].copy()
        frame["sure"] = (default["low"] > 0) | (default["high"] < 0)
        for ending, raw in (("", True), ("_other_forms", False)):
            values = table.loc[self.choices(quantity, raw=raw)]
            shares, counts = [], []
            for layer, estimate in zip(frame["layer"], frame["estimate"], strict=True):
                column = values[layer].to_numpy(dtype=np.float64)
                shares.append(share_with_sign(column, float(estimate)))
                counts.append(int(np.isfinite(column).sum()))
            name = ending.removeprefix("_") or "choices"
            frame[f"share{ending}"] = shares
            frame[name] = counts
            frame[f"kept{ending}"] = np.rint(np.nan_to_num(frame[f"share{ending}"]) * frame[name]).astype(int)
        return frame

    def turned(self, quantity: str, layers: Sequence[int]) -> pd.DataFrame:
        """By specification: in how many of some layers it turns the default's sign, and how large it is against it.

        Columns specification, axis, kind, states, layers, turned, and `ratio`: the median over these layers.
        """
        table = self.estimates(quantity)[list(layers)]
        (default,) = self.default(quantity)["specification"].unique()
        own = table.loc[default]
        known = self._of_the_study_s_model.drop_duplicates("specification").set_index("specification")
        frame = known.loc[table.index, ["axis", "kind", "states"]].copy()
        present = table.notna()
        frame["layers"] = present.sum(axis=1)
        frame["turned"] = ((np.sign(table) != np.sign(own)) & present).sum(axis=1)
        frame["ratio"] = table.div(own, axis=1).median(axis=1)
        return frame.reset_index().sort_values(["turned", "specification"], ascending=[False, True], ignore_index=True)


def find_survival(store: Store, first: str, second: str, books: Sequence[str] | None = None) -> Survival | None:
    """What the store holds of two classes; None where the default was not tried.

    Specifications are averaged over the books that have all of them, so that all speak of the same books.
    """
    answer = ask(store, "sensitivity", first=first, second=second, books=books)
    frame = answer.frame
    if frame.empty or not (frame["kind"] == DEFAULT).any():
        return None
    keys = {name: frame[name].astype(str) for name in ("specification", "axis", "kind", "book", "quantity", "states")}
    frame = frame.assign(**keys)
    counts = frame[frame["estimate"].notna()].groupby("book")["specification"].nunique()
    whole = sorted(counts.index[counts == counts.max()])
    return Survival(
        _over_books(frame[frame["book"].isin(whole)]), tuple(whole), int(frame["sample"].iloc[0]), answer.sql
    )


def _over_books(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over books. Books are held fixed and independent: squares of half widths add up."""
    by = ["specification", "axis", "kind", "quantity", "layer"]
    half = (frame["high"] - frame["low"]) / 2
    grouped = frame.assign(square=half**2).groupby(by, sort=False)
    settings = grouped[list(SETTINGS)].first()
    count = grouped["estimate"].count()
    mean = grouped["estimate"].mean()
    width = np.sqrt(grouped["square"].agg(lambda values: values.sum(skipna=False))) / count
    result = settings.assign(estimate=mean, low=mean - width, high=mean + width)
    return result.reset_index()
