"""All measures of pairs within classes and between them, against plain NumPy and SciPy, pair by pair."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.special import digamma
from scipy.stats import norm, rankdata

from analysis import reference
from analysis.pairing import MEASURES, BookVectors, PairOptions
from tests.analysis.conftest import moving_states

ALL = PairOptions(measures="all")
OTHERS = ("mi_copula", "corr_centred", "mi_copula_centred", "mi_centred")


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    kept = reference.kept_dimensions(x) & reference.kept_dimensions(y)
    a, b = x[kept].astype(np.float64), y[kept].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    with np.errstate(invalid="ignore"):
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def normal_scores(x: np.ndarray) -> np.ndarray:
    return norm.ppf(rankdata(x, axis=1) / (x.shape[1] + 1))


def copula(a: np.ndarray, b: np.ndarray) -> float:
    """The Gaussian copula's mutual information in bits of normal scores, less the bias of Ince et al. (2017)."""
    n, r = len(a), np.corrcoef(a, b)[0, 1]
    bias = (digamma((n - 1) / 2) - digamma((n - 2) / 2)) / (2 * np.log(2))
    return float(-0.5 * np.log2(1 - r * r) - bias)


def centred_by_hand(states: dict[str, np.ndarray], passages: dict[str, np.ndarray], name: str, classes) -> np.ndarray:
    """Each vector less the mean, over `classes`, of each one's mean in the passages of the other parity."""
    rows = []
    for x, passage in zip(states[name], passages[name], strict=True):
        means = [states[c][passages[c] % 2 != passage % 2].mean(axis=0, dtype=np.float64) for c in classes]
        rows.append((x - np.mean(means, axis=0)).astype(np.float32))
    return np.array(rows)


def sampled(pairs: list[tuple[int, int]], number: int) -> Iterator[tuple[int, int, int]]:
    """Some of the pairs, each with its place among all."""
    places = np.random.default_rng(4).permutation(len(pairs))[:number]
    return ((place, *pairs[place]) for place in places)


def check_against_the_oracle(states, passages, classes: tuple[str, ...], number: int) -> int:
    """Every measure of some pairs within a class or between two; returns how many were compared."""
    name, other = classes[0], classes[-1]
    x, y = states[name], states[other]
    vectors = BookVectors(states, passages, ALL)
    if len(classes) == 1:
        found, others = vectors.within(name, 0, len(x))
        pairs = list(itertools.combinations(range(len(x)), 2))
    else:
        found, others = vectors.between(name, other, 0, len(x))
        pairs = list(itertools.product(range(len(x)), range(len(y))))
    assert set(others) == set(OTHERS)
    assert {len(column) for column in (found.mi, *others.values())} == {len(pairs)}
    cx, cy = (centred_by_hand(states, passages, of, classes) for of in (name, other))
    sx, sy, scx, scy = map(normal_scores, (x, y, cx, cy))
    for k, i, j in sampled(pairs, number):
        both = reference.kept_dimensions(x[i]) & reference.kept_dimensions(y[j])
        assert found.n[k] == both.sum()
        assert found.mi[k] == pytest.approx(reference.mutual_information(x[i], y[j]), abs=1e-9)
        assert found.cov[k] == pytest.approx(reference.covariance(x[i], y[j]), rel=1e-7, abs=1e-9)
        assert found.corr[k] == pytest.approx(correlation(x[i], y[j]), rel=1e-6, abs=1e-7)
        assert others["mi_copula"][k] == pytest.approx(copula(sx[i], sy[j]), rel=1e-9, abs=1e-9)
        assert others["mi_copula_centred"][k] == pytest.approx(copula(scx[i], scy[j]), rel=1e-9, abs=1e-9)
        assert others["mi_centred"][k] == pytest.approx(reference.mutual_information(cx[i], cy[j]), abs=1e-9)
        assert others["corr_centred"][k] == pytest.approx(correlation(cx[i], cy[j]), rel=1e-6, abs=1e-7)
    return min(number, len(pairs))


@pytest.mark.parametrize("layer", [1, 20, 30])
def test_thousands_of_pairs_of_real_states_have_the_oracles_measures(smollm2_marks, layer):
    states = {name: x for (of, name), x in smollm2_marks.states.items() if of == layer}
    passages = smollm2_marks.passages
    compared = sum(
        check_against_the_oracle(states, passages, classes, 250)
        for classes in (("internal",), ("terminal",), ("internal", "terminal"), ("terminal", "baseline"))
    )
    assert compared == 1000


@pytest.mark.parametrize("classes", [("a",), ("b",), ("a", "b"), ("b", "a")])
def test_pairs_of_made_up_states_with_outliers_have_the_oracles_measures(classes):
    states = {"a": moving_states(30, 192, seed=7), "b": moving_states(21, 192, seed=8)}
    passages = {name: np.sort(np.arange(len(x)) % 5) for name, x in states.items()}
    assert any(not reference.kept_dimensions(row).all() for x in states.values() for row in x)
    check_against_the_oracle(states, passages, classes, 10_000)


@pytest.fixture
def two_classes() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    states = {"a": moving_states(40, 192, seed=7), "b": moving_states(25, 192, seed=8)}
    return states, {name: np.sort(np.arange(len(x)) % 7) for name, x in states.items()}


def test_results_do_not_depend_on_how_pairs_are_cut_nor_on_what_was_asked_before(two_classes):
    whole = BookVectors(*two_classes, ALL)
    for ask, classes in ((whole.within, ("a",)), (whole.between, ("a", "b"))):
        found, others = ask(*classes, 0, 40)
        fresh = BookVectors(*two_classes, ALL)
        again = fresh.within if len(classes) == 1 else fresh.between
        cut = [again(*classes, start, stop) for start, stop in ((0, 1), (1, 17), (17, 17), (17, 40))]
        for name in ("mi", "cov", "corr", "n", "hx", "hy"):
            np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p, _ in cut]), getattr(found, name))
        for name, column in others.items():
            pieces = np.concatenate([columns[name] for _, columns in cut])
            np.testing.assert_array_equal(pieces, column, err_msg=name)


@pytest.mark.parametrize("measures", list(MEASURES))
def test_each_choice_has_its_measures(two_classes, measures):
    vectors = BookVectors(*two_classes, PairOptions(measures=measures))
    for _, others in (vectors.within("a", 0, 40), vectors.between("a", "b", 0, 40)):
        assert set(others) | {"mi", "cov", "corr"} == set(MEASURES[measures])


@pytest.mark.parametrize("passage", [0, 3])
def test_of_one_passage_there_is_nothing_to_centre_by(two_classes, passage):
    states, passages = two_classes
    one = passages | {"a": np.full(40, passage)}
    vectors = BookVectors(states, one, ALL)
    whole = BookVectors(states, passages, ALL)
    for ask, expected in ((vectors.within, whole.within), (vectors.between, whole.between)):
        classes = ("a",) if ask == vectors.within else ("a", "b")
        (found, others), (_, usual) = ask(*classes, 0, 40), expected(*classes, 0, 40)
        np.testing.assert_array_equal(others["mi_copula"], usual["mi_copula"])
        assert np.isfinite(found.mi).all()
        for name in ("corr_centred", "mi_copula_centred", "mi_centred"):
            assert np.isnan(others[name]).all()
            assert len(others[name]) == len(found.mi)
    assert np.isfinite(vectors.within("b", 0, 25)[1]["corr_centred"]).all(), "other classes keep theirs"


@pytest.mark.parametrize("marks", [0, 1])
def test_a_class_with_one_mark_or_none(two_classes, marks):
    states, passages = two_classes
    few = {"a": states["a"], "b": states["b"][:marks]}
    vectors = BookVectors(few, {"a": passages["a"], "b": passages["b"][:marks]}, ALL)
    found, others = vectors.within("b", 0, marks)
    assert {len(column) for column in (found.mi, *others.values())} == {0}
    assert set(others) == set(OTHERS)
    for classes in (("a", "b"), ("b", "a")):
        found, others = vectors.between(*classes, 0, len(few[classes[0]]))
        assert {len(column) for column in (found.mi, *others.values())} == {40 * marks}
        assert np.isnan(others["corr_centred"]).all()
        assert np.isfinite(others["mi_copula"]).all()


def check_equal_states(states: dict[str, np.ndarray], passages: dict[str, np.ndarray], name: str) -> None:
    """The marks of a class have one state: all it can tell of itself, and nothing beyond what they share."""
    x = states[name]
    assert (x == x[0]).all()
    found, others = BookVectors(states, passages, ALL).within(name, 0, len(x))
    np.testing.assert_allclose(found.mi, reference.mutual_information(x[0], x[0]), atol=1e-9)
    np.testing.assert_allclose(found.corr, 1, rtol=1e-6)
    assert (others["mi_copula"] > 20).all()
    assert np.isnan(others["corr_centred"]).all()
    assert np.isnan(others["mi_copula_centred"]).all()
    assert (others["mi_centred"] == 0).all()


def test_where_all_marks_of_a_class_have_one_state_centring_leaves_nothing(two_classes):
    states, passages = two_classes
    check_equal_states(states | {"a": np.tile(states["a"][:1], (40, 1))}, passages, "a")


def test_embeddings_of_a_real_models_class_are_one_state(smollm2_marks):
    states = {name: x for (of, name), x in smollm2_marks.states.items() if of == 0}
    check_equal_states(states, smollm2_marks.passages, "internal")


def test_between_two_classes_of_one_state_each_what_sets_them_apart_stays(two_classes):
    states, passages = two_classes
    alike = {name: np.tile(x[:1], (len(x), 1)) for name, x in states.items()}
    _, others = BookVectors(alike, passages, ALL).between("a", "b", 0, 40)
    np.testing.assert_allclose(others["corr_centred"], -1, rtol=1e-5)


def test_centring_takes_away_what_a_class_shares_and_no_vector_is_in_its_own_mean():
    rng = np.random.default_rng(11)
    shared = 4 * rng.normal(size=400)
    states = {"a": (shared + rng.normal(size=(60, 400))).astype(np.float32)}
    passages = {"a": np.sort(np.arange(60) % 10)}
    found, others = BookVectors(states, passages, ALL).within("a", 0, 60)
    assert found.corr.mean() > 0.9
    first, second = np.triu_indices(60, 1)
    across = passages["a"][first] % 2 != passages["a"][second] % 2
    # Were a vector in the mean that is taken from it, pairs of one half would be pushed below 0.
    assert abs(others["corr_centred"][~across]).mean() < 0.1
    assert others["corr_centred"][~across].mean() > -0.01


def test_vectors_that_are_not_finite_are_named(two_classes):
    states, passages = two_classes
    states["b"][3, 5] = np.inf
    with pytest.raises(ValueError, match=r"in shard x layer 2 class b has the value inf in dimension 5"):
        BookVectors(states, passages, ALL, where="shard x layer 2")


def test_memory_does_not_grow_with_the_number_of_classes():
    """Centred vectors of sixteen classes for each two of them would be a hundred times the states."""
    rng = np.random.default_rng(2)
    names = [f"class {number}" for number in range(16)]
    states = {name: rng.normal(size=(20, 512)).astype(np.float32) for name in names}
    passages = {name: np.arange(20) % 4 for name in names}
    BookVectors(states, passages, ALL).within(names[0], 0, 20)
    tracemalloc.start()
    vectors = BookVectors(states, passages, ALL)
    for name in names:
        vectors.within(name, 0, 20)
    for name, other in itertools.combinations(names, 2):
        vectors.between(name, other, 0, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * sum(x.nbytes for x in states.values())
