"""Two stores on the same books: nothing between a store and itself, and a true difference is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis import inference
from analysis.layer_measures import SKETCHED, coarse, sketch, sketched_marks
from reports.data.comparison import COMPARED, at_depths, compare_stores, infer_difference, paired_books
from reports.data.estimates import Estimate
from reports.data.model_alignment import _aligned, _Sketched
from store.query.reader import open_store
from tests.builders import build_store

PAIR = ("internal", "terminal")


@pytest.mark.parametrize("books", [None, ["book1"]])
def test_a_store_differs_from_itself_by_nothing(three_books, books):
    with open_store(three_books) as store, open_store(three_books) as same:
        found = compare_stores(store, same, PAIR, books)
    assert found.shared == (("book0", "book1", "book2") if books is None else ("book1",))
    assert set(zip(found.rows["quantity"], found.rows["measure"], strict=True)) == {
        key for key in COMPARED if key[0] != "transfer"
    }
    assert (found.rows["difference"] == 0).all()
    with_interval = found.rows[found.rows["quantity"] != "auc"]
    assert (with_interval["low"].abs() < 1e-12).all()
    assert (with_interval["high"].abs() < 1e-12).all()
    assert (found.same_tokens, found.same_marks) == (len(found.shared), 1.0)


def test_books_without_a_partner_are_named_and_layers_stand_at_their_depth(three_books, tmp_path):
    build_store(tmp_path, books=2, layers=7, marks=12, width=10, seed=1, baseline=None)
    with open_store(three_books) as store, open_store(tmp_path) as other:
        found = compare_stores(store, other, PAIR)
        back = compare_stores(other, store, PAIR)
    assert (found.only_here, found.only_there) == (("book2",), ())
    assert (back.only_here, back.only_there) == ((), ("book2",))
    rows = found.rows[found.rows["quantity"] == "r2"]
    np.testing.assert_allclose(rows["depth"], [1 / 3, 2 / 3, 1])
    theirs = back.rows[back.rows["quantity"] == "r2"].set_index("layer")["here"]
    np.testing.assert_allclose(rows["there"], theirs[[2, 4, 6]])


def test_books_are_paired_by_their_text():
    here = pd.DataFrame({"book": ["a", "b", "c"], "sha256": ["1", "2", "3"]})
    there = pd.DataFrame({"book": ["b", "x", "c"], "sha256": ["2", "1", "9"]})
    partners, only_here, only_there = paired_books(here, there)
    assert partners == {"a": "x", "b": "b"}
    assert (only_here, only_there) == (("c",), ("c",))


def test_layers_between_two_are_interpolated():
    whole = Estimate(np.array([1.0, 3.0]), np.array([[0.0, 4.0], [2.0, 2.0]]))
    found = at_depths(whole, np.array([0.5, 1.0]), np.array([0.1, 0.75, 1.0]))
    np.testing.assert_allclose(found.whole, [1, 2, 3])
    np.testing.assert_allclose(found.pseudo, [[0, 2, 4], [2, 2, 2]])


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Stores of 24 marks of each class: one, another with other states of the same marks, one with other marks."""
    folder = tmp_path_factory.mktemp("aligned")
    for name, marks, seed in (("one", 24, 1), ("other", 24, 2), ("fewer", 20, 1)):
        build_store(folder / name, books=2, layers=3, marks=marks, width=64, seed=seed, baseline=40, clusters=False)
    return folder


def test_a_store_is_aligned_with_itself_layer_by_layer(marked):
    with open_store(marked / "one") as store, open_store(marked / "one") as same:
        found = compare_stores(store, same, PAIR).alignments
        kept = store.sql(
            "SELECT cka[3] FROM layer_measures WHERE class = 'terminal' AND layer = 1 ORDER BY book"
        ).fetchall()
    assert [of_class.name for of_class in found] == ["baseline", *PAIR]
    assert [(of_class.books, of_class.marks) for of_class in found] == [(2, (40, 40)), (2, (24, 24)), (2, (24, 24))]
    for of_class in found:
        np.testing.assert_allclose(np.diag(of_class.cka), 1, atol=1e-9)
        np.testing.assert_allclose(of_class.at_depth()["cka"], 1, atol=1e-9)
        assert of_class.at_depth()["other_layer"].tolist() == [0, 1, 2]
        assert len(of_class.rows()) == 9
    assert found[2].cka[1, 2] == pytest.approx(np.mean(kept), abs=0.01), "what the run itself says of two layers"


def test_unrelated_states_of_the_same_marks_are_not_aligned(marked):
    with open_store(marked / "one") as store, open_store(marked / "other") as other:
        found = compare_stores(store, other, PAIR)
    assert found.same_marks == 1
    assert abs(np.mean([of_class.cka.mean() for of_class in found.alignments])) < 0.05
    for of_class in found.alignments:
        assert 0 < of_class.chance < 0.5
        assert (of_class.cka[0] < 2 * of_class.chance).all()


def test_of_classes_that_share_few_marks_nothing_is_said(marked):
    with open_store(marked / "one") as store, open_store(marked / "fewer") as other:
        found = compare_stores(store, other, PAIR)
    assert found.shared
    assert 0 < found.same_marks < 1
    assert [of_class.name for of_class in found.alignments] == ["baseline"]


def test_of_some_shared_marks_those_in_both_sketches_count():
    """Marks 0, 1, 2, ... of one store are 2, 3, 4, ... of the other, which has twice as many as a sketch holds."""
    random = np.random.default_rng(0)
    states = random.standard_normal((SKETCHED * 2, 200))
    here = _Sketched(50, {0: coarse(sketch(states[2:52]))})
    there = _Sketched(SKETCHED * 2, {4: coarse(sketch(states[sketched_marks(SKETCHED * 2)]))})
    found = _aligned(here, there, np.arange(50), np.arange(2, 52))
    assert found is not None
    assert (found.layers, found.other_layers, found.marks) == ((0,), (4,), 25)
    assert found.cka[0, 0] == pytest.approx(1, abs=0.01)
    assert _aligned(here, there, np.arange(10), np.arange(2, 12)) is None


def made_up(generator, books: int, effect: float, *, passages: int = 0, same: bool = False):
    """Two studies of the same books, whose own level is large beside the effect between the studies."""
    level = generator.normal(size=(books, 1)) * 3
    one = level + effect + 0.3 * generator.normal(size=(books, 10))
    other = level + 0.3 * generator.normal(size=(books, 10))
    if not passages:
        return [Estimate(x, None) for x in one], [Estimate(x, None) for x in other]
    shared = generator.normal(size=(books, passages, 10)) * (2 if same else 0)
    pseudo = [shared + 0.3 * generator.normal(size=(books, passages, 10)) for _ in range(2)]
    pseudo[0] = pseudo[0] + effect
    return tuple([Estimate(x.mean(axis=0), x) for x in values] for values in pseudo)


@pytest.mark.parametrize(
    ("books", "passages", "same"), [(8, 0, False), (2, 15, True), (2, 15, False), (1, 15, True), (1, 15, False)]
)
def test_nothing_is_seldom_found_and_a_true_difference_is(books, passages, same):
    """100 studies at 5 % nominal without a difference: 13 or more have 1 chance in 1,000."""
    generator = np.random.default_rng([books, passages, same])
    alarms = found = 0
    for _ in range(100):
        here, there = made_up(generator, books, 0.0, passages=passages, same=same)
        alarms += bool(infer_difference(here, there, same_passages=same).flagged.any())
    for _ in range(10):
        here, there = made_up(generator, books, 1.6, passages=passages, same=same)
        result = infer_difference(here, there, same_passages=same)
        found += bool(result.flagged.all())
        np.testing.assert_allclose(result.estimate, 1.6, atol=0.7)
    assert alarms <= 12
    assert found >= 9
    assert result.estimator == {8: inference.OVER_BOOKS, 2: inference.FIXED_BOOKS, 1: inference.ONE_BOOK}[books]


def test_independent_passages_have_the_error_of_two_means():
    generator = np.random.default_rng(0)
    here, there = generator.normal(size=(40, 3)), 2 * generator.normal(size=(60, 3))
    one, other = Estimate(here.mean(axis=0), here), Estimate(there.mean(axis=0), there)
    found = infer_difference([one], [other], same_passages=False)
    error = np.sqrt(here.var(axis=0, ddof=1) / 40 + there.var(axis=0, ddof=1) / 60)
    assert (found.high - found.estimate) / error == pytest.approx(np.full(3, 2.4), rel=0.12), "max of three"
