"""Contrasts of classes: against loops over pairs, on data with a known difference, and on data with none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from analysis import contrasts
from analysis.bootstrap import half_widths_over_books
from analysis.contrasts import PairSums
from analysis.pairwise import pair_statistics
from analysis.summaries import counts_by_group, sums_by_group


def pair_sums(measure: np.ndarray, a: np.ndarray, b: np.ndarray, passages: int, *, within: bool) -> PairSums:
    """Sums by passage of `measure` [layers, marks a, marks b]; `a`, `b`: the marks' passages."""
    i, j = np.triu_indices(len(a), 1) if within else (x.ravel() for x in np.indices((len(a), len(b))))
    shape = (passages, passages)
    sums = np.stack([sums_by_group(layer[i, j], a[i], b[j], shape) for layer in measure])
    return PairSums(counts_by_group(a[i], b[j], shape), sums)


def book(generator, *, passages=16, marks=16, layers=4, difference=0.0, separation=0.0, lag=0.0):
    """One made-up book: a pair's measure is a level, an effect of either mark, and noise.

    The marks' effects are drawn anew for each passage and follow each other with autocorrelation `lag` within it.
    Returns the sums within the first class, within the second and between.
    """

    def effects() -> np.ndarray:
        values = generator.normal(size=(passages, marks, layers))
        for k in range(1, marks):
            values[:, k] = lag * values[:, k - 1] + np.sqrt(1 - lag**2) * values[:, k]
        return values.reshape(-1, layers).T

    a, b = effects(), effects()
    of = np.repeat(np.arange(passages), marks)

    def measure(x: np.ndarray, y: np.ndarray, level: float) -> np.ndarray:
        noise = generator.normal(scale=0.3, size=(layers, x.shape[1], y.shape[1]))
        return level + x[:, :, None] + y[:, None, :] + noise

    return (
        pair_sums(measure(a, a, separation), of, of, passages, within=True),
        pair_sums(measure(b, b, separation + difference), of, of, passages, within=True),
        pair_sums(measure(a, b, difference / 2), of, of, passages, within=False),
    )


@pytest.fixture
def generator():
    return np.random.default_rng(7)


def test_estimates_and_leaving_out_a_passage_are_those_of_loops(generator):
    passages, layers = 5, 3
    a, b = np.sort(generator.integers(0, passages, 23)), np.sort(generator.integers(0, passages, 19))
    values = [generator.normal(size=(layers, len(x), len(y))) for x, y in ((a, a), (b, b), (a, b))]
    first, second = (pair_sums(v, x, x, passages, within=True) for v, x in zip(values, (a, b), strict=False))
    between = pair_sums(values[2], a, b, passages, within=False)

    def mean(left: int | None, which: int) -> np.ndarray:
        x, y = ((a, a), (b, b), (a, b))[which]
        pairs = [
            values[which][:, i, j]
            for i in range(len(x))
            for j in range(i + 1 if which < 2 else 0, len(y))
            if left not in (x[i], y[j])
        ]
        return np.mean(pairs, axis=0)

    for which, sums in enumerate((first, second, between)):
        np.testing.assert_allclose(sums.mean(), mean(None, which))
        np.testing.assert_allclose(sums.means_without(), [mean(p, which) for p in range(passages)])
    whole = contrasts.contrast(first, second, between)
    np.testing.assert_allclose(whole.difference, mean(None, 1) - mean(None, 0))
    np.testing.assert_allclose(whole.separation, (mean(None, 0) + mean(None, 1)) / 2 - mean(None, 2))
    pseudo = contrasts.pseudo_values(first, second, between)
    np.testing.assert_allclose(pseudo.first[2], passages * mean(None, 0) - (passages - 1) * mean(2, 0))


def test_a_placebo_is_the_contrast_of_the_marks_of_two_groups_of_passages(generator):
    of = np.repeat(np.arange(6), 4)
    values = generator.normal(size=(2, 24, 24))
    values = values + values.transpose(0, 2, 1)
    one, other = contrasts.halves(6, seed=3)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(6))
    whole, pseudo = contrasts.placebo(pair_sums(values, of, of, 6, within=True), one, other)
    in_one, in_other = (np.flatnonzero(np.isin(of, half)) for half in (one, other))
    for group, found in ((in_one, whole.first), (in_other, whole.second)):
        i, j = np.triu_indices(len(group), 1)
        np.testing.assert_allclose(found, values[:, group[i], group[j]].mean(axis=1))
    np.testing.assert_allclose(whole.between, values[:, in_one[:, None], in_other].mean(axis=(1, 2)))
    left = in_one[of[in_one] != one[0]]
    without = values[:, left[:, None], in_other].mean(axis=(1, 2))
    np.testing.assert_allclose(pseudo.between[0], 6 * whole.between - 5 * without)


def flagged(estimate: np.ndarray, deviations: np.ndarray) -> bool:
    """Whether any layer's simultaneous interval leaves out 0."""
    return bool((np.abs(estimate) > half_widths_over_books(deviations, together=True)).any())


@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_one_book_raises_few_false_alarms_and_nor_does_its_placebo(lag):
    """In 80 made-up books without a difference, 5 % nominal: 11 or more have 1 chance in 300."""
    generator = np.random.default_rng(int(lag * 10))
    alarms = {"difference": 0, "separation": 0, "placebo": 0, "random halves": 0}
    for study in range(80):
        first, second, between = book(generator, lag=lag)
        whole = contrasts.contrast(first, second, between)
        pseudo = contrasts.pseudo_values(first, second, between)
        alarms["difference"] += flagged(whole.difference, contrasts.deviations([pseudo.difference]))
        alarms["separation"] += flagged(whole.separation, contrasts.deviations([pseudo.separation]))
        for name, seed in (("placebo", None), ("random halves", study)):
            fake, its = contrasts.placebo(first, *contrasts.halves(16, seed))
            alarms[name] += flagged(fake.difference, contrasts.deviations([its.difference]))
    assert all(count <= 10 for count in alarms.values()), alarms
    assert alarms["separation"] + alarms["difference"] > 0, "an interval that never errs is too wide to say anything"


def test_a_true_difference_and_a_true_separation_are_found():
    generator = np.random.default_rng(1)
    found = {"difference": 0, "separation": 0}
    for _ in range(20):
        first, second, between = book(generator, difference=1.2, separation=0.4, lag=0.5)
        whole = contrasts.contrast(first, second, between)
        pseudo = contrasts.pseudo_values(first, second, between)
        found["difference"] += flagged(whole.difference, contrasts.deviations([pseudo.difference]))
        found["separation"] += flagged(whole.separation, contrasts.deviations([pseudo.separation]))
    assert found["separation"] == 20
    assert found["difference"] >= 18


def test_books_held_fixed_have_the_error_of_the_mean_of_their_estimates(generator):
    by_book = [generator.normal(size=(n, 3)) * s for n, s in ((8, 1.0), (12, 2.0), (20, 0.5))]
    stacked = contrasts.deviations(by_book)
    expected = np.sqrt(sum(values.var(axis=0, ddof=1) / len(values) for values in by_book)) / 3
    error = np.sqrt((stacked**2).sum(axis=0) / (len(stacked) * (len(stacked) - 1)))
    np.testing.assert_allclose(error, expected)
    np.testing.assert_allclose(stacked.sum(axis=0), 0, atol=1e-9)


def test_explained_share_is_permanovas():
    """R^2 from sums of squares of points, where the squared distance is Euclidean."""
    generator = np.random.default_rng(4)
    points = generator.normal(size=(30, 8))
    points[12:] += 0.7
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    likeness = (points @ points.T)[None]
    a, b = np.arange(12), np.arange(12, 30)
    of = np.zeros(30, dtype=int)
    parts = (
        pair_sums(likeness[:, a][:, :, a], of[a], of[a], 1, within=True),
        pair_sums(likeness[:, b][:, :, b], of[b], of[b], 1, within=True),
        pair_sums(likeness[:, a][:, :, b], of[a], of[b], 1, within=False),
    )
    total = ((points - points.mean(axis=0)) ** 2).sum()
    within = sum(((points[g] - points[g].mean(axis=0)) ** 2).sum() for g in (a, b))
    np.testing.assert_allclose(contrasts.explained_share(*parts), [1 - within / total])


def test_explained_share_is_that_of_a_matrix_of_distances(generator):
    """Anderson (2001): sums of squared distances, over all pairs and within groups, divided by the numbers of marks."""
    vectors = generator.normal(size=(25, 40)) + np.repeat([[0.0], [0.6]], [10, 15], axis=0) * generator.normal(size=40)
    correlation = np.corrcoef(vectors)
    squared = 2 * (1 - correlation)
    a, b = np.arange(10), np.arange(10, 25)
    upper = np.triu(np.ones((25, 25), dtype=bool), 1)
    total = squared[upper].sum() / 25
    within = sum(squared[np.ix_(g, g)][upper[np.ix_(g, g)]].sum() / len(g) for g in (a, b))
    of = np.arange(25) % 4
    parts = (
        pair_sums(correlation[None][:, a][:, :, a], of[a], of[a], 4, within=True),
        pair_sums(correlation[None][:, b][:, :, b], of[b], of[b], 4, within=True),
        pair_sums(correlation[None][:, a][:, :, b], of[a], of[b], 4, within=False),
    )
    np.testing.assert_allclose(contrasts.explained_share(*parts), [1 - within / total])


@pytest.mark.slow  # loading scikit-bio takes 6 s: it loads torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_explained_share_is_scikit_bios(generator):
    """scikit-bio gives the pseudo-F of PERMANOVA of a matrix of distances; of two groups R^2 is F / (F + N - 2)."""
    from skbio.stats.distance import DistanceMatrix, permanova

    for count, apart in ((25, 10), (40, 20), (60, 7)):
        vectors = generator.normal(size=(count, 40))
        vectors[apart:] += generator.normal(scale=0.6, size=40)
        correlation = np.corrcoef(vectors)
        half = np.triu(np.sqrt(np.clip(1 - correlation, 0, None)), 1)
        distances = DistanceMatrix(half + half.T)
        groups = (np.arange(count) >= apart).astype(int)
        f = float(permanova(distances, groups, permutations=0)["test statistic"])
        one, of = np.zeros(count, dtype=int), np.flatnonzero
        a, b = of(groups == 0), of(groups == 1)
        parts = [
            pair_sums(correlation[None][:, x][:, :, y], one[x], one[y], 1, within=x is y)
            for x, y in ((a, a), (b, b), (a, b))
        ]
        np.testing.assert_allclose(contrasts.explained_share(*parts), [f / (f + count - 2)], rtol=1e-12)


def test_the_jackknife_of_the_explained_share_leaves_out_a_passages_marks(generator):
    passages = 4
    correlation = np.corrcoef(generator.normal(size=(25, 40)) + np.repeat([[0.0], [0.6]], [10, 15], axis=0))
    of = np.sort(generator.integers(0, passages, 25))

    def share(kept: np.ndarray) -> np.ndarray:
        a, b = (np.flatnonzero(kept & (np.arange(25) < 10)), np.flatnonzero(kept & (np.arange(25) >= 10)))
        groups = ((a, a, True), (b, b, True), (a, b, False))
        parts = [
            pair_sums(correlation[None][:, x][:, :, y], of[x], of[y], passages, within=within)
            for x, y, within in groups
        ]
        return parts, contrasts.explained_share(*parts)

    parts, whole = share(np.ones(25, dtype=bool))
    pseudo = contrasts.pseudo_explained_shares(*parts)
    for passage in range(passages):
        _, without = share(of != passage)
        np.testing.assert_allclose(pseudo[passage], passages * whole - (passages - 1) * without)


def test_pairs_of_passages_that_touch_may_be_left_out(generator):
    of = np.array([0, 0, 1, 2, 2, 3])
    values = generator.normal(size=(2, 6, 6))
    across = pair_sums(values, of, of, 4, within=True).across(np.array([True, False, True]))
    touching = {(0, 1), (2, 3)}
    kept = [(i, j) for i in range(6) for j in range(i + 1, 6) if of[i] != of[j] and (of[i], of[j]) not in touching]
    assert across.pairs.sum() == len(kept)
    np.testing.assert_allclose(across.mean(), np.mean([values[:, i, j] for i, j in kept], axis=0))


@pytest.mark.parametrize(("passages", "leaves_out"), [(6, "touching"), (5, "within"), (1, "nothing")])
def test_which_pairs_of_a_book_count_hangs_on_how_many_passages_it_has(generator, passages, leaves_out):
    of = np.repeat(np.arange(passages), 3)
    values = generator.normal(size=(1, len(of), len(of)))
    part = pair_sums(values, of, of, passages, within=True)
    (found,) = contrasts.counted({"a": part}, np.ones(passages - 1, dtype=bool)).values()
    i, j = np.triu_indices(len(of), 1)
    least = {"nothing": 0, "within": 1, "touching": 2}[leaves_out]
    assert found.pairs.sum() == (of[j] - of[i] >= least).sum()
    np.testing.assert_allclose(found.mean(), values[0, i, j][of[j] - of[i] >= least].mean())


def test_a_book_without_a_layer_is_not_among_those_held_fixed_there(generator):
    by_book = [generator.normal(size=(8, 2)), generator.normal(size=(12, 2)), np.full((5, 2), np.nan)]
    present = np.array([[True, True], [True, False], [False, False]])
    stacked = contrasts.deviations(by_book, present)
    np.testing.assert_allclose(stacked[:20, 0], contrasts.deviations(by_book[:2])[:, 0])
    np.testing.assert_allclose(stacked[:8, 1], contrasts.deviations(by_book[:1])[:, 1])
    assert np.isnan(stacked[8:, 1]).all()
    present[2, 1] = True
    assert np.isnan(contrasts.deviations(by_book, present)[:, 1]).all(), "an error that is not known stays unknown"


def test_pairs_across_passages_leave_out_those_of_one(generator):
    of = np.array([0, 0, 0, 1, 1, 2])
    values = generator.normal(size=(2, 6, 6))
    across = pair_sums(values, of, of, 3, within=True).across()
    kept = [(i, j) for i in range(6) for j in range(i + 1, 6) if of[i] != of[j]]
    assert across.pairs.sum() == len(kept)
    np.testing.assert_allclose(across.mean(), np.mean([values[:, i, j] for i, j in kept], axis=0))
    left = [(i, j) for i, j in kept if 0 not in (of[i], of[j])]
    np.testing.assert_allclose(across.means_without()[0], np.mean([values[:, i, j] for i, j in left], axis=0))


def test_mean_covariance_of_a_class_is_a_statement_about_its_mean_vector(generator):
    """[N^2 Var_d(mean) - sum of Var_d(x_i)] / (N (N - 1)), Var_d over the dimensions: to 1e-6 of float32 states."""
    states = (generator.normal(size=(60, 128)) + 2 * generator.normal(size=128)).astype(np.float32)
    pairs = pair_statistics(states, outlier_z=1e9)
    number, doubled = len(states), states.astype(np.float64)
    of_mean, of_marks = doubled.mean(axis=0).var(ddof=1), doubled.var(axis=1, ddof=1).sum()
    expected = (number**2 * of_mean - of_marks) / (number * (number - 1))
    assert pairs.cov.mean() == pytest.approx(expected, rel=1e-6)


def test_auc_of_a_known_shift_and_of_none():
    """Two normal distributions 2 standard deviations apart: Phi(sqrt 2) = 0.9214."""
    generator = np.random.default_rng(0)
    edges = np.linspace(-6, 8, 400)
    low, high = (np.histogram(generator.normal(m, 1, 400_000), edges)[0] for m in (0, 2))
    assert contrasts.auc_of_histograms(low, high) == pytest.approx(0.9214, abs=2e-3)
    assert contrasts.auc_of_histograms(low, low) == pytest.approx(0.5)
    assert np.isnan(contrasts.auc_of_histograms(low * 0, high))


@pytest.mark.parametrize("width", [0.1, 0.25, 0.5])
def test_wide_bins_do_not_draw_the_auc_towards_a_half(width):
    """Ties counted half would be off by 0.004 with bins of half a standard deviation."""
    edges = np.arange(-6, 8, width)
    low, high = (np.rint(1e7 * np.diff(norm.cdf(edges, m, 1))).astype(np.int64) for m in (0, 2))
    assert contrasts.auc_of_histograms(low, high) == pytest.approx(norm.cdf(np.sqrt(2)), abs=3e-4)
    assert contrasts.auc_of_histograms(high, low) == pytest.approx(norm.cdf(-np.sqrt(2)), abs=3e-4)
