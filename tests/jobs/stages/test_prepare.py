"""Books to windows: order of keys, windows that end at the marks, bad books among the good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.config import RunConfig
from jobs.corpus.names import name_books
from jobs.corpus.references import Source
from jobs.errors import SourceError, UsageError
from jobs.stages.partition import shard_of
from jobs.stages.prepare import prepare_shard
from jobs.stages.survey import survey_sources
from tests.jobs.injection import write_books


def test_a_shard_is_prepared_in_the_order_of_its_keys_with_windows_that_end_at_the_marks(context, work):
    prepared = prepare_shard(context, work)
    assert prepared.books["book"].to_pylist() == ["book0", "book1", "book2"]
    assert prepared.outline.marks == {"internal": 36, "terminal": 36}
    assert prepared.outline.pairs == 6 * 66
    marks = prepared.tokens.to_pylist()
    for mark_class in ("internal", "terminal"):
        rows = [mark for mark in marks if mark["class"] == mark_class]
        windows = np.concatenate([found.windows for found in prepared.windows[mark_class]])
        assert windows.shape == (36, context.config.before + 1)
        assert windows[:, -1].tolist() == [row["token_id"] for row in rows]
        assert {row["token"].strip() for row in rows} == {"," if mark_class == "internal" else "."}
        assert all(row["before"] and row["after"] for row in rows)


def test_bad_books_become_rows_with_reasons_and_good_ones_are_used(context, tmp_path, sample_text):
    paths = write_books(tmp_path / "books", sample_text, 1)
    (tmp_path / "books" / "short.txt").write_text("One, two. Not much else is here.")
    refs = survey_sources([Source(p) for p in (*paths, str(tmp_path / "books" / "short.txt"))], RunConfig())
    prepared = prepare_shard(context, shard_of("f", list(name_books(refs, {}))))
    assert prepared.outline.used == 1
    assert "too few marks" in prepared.outline.rejected["short"]
    statuses = {row["book"]: row["status"] for row in prepared.books.to_pylist()}
    assert statuses == {"book0": "used", "short": "rejected"}
    assert {mark["book"] for mark in prepared.tokens.to_pylist()} == {"book0"}


def test_a_book_that_has_changed_since_the_survey_is_no_bad_book(context, work, tmp_path):
    (tmp_path / "books" / "book1.txt").write_text("Something else entirely.")
    with pytest.raises(SourceError, match="has changed"):
        prepare_shard(context, work)


def test_a_worker_refuses_to_prepare_for_another_model_than_the_study(context, work):
    other = replace(context, model=replace(context.model, weights="sha256:0123"))
    with pytest.raises(UsageError, match="sha256:0123 in the study"):
        prepare_shard(other, work)
