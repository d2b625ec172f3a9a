"""`run`, `plan` and `pairs` as a user types them: options from the settings, and wrong use in one line."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import interpunct
import jobs.run
from jobs import commands
from jobs.classes import parse_classes
from jobs.config import RunConfig, StudyConfig
from jobs.one_text import find_marks, read_text
from jobs.settings import settings_of, typed_settings_of
from store.commits import load_records
from store.errors import StoreUnavailable
from store.objects.locations import object_store
from store.query.reader import open_store
from store.upkeep.compaction import compact
from store.upkeep.verify import verify
from tests.jobs.injection import MARKS, Calls, rows, run, stages, study, write_books

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = ("text", "per_class", "baseline", "before", "after", "passage_tokens", "warmup_tokens", "model")
"""Settings in which the small study of these tests differs from the defaults."""


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    commands.add_commands(parser.add_subparsers())
    return parser


def resolved(parser, *options: str) -> tuple[StudyConfig, RunConfig]:
    return commands._resolved(parser.parse_args(["run", "book.txt", "--store", "s", *options]))


def test_without_options_all_is_default(parser):
    assert resolved(parser) == (StudyConfig(), RunConfig())


@pytest.mark.parametrize(
    "setting",
    [*typed_settings_of(StudyConfig).values(), *typed_settings_of(RunConfig).values()],
    ids=lambda setting: setting.name,
)
def test_every_setting_is_an_option(parser, setting):
    option = "--class" if setting.name == "classes" else f"--{setting.name.replace('_', '-')}"
    if setting.type is bool:
        given, expected = ([option, "no"], False) if setting.default else ([option], True)
    elif setting.name == "classes":
        given, expected = [option, "a", "!", "?", option, "b", "re:x"], parse_classes({"a": ["!", "?"], "b": ["re:x"]})
    elif setting.name == "passage_tokens":
        given, expected = [option, "900"], 900
    elif setting.choices:
        given, expected = [option, setting.choices[-1]], setting.choices[-1]
    elif setting.type is int:
        given, expected = [option, "9"], 9
    elif setting.type is float:
        given, expected = [option, "0.5"], 0.5
    elif setting.type is tuple:
        given, expected = [option, "name"], ("name",)
    else:
        given, expected = [option, "name"], "name"
    study_config, run_config = resolved(parser, *given)
    config = study_config if hasattr(study_config, setting.name) else run_config
    assert getattr(config, setting.name) == expected


def test_the_help_opens_with_the_ten_options_that_most_need(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["run", "--help"])
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "usage: interpunct run BOOK [BOOK ...] --store S [options]"
    first, *others = re.findall(r"^([a-z][a-z ()-]+):$", said, re.MULTILINE)[1:]
    options = re.findall(
        r"^  (--[a-z-]+)", said[said.index(f"\n{first}:") : said.index(f"\n{others[-1]}:")], re.MULTILINE
    )
    assert options[:10] == [
        *("--store", "--config", "--preset", "--model", "--class"),
        *("--per-class", "--labels", "--keep-hidden-states", "--address", "--device"),
    ]
    grouped = [*commands.MOST_NEEDED, *(name for names in commands.GROUPS.values() for name in names)]
    assert len(grouped) == len(set(grouped))
    assert set(typed_settings_of(StudyConfig)) <= set(grouped), "a setting of the study that stands below `the run`"


def test_what_a_run_settles_is_no_option(parser, capsys):
    for name in ("labels-sha256", "label-classes"):
        with pytest.raises(SystemExit):
            resolved(parser, f"--{name}", "x")
        assert f"unrecognized arguments: --{name}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parser.parse_args(["run", "--help"])
    told = capsys.readouterr().out
    assert "--labels FILE" in told
    assert "sha256" not in told
    assert "label_classes" not in told


def test_options_win_over_a_file_only_where_they_are_given(parser, tmp_path):
    file = tmp_path / "study.toml"
    file.write_text("bins = 20\nserial = true\nper_class = 100\n")
    config, settings = resolved(parser, "--config", str(file), "--per-class", "all", "--no-serial")
    assert (config.bins, config.per_class, settings.serial) == (20, None, False)


def test_pairs_takes_the_settings_that_hidden_states_leave_open(parser):
    arguments = parser.parse_args(["pairs", "--from-store", "a", "--store", "b", "--bins", "20"])
    assert commands._explicit(arguments, settings_of(StudyConfig)) == {"bins": 20}


def interpunct_says(capsys, *arguments: str) -> tuple[int, str]:
    code = interpunct.main(list(arguments))
    return code, capsys.readouterr().err.strip()


@pytest.fixture
def binary(tmp_path) -> Path:
    path = tmp_path / "image.txt"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    return path


def test_wrong_use_is_one_line_with_exit_code_2_and_leaves_no_store(capsys, tmp_path, binary, tiny_gpt2):
    empty, store = tmp_path / "empty.txt", tmp_path / "store"
    empty.touch()
    model = ["--model", str(tiny_gpt2), "--serial"]
    cases = {
        "missing.txt does not exist": ["run", str(tmp_path / "missing.txt"), *model],
        "empty": ["run", str(empty), *model],
        "PNG image": ["run", str(binary), *model],
        "model '/no/model': no such file or folder": ["run", "sample", "--model", "/no/model"],
        "outlier_z is nan; expected a finite number": ["run", "sample", "--outlier-z", "nan"],
        "bins is 1; the smallest is 2": ["run", "sample", "--bins", "1"],
        "choose --before 62 or less": ["run", "sample", *model, "--context", "window", "--before", "64"],
        "does not exist": ["run", "sample", "--config", str(tmp_path / "none.toml")],
    }
    for expected, arguments in cases.items():
        code, said = interpunct_says(capsys, *arguments, "--store", str(store))
        assert code == 2, said
        assert expected in said
        assert said.startswith("interpunct: ")
        assert len(said.splitlines()) == 1, said
        assert not store.exists()


def test_a_text_with_too_few_marks_says_so_and_creates_no_store(capsys, tmp_path, tiny_gpt2):
    book, store = tmp_path / "short.txt", tmp_path / "store"
    book.write_text("One, two. Three, four. " + "And so on " * 100)
    code, said = interpunct_says(capsys, "run", str(book), "--model", str(tiny_gpt2), "--serial", "--store", str(store))
    assert code == 2
    assert said.startswith("interpunct: book short cannot be used: too few marks: ")
    assert len(said.splitlines()) == 1
    assert not store.exists()


def test_editions_that_were_not_tried_because_the_first_is_useless_are_told(capsys, tmp_path, tiny_gpt2):
    for number in range(3):
        text = f"The Project Gutenberg EBook of A Story [EBook #219]\n\nOne, two. {'And so on ' * (100 + number)}"
        (tmp_path / f"edition{number}.txt").write_text(text)
    options = ["--model", str(tiny_gpt2), "--serial", "--text", "raw", "--store", str(tmp_path / "store")]
    code, said = interpunct_says(capsys, "run", str(tmp_path / "*.txt"), *options)
    assert code == 2
    assert said.startswith("interpunct: book pg219 cannot be used: too few marks: ")
    assert said.endswith("Not tried: 2 that the headers call the same book; name them without it")


@pytest.fixture
def small(tmp_path, sample_text, tiny_gpt2):
    books = write_books(tmp_path / "books", sample_text, 2)
    return books, study(tiny_gpt2), tmp_path / "store"


def test_a_store_of_another_configuration_refuses_and_stays_as_it_was(capsys, tmp_path, small, tiny_gpt2):
    books, config, store = small
    assert run(books, config, store, stages(Calls(tmp_path / "calls")), serial=True) == 0
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if "_runs" not in path.parts}
    capsys.readouterr()
    code, said = interpunct_says(
        capsys, "run", *books, "--model", str(tiny_gpt2), "--bins", "20", "--store", str(store), "--serial"
    )
    assert code == 3
    assert "bins: 15 and 20" in said
    assert len(said.splitlines()) == 1
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*") if "_runs" not in path.parts} == before


@pytest.mark.parametrize("named", ["nosuch", "empty"])
def test_a_run_of_nothing_that_exists_leaves_the_store_as_it_was(capsys, tmp_path, small, named):
    books, config, store = small
    assert run(books[:1], config, store, stages(Calls(tmp_path / "calls")), serial=True) == 0
    (tmp_path / "empty").mkdir()
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    capsys.readouterr()
    code, said = interpunct_says(capsys, "run", str(tmp_path / named), "--store", str(store), "--serial")
    assert code == 2
    assert ("does not exist" if named == "nosuch" else "holds no book") in said
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before, "no record, no lock, no entry"


def test_more_books_take_the_settings_of_the_store(capsys, tmp_path, small):
    """Nothing need be said again; a setting that is said again as it is does no harm, and another one is refused."""
    books, config, store = small
    assert run(books[:1], config, store, stages(Calls(tmp_path / "calls")), serial=True) == 0
    capsys.readouterr()
    assert interpunct_says(capsys, "plan", books[1], "--store", str(store)) == (0, "")
    assert interpunct_says(capsys, "run", books[1], "--store", str(store), "--serial", "--bins", "15")[0] == 0
    both = tmp_path / "both"
    assert run(books, config, both, stages(Calls(tmp_path / "more")), serial=True) == 0
    assert rows(store)["marks"] == rows(both)["marks"], "the states here are the model's, those of `run` are made up"
    code, said = interpunct_says(capsys, "run", books[1], "--store", str(store), "--serial", "--preset", "notebook")
    assert code == 3
    assert "skip_tokens: 0 and 400" in said
    assert "per_class" not in said, "the preset says nothing of it"


def test_a_study_keeps_the_name_that_it_was_created_with(capsys, tmp_path, small):
    books, config, store = small
    options = ["--store", str(store), "--serial", "--model", config.model, "--per-class", "4"]
    small_passages = ["--passage-tokens", "40", "--warmup-tokens", "8", "--baseline", "none"]
    assert interpunct_says(capsys, "run", books[0], *options, *small_passages, "--name", "My GPT")[0] == 0
    with open_store(store) as opened:
        assert (opened.study.name, opened.study.called) == ("My GPT", "My GPT")
    assert interpunct_says(capsys, "run", books[1], "--store", str(store), "--serial")[0] == 0
    code, said = interpunct_says(capsys, "run", books[1], "--store", str(store), "--name", "Another")
    assert code == 2
    assert "is called 'My GPT' since it was created" in said


def test_a_run_tells_the_notebook_s_counts_of_a_new_book_and_of_a_finished_one(capsys, small):
    """Those that the notebook's first cells print: tokens, distinct tokens, marks behind the skipped start."""
    books, config, store = small
    options = ["--store", str(store), "--serial", "--model", config.model, "--preset", "notebook", "--per-class", "4"]
    marks = find_marks(read_text(books[0]), config.model, preset="notebook", per_class=4)
    behind = marks.counts["behind_start"]
    for again in range(2):
        code, said = interpunct_says(capsys, "run", books[0], *options)
        assert code == 0
        assert ("classes: internal (,); terminal (.)" in said) == (not again), "of what was taken in this run"
        assert (
            f"book0: {marks.tokens:,} tokens, {marks.unique_tokens:,} of them different; behind token 400: "
            f"{behind[0]:,} internal, {behind[1]:,} terminal; used: 4 internal, 4 terminal"
        ) in " ".join(said.split())


def test_a_store_that_cannot_be_written_is_refused(capsys, tmp_path, small, tiny_gpt2):
    (tmp_path / "file").touch()
    books, _, _ = small
    options = ["--model", str(tiny_gpt2), "--serial", "--per-class", "5"]
    code, said = interpunct_says(capsys, "run", *books, *options, "--store", str(tmp_path / "file" / "store"))
    assert code == 3
    assert str(tmp_path / "file") in said
    assert len(said.splitlines()) == 1


def test_a_store_that_cannot_be_made_is_refused_before_any_work(tmp_path, small):
    (tmp_path / "file").touch()
    books, config, _ = small
    calls = Calls(tmp_path / "calls")
    with pytest.raises(StoreUnavailable, match="file is not a folder; name another store"):
        run(books, config, tmp_path / "file" / "deep" / "store", stages(calls), serial=True)
    assert not (tmp_path / "calls").exists()


def test_books_added_later_join_the_store_and_finished_ones_are_not_repeated(capsys, tmp_path, small):
    books, config, store = small
    assert run(books[:1], config, store, stages(Calls(tmp_path / "first")), serial=True) == 0
    second = Calls(tmp_path / "second")
    assert run(books, config, store, stages(second), serial=True) == 0
    assert second.count("prepare") == second.count("prepare", "book1") == 1
    both = tmp_path / "both"
    assert run(books, config, both, stages(Calls(tmp_path / "third")), serial=True) == 0
    assert rows(store) == rows(both)


def test_a_changed_book_of_the_same_name_gets_a_key_of_its_own_and_a_copy_is_a_duplicate(tmp_path, small):
    books, config, store = small
    assert run(books, config, store, stages(Calls(tmp_path / "calls")), serial=True) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "book0.txt").write_text(Path(books[1]).read_text() + " And more, at the end.")
    (elsewhere / "copy.txt").write_bytes(Path(books[0]).read_bytes())
    again = Calls(tmp_path / "again")
    for _ in range(2):
        assert run([str(elsewhere)], config, store, stages(again), serial=True) == 0
    assert again.count("prepare") == 1
    with open_store(store) as opened:
        found = dict(opened.sql("SELECT book, status FROM books").fetchall())
    assert found == {"book0": "used", "book1": "used", "book0-2": "used", "copy": "duplicate"}


def test_a_missing_book_among_good_ones_is_listed_and_the_rest_is_done(capsys, tmp_path, small, binary):
    books, config, store = small
    missing = str(tmp_path / "missing.txt")
    given = [*books, missing, str(binary)]
    assert run(given, config, store, stages(Calls(tmp_path / "calls")), serial=True) == 1
    said = capsys.readouterr().err
    assert "failed: missing" in said
    assert "1 book is left undone" in said
    with open_store(store) as opened:
        found = dict(opened.sql("SELECT book, status FROM books").fetchall())
        pairs = {book for (book,) in opened.sql("SELECT DISTINCT book FROM pairs").fetchall()}
    assert found["missing"] == "failed"
    assert found["image"] == "rejected", "its content was read and is at fault"
    assert pairs == {"book0", "book1"}
    Path(missing).write_text(Path(books[0]).read_text()[::-1])
    assert run([missing], config, store, stages(Calls(tmp_path / "later")), serial=True) == 0


def test_a_name_that_is_not_utf8_costs_its_book_and_no_other(capsys, tmp_path, small):
    books, config, store = small
    bad = Path(books[0]).with_name(os.fsdecode(b"caf\xe9.txt"))
    bad.write_text("Whatever.")
    folder = str(bad.parent)
    for _ in range(2):
        assert run([folder], config, store, stages(Calls(tmp_path / "calls")), serial=True) == 1
    assert "failed: caf: " in capsys.readouterr().err
    with open_store(store) as opened:
        found = opened.sql("SELECT book, status, source FROM books ORDER BY book").fetchall()
    assert found[:2] == [("book0", "used", books[0]), ("book1", "used", books[1])]
    assert found[2:] == [("caf", "failed", rf"{folder}/caf\xe9.txt")]


def test_a_rejected_book_makes_the_run_that_says_so_end_with_one_and_is_settled_then(capsys, tmp_path, small, binary):
    books, config, store = small
    few = tmp_path / "few.txt"
    few.write_text("Hello, world. Too short")
    given = [*books, str(binary), str(few)]
    assert run(given, config, store, stages(Calls(tmp_path / "calls")), serial=True) == 1
    said = capsys.readouterr().err
    assert "rejected: few: too few marks" in said
    assert "rejected: image: " in said
    again = Calls(tmp_path / "again")
    assert run(given, config, store, stages(again), serial=True) == 0
    assert "nothing to do: 4 books are in the store" in capsys.readouterr().err
    assert again.count("prepare") == 0


def test_of_three_editions_the_second_is_used_where_the_first_is_rejected(capsys, tmp_path, small):
    books, config, store = small
    editions = [tmp_path / f"edition{number}.txt" for number in range(3)]
    for number, edition in enumerate(editions):
        text = Path(books[0]).read_text() if number else "Too short, this."
        edition.write_text(f"The Project Gutenberg EBook of A Story [EBook #219]\n\n{text}\n\nEdition {number}.\n")
    given, calls = [*map(str, editions), books[1]], Calls(tmp_path / "calls")
    expected = [("book1", "used"), ("pg219", "rejected"), ("pg219-2", "duplicate"), ("pg219-3", "duplicate")]
    for code in (1, 0, 0):
        assert run(given, config, store, stages(calls), serial=True) == code
        with open_store(store) as opened:
            assert opened.sql("SELECT book, status FROM books ORDER BY book").fetchall() == expected
        expected[2] = ("pg219-2", "used")
    expected[2] = ("pg219-2", "used")
    assert "nothing to do: 4 books are in the store" in capsys.readouterr().err
    assert calls.count("prepare", "pg219-2") == 1
    compact(store, grace_s=0)
    assert verify(store).damages == []
    with open_store(store) as opened:
        assert opened.sql("SELECT book, status FROM books ORDER BY book").fetchall() == expected


def test_a_store_in_which_a_book_was_settled_twice_can_be_compacted(tmp_path, small, monkeypatch):
    """A run used to say anew that a book repeats another, where the other had a new name."""
    books, config, store = small
    copy = tmp_path / "copy.txt"
    copy.write_bytes(Path(books[0]).read_bytes())
    monkeypatch.setattr(jobs.run, "_is_recorded", lambda *_: False)
    for _ in range(2):
        assert run([*books, str(copy)], config, store, stages(Calls(tmp_path / "calls")), serial=True) == 0
    assert sum(book.key == "copy" for r in load_records(object_store(store)) for book in r.books) == 2
    query = "SELECT count(*) FROM books WHERE book = 'copy'"
    for _ in range(2):
        with open_store(store) as opened:
            assert opened.sql(query).fetchall() == [(1,)]
        compact(store, grace_s=0)
    assert verify(store).damages == []


def test_the_record_of_a_run_says_what_it_did(tmp_path, small):
    import json

    books, config, store = small
    run(books, config, store, stages(Calls(tmp_path / "calls")), serial=True)
    (path,) = (store / "_runs").glob("*.json")
    record = json.loads(path.read_text())
    assert record["state"] == "done"
    assert record["books_used"] == 2
    internal, terminal, baseline = MARKS.values()
    within = sum(count * (count - 1) // 2 for count in MARKS.values())
    between = internal * terminal + (internal + terminal) * baseline
    assert record["pairs"] == record["pairs_expected"] == 2 * 4 * (within + between)
    assert record["marks_by_class"] == {name: 2 * count for name, count in MARKS.items()}
    assert {"prepare", "pairs", "write", "commit"} <= set(record["seconds"])
    assert record["versions"]["ray"]
    assert record["settings"]["serial"] is True


def test_a_run_without_work_to_do_loads_neither_ray_nor_torch(tmp_path, small):
    books, config, store = small
    run(books, config, store, stages(Calls(tmp_path / "calls")), serial=True)
    settings = [f"--{name.replace('_', '-')}={getattr(config, name)}" for name in SMALL]
    arguments = ["run", *books, "--store", str(store), *settings]
    code = (
        f"import sys, interpunct\nassert interpunct.main({arguments!r}) == 0\n"
        "print([name for name in ('ray', 'torch', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "nothing to do: 2 books are in the store" in done.stderr
    assert done.stdout.strip() == "[]"


def test_the_bundled_story_is_called_sample(tmp_path, sample_path, monkeypatch):
    assert jobs.run.bundled("sample") == str(sample_path)
    assert jobs.run.bundled("other.txt") == "other.txt"
    monkeypatch.chdir(tmp_path)
    os.mkdir("sample")
    assert jobs.run.bundled("sample") == "sample"
