"""Every query of docs/sql.md runs and answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from store.cookbook import filled, queries
from store.query.reader import open_store
from tests.builders import book_checksum, build_store
from tests.store.test_trials import NAMES, add_trial, trial_rows

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("cookbook") / "store"
    study = build_store(place, books=3, layers=31, marks=12, width=64)
    add_trial(place, study, "book0", book_checksum(0), 3.0, trial_rows("book0", 3.0, NAMES, 31))
    with open_store(place) as store:
        yield store


def test_the_store_is_opened_as_the_page_says(store):
    from store import open_store as documented

    with documented(store.location) as opened:
        assert opened.sql("SELECT layer, class, avg(mi) FROM pairs GROUP BY ALL").df().shape == (93, 3)


def test_two_stores_are_asked_as_the_page_says(store):
    section = PAGE.partition("### Two stores in one query")[2].partition("###")[0]
    (query,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    with open_store(store.location, attach={"second": store.location}) as both:
        rows = both.sql(query).fetchall()
    assert len(rows) == 31
    assert all(here == there for _, here, there in rows)


def test_there_are_fifteen_questions_or_more():
    assert len(queries(PAGE)) >= 15


@pytest.mark.parametrize("query", queries(PAGE), ids=lambda query: query.split("\n")[0][:60])
def test_the_query_answers(store, query):
    assert store.sql(query).fetchall(), query


def test_every_query_has_its_output_below():
    for part in PAGE.split("```sql\n")[1:]:
        assert part.partition("```\n")[2].startswith("\n```text\n"), part[:100]


def test_filling_again_changes_nothing_but_the_outputs(store):
    once = filled(PAGE, store)
    assert filled(once, store).count("```text") == len(queries(PAGE))
    assert queries(once) == queries(PAGE)
