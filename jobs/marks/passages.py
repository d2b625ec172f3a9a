"""Passages: stretches of a text that are run through the model whole, and which of them a study takes.

A passage begins with a **warm-up**, in which no mark is taken: there the model has seen too little. Behind it comes the
passage's **body**. The bodies of a text's passages follow each other without a gap, so that every token behind the
text's own first warm-up lies in exactly one. Of the passages that are taken, a study reads as much of each as its
classes need, and as much of one as of the other. All this depends on the text, the tokenizer and the study alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class PassageGrid:
    """The passages of a text of `tokens` tokens, each `length` long, with no mark in its first `warmup` tokens.

    A text shorter than `length` is one passage, with a warm-up that is shorter in proportion.

    >>> grid = PassageGrid.of(tokens=1000, length=400, warmup=100)
    >>> grid.count, grid.starts.tolist(), grid.ordinal(np.array([99, 100, 399, 400, 999])).tolist()
    (3, [0, 300, 600], [-1, 0, 0, 1, 2])
    """

    tokens: int
    length: int
    warmup: int

    @classmethod
    def of(cls, tokens: int, length: int, warmup: int) -> PassageGrid:
        """The grid of a text. Raises ValueError where a passage would be nothing but warm-up."""
        if not 0 <= warmup < length:
            raise ValueError(f"a warm-up of {warmup} tokens leaves nothing of a passage of {length}")
        actual = min(tokens, length)
        return cls(tokens, actual, warmup * actual // length)

    @property
    def stride(self) -> int:
        """Tokens in the body of a passage."""
        return self.length - self.warmup

    @property
    def count(self) -> int:
        """How many passages cover the text."""
        return 0 if self.tokens == 0 else 1 + -(-(self.tokens - self.length) // self.stride)

    @property
    def starts(self) -> Positions:
        """int64 [count]: where each passage begins. The last one ends with the text, so its warm-up may be longer."""
        return np.minimum(np.arange(self.count) * self.stride, self.tokens - self.length)

    def ordinal(self, positions: Positions) -> Positions:
        """int64 [n]: the passage in whose body each position lies; -1 in the text's first warm-up."""
        return np.where(positions < self.warmup, -1, (positions - self.warmup) // self.stride)

    def depth(self, positions: Positions) -> Positions:
        """int64 [n]: how many tokens of its body stand before each position; of those behind the first warm-up."""
        return (positions - self.warmup) % self.stride


def choose_passages(
    grid: PassageGrid, marks: Sequence[Positions], wanted: int | None, sample: str, salt: bytes
) -> NDArray[np.int64]:
    """The passages to take so that each class has `wanted` marks: their ordinals, ascending.

    `marks` are the eligible positions of each class, all in bodies. With None for `wanted`, and where a class has fewer
    than it, all passages are taken. `sample`: `first` takes them from the text's beginning, `spread` takes the smallest
    number of evenly spaced ones that gives enough marks, `random` orders them by a hash of `salt`.
    """
    counts = np.array([np.bincount(grid.ordinal(positions), minlength=grid.count) for positions in marks])
    needed = [] if wanted is None else [row for row in counts if row.sum() > 0]
    if not needed or any(row.sum() < wanted for row in needed):
        return np.arange(grid.count)
    enough = np.array(needed)
    if sample == "spread":
        return evenly_spaced(enough, wanted or 0)
    order = (
        np.arange(grid.count) if sample == "first" else np.argsort(hashes(np.arange(grid.count), salt), kind="stable")
    )
    reached = (np.cumsum(enough[:, order], axis=1) >= wanted).all(axis=0)
    return np.sort(order[: 1 + int(np.argmax(reached))])


def reach(grid: PassageGrid, marks: Sequence[Positions], chosen: NDArray[np.int64], wanted: int | None) -> int:
    """How many tokens of each body to read so that the chosen passages give each class `wanted` marks, if they can.

    The last passage that is taken brings more marks than are wanted. They are left out at the end of all bodies alike,
    not at the end of the book. `marks` and `wanted` as for `choose_passages`.

    >>> grid = PassageGrid.of(tokens=1000, length=400, warmup=100)
    >>> reach(grid, [np.array([110, 160, 410, 460])], np.array([0, 1]), wanted=3)
    61
    """
    longest = 0
    for positions in marks:
        depths = grid.depth(positions[np.isin(grid.ordinal(positions), chosen)])
        if wanted is None or 0 < depths.size < wanted:
            return grid.stride
        if depths.size:
            longest = max(longest, 1 + int(np.partition(depths, wanted - 1)[wanted - 1]))
    return longest or grid.stride


def thin(positions: Positions, wanted: int | None, sample: str, salt: bytes) -> Positions:
    """At most `wanted` of ascending positions: the first, evenly spaced ones, or those with the smallest hashes."""
    if wanted is None or positions.size <= wanted:
        return positions
    if sample == "first":
        return positions[:wanted]
    if sample == "spread":
        return positions[evenly(wanted, positions.size)]
    return positions[np.sort(np.argsort(hashes(positions, salt), kind="stable")[:wanted])]


def evenly(wanted: int, size: int) -> Positions:
    """`wanted` indices below `size`, evenly spaced, each in the middle of its share.

    >>> evenly(2, 10).tolist()
    [2, 7]
    """
    return ((2 * np.arange(wanted) + 1) * size) // (2 * wanted)


def hashes(numbers: Positions, salt: bytes) -> NDArray[np.uint64]:
    """The splitmix64 hash of each number, started from the salt's checksum.

    Steele, Lea and Flood (2014, doi:10.1145/2660193.2660195). Fixed for ever, unlike the streams of a library's
    random generator.
    """
    start = np.frombuffer(hashlib.sha256(salt).digest()[:8], dtype="<u8")
    state = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed


def evenly_spaced(counts: NDArray[np.int64], wanted: int) -> Positions:
    """The smallest number of evenly spaced passages with enough marks of each class; `counts` int [classes, passages].

    The search starts at a bound: with the richest passages of a class, fewer than these cannot hold enough.
    """
    richest = np.cumsum(np.sort(counts, axis=1)[:, ::-1], axis=1)
    at_least = 1 + int((richest < wanted).sum(axis=1).max())
    passages = counts.shape[1]
    for number in range(at_least, passages):
        chosen = evenly(number, passages)
        if (counts[:, chosen].sum(axis=1) >= wanted).all():
            return chosen
    return np.arange(passages)
