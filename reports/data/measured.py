"""All pairs of some hidden states, measured here and now, as the frames that figures take. No store is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.pairwise import PairStatistics, cross_statistics, pair_statistics
from analysis.summaries import MeasureSummary, correlation, summarise
from reports.data.classes import Classes
from reports.data.likeness import QUANTITIES, varying
from reports.data.scope import SEED, check_layer
from reports.errors import ReportUsageError

States = Mapping[str, NDArray[np.float32]]


def measure(states: States, bins: int = 15, outlier_z: float | None = 5.0) -> Measured:
    """Measure all pairs of marks within each class, in every layer.

    `states`: float32 [layers, marks, D] by class, as `interpunct.find_marks(...).states()` gives them, or [marks, D]
    for a single layer. `bins`, `outlier_z`: as `interpunct.pair_statistics` takes them.

    Raises ReportUsageError for anything but arrays by class, and where the classes have other layers or dimensions;
    ValueError for states that are no finite float32 numbers.
    """
    if not isinstance(states, Mapping) or not all(isinstance(x, np.ndarray) for x in states.values()):
        raise ReportUsageError(
            f"states are {_kind(states)}; pass a dict with a float32 array [layers, marks, D] for each class, such as "
            "find_marks(...).states()"
        )
    deep = {name: x[None] if x.ndim == 2 else x for name, x in states.items()}
    shapes = {name: (x.shape[0], x.shape[2]) if x.ndim == 3 else x.shape for name, x in deep.items()}
    if not deep or any(x.ndim != 3 for x in deep.values()) or len(set(shapes.values())) != 1:
        found = ", ".join(f"{name} {list(x.shape)}" for name, x in states.items()) or "nothing"
        raise ReportUsageError(f"states are {found}; pass float32 [layers, marks, D] of each class, in the same layers")
    pairs = {
        (layer, name): pair_statistics(x[layer], bins, outlier_z)
        for layer in range(next(iter(deep.values())).shape[0])
        for name, x in deep.items()
    }
    return Measured(deep, pairs, bins, outlier_z)


def _kind(states: object) -> str:
    if isinstance(states, np.ndarray):
        return f"an array {list(states.shape)}"
    if isinstance(states, Mapping):
        return ", ".join(f"{name}: {type(x).__name__}" for name, x in states.items())
    return f"a {type(states).__name__}"


@dataclass(frozen=True, eq=False)
class Measured:
    """Hidden states by class, and the statistics of all their pairs by layer and class. See `measure`."""

    states: States
    statistics: Mapping[tuple[int, str], PairStatistics]
    bins: int
    outlier_z: float | None

    @property
    def classes(self) -> Classes:
        """The classes, in the order of the states."""
        return Classes(tuple(self.states))

    @property
    def layers(self) -> list[int]:
        """The layers, from 0."""
        return list(range(next(iter(self.states.values())).shape[0]))

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """A row a pair (i < j): layer, class, i, j, n, mi, cov, corr, hx, hy, as in the view `pairs`."""
        return pd.concat([self.of(layer) for layer in self.layers], ignore_index=True)

    def of(self, layer: int) -> pd.DataFrame:
        """The pairs of one layer. Raises ReportUsageError for a layer that is not there."""
        check_layer(layer)
        if layer not in self.layers:
            raise ReportUsageError(f"layer {layer} was not measured; there are layers 0 to {self.layers[-1]}")
        frames = []
        for name, x in self.states.items():
            i, j = np.triu_indices(x.shape[1], 1)
            values = self.statistics[layer, name]._asdict()
            frames.append(pd.DataFrame({"layer": layer, "class": name, "i": i, "j": j, **values}))
        return pd.concat(frames, ignore_index=True)

    def between(self, layer: int, first: str, second: str) -> pd.DataFrame:
        """Pairs between two classes in one layer: i counts in the first, j in the second."""
        x, y = self.states[first][layer], self.states[second][layer]
        i, j = (index.ravel() for index in np.indices((len(x), len(y))))
        values = cross_statistics(x, y, self.bins, self.outlier_z)._asdict()
        return pd.DataFrame({"layer": layer, "class": first, "other": second, "i": i, "j": j, **values})

    def square(self, layer: int) -> pd.DataFrame:
        """All pairs of one layer, within the classes and between them: class, other, i, j, mi, cov, ..."""
        within = self.of(layer)
        names = list(self.states)
        across = [self.between(layer, one, two) for place, one in enumerate(names) for two in names[place + 1 :]]
        return pd.concat([within.assign(other=within["class"]), *across], ignore_index=True)

    def sample(self, layer: int, pairs: int) -> pd.DataFrame:
        """At most so many pairs of each class in one layer, the same in all layers."""
        rows = self.of(layer)
        rng = np.random.default_rng(SEED)
        parts = [of for _, of in rows.groupby("class", sort=False)]
        return pd.concat([of.iloc[np.sort(rng.permutation(len(of))[:pairs])] for of in parts])

    def activations(self, layer: int) -> pd.DataFrame:
        """Mean activation of each dimension and class in one layer: dimension, class, mean, marks."""
        means = {name: x[layer].mean(axis=0, dtype=np.float64) for name, x in self.states.items()}
        frames = [
            pd.DataFrame({"dimension": np.arange(len(mean)), "class": name, "mean": mean}).assign(
                marks=self.states[name].shape[1]
            )
            for name, mean in means.items()
        ]
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def _summaries(self) -> dict[tuple[int, str], dict[str, MeasureSummary]]:
        # Of float32 values, as the table `summaries` has them.
        return {
            key: summarise({name: getattr(of, name).astype(np.float32) for name in QUANTITIES})
            for key, of in self.statistics.items()
        }

    @cached_property
    def moments(self) -> pd.DataFrame:
        """Mean, extremes and r by layer and class, as the query `layer_moments` gives them."""
        rows = []
        for (layer, name), of in self._summaries.items():
            row = {"layer": layer, "class": name, "books": 1, "pairs": of["mi"].pairs, "r": correlation(of, "cov")}
            for quantity in QUANTITIES:
                summary = of[quantity]
                row |= {f"{quantity}_mean": summary.mean, f"{quantity}_std": summary.variance**0.5}
                row |= {f"{quantity}_min": summary.minimum, f"{quantity}_max": summary.maximum}
            rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def histograms(self) -> pd.DataFrame:
        """Pairs by fixed bin of MI and covariance, as the query `layer_histograms` gives them."""
        rows = [
            (quantity, layer, name, bin_, pairs)
            for (layer, name), of in self._summaries.items()
            for quantity in QUANTITIES
            for bin_, pairs in enumerate(of[quantity].histogram.tolist())
            if pairs
        ]
        return pd.DataFrame(rows, columns=["quantity", "layer", "class", "bin", "pairs"])

    @cached_property
    def means(self) -> pd.DataFrame:
        """Means over the layers as the figures take them; without intervals, which need books or passages."""
        long = [
            self.moments[["layer", "class"]].assign(quantity=quantity, mean=self.moments[f"{quantity}_mean"])
            for quantity in QUANTITIES
        ]
        means = pd.concat(long, ignore_index=True).assign(low=np.nan, high=np.nan)
        return means.merge(varying(self.moments), on=["quantity", "layer", "class"])
