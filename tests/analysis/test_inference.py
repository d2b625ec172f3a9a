"""Which interval so many books and passages allow, and how often it errs: small forms of benchmarks/trials.py."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import inference
from analysis.bootstrap import half_widths_over_books, sign_flip_p_values
from analysis.inference import infer, skewness
from benchmarks import trials
from benchmarks.trials import World


@pytest.fixture
def generator():
    return np.random.default_rng(3)


def test_five_books_and_more_speak_of_books(generator):
    by_book = generator.normal(size=(6, 4)) + 1
    found = infer(by_book, seed=2)
    half = half_widths_over_books(by_book - by_book.mean(axis=0), together=True, seed=2)
    np.testing.assert_allclose(found.estimate, by_book.mean(axis=0))
    np.testing.assert_allclose(found.high - found.estimate, half)
    np.testing.assert_allclose(found.p, sign_flip_p_values(by_book, 2))
    np.testing.assert_allclose(found.skewness, skewness(by_book))
    assert (found.estimator, found.n, found.books) == (inference.OVER_BOOKS, 6, 6)


@pytest.mark.parametrize(("books", "estimator"), [(1, inference.ONE_BOOK), (3, inference.FIXED_BOOKS)])
def test_fewer_books_speak_of_their_passages(generator, books, estimator):
    pseudo = [generator.normal(size=(12, 3)) + book for book in range(books)]
    estimates = np.stack([values.mean(axis=0) for values in pseudo])
    found = infer(estimates, pseudo)
    np.testing.assert_allclose(found.estimate, estimates.mean(axis=0))
    assert (found.estimator, found.n, found.books) == (estimator, 12 * books, books)
    assert (found.low < found.estimate).all()
    assert (found.estimate < found.high).all()
    assert np.isnan(found.p).all()
    assert np.isnan(found.skewness).all()
    alone = infer(estimates, pseudo, together=False)
    assert (alone.high - alone.low < found.high - found.low).all()


def test_without_passages_few_books_have_no_interval(generator):
    found = infer(generator.normal(size=(2, 3)))
    assert (found.estimator, found.n) == (inference.NO_INTERVAL, 0)
    assert np.isnan(found.low).all()
    assert np.isfinite(found.estimate).all()
    assert not found.flagged.any()


def test_books_and_layers_without_a_value_are_left_out(generator):
    by_book = generator.normal(size=(7, 3))
    by_book[6] = np.nan
    by_book[0, 1] = np.nan
    by_book[:3, 2] = np.nan
    found = infer(by_book)
    assert (found.n, found.books) == (6, 6)
    np.testing.assert_allclose(found.estimate, np.nanmean(by_book, axis=0))
    assert np.isfinite(found.high).tolist() == [True, True, False], "three books are too few in the last layer"
    assert np.isfinite(found.p).tolist() == [True, False, False], "signs are flipped where every book has a value"


def test_a_book_whose_error_is_unknown_leaves_that_of_the_mean_unknown(generator):
    pseudo = [generator.normal(size=(10, 2)), np.full((2, 2), np.nan)]
    found = infer(np.ones((2, 2)), pseudo)
    assert found.estimator == inference.NO_INTERVAL
    assert np.isnan(found.high).all()


def test_passages_that_follow_each_other_widen_the_interval(generator):
    noise = generator.normal(size=(40, 5))
    chained = noise.copy()
    for k in range(1, len(chained)):
        chained[k] = 0.6 * chained[k - 1] + 0.8 * noise[k]
    widths = []
    for values in (chained, generator.permutation(chained)):
        found = infer(values.mean(axis=0, keepdims=True), [values])
        widths.append((found.high - found.low).mean())
    assert widths[0] > 1.25 * widths[1], "sqrt(1 + 2 * 0.6) is 1.48"


@pytest.mark.parametrize("books", [1, 3])
def test_where_nothing_is_to_be_found_few_studies_find_it(books):
    """80 studies at 5 %, marks of lag-1 correlation 0.5 in passages that touch: 11 or more have 1 chance in 300."""
    world, generator = World(books=books, lag=0.5), np.random.default_rng(0)
    flagged = {"difference": 0, "separation": 0, "halves": 0}
    for _ in range(80):
        drawn = [trials.draw_book(world, generator) for _ in range(books)]
        made, halves = trials.contrasts_of(drawn), trials.placebos_of(drawn, None)
        flagged["difference"] += bool(trials.evidence(*made, "difference").flagged.any())
        flagged["separation"] += bool(trials.evidence(*made, "separation").flagged.any())
        flagged["halves"] += bool(trials.evidence(*halves, "difference").flagged.any())
    assert max(flagged.values()) <= 10, flagged
    assert sum(flagged.values()) > 0, "an interval that never errs is too wide to say anything"


def test_a_true_separation_and_a_true_difference_are_estimated_and_found():
    world, generator = World(books=3, lag=0.5, difference=0.5, separation=0.15), np.random.default_rng(1)
    made = trials.contrasts_of([trials.draw_book(world, generator) for _ in range(3)])
    for quantity in ("difference", "separation"):
        found = trials.evidence(*made, quantity)
        expected = getattr(world, quantity) + (quantity == "separation") * (np.sqrt(1.5) - 1) ** 2 / 2
        assert found.estimate.mean() == pytest.approx(expected, rel=0.1)
        assert found.flagged.all()


def test_random_halves_of_a_class_are_separated_by_nothing():
    world, generator = World(books=30, lag=0.5), np.random.default_rng(4)
    halves = trials.placebos_of([trials.draw_book(world, generator) for _ in range(30)], 5)
    found = trials.evidence(*halves, "separation")
    assert abs(found.estimate).max() < 0.008
    assert not found.flagged.any()


def test_skewed_books_are_said_to_be_skewed(generator):
    """An exponential has a skewness of 2, half the sum of two such of 2 / sqrt(2): enough books show it."""
    skewed = infer(trials.skewed_effects(1000, 0.5, generator)).skewness
    symmetric = infer(generator.normal(size=(1000, 12))).skewness
    assert np.median(skewed) == pytest.approx(np.sqrt(2), abs=0.25)
    assert abs(np.median(symmetric)) < 0.15


def test_skewness_is_scipys():
    from scipy.stats import skew

    values = np.random.default_rng(0).exponential(size=(9, 4))
    np.testing.assert_allclose(skewness(values), skew(values, axis=0, bias=False))
    assert np.isnan(skewness(values[:2])).all()
    assert np.isnan(skewness(np.ones((5, 1)))).all()
