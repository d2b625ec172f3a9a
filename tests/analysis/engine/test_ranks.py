"""Ranks against their plain form: a stable sort, and a loop over runs of equal values."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.engine.ranks import by_rank


def doubled_ranks(row: np.ndarray) -> np.ndarray:
    """Twice the rank of each value, counted from 1; equal values share the mean of their ranks."""
    return np.array([(row < value).sum() + 1 + (row <= value).sum() for value in row])


@pytest.mark.parametrize("dims", [2, 3, 64, 577])
def test_each_value_has_the_entry_of_its_rank(dims):
    rng = np.random.default_rng(dims)
    x = np.concatenate(
        [
            rng.normal(size=(20, dims)),
            rng.integers(-3, 3, size=(20, dims)) * 1e-3,
            rng.choice([0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38], size=(20, dims)),
            rng.permutation(np.linspace(-1e-40, 1e-40, dims))[None],
            np.ones((1, dims)),
        ]
    ).astype(np.float32)
    table = rng.normal(size=2 * dims + 1)
    np.testing.assert_array_equal(by_rank(x, table), np.stack([table[doubled_ranks(row)] for row in x]))


def test_no_vectors():
    assert by_rank(np.empty((0, 5), np.float32), np.zeros(11)).shape == (0, 5)
