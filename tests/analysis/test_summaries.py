"""Summaries add up: merged in any order and any grouping they are the summary of all pairs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import summaries


def pairs(count: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mi = rng.gamma(4.0, 0.1, size=count)
    return {"mi": mi, "cov": 1e4 + 3.0 * mi + rng.normal(size=count), "corr": np.tanh(mi + rng.normal(size=count))}


def assert_same(a, b) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].pairs == b[name].pairs
        np.testing.assert_array_equal(a[name].histogram, b[name].histogram)
        for value in ("mean", "m2", "minimum", "maximum", "mi_comoment"):
            np.testing.assert_allclose(getattr(a[name], value), getattr(b[name], value), rtol=1e-9, err_msg=value)
        np.testing.assert_allclose(
            summaries.correlation(a, name), summaries.correlation(b, name), rtol=1e-9, err_msg=name
        )


def test_a_summary_is_what_numpy_says():
    measures = pairs(5000, seed=1)
    summary = summaries.summarise(measures)
    for name, values in measures.items():
        assert summary[name].pairs == 5000
        np.testing.assert_allclose(summary[name].variance, np.var(values, ddof=1), rtol=1e-12)
        expected = np.corrcoef(measures["mi"], values)[0, 1]
        np.testing.assert_allclose(summaries.correlation(summary, name), expected, rtol=1e-12)
        np.testing.assert_array_equal(summary[name].histogram, np.histogram(values, summaries.EDGES[name])[0])
        assert (summary[name].minimum, summary[name].maximum) == (values.min(), values.max())


def test_stored_numbers_are_summed_in_double_precision():
    stored = {name: values.astype(np.float32) for name, values in pairs(5000, seed=4).items()}
    exact = summaries.summarise({name: values.astype(np.float64) for name, values in stored.items()})
    summary = summaries.summarise(stored)
    assert_same(summary, exact)
    assert summary["cov"].m2 == exact["cov"].m2
    assert summary["cov"].mi_comoment == exact["cov"].mi_comoment
    tenths = np.full(100_000, 0.1, np.float32)
    assert summaries.summarise({"mi": tenths})["mi"].mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 600), min_size=1, max_size=8), order=st.randoms(use_true_random=False))
def test_merging_parts_in_any_order_gives_the_whole(cuts, order):
    measures = pairs(600, seed=2)
    split = {name: np.split(values, sorted(cuts)) for name, values in measures.items()}
    parts = [summaries.summarise(dict(zip(split, part, strict=True))) for part in zip(*split.values(), strict=True)]
    order.shuffle(parts)
    assert_same(functools.reduce(summaries.merge, parts), summaries.summarise(measures))
    assert_same(functools.reduce(lambda a, b: summaries.merge(b, a), parts), summaries.summarise(measures))


def test_pairs_without_a_value_do_not_poison_the_rest_nor_other_measures():
    measures = pairs(100, seed=3)
    holes = {"mi": [np.nan, 0.5, 0.5], "cov": [1.0, np.nan, np.inf], "corr": [0.1, 0.2, np.nan]}
    summary = summaries.summarise({name: np.append(values, holes[name]) for name, values in measures.items()})
    assert {name: one.pairs for name, one in summary.items()} == {"mi": 102, "cov": 100, "corr": 101}
    without = summaries.summarise(measures)
    assert summary["cov"].mean == without["cov"].mean
    assert np.isnan(summaries.correlation(summary, "cov")), "r over other pairs than MI's would be another number"


def test_an_empty_summary_changes_nothing():
    empty = summaries.summarise({name: np.array([]) for name in ("mi", "cov", "corr")})
    some = summaries.summarise(pairs(50, seed=4))
    assert empty["mi"].pairs == 0
    assert np.isnan([empty["mi"].mean, empty["mi"].minimum, empty["mi"].variance]).all()
    assert np.isnan(summaries.correlation(empty, "cov"))
    assert_same(summaries.merge(empty, some), some)
    assert_same(summaries.merge(some, empty), some)
    assert summaries.merge(empty, empty)["mi"].pairs == 0


def test_values_beyond_the_edges_count_in_the_outer_bins():
    summary = summaries.summarise({"mi": np.array([-1e-13, 6.0, 7.0]), "cov": np.array([-1e9, 0.0, 1e9])})
    assert summary["mi"].histogram[[0, -1]].tolist() == [1, 2]
    assert summary["cov"].histogram[[0, -1]].tolist() == [1, 1]
    assert summary["cov"].histogram[np.searchsorted(summaries.COV_EDGES, 0.0)] == 1


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="one length"):
        summaries.summarise({"mi": np.zeros(3), "cov": np.zeros(4)})
    with pytest.raises(ValueError, match="'nmi' is not one of"):
        summaries.summarise({"mi": np.zeros(3), "nmi": np.zeros(3)})
    with pytest.raises(KeyError, match="cannot be merged"):
        summaries.merge(summaries.summarise({"mi": np.zeros(3)}), summaries.summarise(pairs(3, 0)))


def test_sums_by_group_are_those_of_a_loop():
    generator = np.random.default_rng(0)
    values = generator.normal(size=200).astype(np.float32)
    first, second = generator.integers(0, 3, 200), generator.integers(0, 4, 200)
    sums, counts = np.zeros((3, 5)), np.zeros((3, 5), int)
    for value, a, b in zip(values.tolist(), first.tolist(), second.tolist(), strict=True):
        sums[a, b] += value
        counts[a, b] += 1
    np.testing.assert_array_equal(summaries.sums_by_group(values, first, second, (3, 5)), sums)
    np.testing.assert_array_equal(summaries.counts_by_group(first, second, (3, 5)), counts)
    values[0] = np.nan
    assert np.isnan(summaries.sums_by_group(values, first, second, (3, 5))[first[0], second[0]])


def test_measures_are_added_side_by_side_in_the_order_of_the_pairs():
    rng = np.random.default_rng(3)
    values = (rng.normal(size=(4, 3000)) * 10.0 ** rng.integers(-3, 4, size=3000)).astype(np.float32)
    first, second = rng.integers(0, 3, 3000), rng.integers(0, 5, 3000).astype(np.uint16)
    sums, by_second = summaries.sums_by_group(values, first, second, (3, 5)), np.empty((4, 6))
    for measure, of_measure in zip(values, sums, strict=True):
        plain = np.bincount(first * 5 + second, weights=measure, minlength=15)
        np.testing.assert_array_equal(of_measure, plain.reshape(3, 5))
    for measure, of_measure in zip(values, by_second, strict=True):
        of_measure[:] = np.bincount(second, weights=measure, minlength=6)
    np.testing.assert_array_equal(summaries.sums_by_member(values, second, 6), by_second)
    with pytest.raises(ValueError, match="members from 0 to 4; there are 4"):
        summaries.sums_by_member(values, second, 4)
