"""Clusters through the layers: which cluster of one layer goes on as which of the next, where it begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.clusters import matched

Labels = NDArray[np.int64]

LEAST_IN_COMMON = 0.5
"""A cluster goes on as another where at least this share of the marks of either is in both (Jaccard)."""


@dataclass
class Lineage:
    """One cluster through the layers.

    `steps`: layer and cluster, layer after layer. `origin`, `destination`: the lineages that most of its marks came
    from before its first layer and go to after its last; None where the layers begin or end.
    """

    steps: list[tuple[int, int]] = field(default_factory=list)
    origin: int | None = None
    destination: int | None = None

    @property
    def first(self) -> int:
        """The layer in which it begins."""
        return self.steps[0][0]

    @property
    def last(self) -> int:
        """The layer after which it is no more."""
        return self.steps[-1][0]


def follow(layers: Mapping[int, Labels]) -> list[Lineage]:
    """The lineages of the clusters of the same marks in several layers, int64 [N] by layer, as they begin.

    >>> one, two = np.zeros(10, np.int64), np.repeat([0, 1], [7, 3])
    >>> [(lineage.first, lineage.last) for lineage in follow({0: one, 1: two, 2: two, 3: one})]
    [(0, 3), (1, 2)]
    """
    lineages: list[Lineage] = []
    before: Labels | None = None
    current: dict[int, int] = {}
    for layer in sorted(layers):
        labels, following = layers[layer], dict[int, int]()
        if before is not None:
            going_on = {new: old for old, new, common in matched(before, labels) if common >= LEAST_IN_COMMON}
            following = {new: current[old] for new, old in going_on.items()}
        for cluster in range(int(labels.max(initial=-1)) + 1):
            if cluster not in following:
                origin = None if before is None else current[_most_common(before[labels == cluster])]
                lineages.append(Lineage(origin=origin))
                following[cluster] = len(lineages) - 1
            lineages[following[cluster]].steps.append((layer, cluster))
        if before is not None:
            for old, lineage in current.items():
                if lineage not in following.values():
                    lineages[lineage].destination = following[_most_common(labels[before == old])]
        before, current = labels, following
    return lineages


def _most_common(labels: Labels) -> int:
    return int(np.bincount(labels).argmax())
