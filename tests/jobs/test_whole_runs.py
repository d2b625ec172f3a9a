"""Whole runs with all tables: the same bytes however a book is run, and tables that agree with each other."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import pytest

from analysis.pairing import MEASURES
from benchmarks import notebook
from jobs.config import RunConfig, StudyConfig, resolve
from jobs.run import execute
from jobs.stages.stages import Stages
from store.query.reader import open_store
from store.upkeep.verify import verify
from tests.jobs import injection
from tests.jobs.injection import Calls, study, write_books
from tests.jobs.marks.test_selection import notebook_rule


@pytest.fixture(scope="module")
def books(tmp_path_factory, sample_text) -> list[str]:
    return write_books(tmp_path_factory.mktemp("books"), sample_text, 3)


def run(books: list[str], config: StudyConfig, store: Path, **settings) -> Path:
    assert execute(books, config, RunConfig(**({"device": "cpu"} | settings)), str(store), Stages()) == 0
    return store


def contents(store: Path) -> dict[str, list[bytes]]:
    """The bytes of the data files by folder: their names are the shard's and the run's."""
    found: dict[str, list[bytes]] = {}
    for path in store.rglob("*.parquet"):
        found.setdefault(str(path.parent.relative_to(store)), []).append(path.read_bytes())
    return {folder: sorted(files) for folder, files in found.items()}


@pytest.fixture(scope="module")
def everything(tmp_path_factory, tiny_gpt2, books) -> Path:
    """A plain loop's store with every table and measure there is."""
    config = study(tiny_gpt2, measures="all", keep_hidden_states=True)
    return run(books, config, tmp_path_factory.mktemp("everything") / "store", serial=True)


def test_another_order_gives_the_same_bytes(tmp_path, tiny_gpt2, books, everything):
    config = study(tiny_gpt2, measures="all", keep_hidden_states=True)
    turned = run(books[::-1], config, tmp_path / "turned", serial=True)
    assert contents(turned) == contents(everything)


def test_sums_by_passages_add_up_to_the_summaries_and_the_rows(everything):
    measures = MEASURES["all"]
    sums = ", ".join(f"sum({name})" for name in measures)
    with open_store(everything) as store:
        by_passage = store.sql(
            f"SELECT layer, class, other, book, sum(pairs), {sums} FROM passage_sums GROUP BY 1, 2, 3, 4 ORDER BY ALL"
        ).fetchall()
        rows = store.sql(
            f"SELECT layer, class, class, book, count(*), {sums} FROM pairs GROUP BY 1, 2, 3, 4 UNION ALL "
            f"SELECT layer, class, other, book, count(*), {sums} FROM cross_pairs GROUP BY 1, 2, 3, 4 ORDER BY ALL"
        ).fetchall()
        summaries = {
            row[:5]: row[5:]
            for row in store.sql(
                "SELECT layer, class, other, book, measure, pairs, pairs * mean FROM summaries"
            ).fetchall()
        }
    assert len(by_passage) == len(rows) == 4 * 6 * 3
    compared = 0
    for one, two in zip(by_passage, rows, strict=True):
        assert one[:5] == two[:5]
        np.testing.assert_allclose(one[5:], two[5:], rtol=1e-6, atol=1e-6)
        for name, total in zip(measures, one[5:], strict=True):
            if not np.isnan(total):
                assert summaries[(*one[:4], name)] == (one[4], pytest.approx(total, rel=1e-6, abs=1e-6))
                compared += 1
    assert compared > 4 * 6 * 3 * 3


def test_a_marks_means_are_those_of_its_pairs(everything):
    query = """
        WITH each AS (
            SELECT layer, class, book, i, mi FROM pairs UNION ALL SELECT layer, class, book, j, mi FROM pairs
        ), means AS (SELECT layer, class, book, i, avg(mi) AS mi, count(*) AS n FROM each GROUP BY ALL)
        SELECT count(*), max(abs(m.mi - l.mi)), sum(n) FROM mark_layers l JOIN means m USING (layer, class, book, i)
    """
    between = """
        WITH means AS (SELECT layer, class, other, book, i, avg(mi) AS mi FROM cross_pairs GROUP BY ALL)
        SELECT count(*), max(abs(m.mi - l.mi_to[m.other])) FROM mark_layers l JOIN means m USING (layer, class, book, i)
    """
    with open_store(everything) as store:
        ((marks, difference, partners),) = store.sql(query).fetchall()
        ((crossed, cross_difference),) = store.sql(between).fetchall()
    assert marks == 4 * 3 * sum(injection.MARKS.values())
    assert partners == 2 * 4 * 3 * injection.PAIRS
    assert difference < 1e-6
    assert crossed == 4 * 3 * (2 * 12 + 12)
    assert cross_difference < 1e-6


SHAPES = {
    "one class": ({"classes": [["the", ["the"]]], "baseline": None}, {"mark_layers", "pairs"}, {"cross_pairs"}),
    "summaries alone": (
        {
            "classes": [["the", ["the"]], ["and", ["and"]], ["of", ["of"]]],
            "within": "summaries",
            "between": "summaries",
        },
        {"mark_layers", "passage_sums", "summaries"},
        {"pairs", "cross_pairs"},
    ),
}


@pytest.mark.parametrize(("settings", "held", "absent"), SHAPES.values(), ids=SHAPES)
def test_studies_of_another_shape_are_whole(tmp_path, tiny_gpt2, sample_path, settings, held, absent):
    store = run([str(sample_path)], study(tiny_gpt2, **settings), tmp_path / "store", serial=True)
    assert verify(store).damages == []
    tables = {folder.split("/")[0] for folder in contents(store)}
    assert tables >= held
    assert not tables & absent


def test_classes_of_words_of_a_real_book(tmp_path, tiny_gpt2, gutenberg_books):
    config = study(tiny_gpt2, classes=[["and", ["and"]], ["but", ["but"]]], text="clean")
    stages = injection.stages(Calls(tmp_path / "calls"))
    assert injection.run([str(gutenberg_books[0])], config, tmp_path / "store", stages, serial=True) == 0
    assert verify(tmp_path / "store").damages == []
    with open_store(tmp_path / "store") as store:
        marks = store.sql("SELECT DISTINCT class, mark FROM marks WHERE class <> 'baseline' ORDER BY ALL").fetchall()
        crossed = store.sql("SELECT layer, count(*) FROM cross_pairs WHERE class = 'and' AND other = 'but' GROUP BY 1")
        assert sorted(crossed.fetchall()) == [(layer, 144) for layer in range(4)]
        others = store.sql("SELECT count(*) FROM marks WHERE class = 'baseline' AND mark IN ('and', 'but')").fetchall()
    assert marks == [("and", "and"), ("but", "but")]
    assert others == [(0,)]


def test_the_notebooks_preset_takes_its_marks_and_measures_of_a_file_with_a_byte_order_mark(
    tmp_path, tiny_gpt2, sample_text
):
    """The mark at the head of the file is text to the notebook, and so it is to the preset."""
    path = tmp_path / "story.txt"
    path.write_bytes(codecs.BOM_UTF8 + sample_text.encode())
    config = resolve({"model": str(tiny_gpt2), "per_class": 20}, preset="notebook")[0]
    store = run([str(path)], config, tmp_path / "store", serial=True)
    tokenizer = notebook_tokenizer(tiny_gpt2)
    ids = tokenizer(path.read_text(encoding="utf-8"), add_special_tokens=False, verbose=False)["input_ids"]
    expected = notebook_rule(tokenizer, path.read_text(encoding="utf-8"), config)
    model = notebook.load(str(tiny_gpt2))
    with open_store(store) as opened:
        for name in ("internal", "terminal"):
            marks = opened.sql(f"SELECT position, token_id FROM marks WHERE class = '{name}' ORDER BY i").fetchall()
            assert [position for position, _ in marks] == expected[name][:20]
            assert [ids[position] for position, _ in marks] == [token for _, token in marks]
            windows = np.array([ids[p - notebook.MARK : p + 11] for p, _ in marks], dtype=np.int64)
            states = notebook.hidden_states(model, windows)
            for layer in (0, 2, 3):
                information, covariance = notebook.pairs(states[layer])
                found = opened.sql(
                    f"SELECT mi, cov FROM pairs WHERE class = '{name}' AND layer = {layer} ORDER BY i, j"
                ).fetchall()
                assert len(found) == len(information) == 190
                np.testing.assert_allclose([mi for mi, _ in found], information, atol=1e-2)
                np.testing.assert_allclose([cov for _, cov in found], covariance, rtol=1e-3, atol=1e-5)


def notebook_tokenizer(model: Path):
    from jobs.model.loading import load_tokenizer

    return load_tokenizer(str(model))
