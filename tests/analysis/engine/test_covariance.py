"""Sums of products of centred vectors against exact sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.engine import plain
from analysis.engine.covariance import products
from tests.analysis.engine.tiles import made


def vectors(number: int, dims: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(number, dims)).astype(np.float32)
    x[rng.random(x.shape) < 0.02] *= 20  # outliers
    return x


@pytest.mark.parametrize("number", [0, 1, 2, 7, 8, 9, 17, 33])
@pytest.mark.parametrize("dims", [2, 64, 65, 130, 1300])
def test_every_pair_is_the_exact_sum_up_to_rounding(number, dims):
    tile = made(vectors(number, dims, number * 1000 + dims), 15, 3.0)
    found, x = products(tile.tile, tile.scratch), plain.centred(tile.x, tile.valid_x)
    for i in range(number):
        for j in range(i, number):
            assert abs(found[i, j] - math.fsum(x[i] * x[j])) <= 1e-13 * np.abs(x[i] * x[j]).sum()


def test_two_groups_of_different_sizes():
    tile = made(vectors(30, 200, 1), 15, 3.0, split=11)
    found = products(tile.tile, tile.scratch)[:11, :19]
    expected = plain.centred(tile.x, tile.valid_x) @ plain.centred(tile.y, tile.valid_y).T
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_a_pair_is_the_same_to_the_bit_wherever_it_stands():
    x, order = vectors(40, 300, 3), np.random.default_rng(4).permutation(40)

    def square(vectors: np.ndarray) -> np.ndarray:
        tile = made(vectors, 15, 3.0)
        upper = np.triu(products(tile.tile, tile.scratch)[:40, :40])
        members = tile.tile.rows.members
        found = np.empty((40, 40))
        found[np.ix_(members, members)] = upper + np.triu(upper, 1).T
        return found

    np.testing.assert_array_equal(square(x[order]), square(x)[np.ix_(order, order)])
