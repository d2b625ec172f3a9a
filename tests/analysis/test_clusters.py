"""Clusters: none invented, the simulated ones found, and the numbers of each against their definitions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_samples
from sklearn.mixture import GaussianMixture

from analysis import clusters
from analysis.clusters import EXACT, find_clusters, leading_axes, matched, silhouettes, standardised

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


KINDS = pytest.mark.parametrize("kind", ["isotropic", "heavy-tailed marks", "heavy-tailed dimensions"])


@pytest.mark.slow  # Ten seconds each.
@KINDS
def test_one_group_is_one_cluster_in_95_of_100_sets(kind):
    assert _ones(kind, 200) >= 190


@KINDS
def test_few_groups_are_invented(kind):
    assert _ones(kind, 40) >= 37


def _ones(kind: str, sets: int) -> int:
    random = np.random.default_rng(11)
    return sum(find_clusters(_one_group(kind, random)).number == 1 for _ in range(sets))


@pytest.mark.parametrize(
    ("sizes", "distance"),
    [((125, 125), 6), ((219, 31), 8), ((235, 15), 14), ((100, 80, 70), 8), ((180, 50, 20), 12), ((60, 60, 60, 60), 10)],
)
def test_groups_are_found_and_told_apart(sizes, distance):
    right = 0
    for seed in range(12):
        x, truth = _groups(sizes, distance, seed)
        found = find_clusters(x)
        assert sorted(found.sizes.tolist(), reverse=True) == found.sizes.tolist()
        if found.number == len(sizes):
            assert adjusted_rand_score(truth, found.labels) > 0.95
            right += (found.stability > 0.5).all()
    assert right >= 10


@pytest.mark.parametrize("seed", [7, 9, 11])
def test_a_group_cut_for_the_sake_of_strangers_is_whole_again(seed):
    """Of three groups the smallest, with marks of others in it, is cut; then they leave it."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((3, 64)) * 1.2
    truth = random.choice(3, 4000, p=[0.6, 0.35, 0.05])
    x = (centres[truth] + random.standard_normal((4000, 64))).astype(np.float32)
    axes = leading_axes(standardised(x))
    assert clusters._refined(axes, clusters._divided(axes)).max() == 3, "a fourth group, were nothing joined"
    found = find_clusters(x)
    assert found.number == 3
    assert adjusted_rand_score(truth, found.labels) > 0.95


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
    centred = z.astype(np.float64) - z.mean(axis=0)
    vectors, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose((axes[:, 0] ** 2).sum(), lengths[0] ** 2, rtol=1e-3)
    assert abs(axes[:, 0] @ vectors[:, 0]) == pytest.approx(lengths[0], rel=1e-3)


def test_marks_go_to_the_groups_that_scikit_learns_mixture_gives_them_to():
    x, truth = _groups((200, 50), 5, seed=5)
    axes = leading_axes(standardised(x))
    mixture = GaussianMixture(
        2, covariance_type="diag", means_init=[axes[truth == 0].mean(0), axes[truth == 1].mean(0)]
    )
    labels = find_clusters(x).labels
    assert adjusted_rand_score(mixture.fit_predict(axes), labels) > 0.95


def test_beyond_the_exact_size_a_sample_decides(monkeypatch):
    x, truth = _groups((300, 150), 10)
    monkeypatch.setattr(clusters, "EXACT", 120)
    found = find_clusters(x)
    assert not found.exact
    assert adjusted_rand_score(truth, found.labels) > 0.95


@pytest.mark.parametrize(("marks", "exact"), [(EXACT, True), (EXACT + 1, False)])
def test_many_marks_need_no_memory_for_their_pairs(marks, exact):
    random = np.random.default_rng(3)
    truth = random.random(marks) < 0.1
    x = random.standard_normal((marks, 32), dtype=np.float32)
    x[truth, :8] += 3
    tracemalloc.start()
    found = find_clusters(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.number, found.exact) == (2, exact)
    assert adjusted_rand_score(truth, found.labels) > 0.95
    assert peak < 4_000 * marks  # A value for each pair would take 80,000 bytes a mark.


def test_matched_clusters_are_those_with_the_most_marks_in_common():
    first = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    second = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    assert matched(first, second) == [(0, 1, 1.0), (1, 0, 0.5)]
