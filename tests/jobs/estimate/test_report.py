"""`interpunct plan` shows what a run would do, on any terminal, and writes nothing."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from interpunct import main
from jobs.config import RunConfig, StudyConfig
from jobs.estimate.estimate import estimate_cost
from jobs.estimate.plan import PlannedBook, PlanReport
from jobs.estimate.report import execute, show
from tests.jobs.estimate.conftest import RATES, planned

MANY = {f"letter-{letter}": [f"re:{letter}+"] for letter in "abcdefghijklmnop"}
"""Sixteen classes."""


def printed(report: PlanReport, width: int = 80) -> str:
    text = io.StringIO()
    show(report, Console(file=text, width=width))
    return text.getvalue()


def wide_lines(text: str) -> list[str]:
    """Lines wider than a terminal; reasons, and the tokens of classes, are on one line, to be copied."""
    return [line for line in text.split("\n") if len(line) > 80 and not line.startswith(("refused: ", "classes: "))]


def test_two_classes_fit_a_terminal_and_lose_no_number(shelf, tiny_gpt2):
    report = planned([str(shelf), str(shelf / "gone.txt")], tiny_gpt2)
    text, cost, book = printed(report), report.cost, report.books[0]
    assert "…" not in text
    assert wide_lines(text) == []
    numbers = [book.tokens, *book.found.values(), *book.used.values(), *cost.marks]
    numbers += [cost.sequences, cost.tokens, cost.forward_passes, cost.pairs_within, cost.pairs_between]
    assert [number for number in numbers if f"{number:,}" not in text] == []
    assert [book.key for book in report.books if book.key not in text] == []
    assert "cross_pairs" in text
    assert "both classes" not in text
    wider = printed(report, width=100)
    first_row = next(line for line in wider.split("\n") if line.split()[:1] == ["a"])
    counts = [of[name] for name in ("internal", "terminal") for of in (book.found, book.eligible, book.used)]
    numbers = [book.tokens, book.unique_tokens, *counts, book.used["baseline"]]
    assert first_row.split() == ["a", *(f"{number:,}" for number in numbers)]


def test_books_of_a_million_tokens_fit_a_terminal():
    counts = {"internal": 612_345, "terminal": 423_456, "baseline": 64}
    book = PlannedBook("pg100-complete", "s", 50_000_000, 11_234_567, counts, counts, counts)
    report = PlanReport((book,), estimate_cost([], 31, 576, StudyConfig(), RATES), RATES, 31, 576, StudyConfig())
    text = printed(report)
    assert wide_lines(text) == []
    assert "…" not in text
    assert text.count("612,345") == 3
    assert "11,234,567" in text
    assert "pg100-complete" in text


def test_sixteen_classes_have_a_row_each(shelf, tiny_gpt2):
    report = planned([str(shelf / "a.txt")], tiny_gpt2, classes=MANY, per_class=20)
    text, book = printed(report), report.books[0]
    assert wide_lines(text) == []
    assert "classes: letter-a (re:a+); letter-b (re:b+);" in text
    rows = re.findall(r"(letter-\w) +(\S+) +(\S+) +(\S+)", text.partition("The run")[0])
    expected = [(name, *(f"{of[name]:,}" for of in (book.found, book.eligible, book.used))) for name in MANY]
    assert rows == expected
    assert f"{book.tokens:,}" in text
    assert text.count(" baseline") >= 2


def test_a_skipped_start_adds_the_notebook_s_own_count(shelf, tiny_gpt2):
    report = planned([str(shelf / "a.txt")], tiny_gpt2, skip_tokens=400, baseline=None)
    text, book = printed(report), report.books[0]
    assert wide_lines(text) == []
    assert "classes: internal (,); terminal (.)" in text
    rows = re.findall(r"(internal|terminal) +(\S+) +(\S+) +(\S+) +(\S+)", text.partition("The run")[0])
    counts = (book.found, book.behind_start, book.eligible, book.used)
    assert rows == [(name, *(f"{of[name]:,}" for of in counts)) for name in ("internal", "terminal")]
    assert book.found["internal"] > book.behind_start["internal"] >= book.eligible["internal"]


def test_what_is_not_stored_or_not_computed_is_said(shelf, tiny_gpt2):
    text = printed(planned([str(shelf / "a.txt")], tiny_gpt2, within="summaries", between="none", per_class=20))
    assert "summaries alone" in text
    assert "not computed" in text
    assert "cross_pairs" not in text


def test_notices_and_reasons_are_told(shelf, tiny_gpt2):
    report = planned([str(shelf)], tiny_gpt2, classes={"dots": ["."], "rare": ["~"]})
    text = printed(report, width=200)
    assert "no book of this run has a usable mark of the class rare" in text
    assert "new: a: no pairs of class rare: 0 rare of 0 found" in text


def test_a_name_is_shown_and_not_obeyed():
    book = PlannedBook("sub[/b]\x1b[2J\nnew: all is well", "s", status="refused", reason="[red]too\rshort[/red]")
    cost = estimate_cost([], 4, 64, StudyConfig(), RATES)
    shown = printed(PlanReport((book,), cost, RATES, 4, 64, StudyConfig()), width=200)
    assert shown.count("sub[/b]\\x1b[2J\\nnew: all is well") == 2
    assert "[red]too\\rshort[/red]" in shown
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_the_command_writes_nothing(shelf, tiny_gpt2, tmp_path, capsys):
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    code = main(["plan", str(shelf), "--store", str(tmp_path / "store"), "--model", str(tiny_gpt2), "--device", "cpu"])
    assert code == 1  # some of the texts cannot be used, and the plan says so
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    output = capsys.readouterr().out
    assert "refused: image" in output
    assert "tokens a second" in output


@pytest.mark.parametrize("classes", [{"internal": [","], "terminal": ["."]}, {"and": ["and"]}])
def test_a_finished_book_is_shown_with_what_its_run_counted(tmp_path, shelf, tiny_gpt2, capsys, classes):
    from jobs.run import execute as run

    named, store, settings = [str(shelf / "b.txt")], str(tmp_path / "store"), RunConfig(device="cpu", serial=True)
    config = StudyConfig(model=str(tiny_gpt2), per_class=5, classes=classes)
    (new,) = planned(named, tiny_gpt2, per_class=5, classes=classes).books
    assert run(named, config, settings, store) == 0
    capsys.readouterr()
    assert execute(named, config, settings, store) == 0
    shown = capsys.readouterr().out
    assert f"{new.tokens:,}" in shown
    assert all(f"{count:,}" in shown for count in new.found.values())
    assert f"{new.unique_tokens:,}" in shown
    assert "done: b: used already" in shown
