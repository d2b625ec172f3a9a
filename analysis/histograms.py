"""Counts of many values in fixed bins of any widths, at a few instructions a value."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analysis.engine.compilation import compiled

_KEYS = 1 << 16


class FixedBins:
    """Bins [left, right) between ascending `edges`, float64 `[bins + 1]`; what lies beyond counts in the outer bins.

    A value's bin is guessed from the upper half of its float32 form (sign, exponent, 7 bits of mantissa), and then
    corrected by comparing with the edges, so that the guess decides the pace and not the result.
    """

    def __init__(self, edges: NDArray[np.float64]) -> None:
        if edges.ndim != 1 or len(edges) < 2 or not np.all(edges[:-1] < edges[1:]):
            raise ValueError("edges do not ascend; pass a flat array of at least two, each above the one before")
        if len(edges) > _KEYS:
            raise ValueError(f"{len(edges)} edges; at most {_KEYS} are allowed")
        self.edges = edges

    def count(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """How many of `values`, finite floating `[n]`, lie in each bin: int64 `[bins]`."""
        counts = np.zeros(len(self.edges) - 1, dtype=np.int64)
        with np.errstate(over="ignore"):  # beyond float32 a guess is infinite, which is corrected as any other
            keys = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        _count(np.ascontiguousarray(values), keys, self._first, self._open_edges, counts)
        return counts

    @cached_property
    def _open_edges(self) -> NDArray[np.float64]:
        return np.concatenate([[-np.inf], self.edges[1:-1], [np.inf]])

    @cached_property
    def _first(self) -> NDArray[np.uint16]:
        """For each upper half of a float32 the bin of one such number."""
        halves = np.arange(_KEYS, dtype=np.uint32) << 16
        with np.errstate(invalid="ignore"):  # some halves are those of NaNs
            return np.searchsorted(self.edges[1:-1], halves.view(np.float32), side="right").astype(np.uint16)


@compiled
def _count(
    values: NDArray[np.floating],
    keys: NDArray[np.uint32],
    first: NDArray[np.uint16],
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    one = np.uintp(1)  # unsigned: for signed numbers the compiler adds a case for indices from the end
    for k in range(values.size):
        value, place = np.float64(values[k]), np.uintp(first[keys[k] >> np.uint32(16)])
        while value < edges[place]:
            place -= one
        while value >= edges[place + one]:
            place += one
        counts[place] += 1
