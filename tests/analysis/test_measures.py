"""Copula information against closed forms and plain NumPy; centring against means taken vector by vector."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from analysis import measures
from tests.analysis.conftest import moving_states


def test_gaussians_have_the_information_of_the_closed_form():
    """n = 576; mean over 400 pairs: within 0.012 bits of the truth, where 15 bins tell 0.211 of nothing."""
    rng = np.random.default_rng(0)
    for truth, allowed in [(0.0, 0.001), (0.208, 0.006), (0.486, 0.012), (1.198, 0.015)]:
        r = np.sqrt(1 - 2.0 ** (-2 * truth))
        x = rng.normal(size=(400, 576))
        y = r * x + np.sqrt(1 - r * r) * rng.normal(size=x.shape)
        pairs = [v.astype(np.float32) for v in (x, y)]
        found = np.array(
            [measures.copula_mi_between(*(measures.copula_scores(v[[k]]) for v in pairs), 0, 1)[0] for k in range(400)]
        )
        assert abs(found.mean() - truth) < allowed


def test_bias_of_few_samples_is_taken_away():
    rng = np.random.default_rng(1)
    scores = measures.copula_scores(rng.normal(size=(300, 12)).astype(np.float32))
    found = measures.copula_mi_within(scores, 0, 300)
    assert abs(found.mean()) < 0.006
    assert measures.gaussian_information(np.zeros(1), 12)[0] < -0.06


def test_scores_are_normal_quantiles_of_shared_ranks():
    x = np.array([[3, 1, 1, 2, 7], [0, -0.0, 5, 5, 5]], np.float32)

    for row, ranks in zip(measures.normal_scores(x), [[4, 1.5, 1.5, 3, 5], [1.5, 1.5, 4, 4, 4]], strict=True):
        scores = np.array([NormalDist().inv_cdf(k / 6) for k in ranks])
        scores -= scores.mean()
        np.testing.assert_allclose(row, scores / np.linalg.norm(scores), rtol=1e-14)


def test_only_the_order_of_values_counts():
    x = moving_states(20, 100, seed=3)
    scores = measures.normal_scores(x)
    np.testing.assert_array_equal(measures.normal_scores(np.exp(x / 4).astype(np.float32)), scores)
    np.testing.assert_allclose(measures.normal_scores(-x), -scores, atol=1e-15)


def test_every_pair_is_that_of_numpy_correlations():
    x, y = moving_states(17, 90, seed=4), moving_states(9, 90, seed=5)
    a, b = measures.copula_scores(x), measures.copula_scores(y)
    r = np.corrcoef(measures.normal_scores(x), measures.normal_scores(y))
    within = measures.gaussian_information(r[:17, :17][np.triu_indices(17, 1)], 90)
    np.testing.assert_allclose(measures.copula_mi_within(a, 0, 17), within, rtol=1e-9, atol=1e-12)
    between = measures.gaussian_information(r[:17, 17:], 90)
    np.testing.assert_allclose(measures.copula_mi_between(a, b, 3, 11), between[3:11].ravel(), rtol=1e-9, atol=1e-12)


def test_pairs_are_the_same_to_the_last_bit_however_they_are_cut():
    a, b = (measures.copula_scores(moving_states(n, 300, seed=n)) for n in (40, 23))
    for function in (measures.copula_mi_within, lambda a, *rows: measures.copula_mi_between(a, b, *rows)):
        parts = [function(a, *rows) for rows in [(0, 1), (1, 9), (9, 9), (9, 33), (33, 40)]]
        np.testing.assert_array_equal(np.concatenate(parts), function(a, 0, 40))


def test_the_digamma_function():
    for x, expected in [(0.5, -1.9635100260214235), (1.0, -0.5772156649015329), (287.5, 5.659482721612286)]:
        np.testing.assert_allclose(measures._digamma(x), expected, rtol=0, atol=2e-13)


def test_what_has_no_information_to_tell():
    x = np.stack([np.ones(50), np.arange(50), np.arange(50) ** 3]).astype(np.float32)
    found = measures.copula_mi_within(measures.copula_scores(x), 0, 3)
    assert np.isnan(found[:2]).all()
    assert 25 < found[2] < 27
    assert np.isnan(measures.gaussian_information(np.zeros(1), 2)).all()
    with pytest.raises(ValueError, match="NaN"):
        measures.normal_scores(np.full((1, 5), np.nan, np.float32))


def test_no_vector_is_in_the_mean_that_is_taken_from_it():
    x, half = moving_states(21, 60, seed=6), np.arange(21) % 2 == 1
    found = measures.centred(x, half, measures.means_of_the_other_half(x, half))
    for k in range(21):
        others = [x[i].astype(np.float64) for i in range(21) if i % 2 != k % 2]
        np.testing.assert_allclose(found[k], x[k] - np.mean(others, axis=0), rtol=1e-5, atol=1e-6)


def test_centred_vectors_are_rounded_once_and_what_is_but_rounding_is_0():
    x, half = moving_states(8, 70, seed=9), np.arange(8) % 2 == 1
    means = measures.means_of_the_other_half(x, half)
    x[3] = means[1].astype(np.float32)
    plain = (x - means[half.astype(int)]).astype(np.float32)
    np.testing.assert_array_equal(measures.centred(x, half, means), plain)
    assert plain[3].any()
    plain[3] = 0
    np.testing.assert_array_equal(measures.centred(x, half, means, 1e-5), plain)


def test_scores_are_those_of_plain_steps_to_the_last_bit():
    x = np.vstack([moving_states(20, 576, seed=3), np.round(moving_states(20, 576, seed=4)), np.ones((1, 576))])
    x = x.astype(np.float32)
    table = measures._quantiles(576)
    scores = np.stack([table[[(row < v).sum() + (row <= v).sum() + 1 for v in row]] for row in x])
    scores = scores - scores.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("nd,nd->n", scores, scores))[:, None]
    expected = np.where(lengths > 1e-9, scores / np.where(lengths > 1e-9, lengths, 1), np.nan)
    np.testing.assert_array_equal(measures.normal_scores(x), expected)
    assert np.isnan(expected[-1]).all()


def test_classes_that_differ_by_their_mean_alone_are_alike_when_centred():
    rng = np.random.default_rng(7)
    common, half = 3 * rng.normal(size=200), np.arange(40) % 2 == 0
    x = (common + rng.normal(size=(40, 200))).astype(np.float32)
    raw = measures.copula_mi_within(measures.copula_scores(x), 0, 40)
    centred = measures.centred(x, half, measures.means_of_the_other_half(x, half))
    found = measures.copula_mi_within(measures.copula_scores(centred), 0, 40)
    assert raw.mean() > 1
    assert abs(found.mean()) < 0.01


def test_a_half_without_marks_is_refused():
    with pytest.raises(ValueError, match="half 1 of the passages has none of the 4 marks"):
        measures.means_of_the_other_half(moving_states(4, 64, seed=0), np.zeros(4, bool))
