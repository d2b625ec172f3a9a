"""Valleys: found where two lumps are, and not in samples with one mode, whatever their tails."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.clusters import _CRITICAL
from analysis.unimodality import deepest_valley


def _deeper(draw, n: int, times: int = 400) -> float:
    """How often a sample has a valley beyond the critical depth."""
    random = np.random.default_rng(5)
    critical = np.interp(np.log(n), np.log(_CRITICAL[:, 0]), _CRITICAL[:, 1])
    return float(np.mean([deepest_valley(draw(random, n)).depth > critical for _ in range(times)]))


@pytest.mark.parametrize("n", [20, 50, 100, 250, 1000])
def test_one_mode_seldom_has_a_valley(n):
    assert _deeper(lambda random, n: random.standard_normal(n), n) <= 0.01
    assert _deeper(lambda random, n: random.standard_t(2, n), n) <= 0.01
    assert _deeper(lambda random, n: random.standard_exponential(n), n) <= 0.02
    assert _deeper(lambda random, n: random.random(n), n) <= 0.04


def test_two_lumps_are_cut_between_them():
    random = np.random.default_rng(1)
    values = np.concatenate([random.normal(0, 1, 230), random.normal(9, 0.5, 20)])
    valley = deepest_valley(values)
    assert valley.depth > 2
    assert 3 < valley.place < 8.5


def test_the_depth_does_not_depend_on_order_origin_or_scale():
    values = np.random.default_rng(2).standard_normal(80)
    depth = deepest_valley(values).depth
    assert deepest_valley(values[::-1]).depth == depth
    assert deepest_valley(-3 * values + 100).depth == pytest.approx(depth, abs=1e-6)


def test_equal_or_few_values_have_no_valley():
    assert deepest_valley(np.ones(50)).depth == -np.inf
    assert deepest_valley(np.array([0.0] * 5 + [1.0] * 5)).depth == -np.inf


def test_none_deeper_than_asked_for_gives_that_depth():
    assert deepest_valley(np.random.default_rng(3).standard_normal(60), beyond=50.0).depth == 50.0
