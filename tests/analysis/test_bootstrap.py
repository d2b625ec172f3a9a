"""Draws against closed forms and a plain loop; intervals against the coverage they promise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.bootstrap import (
    RESAMPLES,
    draws_over_books_then_marks,
    half_widths_over_books,
    mark_counts,
    percentile_interval,
    resampled_pair_means,
    sign_flip_p_values,
    simultaneous_half_width,
)


def additive_pairs(tokens: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose value is the sum of a value of each token, and twice that: their means' errors are closed forms."""
    value = np.random.default_rng(seed).normal(size=tokens)
    i, j = np.triu_indices(tokens, 1)
    return value, i, j, np.stack([value[i] + value[j], 2 * (value[i] + value[j])])


def draws_of(tokens: int, seed: int) -> np.ndarray:
    _, i, j, values = additive_pairs(tokens, seed)
    return resampled_pair_means(i, j, values, mark_counts(tokens, seed))


def test_the_token_bootstrap_has_the_standard_error_of_the_closed_form():
    tokens = 200
    value, i, j, values = additive_pairs(tokens, seed=3)
    draws = resampled_pair_means(i, j, values, mark_counts(tokens, 0))
    # The mean over pairs of a_i + a_j is twice the mean of a: its bootstrap error is twice std(a) / sqrt(tokens).
    error = 2 * value.std() / np.sqrt(tokens)
    assert draws[:, 0].std() == pytest.approx(error, rel=0.1)
    assert draws[:, 0].mean() == pytest.approx(2 * value.mean(), abs=3 * error / np.sqrt(RESAMPLES) + 1e-2)
    np.testing.assert_allclose(draws[:, 1], 2 * draws[:, 0], rtol=1e-4, atol=1e-5)
    naive = values[0].std() / np.sqrt(len(i))
    assert draws[:, 0].std() > 8 * naive, "pairs treated as independent would give far too narrow intervals"


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_draw_is_a_plain_loop_over_pairs_of_different_tokens(spoiled):
    _, i, j, values = additive_pairs(7, seed=0)
    if spoiled:
        values[1, 4] = np.nan
    counts = mark_counts(7, 5)
    draws = resampled_pair_means(i, j, values, counts)
    for draw in (0, 17, RESAMPLES - 1):
        drawn = np.repeat(np.arange(7), counts[draw].astype(int))
        met = [values[:, p] for x in drawn for y in drawn for p in range(len(i)) if (x, y) == (i[p], j[p])]
        met = [pair for pair in met if np.isfinite(pair).all()]
        np.testing.assert_allclose(draws[draw], np.mean(met, axis=0), rtol=1e-5)


def test_a_draw_of_one_token_alone_has_no_mean():
    values, counts = np.ones((1, 1)), np.array([[2, 0], [1, 1]], np.float32)
    found = resampled_pair_means(np.array([0]), np.array([1]), values, counts)
    np.testing.assert_array_equal(found, [[np.nan], [1.0]])


def test_as_many_tokens_are_drawn_as_there_are():
    counts = mark_counts(40, [1, 2])
    assert counts.shape == (RESAMPLES, 40)
    assert (counts.sum(axis=1) == 40).all()
    np.testing.assert_array_equal(counts, mark_counts(40, [1, 2]))


def test_many_books_have_the_normal_half_width_each_and_a_wider_one_together():
    means = np.random.default_rng(0).normal(size=(400, 10)) * np.arange(1, 11)
    deviations = means - means.mean(axis=0)
    error = means.std(axis=0, ddof=1) / np.sqrt(400)
    np.testing.assert_allclose(half_widths_over_books(deviations, together=False) / error, 1.96, rtol=0.08)
    # Ten independent quantities: each must hold with probability 0.95 ** (1 / 10), 2.80 standard errors.
    np.testing.assert_allclose(half_widths_over_books(deviations, together=True) / error, 2.80, rtol=0.05)


def test_quantities_that_move_together_need_no_wider_half_widths():
    means = np.random.default_rng(1).normal(size=(60, 1))
    deviations = means - means.mean()
    alone = half_widths_over_books(deviations, together=True)
    np.testing.assert_allclose(half_widths_over_books(deviations * [1, -3], together=True), alone * [1, 3])


@pytest.mark.parametrize("books", [5, 8, 12])
def test_few_books_leave_out_the_truth_as_seldom_as_promised(books):
    """Thirty layers correlated 0.8 without a true difference: some layer is missed in one study of twenty.

    Means over books drawn with replacement, in normal half-widths, would miss in 51, 28 and 16 % of the studies.
    """
    rng = np.random.default_rng(books)
    studies, misses = 300, 0
    for study in range(studies):
        means = np.sqrt(0.8) * rng.normal(size=(books, 1)) + np.sqrt(0.2) * rng.normal(size=(books, 30))
        mean = means.mean(axis=0)
        half = half_widths_over_books(means - mean, together=True, seed=study)
        misses += bool((np.abs(mean) > half).any())
    assert 0.01 < misses / studies < 0.1


def test_each_interval_of_eight_books_holds_by_itself():
    """Against Student's t with 7 degrees of freedom, whose 97.5 % quantile is 2.365."""
    means = np.random.default_rng(2).normal(size=(8, 400))
    mean, error = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(8)
    half = half_widths_over_books(means - mean, together=False)
    assert np.median(half / error) == pytest.approx(2.365, rel=0.08)
    assert (np.abs(mean) <= half).mean() == pytest.approx(0.95, abs=0.03)


def test_a_book_without_a_mean_does_not_count_there():
    means = np.random.default_rng(3).normal(size=(12, 3))
    some = means[:9, 1] - means[:9, 1].mean()
    deviations = means - means.mean(axis=0)
    deviations[:, 1] = np.nan
    deviations[:9, 1] = some
    deviations[1:, 2] = np.nan
    half = half_widths_over_books(deviations, together=False)
    assert np.isfinite(half).tolist() == [True, True, False]
    np.testing.assert_allclose(half[1], half_widths_over_books(some[:, None], together=False)[0], rtol=0.15)
    assert np.isnan(half_widths_over_books(deviations[:, 2:], together=True)).all()


def test_books_that_all_say_the_same_leave_no_doubt_and_two_books_bound_nothing():
    assert half_widths_over_books(np.zeros((6, 2)), together=True).tolist() == [0, 0]
    assert np.isnan(half_widths_over_books(np.array([[1.0], [-1.0]]), together=False)).all()


def test_sign_flips_are_exact_for_few_books_and_hold_their_level():
    same = np.ones((5, 2)) + np.random.default_rng(0).normal(scale=1e-3, size=(5, 2))
    np.testing.assert_allclose(sign_flip_p_values(same), 2 / 2**5)
    generator = np.random.default_rng(2)
    rejected = sum((sign_flip_p_values(generator.normal(size=(8, 5))) <= 0.05).any() for _ in range(300))
    assert 3 <= rejected <= 26, "5 % of 300 is 15"
    assert np.isnan(sign_flip_p_values(np.ones((1, 3)))).all()
    many = generator.normal(loc=1.0, size=(30, 2))
    assert (sign_flip_p_values(many) < 0.01).all()


def test_two_stages_vary_more_than_tokens_alone():
    by_book = np.stack([draws_of(100, seed) for seed in range(3)])
    two_stage = draws_over_books_then_marks(by_book).std(axis=0)
    assert (two_stage > by_book.mean(axis=0).std(axis=0)).all()


def test_percentiles_bound_their_share_of_the_draws():
    draws = np.random.default_rng(4).normal(size=(RESAMPLES, 2, 3))
    draws[:, 1, 2] = np.nan
    low, high = percentile_interval(draws)
    inside = ((draws > low) & (draws < high)).mean(axis=0)
    np.testing.assert_allclose(inside[np.isfinite(low)], 0.95, atol=0.003)
    assert np.isnan(low[1, 2])
    assert np.isnan(high[1, 2])
    assert np.isfinite(low).sum() == 5


def test_one_layer_alone_has_the_normal_half_width_and_ten_have_wider_ones():
    draws = np.random.default_rng(5).normal(size=(20_000, 10)) * np.arange(1, 11)
    assert simultaneous_half_width(draws[:, :1])[0] == pytest.approx(1.96, rel=0.03)
    half = simultaneous_half_width(draws)
    # Ten independent layers: each must hold with probability 0.95 ** (1 / 10), 2.80 standard errors.
    np.testing.assert_allclose(half / np.arange(1, 11), 2.80, rtol=0.03)
    assert (np.abs(draws) <= half).all(axis=1).mean() == pytest.approx(0.95, abs=0.005)


def test_a_layer_without_draws_has_no_half_width():
    draws = np.random.default_rng(6).normal(size=(RESAMPLES, 2))
    draws[:, 1] = np.nan
    assert np.isfinite(simultaneous_half_width(draws)).tolist() == [True, False]
    assert np.isnan(simultaneous_half_width(draws[:, 1:])).all()
