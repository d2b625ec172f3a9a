"""Corrections and nulls against closed forms and against what they keep."""

from __future__ import annotations

import numpy as np

from analysis import nulls, pairwise, reference


def test_miller_madow_by_hand():
    joint = np.array([[6, 0], [1, 3]])
    plug_in = reference.entropy(joint.sum(axis=1)) + reference.entropy(joint.sum(axis=0)) - reference.entropy(joint)
    assert np.isclose(nulls.miller_madow(joint), plug_in + (1 + 1 - 2) / (20 * np.log(2)))
    assert np.isclose(nulls.miller_madow(np.array([[5, 5], [5, 5]])), -1 / (40 * np.log(2)))
    assert np.isnan(nulls.miller_madow(np.zeros((2, 2), int)))


def test_plug_in_is_biased_and_miller_madow_corrects_too_little():
    """Independent Gaussian vectors: true MI is 0."""
    x = np.random.default_rng(0).normal(size=(60, 1024)).astype(np.float32)
    prepared = pairwise.prepare(x)
    plug_in = pairwise.row_range(prepared, 0, 60).mi.mean()
    corrected = np.mean([nulls.miller_madow(pairwise.joint_counts(prepared, i, prepared, i + 1)) for i in range(59)])
    assert 0.1 < plug_in < 0.14
    assert 0.0 < corrected < plug_in / 2


def test_permuting_breaks_dependence_and_nothing_else(states):
    prepared = pairwise.prepare(states)
    pairs = np.array([[0, 1], [4, 4], [7, 30]])
    null = nulls.permutation_null(prepared, pairs, 40, seed=3)
    assert null.shape == (3, 40)
    np.testing.assert_array_equal(null, nulls.permutation_null(prepared, pairs, 40, seed=3))
    own = reference.entropy(pairwise.joint_counts(prepared, 4, prepared, 4))
    assert null[1].max() < 0.8 * own
    rng = np.random.default_rng(0)
    independent = rng.permuted(states, axis=1)
    observed = pairwise.pair_statistics(independent).mi.mean()
    level = nulls.permutation_null(pairwise.prepare(independent), np.array([[0, 1], [2, 3], [4, 5]]), 100, 0).mean()
    assert abs(level - observed) < 0.15 * observed


def test_no_dimension_left_gives_no_null():
    x = np.array([[0, 1, 0, 1], [1, 0, 1, 0]], np.float32)
    assert np.isnan(nulls.permutation_null(pairwise.prepare(x, 2, 0.0), np.array([[0, 1]]), 3, seed=0)).all()


def test_gaussian_reference():
    np.testing.assert_allclose(nulls.gaussian_mi(np.array([0.0, np.sqrt(0.75), -np.sqrt(0.75)])), [0.0, 1.0, 1.0])
    assert nulls.gaussian_mi(np.array([1.0]))[0] == np.inf


def test_mi_of_gaussian_vectors_approaches_the_reference():
    rng = np.random.default_rng(1)
    x = rng.normal(size=65_000)
    y = 0.8 * x + 0.6 * rng.normal(size=65_000)
    found = pairwise.pair_statistics(np.stack([x, y]).astype(np.float32), bins=40)
    np.testing.assert_allclose(found.mi, nulls.gaussian_mi(found.corr), rtol=0.05)
