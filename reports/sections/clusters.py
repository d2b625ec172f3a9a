"""Clusters of marks: which clouds pairs form and what they are, through the layers, in the example book."""

from __future__ import annotations

from functools import partial

import pandas as pd

from reports.data.queries import Answer, StudyStore, ask
from reports.data.scope import Scope
from reports.figures.clusters import clouds, river
from reports.page.exhibits import Exhibit, Failure, Section, Table, attempt

KEY = "clusters"
TITLE = "Clusters of marks"

_HEADINGS = {
    "layer": "Layer",
    "among": "Marks of",
    "cluster": "Cluster",
    "name": "What sets it apart",
    "marks": "Marks",
    "silhouette": "Silhouette",
    "stability": "Stability",
    "mi_share": "Share of MI's variance",
    "told": "Told by the previous word",
    "words": "Its clearest mark, in its words",
}


def clusters_section(store: StudyStore, scope: Scope) -> Section:
    """What was found in the example book, or a sentence that its marks are one group in every layer."""
    if "clusters" not in store.tables() or not store.study.config.get("clusters", False):
        return Section(KEY, TITLE, "The study did not look for clusters (--clusters no).")
    answer = ask(store, "clusters", book=scope.example_book)
    frame = answer.frame[answer.frame["among"].isin(scope.classes.named)]
    if frame.empty:
        return Section(KEY, TITLE, f"In no layer do the marks of a class of {scope.example_book} form more than one.")
    parts: list[Exhibit | Table | Failure] = []
    for name, of_class in frame.groupby("among", sort=False):
        for what, make in (("clouds", _clouds), ("river", _river)):
            if what == "river" or _has_rows(store):
                made = partial(make, store, scope, answer, str(name), of_class)
                parts.append(attempt(f"{KEY}-{what}-{name}", TITLE, made))
    return Section(KEY, TITLE, _counted(frame, scope), (*parts, _table(frame, answer)))


def _has_rows(store: StudyStore) -> bool:
    """Whether pairs within a class have a row each, to be drawn."""
    return bool(store.study.config.get("within", "rows") == "rows")


def _clouds(store: StudyStore, scope: Scope, answer: Answer, name: str, frame: pd.DataFrame) -> Exhibit:
    layer = int(frame.loc[frame["mi_share"].idxmax(), "layer"])
    rows = frame[frame["layer"] == layer]
    pairs = ask(store, "cluster_pairs", book=scope.example_book, layer=layer, **{"class": name})
    names = dict(zip(rows["cluster"], rows["name"], strict=True))
    share = float(rows["mi_share"].iloc[0])
    return Exhibit(
        f"{KEY}-clouds-{name}",
        f"What each cloud is: {name}, layer {layer}",
        f"Pairs of {name} marks of {scope.example_book} in the layer where clusters take most of MI's variance "
        f"({share:.0%}), in the colour of the clusters of their two marks.",
        f"Scatter plot of covariance and mutual information of pairs of {name} marks, coloured by clusters.",
        clouds(pairs.frame, names),
        (answer.sql, pairs.sql),
        {f"clusters-clouds-{name}": pairs.frame},
        "Marks are clustered, not pairs: k clusters of marks make k (k + 1) / 2 clouds.",
    )


def _river(store: StudyStore, scope: Scope, answer: Answer, name: str, frame: pd.DataFrame) -> Exhibit:
    marks = int(frame.groupby("layer")["marks"].sum().max())
    return Exhibit(
        f"{KEY}-river-{name}",
        f"Clusters through the layers: {name}",
        f"Marks of {name} by the name of their cluster. A layer without a bar has one cluster; names that come once "
        "share a colour.",
        f"Bars over the layers, divided by the clusters of the {name} marks.",
        river(frame, marks),
        (answer.sql,),
        {f"clusters-river-{name}": frame},
        "A name stands for what sets a cluster apart, tested on all marks and corrected over all layers.",
    )


def _table(frame: pd.DataFrame, answer: Answer) -> Table:
    shown = frame[list(_HEADINGS)].round({"silhouette": 2, "stability": 2, "mi_share": 2, "told": 2})
    return Table(
        f"{KEY}-table",
        "Every cluster",
        "Stability above 0.75: found again without a quarter of the passages; below 0.5, hardly.",
        shown,
        _HEADINGS,
        (answer.sql,),
        "Told by the previous word: 1 where the word before a mark says which cluster it is in, 0 where it says "
        "nothing.",
    )


def _counted(frame: pd.DataFrame, scope: Scope) -> str:
    counts = frame.groupby("among", sort=False)["layer"].nunique()
    layers = ", ".join(f"{name} in {count} of {len(scope.layers)} layers" for name, count in counts.items())
    return f"Marks of {scope.example_book} form more than one cluster: {layers}."
