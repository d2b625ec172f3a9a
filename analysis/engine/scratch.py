"""Memory that a thread keeps from tile to tile.

Fresh memory costs a page fault for every 4 KiB of it, which was a quarter of the time of 250 vectors. What a tile needs
only until it ends is therefore taken from here.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_KEPT = 2**26
"""Bytes; larger arrays are given back."""


class Scratch(threading.local):
    """Arrays by name, each valid until the same thread asks for that name again."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint64]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """An array with whatever values were there before."""
        items = math.prod(shape)
        words = (items * np.dtype(dtype).itemsize + 7) // 8
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < words:
            buffer = np.empty(words, np.uint64)
            if words * 8 <= LARGEST_KEPT:
                self._buffers[name] = buffer
        return buffer.view(dtype)[:items].reshape(shape)
