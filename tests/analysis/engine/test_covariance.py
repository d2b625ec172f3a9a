"""Sums of products of centred vectors against exact sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.engine.covariance import products
from analysis.engine.outliers import centred, find_outliers, rearranged
from analysis.engine.scratch import Scratch


def made_up(number: int, dims: int, seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(number, dims)).astype(np.float32)
    x[rng.random(x.shape) < 0.02] *= 20  # outliers
    return find_outliers(x, 3.0)


@pytest.mark.parametrize("number", [0, 1, 2, 7, 8, 9, 17, 33])
@pytest.mark.parametrize("dims", [2, 64, 65, 130, 1300])
def test_every_pair_is_the_exact_sum_up_to_rounding(number, dims):
    vectors = made_up(number, dims, number * 1000 + dims)
    rows = np.arange(number)
    found = products(vectors, rows, vectors, rows, True, Scratch())
    x = centred(vectors, rows)
    for i in range(number):
        for j in range(i, number):
            scale = np.abs(x[i] * x[j]).sum()
            assert abs(found[i, j] - math.fsum(x[i] * x[j])) <= 1e-14 * scale


def test_two_groups_of_different_sizes():
    a, b = made_up(11, 200, 1), made_up(19, 200, 2)
    b = rearranged(b, a.dimension)
    rows, columns = np.array([3, 1, 10]), np.arange(19)[::-1].copy()
    found = products(a, rows, b, columns, False, Scratch())
    np.testing.assert_allclose(found[:3, :19], centred(a, rows) @ centred(b, columns).T, rtol=1e-12, atol=1e-9)


def test_a_pair_is_the_same_to_the_bit_wherever_it_stands():
    vectors, memory = made_up(40, 300, 3), Scratch()
    rows = np.arange(40)
    whole = products(vectors, rows, vectors, rows, True, memory)[:40, :40].copy()
    whole = np.triu(whole) + np.triu(whole, 1).T
    order = np.random.default_rng(4).permutation(40)
    shuffled = products(vectors, order, vectors, order, True, memory)[:40, :40]
    upper = np.triu_indices(40)
    np.testing.assert_array_equal(shuffled[upper], whole[np.ix_(order, order)][upper])
    block = products(vectors, rows[5:20], vectors, rows[21:], False, memory)[:15, :19]
    np.testing.assert_array_equal(block, whole[5:20, 21:])
