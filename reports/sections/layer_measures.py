"""What the layers look like: anisotropy, intrinsic dimension, lengths, massive activations, likeness of layers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.data.queries import Store, ask
from reports.data.scope import Scope
from reports.figures.layer_measures import layer_panels
from reports.page.exhibits import Exhibit, Section, attempt

KEY = "layer-measures"
TITLE = "What the layers look like"


def layer_measures_section(store: Store, scope: Scope) -> Section:
    """The panels, or a sentence that the store was made before there were such measures."""
    answer = ask(store, "layer_measures", books=scope.books)
    if answer.frame.empty:
        return Section(
            KEY, TITLE, "This store holds no measures of its layers; books that are added from now on have them."
        )
    frame = answer.frame.assign(**{"class": answer.frame["class"].astype(str)})
    name = scope.classes.baseline or scope.classes.named[0]
    layers = sorted(int(layer) for layer in frame["layer"].unique())
    alignment = mean_alignment(frame[frame["class"] == name], len(layers))

    def draw() -> Exhibit:
        return Exhibit(
            f"{KEY}-figure",
            TITLE,
            "By class, means over books: cosine, dimension, length and largest activation of the states, and how alike "
            f"any two layers lay out the marks of {name}.",
            "Line charts over the layers of four measures of the states, and a matrix of the likeness of layers.",
            layer_panels(frame, scope.classes, alignment, layers, name),
            (answer.sql,),
            {KEY: frame.drop(columns="alignments")},
            "Where random tokens have a high cosine, any two states of this model are alike, and so are two marks. A "
            "jump of the largest activation says where massive activations begin; outlier rules matter from there on. "
            "Dimension is too low where marks are few. CKA is the unbiased one, of up to 64 marks.",
        )

    return Section(KEY, TITLE, _said(frame, name), (attempt(f"{KEY}-figure", TITLE, draw),))


def mean_alignment(frame: pd.DataFrame, layers: int) -> np.ndarray:
    """Mean over books of the alignment of each two layers: [layers, layers]; NaN where no book has one.

    `frame` has for each layer `alignments`: each book's list over layers.
    """
    result = np.full((layers, layers), np.nan)
    for row, lists in enumerate(frame.sort_values("layer")["alignments"]):
        held = np.array([list(values) for values in lists if len(values) == layers], dtype=np.float64)
        present = np.isfinite(held).any(axis=0) if len(held) else np.zeros(layers, bool)
        result[row, present] = np.nanmean(held[:, present], axis=0)
    return result


def _said(frame: pd.DataFrame, name: str) -> str:
    rows = frame[(frame["class"] == name) & (frame["layer"] > 0)]
    said = []
    for column, words in (
        ("anisotropy", "The mean cosine of two"),
        ("massive", "The largest activation over the median of"),
    ):
        known = rows[rows[column].notna()]
        if len(known):
            most = known.loc[known[column].idxmax()]
            said.append(f"{words} {name} marks is largest in layer {int(most['layer'])}: {most[column]:.3g}.")
    return " ".join(said)
