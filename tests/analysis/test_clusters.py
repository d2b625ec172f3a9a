"""Clusters: none invented, the simulated ones found, and the numbers of each against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from analysis import clusters
from analysis.clusters import PairVariance, find_clusters, leading_axes, matched, silhouettes, standardised

D = 576


def _groups(sizes, distance: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Groups of unit spread in each of D dimensions, their centres `distance` from the origin, in mixed order."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = random.standard_normal((len(sizes), D))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    return (random.standard_normal((len(labels), D)) + centres[labels]).astype(np.float32), labels


def _one_group(kind: str, random: np.random.Generator) -> np.ndarray:
    x = random.standard_normal((250, D))
    if kind == "heavy-tailed marks":
        x = x * (np.arange(D) + 1) ** -0.5 * np.sqrt(3 / random.chisquare(3, (250, 1)))
    elif kind == "heavy-tailed dimensions":
        x = random.standard_t(3, (250, D))
    return (x + random.standard_normal(D)).astype(np.float32)


@pytest.mark.slow  # A minute or more each: 200 sets, few of which would not show a share of 95 in 100.
@pytest.mark.parametrize("kind", ["isotropic", "heavy-tailed marks", "heavy-tailed dimensions"])
def test_one_group_is_one_cluster_in_95_of_100_sets(kind):
    random = np.random.default_rng(11)
    ones = sum(find_clusters(_one_group(kind, random)).number == 1 for _ in range(200))
    assert ones >= 190


@pytest.mark.parametrize(
    ("sizes", "distance"),
    [((125, 125), 6), ((219, 31), 8), ((235, 15), 14), ((100, 80, 70), 8), ((180, 50, 20), 12), ((60, 60, 60, 60), 10)],
)
def test_groups_are_found_and_told_apart(sizes, distance):
    x, truth = _groups(sizes, distance)
    found = find_clusters(x)
    assert sorted(found.sizes.tolist(), reverse=True) == found.sizes.tolist()
    assert found.number == len(sizes)
    assert adjusted_rand_score(truth, found.labels) > 0.95
    assert (found.stability > 0.7).all()


def test_overlapping_groups_are_found_and_mostly_told_apart():
    x, truth = _groups((125, 125), 4, seed=3)
    found = find_clusters(x)
    assert found.number == 2
    assert adjusted_rand_score(truth, found.labels) > 0.7


def test_groups_that_are_one_cloud_are_one_cluster():
    x, _ = _groups((125, 125), 1.5)
    assert find_clusters(x).number == 1


def test_equal_vectors_are_one_cluster():
    x = np.repeat(np.random.default_rng(0).standard_normal((1, D)).astype(np.float32), 40, axis=0)
    assert find_clusters(x).number == 1


def test_two_distinct_vectors_are_two_clusters():
    x = np.random.default_rng(0).standard_normal((2, D)).astype(np.float32)[np.repeat([0, 1], [30, 10])]
    assert find_clusters(x).sizes.tolist() == [30, 10]


@pytest.mark.parametrize("marks", [0, 1, 2, 9])
def test_few_marks_are_one_cluster(marks):
    x = np.random.default_rng(0).standard_normal((marks, 32)).astype(np.float32)
    assert find_clusters(x).labels.tolist() == [0] * marks


def test_labels_do_not_depend_on_scale_and_are_the_same_again():
    x, _ = _groups((150, 60, 40), 10)
    found = find_clusters(x)
    again = find_clusters(3 * x)
    np.testing.assert_array_equal(again.labels, found.labels)
    np.testing.assert_array_equal(find_clusters(x).stability, found.stability)


def test_silhouettes_are_those_of_scikit_learn_without_looking_at_pairs():
    x, labels = _groups((30, 20, 10), 5)
    z = standardised(x)
    expected = _silhouettes_by_pairs(z, labels)
    np.testing.assert_allclose(silhouettes(z, labels), expected, atol=1e-5)


def _silhouettes_by_pairs(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    distances = 1 - z.astype(np.float64) @ z.T.astype(np.float64)
    np.fill_diagonal(distances, 0)
    return silhouette_samples(distances, labels, metric="precomputed")


def test_the_silhouette_of_two_points_apart_is_its_closed_form():
    # Two clusters of equal vectors with correlation r: within 0, between 1 - r, so that every silhouette is 1.
    z = standardised(np.array([[1, 0, 0, -1], [0, 1, -1, 0]], np.float32)[np.repeat([0, 1], 4)])
    np.testing.assert_allclose(silhouettes(z, np.repeat([0, 1], 4)), 1.0, atol=1e-6)
    # With one mark of the other group in the first cluster, by hand: within 1/4 and 1, between 1, 0 and 4/5.
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    expected = [(1 - 0.25) / 1] * 4 + [(0 - 1) / 1] + [(0.8 - 0) / 0.8] * 3
    np.testing.assert_allclose(silhouettes(z, labels), expected, atol=1e-6)


def test_products_of_standardised_vectors_are_correlations_over_valid_dimensions():
    x = np.random.default_rng(4).standard_normal((6, 50)).astype(np.float32)
    valid = np.ones(x.shape, np.bool_)
    valid[:, 7] = False
    z = standardised(x, valid)
    np.testing.assert_allclose(z @ z.T, np.corrcoef(np.delete(x, 7, axis=1)), atol=1e-5)


def test_axes_are_the_principal_ones():
    x, _ = _groups((40, 20), 12)
    z = standardised(x)
    axes = leading_axes(z, 3)
    centred = z - z.mean(axis=0)
    values = np.linalg.eigvalsh(centred @ centred.T)[::-1]
    np.testing.assert_allclose((axes**2).sum(axis=0)[0], values[0], rtol=1e-3)


def test_beyond_the_exact_size_a_sample_decides(monkeypatch):
    x, truth = _groups((300, 150), 10)
    monkeypatch.setattr(clusters, "EXACT", 120)
    found = find_clusters(x)
    assert not found.exact
    assert adjusted_rand_score(truth, found.labels) > 0.95


def test_matched_clusters_are_those_with_the_most_marks_in_common():
    first = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    second = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    assert matched(first, second) == [(0, 1, 1.0), (1, 0, 0.5)]


def test_the_share_of_variance_is_that_of_the_clouds_means():
    random = np.random.default_rng(6)
    labels = random.integers(0, 3, 60)
    i, j = np.triu_indices(60, 1)
    values = random.standard_normal(len(i)) + (labels[i] == labels[j])
    variance = PairVariance(3)
    for part in np.array_split(np.arange(len(i)), 4):
        variance.add(labels[i][part], labels[j][part], values[part])
    cloud = np.sort(np.stack([labels[i], labels[j]]), axis=0)
    means = {tuple(c): values[(c == cloud.T).all(axis=1)].mean() for c in np.unique(cloud.T, axis=0)}
    fitted = np.array([means[tuple(c)] for c in cloud.T])
    assert variance.share == pytest.approx(fitted.var() / values.var())
    assert np.isnan(PairVariance(2).share)
