"""Tiles of made-up vectors, with what the plain steps say of the same vectors."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from analysis.engine import plain
from analysis.engine.nlogn import n_log_n
from analysis.engine.outliers import find_outliers, rearranged
from analysis.engine.scratch import Scratch
from analysis.engine.tile import diagonal, rectangle
from analysis.engine.vectors import NLogN, Side, Tile
from tests.analysis.conftest import moving_states


class Made(NamedTuple):
    tile: Tile
    x: np.ndarray  # float32 [R, D], the rows of the tile in its order, dimensions as the tile has them
    y: np.ndarray  # float32 [C, D], its columns
    valid_x: np.ndarray  # bool [R, D], from the plain step
    valid_y: np.ndarray  # bool [C, D]
    weights: NLogN
    scratch: Scratch
    bins: int

    def sides(self):
        """(side, its vectors, their valid dimensions, the other side, its valid dimensions), both ways round."""
        yield self.tile.rows, self.x, self.valid_x, self.tile.columns, self.valid_y
        yield self.tile.columns, self.y, self.valid_y, self.tile.rows, self.valid_x

    def ways(self):
        """(side, the other side, r, c, x, valid, both) for each vector of a side with each of the other, both ways.

        `x` [D] is vector r of the side, `valid` [D] where it is valid, and `both` where vector c of the other is too.
        """
        for side, x, valid, other, valid_other in self.sides():
            for r in range(len(x)):
                for c in range(len(valid_other)):
                    yield side, other, r, c, x[r], valid[r], valid[r] & valid_other[c]

    def pairs(self):
        """Pairs (r, c) of the tile that are asked for."""
        for r in range(len(self.x)):
            for c in range(r + 1 if self.tile.on_diagonal else 0, len(self.y)):
                yield r, c

    def codes(self, r: int, c: int) -> tuple[np.ndarray, np.ndarray]:
        """The plain codes of a pair."""
        valid = self.valid_x[r] & self.valid_y[c]
        return plain.codes(self.x[r], valid, self.bins), plain.codes(self.y[c], valid, self.bins)

    def joint(self, r: int, c: int) -> np.ndarray:
        return plain.joint_histogram(*self.codes(r, c), self.bins)


def made(x: np.ndarray, bins: int, outlier_z: float, split: int | None = None) -> Made:
    """The tile of all of `x` with itself, or of its first `split` vectors with the others."""
    weights, scratch = n_log_n(x.shape[1]), Scratch()
    if split is None:
        a = b = find_outliers(x, outlier_z)
        tile = diagonal(a, np.arange(len(x)), bins, weights, scratch)
        first = second = x
    else:
        first, second = x[:split], x[split:]
        a = find_outliers(first, outlier_z)
        b = rearranged(find_outliers(second, outlier_z), a.dimension)
        tile = rectangle(a, np.arange(len(first)), b, np.arange(len(second)), bins, weights, scratch)

    def arranged(values: np.ndarray, side: Side) -> np.ndarray:
        return values[side.members][:, a.dimension]

    valid_first, valid_second = plain.valid_dimensions(first, outlier_z), plain.valid_dimensions(second, outlier_z)
    return Made(
        tile, arranged(first, tile.rows), arranged(second, tile.columns), arranged(valid_first, tile.rows),
        arranged(valid_second, tile.columns), weights, scratch, bins,
    )  # fmt: skip


def afresh(name: str) -> Made:
    """One of the tiles that differ in what they exercise: sizes, bins, bins that move, constants, empty pairs, groups.

    For tests that change it; the others take that of `made_of`.
    """
    rng = np.random.default_rng(5)
    few_values = rng.choice(np.array([0, 1, -1, 0.1, 7, 3e4], np.float32), size=(12, 70))
    x, bins, outlier_z, *split = {
        "moving": (moving_states(40, 130, seed=1), 15, 3.0),
        "most pairs move": (moving_states(30, 64, seed=2), 17, 1.5),
        "64 bins": (moving_states(20, 300, seed=3), 64, 2.0),
        "ties and constants": (np.vstack([few_values, np.ones((2, 70), np.float32)]), 5, 1.0),
        "empty pairs": (moving_states(10, 6, seed=4), 3, 0.5),
        "two groups": (moving_states(45, 200, seed=5), 15, 2.5, 13),
    }[name]
    return made(x, bins, outlier_z, *split)


made_of = functools.cache(afresh)
MADE = ("moving", "most pairs move", "64 bins", "ties and constants", "empty pairs", "two groups")
