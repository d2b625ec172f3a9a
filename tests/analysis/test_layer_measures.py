"""Measures of a layer, each with a known answer: closed forms, planted values, invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.layer_measures import (
    SKETCHED,
    alignments,
    coarse,
    cross_alignments,
    intrinsic_dimension,
    layer_measures,
    mean_cosine,
    sketch,
    sketched_marks,
)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_mean_cosine_is_that_of_every_pair():
    x = normal(0, 20, 12)
    norms = np.linalg.norm(x, axis=1)
    pairs = [x[i] @ x[j] / norms[i] / norms[j] for i, j in itertools.combinations(range(20), 2)]
    assert mean_cosine(x, norms) == pytest.approx(np.mean(pairs))


def test_a_shared_mean_gives_the_cosine_that_follows_from_its_length():
    """Of vectors m + noise, the cosine is |m|^2 / (|m|^2 + D sigma^2)."""
    x = (normal(1, 400, 1000) + normal(2, 1000) * 1.5).astype(np.float32)
    mean = np.square(normal(2, 1000) * 1.5).sum()
    assert layer_measures(x).anisotropy == pytest.approx(mean / (mean + 1000), abs=0.01)
    assert abs(layer_measures(normal(3, 400, 1000).astype(np.float32)).anisotropy) < 0.005


@pytest.mark.parametrize("dimension", [2, 5])
def test_the_dimension_of_a_cube_in_a_larger_space(dimension):
    found = [
        intrinsic_dimension(np.random.default_rng(seed).random((512, dimension)) @ normal(seed, dimension, 40) + 3)
        for seed in range(8)
    ]
    assert np.mean(found) == pytest.approx(dimension, rel=0.12)


def test_equal_states_are_taken_once_and_too_few_have_no_dimension():
    x = np.random.default_rng(0).random((200, 3))
    assert intrinsic_dimension(np.concatenate([x, x, x])) == pytest.approx(intrinsic_dimension(x))
    assert np.isnan(intrinsic_dimension(np.ones((50, 8))))


def test_few_states_in_many_dimensions_look_simpler_than_they_are():
    """The docstring's warning: 64 states of dimension 20."""
    found = [intrinsic_dimension(np.random.default_rng(seed).random((64, 20))) for seed in range(20)]
    assert 11 < np.mean(found) < 17


def test_a_planted_value_is_found_with_its_size_and_its_dimension():
    x = normal(4, 30, 50).astype(np.float32)
    x[7, 13] = -900
    found = layer_measures(x)
    assert found.massive_dimension == 13
    assert found.massive == pytest.approx(900 / np.median(np.abs(x)))
    assert found.norm == pytest.approx(np.median(np.linalg.norm(x, axis=1)), rel=1e-6)


def plain_cka(x: np.ndarray, y: np.ndarray) -> float:
    """CKA with the unbiased HSIC as Song et al. write it."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        ones = np.ones(n)
        whole = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
        return (np.trace(k @ m) + whole - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_the_alignment_is_the_unbiased_cka_of_the_paper():
    x = normal(5, 40, 30)
    y = x @ normal(6, 30, 20) + 2 * normal(7, 40, 20) + 5
    found = alignments({0: sketch(x), 3: sketch(y)})
    assert found[0][1] == pytest.approx(plain_cka(x, y), abs=1e-6)
    assert found[3][1] == pytest.approx(1, abs=1e-6)


def test_turning_and_scaling_change_no_alignment_and_independent_states_have_none():
    x = normal(8, SKETCHED, 100)
    turned = np.linalg.qr(normal(9, 100, 100))[0]
    same = alignments({0: sketch(x), 1: sketch(3 * x @ turned - 7)})[0][1]
    assert same == pytest.approx(1, abs=1e-5)
    others = [alignments({0: sketch(x), 1: sketch(normal(s, SKETCHED, 500))})[0][1] for s in range(20, 40)]
    assert abs(np.mean(others)) < 0.02, "the plain CKA of 64 marks in 500 dimensions is about 0.4"


def test_a_layer_whose_states_are_equal_has_no_alignment():
    equal = layer_measures(np.full((20, 8), 1.7, np.float32))
    assert not len(equal.sketch)
    assert equal.anisotropy == pytest.approx(1)
    found = alignments({0: equal.sketch, 1: sketch(normal(1, 20, 8))})
    assert np.isnan(found[0]).all()
    assert np.isnan(found[1][0])
    assert found[1][1] == pytest.approx(1, abs=1e-6)
    assert all(np.isnan(row).all() for row in alignments({0: equal.sketch, 1: equal.sketch}).values())


def test_of_many_marks_some_are_sketched_evenly():
    found = layer_measures(normal(10, 5 * SKETCHED, 16).astype(np.float32))
    assert found.marks == 5 * SKETCHED
    assert len(found.sketch) == SKETCHED * (SKETCHED - 1) // 2


def test_one_state_has_a_length_and_nothing_else():
    found = layer_measures(normal(11, 1, 16).astype(np.float32))
    assert np.isnan(found.anisotropy)
    assert np.isnan(found.intrinsic_dimension)
    assert found.norm > 0


ALL = np.arange(SKETCHED)


def test_two_models_of_the_same_states_are_aligned_whatever_their_basis_and_scale():
    x = normal(12, SKETCHED, 100)
    turned = np.linalg.qr(normal(13, 100, 100))[0]
    found = cross_alignments(
        {0: sketch(x), 1: sketch(normal(14, SKETCHED, 100))}, {0: sketch(3 * x @ turned - 7)}, ALL, ALL
    )
    assert found.shape == (2, 1)
    assert found[0, 0] == pytest.approx(1, abs=1e-5)
    assert abs(found[1, 0]) < 0.1


@pytest.mark.parametrize(("marks", "scatter"), [(64, 0.0226), (16, 0.098)])
def test_independent_models_have_no_alignment_and_scatter_as_said(marks, scatter):
    here = {seed: sketch(normal(seed, marks, 2000)) for seed in range(20)}
    there = {seed: sketch(normal(100 + seed, marks, 1500)) for seed in range(20)}
    found = cross_alignments(here, there, np.arange(marks), np.arange(marks))
    assert abs(found.mean()) < 0.2 * scatter
    assert found.std() == pytest.approx(scatter, rel=0.15)


def test_the_alignment_over_some_marks_is_that_of_these_marks_alone():
    x, y = normal(15, SKETCHED, 30) + 4, normal(16, SKETCHED, 20)
    y[:, :10] += x[:, :10]
    order = np.random.default_rng(0).permutation(SKETCHED)
    places = np.sort(np.random.default_rng(1).permutation(SKETCHED)[:23])
    found = cross_alignments({2: sketch(x)}, {5: sketch(y[order])}, places, np.argsort(order)[places])
    assert found[0, 0] == pytest.approx(plain_cka(x[places], y[places]), abs=1e-5)


def test_a_coarse_sketch_has_the_same_alignments_to_a_hundredth():
    x = normal(17, SKETCHED, 100)
    y = x + normal(18, SKETCHED, 100)
    one_outweighs_all = x.copy()
    one_outweighs_all[3] *= 40
    for here, within in ((x, 0.001), (one_outweighs_all, 0.01)):
        exact = cross_alignments({0: sketch(here)}, {0: sketch(y)}, ALL, ALL)[0, 0]
        found = cross_alignments({0: coarse(sketch(here))}, {0: coarse(sketch(y))}, ALL, ALL)[0, 0]
        assert found == pytest.approx(exact, abs=within)
        itself = cross_alignments({0: coarse(sketch(here))}, {0: coarse(sketch(here))}, ALL, ALL)[0, 0]
        assert itself == pytest.approx(1, abs=1e-12)
    assert coarse(np.zeros(0, np.float32)).dtype == np.int8


def test_few_marks_and_layers_without_a_sketch_have_no_alignment():
    here = {0: np.zeros(0, np.float32), 1: sketch(normal(1, 8, 5))}
    found = cross_alignments(here, {0: here[1]}, np.arange(8), np.arange(8))
    assert np.isnan(found[0, 0])
    assert found[1, 0] == pytest.approx(1, abs=1e-6)
    assert np.isnan(cross_alignments(here, {0: here[1]}, np.arange(3), np.arange(3))).all()


def test_a_sketch_holds_marks_of_the_whole_book():
    assert sketched_marks(10).tolist() == list(range(10))
    assert np.diff(sketched_marks(250)).max() <= 4
