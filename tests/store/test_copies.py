"""A copy made as docs/operations.md says, log first and during a run, is a sound store that can be gone on with."""

from __future__ import annotations

import shutil

from store.query.reader import open_store
from store.upkeep.verify import verify
from store.writer import StudyWriter
from tests.builders import build_store, publish_book, synthetic_study


def test_a_copy_that_was_made_during_a_run(tmp_path):
    place, copy, study = tmp_path / "study", tmp_path / "copy", synthetic_study(2, 5)
    build_store(place, books=1, layers=2, marks=5)
    writer = StudyWriter.open(place, study)
    with writer.lock():
        shutil.copytree(place / "_commits", copy / "_commits")
        assert writer.commit(publish_book(place, study, 1))
        shutil.copytree(place, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_lock", "_commits"))
    findings = verify(copy)
    assert (findings.damages, bool(findings.uncommitted)) == ([], True)
    with open_store(copy) as store:
        assert store.sql("SELECT book FROM books").fetchall() == [("book0",)]
    there = StudyWriter.open(copy, study)
    with there.lock():
        assert there.commit(publish_book(copy, study, 1))
    assert verify(copy).damages == []
