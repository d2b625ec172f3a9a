"""The null and its exact mean against each other, hand-made tables and what they keep; the closed form of Gaussians."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import nulls, pairwise, reference

BINS, OUTLIER_Z = 15, 5.0


def shuffled_mi(vectors: np.ndarray) -> float:
    return nulls.shuffled_mi(vectors, BINS, OUTLIER_Z, permutations=4, rng=np.random.default_rng(0))


def test_independent_gaussian_vectors_of_1024_dimensions_have_the_known_bias():
    """Their true MI is 0; shuffling changes nothing about them but chance."""
    vectors = np.random.default_rng(0).normal(size=(60, 1024)).astype(np.float32)
    level = shuffled_mi(vectors)
    assert level == pytest.approx(0.119, abs=0.01)
    assert level == pytest.approx(pairwise.pair_statistics(vectors, BINS, OUTLIER_Z).mi.mean(), rel=0.05)


def test_shuffling_forgets_what_the_vectors_share():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=512)
    alike = (shared + 0.01 * rng.normal(size=(20, 512))).astype(np.float32)
    apart = rng.normal(size=(20, 512)).astype(np.float32)
    assert shuffled_mi(alike) == pytest.approx(shuffled_mi(apart), abs=0.03)


def test_shuffling_spares_the_dimensions_left_out(states):
    """The level is that of the margins over the dimensions left, pair by pair."""
    expected = []
    for x, y in zip(states[::2], states[1::2], strict=True):
        left = reference.kept_dimensions(x, 3.0) & reference.kept_dimensions(y, 3.0)
        assert not left.all()
        joint = reference.joint_histogram(x[left], y[left], BINS)
        expected.append(nulls.expected_mi(joint.sum(axis=1), joint.sum(axis=0)))
    found = nulls.shuffled_mi(states, BINS, 3.0, permutations=40, rng=np.random.default_rng(0))
    assert found == pytest.approx(np.mean(expected), rel=0.02)


def test_one_vector_makes_no_pair_and_neither_do_two_without_a_dimension_left():
    assert np.isnan(shuffled_mi(np.ones((1, 8), np.float32)))
    apart = np.array([[0, 1, 0, 1], [1, 0, 1, 0]], np.float32)
    assert np.isnan(nulls.shuffled_mi(apart, 2, 0.0, permutations=3, rng=np.random.default_rng(0)))
    nothing = np.zeros(2, np.int64)
    assert np.isnan(nulls.permutation_null(nothing, nothing, 3, np.random.default_rng(0))).all()
    assert np.isnan(nulls.expected_mi(nothing, nothing))


def test_a_permutation_keeps_both_margins():
    """Against tables that are filled one value at a time from the same permutations."""
    a, b = np.array([3, 0, 4, 2]), np.array([5, 4])
    x, y = np.repeat(np.arange(4), a), np.repeat(np.arange(2), b)
    rng = np.random.default_rng(3)
    for found in nulls.permutation_null(a, b, 20, np.random.default_rng(3)):
        joint = np.zeros((4, 2), np.int64)
        np.add.at(joint, (x, rng.permutation(y)), 1)
        np.testing.assert_array_equal(joint.sum(axis=1), a)
        np.testing.assert_array_equal(joint.sum(axis=0), b)
        assert found == pytest.approx(reference.entropy(a) + reference.entropy(b) - reference.entropy(joint))


def test_the_expected_mi_is_the_mean_over_permutations():
    a, b = nulls.heavy_tailed_margin(1.5, BINS, 500), nulls.heavy_tailed_margin(2.5, BINS, 500)
    null = nulls.permutation_null(a, b, 400, np.random.default_rng(2))
    assert nulls.expected_mi(a, b) == pytest.approx(null.mean(), rel=0.01)


def test_the_smallest_tables_by_hand():
    """Two values in two bins each: paired as 1 0 / 0 1 or 0 1 / 1 0, one bit either way; one bin shares nothing."""
    assert nulls.expected_mi(np.array([1, 1]), np.array([1, 1])) == pytest.approx(1)
    assert nulls.expected_mi(np.array([7]), np.array([3, 4])) == pytest.approx(0, abs=1e-12)


def test_margins_have_the_size_and_spread_that_was_asked_for():
    narrow, wide = nulls.heavy_tailed_margin(0.5, BINS, 577), nulls.heavy_tailed_margin(5, BINS, 577)
    assert narrow.sum() == wide.sum() == 577
    assert reference.entropy(narrow) < reference.entropy(wide)
    assert np.abs(narrow - narrow[::-1]).max() <= 1


def test_margins_are_matched_by_their_entropy():
    low, high = (nulls.expected_mi_of_entropy(bits, BINS, 576) for bits in (2.0, 2.5))
    assert 0.05 < low < high < 0.2
    margin = nulls.heavy_tailed_margin(1.5, BINS, 576)
    matched = nulls.expected_mi_of_entropy(reference.entropy(margin), BINS, 576)
    assert matched == pytest.approx(nulls.expected_mi(margin, margin), rel=0.05)


def test_a_vector_in_nearly_one_bin_shares_next_to_nothing_by_chance():
    assert nulls.expected_mi_of_entropy(0.0, BINS, 576) == pytest.approx(0, abs=0.02)


def test_the_computed_level_is_near_the_measured_one_on_real_states(smollm2_states):
    """From the entropies of real vectors' own histograms alone: half off at worst, a fifth on average."""
    ratios = []
    for states in smollm2_states.values():
        vectors = states[:16]
        kept = [vector[reference.kept_dimensions(vector)] for vector in vectors]
        bits = float(np.mean([reference.entropy(np.histogram(vector, BINS)[0]) for vector in kept]))
        size = round(float(np.mean([len(vector) for vector in kept])))
        ratios.append(nulls.expected_mi_of_entropy(bits, BINS, size) / shuffled_mi(vectors))
    assert min(ratios) > 0.5
    assert max(ratios) < 1.5
    assert 0.8 < np.mean(ratios) < 1.2


def test_gaussian_reference():
    np.testing.assert_allclose(nulls.gaussian_mi(np.array([0.0, np.sqrt(0.75), -np.sqrt(0.75)])), [0.0, 1.0, 1.0])
    assert nulls.gaussian_mi(np.array([1.0]))[0] == np.inf


def test_mi_of_gaussian_vectors_approaches_the_reference():
    rng = np.random.default_rng(1)
    x = rng.normal(size=65_000)
    y = 0.8 * x + 0.6 * rng.normal(size=65_000)
    found = pairwise.pair_statistics(np.stack([x, y]).astype(np.float32), bins=40)
    np.testing.assert_allclose(found.mi, nulls.gaussian_mi(found.corr), rtol=0.05)
