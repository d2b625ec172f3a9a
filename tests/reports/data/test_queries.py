"""The report's SQL: parameters become literals, aggregates from summaries equal those over the pairs themselves."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import duckdb
import numpy as np
import pandas as pd
import pytest

from reports.data.queries import ask, literal, render
from store.query.reader import open_store
from tests.builders import build_store

HOSTILE = "x'); DROP TABLE pairs; --"


@pytest.mark.parametrize("value", ["plain", "O'Brien", HOSTILE, 'näïve \\ " %', ""])
def test_a_string_literal_reads_back_as_itself(value):
    assert duckdb.sql(f"SELECT {literal(value)}").fetchall()[0] == (value,)


@pytest.mark.parametrize("value", [0, -3, 2.5, 1e-30, None])
def test_numbers_and_null_read_back_as_themselves(value):
    ((found,),) = duckdb.sql(f"SELECT {literal(value)}").fetchall()
    assert found is None if value is None else float(found) == value


def test_a_list_is_one_for_in_and_an_empty_list_matches_nothing():
    assert duckdb.sql(f"SELECT 'b' IN {literal(['a', 'b'])}").fetchall()[0] == (True,)
    assert duckdb.sql(f"SELECT count(*) FROM range(3) WHERE 'b' IN {literal([])}").fetchall()[0] == (0,)


def test_a_truth_value_is_refused():
    with pytest.raises(TypeError, match="numbers, strings"):
        literal(True)


def test_a_query_says_which_parameters_it_takes():
    with pytest.raises(KeyError, match="pair_matrix takes"):
        render("pair_matrix", layer=1)


def test_every_query_names_what_it_is_for():
    for query in (files("reports.data") / "sql").iterdir():
        assert query.read_text(encoding="utf-8").startswith("-- "), query.name


def test_moments_merged_from_summaries_equal_those_over_the_pairs(store):
    merged = ask(store, "layer_moments", books=None).frame.set_index(["layer", "class"])
    direct = store.sql(
        """SELECT layer, class, count(*) AS pairs, count(DISTINCT book) AS books,
                  avg(mi::DOUBLE) AS mi_mean, stddev_samp(mi::DOUBLE) AS mi_std, min(mi) AS mi_min, max(mi) AS mi_max,
                  avg(cov::DOUBLE) AS cov_mean, stddev_samp(cov::DOUBLE) AS cov_std,
                  min(cov) AS cov_min, max(cov) AS cov_max, corr(mi::DOUBLE, cov::DOUBLE) AS r
           FROM pairs GROUP BY layer, class ORDER BY layer, class"""
    ).df()
    direct = direct.set_index(["layer", "class"])
    assert len(merged) == 8
    for column in direct:
        np.testing.assert_allclose(merged[column], direct[column], rtol=1e-9, err_msg=column)


def test_moments_of_some_books_are_of_those_books_only(store):
    merged = ask(store, "layer_moments", books=["book1"]).frame
    direct = store.sql("SELECT layer, class, avg(mi::DOUBLE) AS m FROM pairs WHERE book = 'book1' GROUP BY ALL").df()
    together = merged.merge(direct, on=["layer", "class"])
    assert len(together) == 8
    np.testing.assert_allclose(together["mi_mean"], together["m"], rtol=1e-9)


def test_mean_activations_weigh_books_by_their_marks(store):
    found = ask(store, "activation_means", layer=1, books=None).frame
    rows = store.sql("SELECT class, marks, mean FROM activations WHERE layer = 1").df()
    for mark_class, group in rows.groupby("class"):
        expected = np.average(np.stack(group["mean"]), axis=0, weights=group["marks"])
        mine = found[found["class"] == mark_class].sort_values("dimension")
        np.testing.assert_allclose(mine["mean"], expected, rtol=1e-12)


def test_histograms_count_every_pair_once(store):
    rows = ask(store, "layer_histograms", books=None).frame
    totals = rows.groupby(["quantity", "layer", "class"])["pairs"].sum()
    assert set(totals) == {3 * 66}


def test_a_sample_takes_about_the_share_asked_for_and_always_the_same(store):
    def sample(seed: int) -> pd.DataFrame:
        return ask(
            store, "pair_sample", layer=2, books=["book0", "book1"], marks=500, seed=seed, per_million=400_000
        ).frame

    first, again, other = sample(0), sample(0), sample(1)
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    assert 0.25 < len(first) / (2 * 2 * 66) < 0.55
    assert set(first["book"]) == {"book0", "book1"}


def test_outlier_dimensions_are_those_of_the_marks(tmp_path):
    """Counted from `mark_layers`, mark by mark; a class that leaves a dimension of another in has a 0."""
    build_store(tmp_path / "store", books=2, layers=2, marks=4, outlier_z=2.0)
    with open_store(tmp_path / "store") as store:
        rows = ask(store, "outlier_dimensions", books=None).frame
        marks = store.sql("SELECT layer, class, outliers FROM mark_layers").fetchall()
    of_marks = Counter((layer, dimension, of) for layer, of, dimensions in marks for dimension in dimensions)
    found = rows.set_index(["layer", "dimension", "class"])
    assert dict(of_marks) == dict(found["left_out"][found["left_out"] > 0])
    assert (rows.groupby(["layer", "dimension"])["class"].count() == 3).all()
    assert (found["left_out"] == 0).any()
    assert (found["marks_without"] == found.groupby(["layer", "dimension"])["left_out"].transform("sum")).all()
    assert dict(found["marks"].groupby("class").first()) == {"internal": 8, "terminal": 8, "baseline": 4}


def test_extreme_pairs_come_with_the_words_of_both_marks(store):
    rows = ask(store, "extreme_pairs", layer=2, books=None, marks=500, count=3).frame
    top = store.sql("SELECT max(mi) FROM pairs WHERE layer = 2 AND class = 'terminal'").fetchall()[0][0]
    most = rows[(rows["class"] == "terminal") & (rows["extreme"] == "most")]
    assert len(rows) == 12
    assert most["mi"].iloc[0] == top
    first = most.iloc[0]
    mark = f"book = '{first['book']}' AND class = 'terminal' AND i = {first['j']}"
    words = store.sql(f"SELECT before, token, after FROM marks WHERE {mark}").fetchall()[0]
    assert words == (first["before_j"], first["token_j"], first["after_j"])


WHOLE_NUMBERS = {"pairs", "marks", "marks_without", "left_out", "o.marks", "n"}
"""What is summed exactly, in whatever order."""


def summed(query: str) -> list[str]:
    """What a query sums or averages: the arguments, with what stands in them of an order."""
    found = []
    for start in re.finditer(r"\b(?:sum|avg)\(", query):
        depth, at = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(query[at], 0)
            at += 1
        found.append(query[start.end() : at - 1])
    return found


def test_no_number_hangs_on_the_order_in_which_files_are_read():
    """The engine reads files side by side: a sum of fractions has one last digit only where its order is said."""
    queries = [path.read_text("utf-8") for path in (files("reports.data") / "sql").iterdir()]
    arguments = [argument for query in queries for argument in summed(query)]
    assert len(arguments) > 15
    assert [of for of in arguments if of not in WHOLE_NUMBERS and "ORDER BY" not in of] == []
