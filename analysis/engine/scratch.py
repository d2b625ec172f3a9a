"""Memory that a thread keeps from tile to tile.

Fresh memory costs a page fault for every 4 KiB of it, which was a quarter of the time of 250 vectors. What a tile needs
only until it ends is therefore taken from a `Scratch`, which whoever computes tiles makes once a thread and hands in.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_KEPT = 2**26
"""Bytes; larger arrays are given back."""


class Buffer:
    """Memory for one array, valid until the next is asked for."""

    def __init__(self) -> None:
        self._words: NDArray[np.uint64] = np.empty(0, np.uint64)

    def array(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """An array with whatever values were there before."""
        items = math.prod(shape)
        number = (items * np.dtype(dtype).itemsize + 7) // 8
        words = self._words
        if words.size < number:
            words = np.empty(number, np.uint64)
            if number * 8 <= LARGEST_KEPT:
                self._words = words
        return words.view(dtype)[:items].reshape(shape)


@dataclass
class SideScratch:
    """Memory for one side of a tile; the names are those of the arrays in `analysis.engine.vectors`."""

    bits: Buffer = field(default_factory=Buffer)
    codes: Buffer = field(default_factory=Buffer)
    by_set: Buffer = field(default_factory=Buffer)
    n: Buffer = field(default_factory=Buffer)
    units: Buffer = field(default_factory=Buffer)
    entropy: Buffer = field(default_factory=Buffer)
    total: Buffer = field(default_factory=Buffer)
    shift: Buffer = field(default_factory=Buffer)
    scale: Buffer = field(default_factory=Buffer)
    cancelled: Buffer = field(default_factory=Buffer)
    panels: Buffer = field(default_factory=Buffer)


@dataclass
class Scratch:
    """Memory for a tile. Two threads never share one."""

    rows: SideScratch = field(default_factory=SideScratch)
    columns: SideScratch = field(default_factory=SideScratch)
    joint: Buffer = field(default_factory=Buffer)
    sparse_columns: Buffer = field(default_factory=Buffer)
    products: Buffer = field(default_factory=Buffer)


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.scratch = Scratch()


_own = _PerThread()


def scratch_of_this_thread() -> Scratch:
    """Memory that the calling thread keeps from call to call: 250 vectors are a single tile."""
    return _own.scratch
