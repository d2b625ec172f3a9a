"""Effect sizes against their definition."""

from __future__ import annotations

import numpy as np

from analysis.effects import cliffs_delta


def test_cliffs_delta_is_its_definition():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 40).astype(float), rng.integers(2, 12, 55).astype(float)
    assert np.isclose(cliffs_delta(a, b), np.sign(a[:, None] - b).mean())
    assert np.isclose(cliffs_delta(a, b), -cliffs_delta(b, a))


def test_cliffs_delta_at_its_bounds_and_between_equals():
    a = np.random.default_rng(1).normal(size=30).astype(np.float32)
    assert cliffs_delta(a, a) == 0
    assert cliffs_delta(a + 100, a) == 1
    assert cliffs_delta(a, a + 100) == -1


def test_cliffs_delta_is_that_of_two_normals():
    """P(a > b) of normals one standard deviation apart is the normal distribution at 1 / sqrt(2): 0.7602."""
    rng = np.random.default_rng(2)
    delta = cliffs_delta(rng.normal(1.0, 1.0, 20_000), rng.normal(0.0, 1.0, 20_000))
    assert abs(delta - (2 * 0.7602 - 1)) < 0.01


def test_a_group_without_values_has_no_effect_size():
    assert np.isnan(cliffs_delta(np.empty(0), np.ones(3)))
    assert np.isnan(cliffs_delta(np.ones(3), np.empty(0)))
