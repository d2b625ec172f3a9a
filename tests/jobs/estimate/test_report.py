"""`interpunct plan` counts as a run would, costs it, and writes nothing."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from interpunct import main
from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from jobs.estimate.estimate import Rates, estimate_cost
from jobs.estimate.report import (
    PlannedBook,
    PlanReport,
    done_in,
    execute,
    measure_rates,
    plan_books,
    show,
    with_recorded_counts,
)
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.models import identify_model
from store.commits import Committed, CommittedBook
from store.errors import StoreError, StudyMismatch
from store.objects.locations import object_store
from store.study import Study, create_or_match
from tests.jobs.corpus import one_story as story
from tests.jobs.injection import Calls, run, stages, study, write_books

RATES = Rates(100.0, 1e6, 2, "a machine")
NOTHING = Committed(frozenset(), {})


@pytest.fixture
def shelf(tmp_path: Path, sample_path: Path) -> Path:
    """Two different books, a copy of one, and a file that is no book."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    text = sample_path.read_text(encoding="utf-8")
    (folder / "a.txt").write_text(text, encoding="utf-8")
    (folder / "b.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    (folder / "copy.txt").write_text(text, encoding="utf-8")
    (folder / "image.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "short.txt").write_text("Too short, this. It has two marks.", encoding="utf-8")
    return folder


def plan(shelf: Path, model: Path, done: Committed = NOTHING, **settings: object) -> PlanReport:
    config = StudyConfig(model=str(model), **settings)
    return plan_books([str(shelf), str(shelf / "gone.txt")], config, RunConfig(), done, RATES)


def printed(report: PlanReport, width: int = 80) -> str:
    text = io.StringIO()
    show(report, Console(file=text, width=width))
    return text.getvalue()


def test_every_source_is_counted_or_given_a_reason(shelf, tiny_gpt2, sample_text):
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
    assert "too few marks: 0 internal (,) of 1 found" in reasons["short"]
    assert "does not exist" in reasons["gone"]


def test_counts_are_those_of_the_selection(shelf, tiny_gpt2, sample_text):
    from jobs.model.loading import load_tokenizer

    config = StudyConfig(model=str(tiny_gpt2), per_class=30)
    report = plan(shelf, tiny_gpt2, per_class=30)
    tokenization = tokenize(load_tokenizer(str(tiny_gpt2), None), sample_text.strip("\n") + "\n")
    selection = select(tokenization, config)
    book = report.books[0]
    assert book.tokens == tokenization.ids.size
    assert book.found == tuple(selected.found for selected in selection.classes.values())
    assert book.eligible == tuple(selected.eligible for selected in selection.classes.values())
    assert book.used == (30, 30)
    assert (report.hidden_layers, report.width) == (4, 64)
    assert report.cost.pairs == 2 * 2 * 4 * 30 * 29 // 2


def test_what_a_run_would_warn_of_is_shown(tmp_path, tiny_gpt2):
    russian = story.RUSSIAN * 20
    (tmp_path / "a.txt").write_bytes(russian.encode("cp1251"))
    report = plan_books([str(tmp_path)], StudyConfig(model=str(tiny_gpt2)), RunConfig(), NOTHING, RATES)
    (book,) = report.books
    assert book.reason is not None
    assert "read as windows-1251, recognised with" in book.reason
    assert f"{book.status}: a: " in printed(report, width=200)
    assert "windows-1251" in printed(report, width=200)


def test_what_is_done_already_is_not_counted_again(shelf, tiny_gpt2):
    first = plan(shelf, tiny_gpt2)
    from jobs.corpus.references import Source
    from jobs.corpus.survey import survey

    (ref,) = survey(Source(str(shelf / "a.txt")), RunConfig())
    done = Committed(frozenset({"0" * 16}), {"a": CommittedBook("a", ref.sha256, ref.source, "used", None)})
    again = plan(shelf, tiny_gpt2, done)
    assert [book.status for book in again.books[:2]] == ["done", "new"]
    assert again.cost.books == first.cost.books - 1


def test_the_counts_of_a_finished_book_are_those_that_its_run_recorded(tmp_path, sample_text, tiny_gpt2, capsys):
    store, calls = tmp_path / "store", Calls(tmp_path / "calls")
    config = study(tiny_gpt2, batch_size=8)
    books = write_books(tmp_path / "books", sample_text, 1)
    (new,) = plan_books(books, config, RunConfig(), NOTHING, RATES).books
    assert run(books, config, store, stages(calls), serial=True) == 0
    report = plan_books(books, config, RunConfig(), done_in(str(store), config), RATES)
    assert report.books[0].tokens == 0
    (done,) = with_recorded_counts(report.books, str(store))
    assert done == replace(new, status="done", reason="used already")
    capsys.readouterr()
    assert execute(books, config, RunConfig(), str(store)) == 0
    assert f"{new.tokens:,}" in capsys.readouterr().out


def test_a_name_is_shown_and_not_obeyed():
    book = PlannedBook("sub[/b]\x1b[2J\nnew: all is well", "s", status="refused", reason="[red]too\rshort[/red]")
    shown = printed(PlanReport((book,), estimate_cost([], 4, 64, StudyConfig(), RATES), RATES, 4, 64), width=200)
    assert shown.count("sub[/b]\\x1b[2J\\nnew: all is well") == 2
    assert "[red]too\\rshort[/red]" in shown
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_nothing_to_analyse_is_wrong_use(tmp_path, tiny_gpt2):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UsageError, match=r"nothing to analyse: .*empty\.txt: the text is empty"):
        plan_books([str(tmp_path / "empty.txt")], StudyConfig(model=str(tiny_gpt2)), RunConfig(), NOTHING, RATES)


def test_the_report_fits_a_terminal_and_loses_no_number(shelf, tiny_gpt2):
    report = plan(shelf, tiny_gpt2)
    text = printed(report)
    assert "…" not in text
    too_wide = [line for line in text.split("\n") if len(line) > 80]
    assert all(line.startswith("refused: ") for line in too_wide), "reasons are on one line, to be copied"
    for number in (report.books[0].tokens, report.books[0].found[0], report.cost.pairs, report.cost.windows):
        assert f"{number:,}" in text
    for book in report.books:
        assert book.key in text


def test_rates_are_measured_with_the_studys_model(tiny_gpt2):
    rates = measure_rates(StudyConfig(model=str(tiny_gpt2)), RunConfig(device="cpu"))
    assert rates.windows > 1
    assert rates.pairs > 1
    assert rates.cores == os.cpu_count()


def test_the_command_writes_nothing(shelf, tiny_gpt2, tmp_path, capsys):
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    code = main(["plan", str(shelf), "--store", str(tmp_path / "store"), "--model", str(tiny_gpt2), "--device", "cpu"])
    assert code == 1  # three of the texts cannot be used, and the plan says so
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    output = capsys.readouterr().out
    assert "refused: image" in output
    assert "pairs" in output


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
