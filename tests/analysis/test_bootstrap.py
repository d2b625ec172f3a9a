"""Intervals against closed forms and the coverage they promise, and sign flips against their level."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.bootstrap import half_widths_over_books, sign_flip_p_values


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
