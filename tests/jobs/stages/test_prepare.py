"""Books to what the model reads: order of keys, marks where their places say, bad books among the good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.config import RunConfig
from jobs.corpus.names import name_books
from jobs.corpus.references import Source
from jobs.errors import SourceError, UsageError
from jobs.stages import prepare
from jobs.stages.partition import shard_of
from jobs.stages.prepare import prepare_shard
from jobs.stages.survey import survey_sources
from tests.jobs.injection import CROSS_PAIRS, MARKS, PAIRS, write_books


def test_a_shard_is_prepared_in_the_order_of_its_keys_with_each_mark_where_its_place_says(context, work):
    prepared = prepare_shard(context, work)
    assert prepared.books["book"].to_pylist() == ["book0", "book1", "book2"]
    assert prepared.outline.marks == {name: 3 * count for name, count in MARKS.items()}
    assert prepared.outline.pairs == 3 * (PAIRS + CROSS_PAIRS)
    assert prepared.outline.sequences == sum(len(reading.sequences) for reading in prepared.readings)
    layout, marks = prepared.layout, prepared.marks.to_pylist()
    assert (layout.classes, layout.total) == (("internal", "terminal", "baseline"), len(marks))
    for book, reading in enumerate(prepared.readings):
        first = layout.book_rows(book).start
        read = reading.sequences.reshape(-1)[reading.places]
        for number, name in enumerate(layout.classes):
            rows = [row for row in marks if (row["book"], row["class"]) == (reading.book, name)]
            lie = layout.rows(book, number)
            assert read[lie.start - first : lie.stop - first].tolist() == [row["token_id"] for row in rows]
            assert layout.passages[lie].tolist() == [row["passage"] for row in rows]
            assert [row["i"] for row in rows] == list(range(MARKS[name]))


def test_a_mark_lies_in_its_passage_behind_the_warm_up(context, work):
    prepared = prepare_shard(context, work)
    passages = {(row["book"], row["passage"]): row for row in prepared.passages.to_pylist()}
    assert len(passages) == prepared.outline.sequences
    for row in prepared.marks.to_pylist():
        passage = passages[row["book"], row["passage"]]
        assert passage["tokens"] <= context.config.passage_tokens
        behind = row["position"] - passage["start"]
        assert context.config.warmup_tokens <= behind < passage["tokens"]
        assert row["mark"] == {"internal": ",", "terminal": "."}.get(row["class"], row["token"].strip())
        assert row["before"]
        assert row["after"]


def test_windows_end_at_their_marks(context, work):
    windows = replace(context, config=replace(context.config, context="window", bos="no"))
    prepared = prepare_shard(windows, work)
    for reading in prepared.readings:
        count, length = reading.sequences.shape
        assert (count, length) == (sum(MARKS.values()), context.config.before + 1)
        assert reading.places.tolist() == [(row + 1) * length - 1 for row in range(count)]
    assert {row["tokens"] <= context.config.passage_tokens for row in prepared.passages.to_pylist()} == {True}


def test_a_beginning_of_text_token_stands_before_every_passage_and_moves_no_mark(context, work, monkeypatch):
    plain = prepare_shard(context, work)
    monkeypatch.setattr(prepare, "beginning_of_text", lambda *_: (7,))
    opened = prepare_shard(context, work)
    assert opened.marks.equals(plain.marks)
    assert opened.passages.equals(plain.passages)
    for before, after in zip(plain.readings, opened.readings, strict=True):
        assert (after.sequences[:, 0] == 7).all()
        np.testing.assert_array_equal(after.sequences[:, 1:], before.sequences)
        np.testing.assert_array_equal(
            after.sequences.reshape(-1)[after.places], before.sequences.reshape(-1)[before.places]
        )


def test_what_is_prepared_of_a_book_does_not_depend_on_its_shard(context, work):
    together = prepare_shard(context, work)
    for alone in work.split("f" * 64):
        prepared = prepare_shard(context, alone)
        key = alone.books[0].key
        for table in ("marks", "passages", "books"):
            rows = [row for row in getattr(together, table).to_pylist() if row["book"] == key]
            assert getattr(prepared, table).to_pylist() == rows
        (reading,) = (reading for reading in together.readings if reading.book == key)
        np.testing.assert_array_equal(prepared.readings[0].sequences, reading.sequences)
        np.testing.assert_array_equal(prepared.readings[0].places, reading.places)


def test_a_shard_whose_books_are_all_of_no_use_has_nothing_to_read(context, tmp_path):
    (tmp_path / "short.txt").write_text("One, two. Not much else is here")
    refs = survey_sources([Source(str(tmp_path / "short.txt"))], RunConfig())
    prepared = prepare_shard(context, shard_of("f", list(name_books(refs, {}))))
    assert (prepared.outline.used, prepared.outline.sequences, prepared.outline.pairs) == (0, 0, 0)
    assert prepared.readings == ()
    assert prepared.marks.num_rows == prepared.passages.num_rows == 0


def test_bad_books_become_rows_with_reasons_and_good_ones_are_used(context, tmp_path, sample_text):
    paths = write_books(tmp_path / "books", sample_text, 1)
    (tmp_path / "books" / "short.txt").write_text("One, two. Not much else is here")
    refs = survey_sources([Source(p) for p in (*paths, str(tmp_path / "books" / "short.txt"))], RunConfig())
    prepared = prepare_shard(context, shard_of("f", list(name_books(refs, {}))))
    assert prepared.outline.used == 1
    assert "too few marks" in prepared.outline.rejected["short"]
    statuses = {row["book"]: row["status"] for row in prepared.books.to_pylist()}
    assert statuses == {"book0": "used", "short": "rejected"}
    assert {mark["book"] for mark in prepared.marks.to_pylist()} == {"book0"}


def test_a_book_that_has_changed_since_the_survey_is_no_bad_book(context, work, tmp_path):
    (tmp_path / "books" / "book1.txt").write_text("Something else entirely.")
    with pytest.raises(SourceError, match="has changed"):
        prepare_shard(context, work)


def test_a_worker_refuses_to_prepare_for_another_model_than_the_study(context, work):
    other = replace(context, model=replace(context.model, weights="sha256:0123"))
    with pytest.raises(UsageError, match="sha256:0123 in the study"):
        prepare_shard(other, work)
