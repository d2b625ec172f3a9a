"""The answer's numbers: against every pair read one by one, and what is said where there are few books or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis import inference
from reports.data.answer import COLUMNS, EMBEDDINGS, Answers, find_answers
from store.query.reader import open_store
from tests.builders import build_store

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
        found = find_answers(store, "internal", "terminal", "baseline")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def six_books(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    location = tmp_path_factory.mktemp("stores") / "six-books"
    build_store(location, books=6, layers=3, marks=12, width=16, seed=4)
    with open_store(location) as store:
        found = find_answers(store, "internal", "terminal")
    assert found is not None
    return found


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
    found = {name: answers.of(name, measure).set_index("layer")["estimate"] for name in answers.results["quantity"]}
    assert found["likeness_first"][layer] == pytest.approx(first)
    assert found["likeness_second"][layer] == pytest.approx(second)
    assert found["likeness_between"][layer] == pytest.approx(between)
    assert found["likeness_baseline"][layer] == pytest.approx(baseline)
    assert found["difference"][layer] == pytest.approx(second - first)
    if measure != "corr_centred":
        assert found["separation"][layer] == pytest.approx((first + second) / 2 - between)
    if measure == "corr":
        assert found["dispersion_second"][layer] == pytest.approx(1 - second)
        centred = [across(store, "corr_centred", name, name, layer) for name in ("internal", "terminal")]
        assert found["difference_of_means"][layer] == pytest.approx(second - first - (centred[1] - centred[0]))


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
    assert six_books.of("likeness_baseline", "mi").empty, "no baseline was asked for"


def test_the_embeddings_stand_apart(six_books):
    row = six_books.of("difference", "mi").iloc[0]
    assert (row["layer"], row["estimator"]) == (0, EMBEDDINGS)
    assert np.isfinite(row["estimate"])
    assert np.isnan(row["low"])
    assert np.isnan(row["p"])


def test_every_class_has_its_placebos_and_centred_measures_no_separation(answers):
    for name in ("internal", "terminal"):
        for quantity in ("halves_difference", "halves_separation", "random_difference", "random_separation"):
            rows = answers.placebo(quantity, "mi", name)
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
    found = find_answers(store, "internal", "terminal", "baseline", ["book1"])
    assert found is not None
    assert found.books == ("book1",)
    assert set(found.of("separation", "mi")["estimator"][1:]) == {inference.ONE_BOOK}


def test_nothing_is_found_where_no_pairs_lie_between(store, tmp_path):
    assert find_answers(store, "internal", "nothing") is None
    build_store(tmp_path / "apart", books=1, layers=2, between="none")
    with open_store(tmp_path / "apart") as apart:
        assert find_answers(apart, "internal", "terminal") is None
