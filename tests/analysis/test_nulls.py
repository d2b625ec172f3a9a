"""The null and its exact mean against each other, hand-made tables and what they keep; the closed form of Gaussians."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from analysis import nulls, pairwise, reference

BINS, OUTLIER_Z = 15, 5.0


def chance_mi(vectors: np.ndarray) -> float:
    return nulls.chance_mi(vectors, BINS, OUTLIER_Z, pairs=60, rng=np.random.default_rng(0))


def test_independent_gaussian_vectors_of_1024_dimensions_have_the_known_bias():
    """Their true MI is 0; shuffling changes nothing about them but chance."""
    vectors = np.random.default_rng(0).normal(size=(60, 1024)).astype(np.float32)
    level = chance_mi(vectors)
    assert level == pytest.approx(0.119, abs=0.01)
    assert level == pytest.approx(pairwise.pair_statistics(vectors, BINS, OUTLIER_Z).mi.mean(), rel=0.05)


def test_shuffling_forgets_what_the_vectors_share():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=512)
    alike = (shared + 0.01 * rng.normal(size=(20, 512))).astype(np.float32)
    apart = rng.normal(size=(20, 512)).astype(np.float32)
    assert chance_mi(alike) == pytest.approx(chance_mi(apart), abs=0.03)


def test_the_level_spares_the_dimensions_left_out(states):
    """It is that of shuffles of the dimensions left, pair by pair."""
    vectors, rng, shuffled = states[:6], np.random.default_rng(0), []
    for x, y in itertools.combinations(vectors, 2):
        left = reference.kept_dimensions(x, 3.0) & reference.kept_dimensions(y, 3.0)
        assert not left.all()
        joint = reference.joint_histogram(x[left], y[left], BINS)
        shuffled.append(nulls.permutation_null(joint.sum(axis=1), joint.sum(axis=0), 100, rng))
    found = nulls.chance_mi(vectors, BINS, 3.0, pairs=60, rng=np.random.default_rng(0))
    assert found == pytest.approx(np.mean(shuffled), rel=0.02)


def test_so_many_pairs_are_drawn_from_all_vectors_and_no_pair_twice():
    """Vectors of two kinds: each pair's level tells which kinds met."""
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(6, 400)).astype(np.float32)
    vectors[3:] **= 3
    every = [
        nulls.chance_mi(vectors[[i, j]], BINS, 99.0, pairs=1, rng=rng) for i, j in itertools.combinations(range(6), 2)
    ]
    assert nulls.chance_mi(vectors, BINS, 99.0, pairs=15, rng=rng) == pytest.approx(np.mean(every))
    some = [nulls.chance_mi(vectors, BINS, 99.0, pairs=5, rng=np.random.default_rng(seed)) for seed in range(60)]
    assert np.mean(some) == pytest.approx(np.mean(every), rel=0.05)
    assert np.std(some) > 0


def test_one_vector_makes_no_pair_and_neither_do_two_without_a_dimension_left():
    assert np.isnan(chance_mi(np.ones((1, 8), np.float32)))
    apart = np.array([[0, 1, 0, 1], [1, 0, 1, 0]], np.float32)
    assert np.isnan(nulls.chance_mi(apart, 2, 0.0, pairs=3, rng=np.random.default_rng(0)))
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


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_the_expected_mi_is_the_mean_over_permutations(skew):
    rng = np.random.default_rng(2)
    a, b = (rng.multinomial(500, shares / shares.sum()) for shares in np.exp(skew * rng.normal(size=(2, BINS))))
    null = nulls.permutation_null(a, b, 400, rng)
    assert nulls.expected_mi(a, b) == pytest.approx(null.mean(), rel=0.01)


def test_the_expected_mi_is_the_sum_over_cells_one_by_one():
    """Against the hypergeometric distribution written out with whole numbers."""
    a, b, n = [4, 0, 3, 2], [5, 4], 9
    expected = 0.0
    for x, y in itertools.product(a, b):
        for k in range(1, min(x, y) + 1):
            share = math.comb(x, k) * math.comb(n - x, y - k) / math.comb(n, y)
            expected += share * k / n * math.log2(n * k / (x * y))
    assert nulls.expected_mi(np.array(a), np.array(b)) == pytest.approx(expected)


def test_the_smallest_tables_by_hand():
    """Two values in two bins each: paired as 1 0 / 0 1 or 0 1 / 1 0, one bit either way; one bin shares nothing."""
    assert nulls.expected_mi(np.array([1, 1]), np.array([1, 1])) == pytest.approx(1)
    assert nulls.expected_mi(np.array([7]), np.array([3, 4])) == pytest.approx(0, abs=1e-12)


def test_shares_are_those_of_the_distribution():
    """Against the share of Student's t with 3 degrees of freedom inside one and two scales: 0.609 and 0.861."""
    shares = nulls.heavy_tailed_shares(1.0, 201)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares, shares[::-1])
    halves = nulls.heavy_tailed_shares(1.0, 200)
    assert halves[99:101].sum() == pytest.approx(0.609, abs=0.001)
    assert halves[98:102].sum() == pytest.approx(0.861, abs=0.001)


def test_margins_are_matched_by_their_entropy():
    shares = nulls.heavy_tailed_shares(1.5, BINS)
    sampled = np.random.default_rng(4).multinomial(200_000, shares)
    matched = nulls.expected_mi_of_entropy(reference.entropy(sampled), BINS, 200_000)
    assert matched == pytest.approx(nulls.expected_mi(sampled, sampled), rel=0.02)


def test_vectors_of_nearly_the_same_entropy_have_nearly_the_same_level():
    """The level grows with the entropy without a jump, whatever the rounding of counts would do."""
    levels = [nulls.expected_mi_of_entropy(bits, BINS, 576) for bits in np.linspace(0.5, 3.5, 301)]
    steps = np.diff(levels)
    assert (steps > 0).all()
    assert steps.max() < 0.003
    assert nulls.expected_mi_of_entropy(2.34, BINS, 576) - nulls.expected_mi_of_entropy(2.32, BINS, 576) < 0.004


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
        ratios.append(nulls.expected_mi_of_entropy(bits, BINS, size) / chance_mi(vectors))
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


@pytest.mark.parametrize("r", [0.7, 0.9])
def test_the_bias_of_dependent_vectors_is_smaller_than_the_chance_level(r):
    """Their bias in fixed bins, against a sample so large that it has none, and the level of the same margins."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2000, 576))
    y = r * x + np.sqrt(1 - r * r) * rng.normal(size=x.shape)

    def joint(rows: slice) -> np.ndarray:
        return np.histogram2d(x[rows].reshape(-1), y[rows].reshape(-1), BINS, [(-5, 5)] * 2)[0].astype(int)

    def plug_in(counts: np.ndarray) -> float:
        return reference.entropy(counts.sum(axis=0)) + reference.entropy(counts.sum(axis=1)) - reference.entropy(counts)

    small = [joint(slice(k, k + 1)) for k in range(40)]
    bias = np.mean([plug_in(counts) for counts in small]) - plug_in(joint(slice(None)))
    level = np.mean([nulls.expected_mi(counts.sum(axis=0), counts.sum(axis=1)) for counts in small])
    assert 0 < bias < 0.9 * level


def test_the_plug_in_estimate_lies_above_the_gaussian_reference_at_low_correlation_and_below_it_at_high():
    """Bias lifts it; bins too coarse to follow a narrow cloud lower it."""
    rng = np.random.default_rng(6)
    x, noise = rng.normal(size=(2, 40, 576))
    above = []
    for r in (0.3, 0.97):
        y = r * x + np.sqrt(1 - r * r) * noise
        pairs = [pairwise.pair_statistics(np.float32(pair), BINS, OUTLIER_Z) for pair in zip(x, y, strict=True)]
        above.append(np.mean([found.mi[0] - nulls.gaussian_mi(found.corr)[0] for found in pairs]))
    assert above[0] > 0.05
    assert above[1] < -0.1
