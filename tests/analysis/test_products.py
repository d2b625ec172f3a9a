"""Products within a group against exact sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.products import products_within


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 11])
@pytest.mark.parametrize("dims", [1, 7, 64, 130, 1300])
def test_every_pair_is_the_exact_sum_up_to_rounding(number, dims):
    x = np.random.default_rng(number * 1000 + dims).normal(size=(number, dims))
    found = products_within(x, np.empty((number, number)))
    for i in range(number):
        for j in range(i, number):
            scale = np.abs(x[i] * x[j]).sum()
            assert abs(found[i, j] - math.fsum(x[i] * x[j])) <= 1e-14 * scale


def test_a_pair_is_the_same_to_the_bit_wherever_it_stands():
    x = np.random.default_rng(1).normal(size=(9, 100))
    whole = products_within(x, np.empty((9, 9)))
    for start in range(9):
        part = products_within(np.ascontiguousarray(x[start:]), np.empty((9 - start, 9 - start)))
        upper = np.triu_indices(9 - start)
        np.testing.assert_array_equal(part[upper], whole[start:, start:][upper])
