"""Outliers and the sums over the rest, against the plain step."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.engine import plain
from analysis.engine.outliers import find_outliers, first_unusable, rearranged
from tests.analysis.conftest import moving_states


def hard_vectors() -> np.ndarray:
    rng = np.random.default_rng(1)
    x = moving_states(30, 100, seed=1)
    x[0], x[1], x[2] = 3.0, rng.choice([0.0, 1.0], 100), 1e-38
    x[3] *= np.float32(1e30)
    x[4] = np.where(np.arange(100) < 50, 1e-30, 0)  # their squares are 0 in float32, and so is the deviation
    return x


@pytest.mark.parametrize("outlier_z", [0.0, 0.5, 1.0, 2.5, 5.0, 100.0, np.inf])
def test_every_vector_is_as_the_plain_step_has_it(outlier_z):
    x = hard_vectors()
    found, valid = find_outliers(x, outlier_z), plain.valid_dimensions(x, outlier_z)
    np.testing.assert_array_equal(found.n, valid.sum(axis=1))
    np.testing.assert_array_equal(found.lowest, np.where(valid, x, np.inf).min(axis=1))
    np.testing.assert_array_equal(found.highest, np.where(valid, x, -np.inf).max(axis=1))
    for i, outlier_set in enumerate(found.set_of):
        np.testing.assert_array_equal(np.sort(found.masked(outlier_set)), np.flatnonzero(~valid[i]))
        mean = x[i][valid[i]].mean(dtype=np.float64) if valid[i].any() else 0.0
        centred = x[i][valid[i]] - mean
        np.testing.assert_allclose(found.mean[i], mean, rtol=1e-12, atol=1e-12 * np.abs(x[i]).max())
        np.testing.assert_allclose(found.squares[i], (centred**2).sum(), rtol=1e-9, atol=1e-300)
        assert abs(found.total[i]) <= 1e-12 * np.abs(x[i]).max() * 100


def test_dimensions_are_rearranged_and_padded_with_nan():
    x = hard_vectors()
    found = find_outliers(x, 2.5)
    np.testing.assert_array_equal(np.sort(found.dimension), np.arange(100))
    np.testing.assert_array_equal(found.x[:, :100], x[:, found.dimension])
    assert found.x.shape == (30, 128)
    assert np.isnan(found.x[:, 100:]).all()


def test_outlier_sets_are_distinct_and_the_same_as_bits():
    found = find_outliers(hard_vectors(), 2.5)
    sets = [tuple(found.set_dims[a:b]) for a, b in zip(found.set_start, found.set_start[1:], strict=False)]
    assert len(set(sets)) == len(sets) > 5
    bits = np.unpackbits(found.set_bits.view(np.uint8), axis=1, bitorder="little")
    for dims, row in zip(sets, bits, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), dims)


def test_groups_meet_in_the_order_of_dimensions_of_the_first():
    x = moving_states(40, 150, seed=21)
    a, b = find_outliers(x[:15], 3.0), find_outliers(np.ascontiguousarray(x[15:]), 3.0)
    assert not np.array_equal(a.dimension, b.dimension)
    there = rearranged(b, a.dimension)
    back = rearranged(there, b.dimension)
    for field in b._fields:
        np.testing.assert_array_equal(getattr(back, field), getattr(b, field), err_msg=field)
    for outlier_set in range(len(there.set_start) - 1):
        assert set(there.masked(outlier_set)) == set(b.masked(outlier_set))
    np.testing.assert_array_equal(there.x[:, :150], x[15:, a.dimension])


def test_the_first_unusable_vector_is_found():
    x = moving_states(5, 70, seed=0)
    assert first_unusable(x, 1e30) == -1
    for row, value in [(4, 1e30), (3, np.nan), (2, -np.inf)]:
        x[row, 69] = value
        assert first_unusable(x, 1e30) == row
