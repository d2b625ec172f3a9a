"""Clusters of the example book's marks through the layers: their lineages, and what goes from one to the next."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.lineages import Lineage, follow

MARKS = 1_000
"""Clusters are followed by the first so many marks of each class."""


@dataclass(frozen=True)
class Followed:
    """The clusters of one set of marks through the layers.

    `steps`: layer, cluster, lineage, marks, clusters. `flows`: layer, lineage, next, marks: of the lineages of a layer
    and of the next the marks in common.
    """

    lineages: Sequence[Lineage]
    steps: pd.DataFrame
    flows: pd.DataFrame


def followed(marks: pd.DataFrame) -> Followed:
    """Follow the clusters of `marks`: layer, class, i, cluster, of one book and one set of marks."""
    wide = marks.pivot(index=["class", "i"], columns="layer", values="cluster").dropna()
    lineages = follow({int(layer): wide[layer].to_numpy(dtype="int64") for layer in wide})
    number = {step: place for place, lineage in enumerate(lineages) for step in lineage.steps}
    steps, flows = [], []
    layers = [int(layer) for layer in wide]
    for layer in layers:
        for cluster, size in wide[layer].value_counts().items():
            steps.append((layer, int(cluster), number[layer, int(cluster)], int(size), int(wide[layer].nunique())))
    for layer, after in itertools.pairwise(layers):
        for (old, new), rows in wide.groupby([layer, after]):
            flows.append((layer, number[layer, int(old)], number[after, int(new)], len(rows)))
    return Followed(
        lineages,
        pd.DataFrame(steps, columns=["layer", "cluster", "lineage", "marks", "clusters"]),
        pd.DataFrame(flows, columns=["layer", "lineage", "next", "marks"]),
    )


def lineage_rows(found: Followed, clusters: pd.DataFrame) -> pd.DataFrame:
    """A row a lineage that is ever one of several clusters, the largest in all layers first.

    Layers in which all marks are one cluster are not counted.

    `clusters` has layer, cluster, name, stability, told. Of the result, `name` is the one that most of its layers give
    it, `named` in how many of its `layers` they do; marks, stability and told are medians; `origin` and `destination`
    are lineages, or -1 for all marks, or None where the layers begin and end.
    """
    whole_groups = set(found.steps.loc[found.steps["clusters"] == 1, "layer"])
    several = found.steps[found.steps["clusters"] > 1].merge(clusters.drop(columns="marks"), on=["layer", "cluster"])
    rows = []
    for lineage, steps in several.groupby("lineage"):
        names = steps["name"].value_counts()
        whole = found.lineages[int(lineage)]
        rows.append(
            {
                "lineage": int(lineage),
                "name": names.index[0] if len(names) else "",
                "first": int(steps["layer"].min()),
                "last": int(steps["layer"].max()),
                "layers": len(steps),
                "named": int(names.iloc[0]) if len(names) else 0,
                "marks": int(steps["marks"].median()),
                "in_all": int(steps["marks"].sum()),
                "stability": steps["stability"].median(),
                "told": steps["told"].median(),
                "origin": -1 if int(steps["layer"].min()) - 1 in whole_groups else whole.origin,
                "destination": -1 if int(steps["layer"].max()) + 1 in whole_groups else whole.destination,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values(["in_all", "lineage"], ascending=[False, True], ignore_index=True)
