"""A plan counts as a run would: every source, every class, and what goes through the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.references import Source
from jobs.corpus.survey import survey
from jobs.errors import UsageError
from jobs.estimate.plan import _passage_rows, done_in, plan_books, with_recorded_counts
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.models import identify_model
from jobs.run import execute
from jobs.settle import settle
from store.commits import Committed, CommittedBook
from store.errors import StoreError, StudyMismatch
from store.objects.locations import object_store
from store.query.reader import open_store
from store.study import Study, create_or_match
from tests.jobs.corpus import one_story as story
from tests.jobs.estimate.conftest import NOTHING, RATES, planned


def plan(shelf, model, done: Committed = NOTHING, **settings: object):
    return planned([str(shelf), str(shelf / "gone.txt")], model, done, **settings)


def test_every_source_is_counted_or_given_a_reason(shelf, tiny_gpt2):
    report = plan(shelf, tiny_gpt2)
    status = {book.key: book.status for book in report.books}
    assert status == {
        "a": "new",
        "b": "new",
        "copy": "duplicate",
        "image": "refused",
        "short": "refused",
        "gone": "refused",
    }
    reasons = {book.key: book.reason or "" for book in report.books}
    assert reasons["copy"] == "the same as a"
    assert "PNG" in reasons["image"]
    assert reasons["short"].startswith("too few marks: 1 internal of 1 found; ")
    assert "does not exist" in reasons["gone"]


@pytest.mark.parametrize("context", ["passage", "window"])
def test_counts_are_those_of_the_selection(shelf, tiny_gpt2, sample_text, context):
    from jobs.model.loading import load_tokenizer

    report = plan(shelf, tiny_gpt2, per_class=30, baseline=20, context=context)
    tokenization = tokenize(load_tokenizer(str(tiny_gpt2), None), sample_text.strip("\n") + "\n")
    selection = select(tokenization, report.config)
    book, classes = report.books[0], selection.classes.items()
    assert book.tokens == tokenization.ids.size
    assert book.found == {name: selected.found for name, selected in classes}
    assert book.eligible == {name: selected.eligible for name, selected in classes}
    assert book.used == {"internal": 30, "terminal": 30, "baseline": 20}
    assert (report.hidden_layers, report.width) == (4, 64)
    sequences = selection.sequences
    assert (book.taken.sequences, book.taken.length) == (sequences.starts.size, sequences.length)
    assert 16 < book.taken.length <= 63 if context == "passage" else book.taken.length == 21
    assert report.cost.pairs_within == 2 * 4 * (2 * (30 * 29 // 2) + 20 * 19 // 2)
    assert report.cost.pairs_between == 2 * 4 * (30 * 30 + 2 * 30 * 20)


def test_a_beginning_of_text_goes_through_the_model_too(shelf, smollm2):
    opened, bare = (planned([str(shelf)], "smollm2", per_class=10, bos=bos) for bos in ("yes", "no"))
    assert 128 < bare.books[0].taken.length <= 512
    assert opened.books[0].taken.length == bare.books[0].taken.length + 1


@pytest.mark.parametrize("context", ["passage", "window"])
def test_the_plan_is_what_the_run_then_does(tmp_path, shelf, tiny_gpt2, context):
    """Rows of every table, against a store that was made."""
    named, store = [str(shelf / "a.txt"), str(shelf / "b.txt")], str(tmp_path / "store")
    settings = {"per_class": 20, "baseline": 7, "context": context, "classes": {"and": ["and"], "dots": ["."]}}
    report = planned(named, tiny_gpt2, **settings)
    config = StudyConfig(model=str(tiny_gpt2), **settings)
    assert execute(named, config, RunConfig(device="cpu", serial=True), store) == 0
    with open_store(store) as opened:
        rows = {
            table: opened.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for table in ("pairs", "cross_pairs", "marks", "passages", "passage_sums")
        }
        tokens = {int(tokens) for (tokens,) in opened.sql("SELECT DISTINCT tokens FROM passages").fetchall()}
    assert rows["pairs"] == report.cost.pairs_within
    assert rows["cross_pairs"] == report.cost.pairs_between
    assert rows["marks"] == sum(report.cost.marks)
    new = [book.taken for book in report.books]
    assert rows["passages"] == sum(book.passages for book in new)
    assert rows["passage_sums"] == 4 * sum(book.passage_rows for book in new)
    if context == "passage":
        assert {book.length for book in new} == tokens


def test_passages_that_share_a_pair_are_counted():
    first, second = np.array([0, 0, 1, 2]), np.array([1, 2, 2])
    # within the first: 0-1, 0-2, 1-2 and 0-0; within the second: 1-2 and 2-2; between: 3 times 2
    assert _passage_rows([first, second], between=True) == 4 + 2 + 6
    assert _passage_rows([first, second], between=False) == 4 + 2
    assert _passage_rows([np.zeros(0, dtype=np.int64), second], between=True) == 2


def test_labels_are_classes_of_the_plan_too(tmp_path, shelf, tiny_gpt2, sample_text):
    text = sample_text.strip("\n") + "\n"
    rows = [f"a,{at},lamp" for at in range(len(text)) if text.startswith("lamp", at)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["book,offset,class", *rows, "a,1000000000,lamp", "nowhere,3,rare"]) + "\n")
    report = planned([str(shelf / "a.txt")], tiny_gpt2, run=RunConfig(labels=str(path)), classes={"dots": ["."]})
    (book,) = report.books
    assert list(book.found) == ["dots", "lamp", "rare", "baseline"]
    assert book.found["lamp"] == len(rows) + 1
    assert 2 <= book.used["lamp"] <= len(rows)
    assert report.notices == (
        "the labels file names 1 book that this run does not have: nowhere",
        "classes: dots (.)",
        "no book of this run has a usable mark of the class rare; `reason` in books says why",
    )


def test_what_a_run_would_warn_of_is_told(tmp_path, tiny_gpt2):
    (tmp_path / "a.txt").write_bytes((story.RUSSIAN * 20).encode("cp1251"))
    report = planned([str(tmp_path)], tiny_gpt2, classes={"dots": ["."], "and": ["and"]})
    (book,) = report.books
    assert book.reason is not None
    assert "read as windows-1251, recognised with" in book.reason
    assert "no pairs of class and: 0 and of 0 found" in book.reason


def test_what_is_done_already_is_not_counted_again(shelf, tiny_gpt2):
    first = plan(shelf, tiny_gpt2)
    (ref,) = survey(Source(str(shelf / "a.txt")), RunConfig())
    done = Committed(frozenset({"0" * 16}), {"a": CommittedBook("a", ref.sha256, ref.source, "used", None)})
    again = plan(shelf, tiny_gpt2, done)
    assert [book.status for book in again.books[:2]] == ["done", "new"]
    assert again.cost.books == first.cost.books - 1


def test_the_counts_of_a_finished_book_are_those_that_its_run_recorded(tmp_path, shelf, tiny_gpt2):
    named, store, run = [str(shelf / "b.txt")], str(tmp_path / "store"), RunConfig(device="cpu", serial=True)
    config = StudyConfig(model=str(tiny_gpt2), per_class=5, baseline=3)
    (new,) = planned(named, tiny_gpt2, per_class=5, baseline=3).books
    assert execute(named, config, run, store) == 0
    config, run = settle(config, run, identify_model(config.model), None)
    report = plan_books(named, config, run, done_in(store, config), RATES)
    assert report.books[0].tokens == 0
    (done,) = with_recorded_counts(report.books, store)
    assert done == replace(new, status="done", reason="used already", taken=report.books[0].taken)


def test_nothing_to_analyse_is_wrong_use(tmp_path, tiny_gpt2):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UsageError, match=r"nothing to analyse: .*empty\.txt: the text is empty"):
        planned([str(tmp_path / "empty.txt")], tiny_gpt2)


def test_planning_beside_a_store_writes_nothing_there(tmp_path, tiny_gpt2, monkeypatch):
    config = StudyConfig(model=str(tiny_gpt2))
    objects = object_store(str(tmp_path))
    create_or_match(objects, Study(config.to_dict(), identify_model(config.model).to_dict()))

    def denied(*_: object) -> None:
        raise StoreError("access denied")

    for write in ("put", "put_new", "delete"):
        monkeypatch.setattr(type(objects), write, denied)
    assert done_in(str(tmp_path), config) == NOTHING
    with pytest.raises(StudyMismatch, match="bins: 15 and 20"):
        done_in(str(tmp_path), StudyConfig(model=str(tiny_gpt2), bins=20))


def test_a_store_of_another_study_is_refused(tmp_path, tiny_gpt2):
    config = StudyConfig(model=str(tiny_gpt2))
    create_or_match(object_store(str(tmp_path)), Study(StudyConfig(model="other").to_dict(), {"name": "other"}))
    with pytest.raises(StoreError, match="model"):
        done_in(str(tmp_path), config)
    assert done_in(str(tmp_path / "none"), config) == NOTHING
    assert done_in(None, config) == NOTHING
