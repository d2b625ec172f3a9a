"""Summaries add up: merged in any order and any grouping they are the summary of all pairs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import moments

MOMENTS = ("mi_mean", "mi_m2", "cov_mean", "cov_m2", "mi_cov_comoment", "correlation")
SCALARS = (*MOMENTS, "mi_min", "mi_max", "cov_min", "cov_max")


def pairs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mi = rng.gamma(4.0, 0.1, size=count)
    return mi, 1e4 + 3.0 * mi + rng.normal(size=count)


def assert_same(a: moments.PairSummary, b: moments.PairSummary) -> None:
    assert a.pairs == b.pairs
    np.testing.assert_array_equal(a.mi_histogram, b.mi_histogram)
    np.testing.assert_array_equal(a.cov_histogram, b.cov_histogram)
    for name in SCALARS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, err_msg=name)


def test_a_summary_is_what_numpy_says():
    mi, cov = pairs(5000, seed=1)
    summary = moments.summarise(mi, cov)
    assert summary.pairs == 5000
    np.testing.assert_allclose(summary.mi_variance, np.var(mi, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(summary.cov_variance, np.var(cov, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(summary.correlation, np.corrcoef(mi, cov)[0, 1], rtol=1e-12)
    np.testing.assert_array_equal(summary.mi_histogram, np.histogram(mi, moments.MI_EDGES)[0])
    np.testing.assert_array_equal(summary.cov_histogram, np.histogram(cov, moments.COV_EDGES)[0])
    assert (summary.mi_min, summary.mi_max, summary.cov_min) == (mi.min(), mi.max(), cov.min())


def test_stored_numbers_are_summed_in_double_precision():
    mi, cov = (values.astype(np.float32) for values in pairs(5000, seed=4))
    summary = moments.summarise(mi, cov)
    exact = moments.summarise(mi.astype(np.float64), cov.astype(np.float64))
    assert_same(summary, exact)
    assert summary.mi_m2 == exact.mi_m2
    assert summary.mi_cov_comoment == exact.mi_cov_comoment


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 600), min_size=1, max_size=8), order=st.randoms(use_true_random=False))
def test_merging_parts_in_any_order_gives_the_whole(cuts, order):
    mi, cov = pairs(600, seed=2)
    parts = [
        moments.summarise(m, c) for m, c in zip(np.split(mi, sorted(cuts)), np.split(cov, sorted(cuts)), strict=True)
    ]
    order.shuffle(parts)
    assert_same(functools.reduce(moments.merge, parts), moments.summarise(mi, cov))
    assert_same(functools.reduce(lambda a, b: moments.merge(b, a), parts), moments.summarise(mi, cov))


def test_pairs_without_a_value_do_not_poison_the_rest():
    mi, cov = pairs(100, seed=3)
    some = moments.summarise(mi, cov)
    with_holes = moments.summarise(np.append(mi, [np.nan, 0.5, 0.5]), np.append(cov, [1.0, np.nan, np.inf]))
    assert_same(some, with_holes)


def test_an_empty_summary_changes_nothing():
    empty, some = moments.summarise(np.array([]), np.array([])), moments.summarise(*pairs(50, seed=4))
    assert empty.pairs == 0
    assert np.isnan([empty.mi_mean, empty.mi_min, empty.mi_variance, empty.correlation]).all()
    assert_same(moments.merge(empty, some), some)
    assert_same(moments.merge(some, empty), some)
    assert moments.merge(empty, empty).pairs == 0


def test_values_beyond_the_edges_count_in_the_outer_bins():
    summary = moments.summarise(np.array([-1e-13, 6.0, 7.0]), np.array([-1e9, 0.0, 1e9]))
    assert summary.mi_histogram[0] == 1
    assert summary.mi_histogram[-1] == 2
    assert summary.cov_histogram[0] == summary.cov_histogram[-1] == 1
    assert summary.cov_histogram[np.searchsorted(moments.COV_EDGES, 0.0)] == 1


def test_stored_float32_values_are_summed_in_float64():
    mi = np.full(100_000, 0.1, np.float32)
    assert moments.summarise(mi, mi).mi_mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one length"):
        moments.summarise(np.zeros(3), np.zeros(4))
