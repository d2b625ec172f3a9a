"""The answer's numbers: against every pair read one by one, and what is said where there are few books or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import inference
from analysis.contrasts import PairSums
from analysis.inference import infer
from reports.data.answer import COLUMNS, EMBEDDINGS, Answers, BookByBook, find_answers
from reports.data.class_pairs import compare_pairs, flagged_layers
from reports.data.classes import Classes
from reports.data.estimates import DIRECTION, MEASURES, Estimate, Key, estimates_of_book, touching_passages
from store.query.reader import open_store
from tests.builders import build_store
from tests.reports.classes import TWO, WITH_BASELINE

ACROSS = """
SELECT p.book, avg(p.{measure}) AS value
FROM {table} p
JOIN marks a ON a.book = p.book AND a.class = '{first}' AND a.i = p.i
JOIN marks b ON b.book = p.book AND b.class = '{second}' AND b.i = p.j
WHERE p.layer = {layer} AND a.passage <> b.passage AND p.class = '{first}' {other}
GROUP BY p.book ORDER BY p.book
"""


@pytest.fixture(scope="module")
def three_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three books of the default classes and random tokens, in place of the store that other tests share."""
    location = tmp_path_factory.mktemp("stores") / "with-baseline"
    build_store(location, books=3, layers=4, marks=12, width=16, seed=1)
    return location


@pytest.fixture(scope="module")
def answers(three_books: Path) -> Answers:
    with open_store(three_books) as store:
        return find_answers(store, WITH_BASELINE)


@pytest.fixture(scope="module")
def six_books(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    location = tmp_path_factory.mktemp("stores") / "six-books"
    build_store(location, books=6, layers=3, marks=12, width=16, seed=4)
    with open_store(location) as store:
        return find_answers(store, TWO)


def across(store, measure: str, first: str, second: str, layer: int) -> float:
    """The mean over books of the mean over pairs of marks of different passages, from the pairs themselves."""
    table, other = ("pairs", "") if first == second else ("cross_pairs", f"AND p.other = '{second}'")
    query = ACROSS.format(measure=measure, first=first, second=second, layer=layer, table=table, other=other)
    return float(store.sql(query).df()["value"].mean())


@pytest.mark.parametrize("measure", ["mi", "corr", "mi_copula", "corr_centred"])
@pytest.mark.parametrize("layer", [1, 3])
def test_likeness_and_contrasts_are_those_of_the_pairs(store, answers, measure, layer):
    first = across(store, measure, "internal", "internal", layer)
    second = across(store, measure, "terminal", "terminal", layer)
    between = across(store, measure, "internal", "terminal", layer)
    baseline = across(store, measure, "baseline", "baseline", layer)

    def at(rows) -> float:
        return float(rows.set_index("layer")["estimate"][layer])

    assert at(answers.of_class("likeness", measure, "internal")) == pytest.approx(first)
    assert at(answers.of_class("likeness", measure, "terminal")) == pytest.approx(second)
    assert at(answers.of("likeness", measure)) == pytest.approx(between)
    assert at(answers.of_class("likeness", measure, "baseline")) == pytest.approx(baseline)
    assert at(answers.of("difference", measure)) == pytest.approx(second - first)
    if measure != "corr_centred":
        assert at(answers.of("separation", measure)) == pytest.approx((first + second) / 2 - between)
    if measure == "corr":
        assert at(answers.of_class("dispersion", "corr", "terminal")) == pytest.approx(1 - second)
        centred = [across(store, "corr_centred", name, name, layer) for name in ("internal", "terminal")]
        assert at(answers.of("difference_of_means", "corr")) == pytest.approx(
            second - first - (centred[1] - centred[0])
        )


def test_effect_sizes_are_those_of_the_pairs(store, answers):
    from scipy.stats import mannwhitneyu

    layer, auc, explained = 2, [], []
    for book in ("book0", "book1", "book2"):
        mi, corr = {}, {}
        for name, table in (("internal", "pairs"), ("terminal", "pairs"), ("both", "cross_pairs")):
            which = f"class = '{name}'" if name != "both" else "class = 'internal' AND other = 'terminal'"
            rows = store.sql(f"SELECT mi, corr FROM {table} WHERE layer = {layer} AND book = '{book}' AND {which}").df()
            mi[name], corr[name] = rows["mi"].to_numpy(), rows["corr"].to_numpy(dtype=float)
        for name in ("internal", "terminal"):
            u = mannwhitneyu(mi[name], mi["both"]).statistic
            auc.append(u / (len(mi[name]) * len(mi["both"])))
        far = {name: (1 - values).sum() for name, values in corr.items()}
        total = sum(far.values()) / 24
        explained.append(1 - (far["internal"] + far["terminal"]) / 12 / total)
    row = answers.of("auc", "mi").set_index("layer")
    assert row["estimate"][layer] == pytest.approx(np.mean(auc), abs=0.02), "exact up to bins of 0.025 bits"
    np.testing.assert_allclose(answers.of("r2", "corr").set_index("layer")["estimate"][layer], np.mean(explained))


def test_three_books_are_held_fixed_and_six_are_a_sample(answers, six_books):
    fixed, sampled = answers.of("separation", "mi"), six_books.of("separation", "mi")
    assert set(fixed["estimator"][1:]) == {inference.FIXED_BOOKS}
    assert set(fixed["observations"]) == {12}, "three books of four passages"
    assert set(sampled["estimator"][1:]) == {inference.OVER_BOOKS}
    assert set(sampled["observations"]) == {6}
    assert np.isfinite(sampled.loc[1:, ["low", "high", "p", "skewness"]]).all().all()
    assert fixed["p"].isna().all()
    assert six_books.of_class("likeness", "mi", "baseline").empty, "no baseline was asked for"


def test_the_embeddings_stand_apart(six_books):
    row = six_books.of("difference", "mi").iloc[0]
    assert (row["layer"], row["estimator"]) == (0, EMBEDDINGS)
    assert np.isfinite(row["estimate"])
    assert np.isnan(row["low"])
    assert np.isnan(row["p"])


def test_every_class_has_its_placebos_and_centred_measures_no_separation(answers):
    for name in ("internal", "terminal"):
        for quantity in ("halves_difference", "halves_separation", "random_difference", "random_separation"):
            rows = answers.of_class(quantity, "mi", name)
            assert rows["estimate"].notna().all()
    assert list(answers.results.columns) == list(COLUMNS)
    assert answers.of("separation", "corr_centred").empty
    assert answers.of("difference", "mi_centred").empty, "the study does not measure it"


def test_each_book_has_its_own_row(answers, store):
    rows = answers.by_book[(answers.by_book["quantity"] == "difference") & (answers.by_book["measure"] == "mi")]
    assert sorted(set(rows["book"])) == ["book0", "book1", "book2"]
    over = answers.of("difference", "mi").set_index("layer")["estimate"]
    np.testing.assert_allclose(rows.groupby("layer")["estimate"].mean(), over)


def test_one_book_may_be_asked_for_alone(store):
    found = find_answers(store, WITH_BASELINE, ["book1"])
    assert found.books == ("book1",)
    assert set(found.of("separation", "mi")["estimator"][1:]) == {inference.ONE_BOOK}


def test_where_no_pairs_lie_between_there_is_a_difference_and_no_separation(tmp_path):
    build_store(tmp_path, books=1, layers=2, between="none", measures="notebook", baseline=None)
    with open_store(tmp_path) as store:
        found = find_answers(store, TWO)
    assert not found.apart
    assert found.of("difference", "mi")["estimate"].notna().all()
    assert found.of("auc", "mi").empty
    assert found.estimator == inference.ONE_BOOK


def test_passages_that_touch_are_left_out_from_six_on(tmp_path):
    """Ten passages, of which all but one touch the next: pairs of them are counted from the pairs themselves."""
    starts = [0, 10, 20, 30, 45, 55, 65, 75, 85, 95]
    rows = pd.DataFrame({"passage": range(10), "start": starts, "tokens": 10})
    touching = touching_passages(rows, 10)
    assert touching.tolist() == [True, True, True, False, True, True, True, True, True]
    generator = np.random.default_rng(0)
    pairs = np.triu(np.ones((10, 10), dtype=np.int64), 1)
    sums = generator.normal(size=(len(MEASURES), 10, 10)) * pairs
    parts = {("a", "a"): PairSums(pairs, sums)}
    found = estimates_of_book(parts, touching, {}, ["a"], 1, 0)
    apart = pairs * ~(np.eye(10, k=1, dtype=bool) & np.append(touching, False)[:, None])
    for number, measure in enumerate(MEASURES):
        expected = sums[number][apart > 0].mean()
        assert found[Key("likeness", measure, "a", "a")].whole == pytest.approx([expected])
    few = {("a", "a"): PairSums(pairs[:5, :5], sums[:, :5, :5])}
    found = estimates_of_book(few, touching[:4], {}, ["a"], 1, 0)
    assert found[Key("likeness", "mi", "a", "a")].whole == pytest.approx([sums[0, :5, :5].sum() / 10])


def test_a_book_of_one_passage_has_estimates_and_no_interval():
    pairs = np.array([[3]])
    sums = np.full((len(MEASURES), 1, 1), 6.0)
    found = estimates_of_book({("a", "a"): PairSums(pairs, sums)}, np.zeros(0, bool), {}, ["a"], 1, 0)
    estimate = found[Key("likeness", "mi", "a", "a")]
    assert estimate.whole == [2.0]
    assert np.isnan(estimate.pseudo).all()


def test_all_pairs_of_classes_are_answered_and_their_intervals_hold_together(tmp_path):
    classes = [["and", ["and"]], ["but", ["but"]], ["the", ["the"]]]
    build_store(tmp_path, books=6, layers=3, marks=12, width=16, classes=classes, baseline=None)
    with open_store(tmp_path) as store:
        three = find_answers(store, Classes(("and", "but", "the")))
        two = find_answers(store, Classes(("and", "but")))
    assert three.pairs == (("and", "but"), ("and", "the"), ("but", "the"))
    for quantity, measure in (("separation", "mi"), ("auc", "mi"), ("r2", "corr"), ("difference", "mi")):
        alone, among = (found.of(quantity, measure, ("and", "but")) for found in (two, three))
        np.testing.assert_allclose(alone["estimate"], among["estimate"])
        width = [(rows["high"] - rows["low"])[1:] for rows in (alone, among)]
        assert (width[1] > width[0]).all(), "three times as many intervals hold at once"
        assert quantity == "r2" or (among["p"][1:] >= alone["p"][1:]).all()
    rows = compare_pairs(three)
    assert len(rows) == 3 * 3
    last = rows.iloc[-1]
    assert (last["first"], last["second"], last["layer"]) == ("but", "the", 2)
    assert last["separation_low"] < last["separation"] < last["separation_high"]
    assert flagged_layers(rows)["layers"].tolist() == [2, 2, 2], "layer 0 is not counted"


def test_transfer_is_that_of_the_stored_wins_and_chance_is_a_half(tmp_path):
    classes = [["internal", [",", ";", ":"]], ["terminal", [".", "?", "!"]]]
    build_store(tmp_path, books=6, layers=3, marks=18, width=16, classes=classes)
    with open_store(tmp_path) as store:
        found = find_answers(store, TWO)
        stored = store.sql(
            """SELECT layer, labels, avg(auc) AS auc FROM (
                 SELECT layer, labels, book, sum(wins) / sum(pairs) AS auc FROM transfer_sums
                 WHERE passage <> other_passage GROUP BY ALL) GROUP BY ALL ORDER BY ALL"""
        ).df()
    transfer, control = found.of("transfer", DIRECTION), found.of("transfer_control", DIRECTION)
    np.testing.assert_allclose(transfer["estimate"], stored.query("labels == 'classes'")["auc"])
    np.testing.assert_allclose(control["estimate"], stored.query("labels == 'control'")["auc"])
    gain = found.of("transfer_gain", DIRECTION)["estimate"]
    np.testing.assert_allclose(gain[1:], transfer["estimate"][1:] - transfer["estimate"][0])
    for rows in (transfer, found.of("auc", "mi")):
        deep = rows[1:]
        assert ((deep["low"] < deep["estimate"]) & (deep["estimate"] < deep["high"])).all()
        near = (deep["estimate"] - 0.5).abs() < 0.02
        assert (deep["p"][near] > 0.05).all(), "p asks whether it is a half"
    assert found.of("r2", "corr")["p"].isna().all(), "R^2 cannot be 0"


def test_more_pairs_of_classes_raise_no_more_false_alarms():
    """Ten pairs of classes and three layers without an effect, in 200 studies of eight books: 5 % nominal."""
    generator, flagged = np.random.default_rng(3), 0
    for _ in range(200):
        found = infer(generator.normal(size=(8, 30)))
        flagged += bool(found.flagged.any())
    assert 2 <= flagged <= 20


def test_intervals_of_shares_end_at_nought_and_one_and_are_none_where_nothing_varies():
    """Of two mark types few of which are there, transfer is near 1 in one layer and 1 in every passage of another."""
    whole = np.array([0.8, 0.97, 1.0])
    pseudo = whole + np.array([0.3, 0.1, 0.0]) * np.array([-1.0, 1, 1, -1, 1, -1])[:, None]
    key = Key("transfer", DIRECTION, "internal", "terminal")
    reading = BookByBook(
        TWO, books=["book0"], passages=[6], layers=(0, 1, 2), estimates={key: {0: Estimate(whole, pseudo)}}
    )
    rows = reading.answers().of("transfer", DIRECTION)
    assert rows["estimate"].tolist() == pytest.approx(whole)
    assert rows["low"][1] < 0.97
    assert rows["high"][1] == 1
    assert rows[["low", "high"]].iloc[2].isna().all()
