from __future__ import annotations

import io
import json
import os
import resource
import socket
import subprocess
import sys
import time
from datetime import datetime

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

import interpunct
from store import status
from store.amendments import remove
from store.commits import CommitRecord, Tried, load_records
from store.keys import ShardKey
from store.objects.locations import object_store
from store.query.prompt import run_prompt
from store.query.reader import open_store
from store.status import read_status, show, watch
from store.writer import StudyWriter
from tests.builders import RUN, build_store, publish_book, synthetic_study
from tests.store.query.test_reader import failed_attempt

PROGRESS = {
    "updated": "2026-01-02T03:04:05+00:00",
    "shards": 4,
    "shards_committed": 1,
    "sequences": 30,
    "sequences_expected": 60,
    "pairs": 500,
    "pairs_expected": 2000,
    "retries": 2,
    "elapsed_seconds": 53.333,
    "progress": {
        "share_done": 0.25,
        "time_left": "at least 0:02:40",
        "sequences_per_second": 0.5,
        "pairs_per_second": 1234.2,
    },
}
"""A part of what a run records of itself."""


@pytest.fixture
def place(tmp_path):
    build_store(tmp_path / "store", books=2, layers=2, marks=5, baseline=None)
    return tmp_path / "store"


def run(*arguments) -> int:
    return interpunct.main([str(argument) for argument in arguments])


def test_sql_prints_a_table(place, capsys):
    assert run("sql", "--store", place, "SELECT count(*) AS pairs FROM pairs") == 0
    assert "80" in capsys.readouterr().out


def test_sql_writes_the_format_of_the_files_suffix(place, tmp_path):
    assert run("sql", "--store", place, "SELECT book FROM books ORDER BY ALL", "-o", tmp_path / "x.json") == 0
    assert json.loads((tmp_path / "x.json").read_text()) == [{"book": "book0"}, {"book": "book1"}]
    assert run("sql", "--store", place, "SELECT 1 AS a", "--format", "csv", "-o", tmp_path / "x.json") == 0
    assert (tmp_path / "x.json").read_text() == "a\n1\n"


def test_sql_reads_the_query_from_standard_input(place, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 6 * 7 AS answer"))
    assert run("sql", "--store", place) == 0
    assert "42" in capsys.readouterr().out


@pytest.mark.parametrize("text", [b"SELECT 6 * 7 AS answer", b"\xef\xbb\xbfSELECT 6 * 7 AS answer"])
def test_sql_reads_utf8_from_standard_input(place, capsys, monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="latin-1"))
    assert run("sql", "--store", place) == 0
    assert "42" in capsys.readouterr().out


def test_a_query_that_is_not_utf8_is_refused_in_a_sentence(place, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"SELECT '\xe9'"), encoding="utf-8"))
    assert run("sql", "--store", place) == 2
    assert "the query on standard input is not UTF-8: byte 0xe9 at 8" in capsys.readouterr().err
    assert run("sql", "--store", place, os.fsdecode(b"SELECT '\xe9'")) == 2
    assert "the query is not UTF-8" in capsys.readouterr().err


def test_closed_standard_output_and_input_are_told(place, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert run("sql", "--store", place) == 2
    assert "standard input is closed" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", None)
    assert run("sql", "--store", place, "SELECT 1") == 2
    assert "standard output is closed; add -o FILE" in capsys.readouterr().err


def test_several_statements_are_each_shown_or_refused(place, capsys, tmp_path):
    assert run("sql", "--store", place, "SELECT 1 AS one; SELECT 2 AS two;") == 0
    out = capsys.readouterr().out
    assert out.index("one") < out.index("two")
    assert run("sql", "--store", place, "SELECT 1; SELECT 2", "--format", "json") == 2
    assert run("sql", "--store", place, "SELECT 1; SELECT 2", "-o", tmp_path / "x.txt") == 2
    assert capsys.readouterr().err.count("2 statements have as many results") == 2
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize("wrong", ["SELECT nonsense FROM books", "SELECT error('boom')"])
def test_a_wrong_statement_comes_behind_the_results_of_those_before_it(place, capsys, monkeypatch, wrong):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"SELECT 111 AS one; SELECT 222 AS two; {wrong}; SELECT 333"))
    assert run("sql", "--store", place) == 2
    said = capsys.readouterr()
    assert "111" in said.out
    assert "222" in said.out
    assert "333" not in said.out
    assert ("nonsense" in said.err) or ("boom" in said.err)


def test_a_suffix_that_means_nothing_is_refused(place, capsys, tmp_path):
    assert run("sql", "--store", place, "SELECT 1", "-o", tmp_path / "x.xlsx") == 2
    assert "x.xlsx: a result is written as .csv" in capsys.readouterr().err
    assert run("sql", "--store", place, "SELECT 1", "-o", tmp_path / "x.tsv", "--format", "csv") == 0


def test_sql_keeps_its_limits(place, capsys):
    endless = "SELECT count(*) FROM range(10000000) a, range(1000000) b WHERE a.range * b.range = 7"
    assert run("sql", "--store", place, "--time-limit", "1s", endless) == 2
    said = capsys.readouterr().err
    assert "the query took longer than it may, 1h unless --time-limit says otherwise; allow more" in said
    assert "INTERRUPT" not in said
    large = "SELECT count(*) FROM (SELECT DISTINCT range || 'x' FROM range(3000000))"
    assert run("sql", "--store", place, "--memory-limit", "70MB", "--spill-limit", "1MB", large) == 2
    assert "Out of Memory" in capsys.readouterr().err
    assert run("sql", "--store", place, "--memory-limit", "70MB", "--time-limit", "0", large) == 0


def test_one_value_cannot_take_more_memory_than_the_limit(place, capsys):
    """Four gigabytes in one call, which DuckDB's own limit does not count."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    query = "SELECT length(repeat('x', 4000000000))"
    assert run("sql", "--store", place, "--memory-limit", "100MB", query) == 2
    assert "Out of Memory" in capsys.readouterr().err
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_query_that_does_not_look_at_the_clock_is_ended(tmp_path):
    """A stand-in for a function that computes for minutes without a pause: the process is ended from a thread."""
    code = """if True:
        import time
        from store.query import watch
        watch._GRACE_S = 0.0
        with watch.stopped_after(0.2):
            time.sleep(300)
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert (ended.returncode, ended.stderr) == (2, "interpunct: the query took longer than 0.2 s and was stopped\n")


def test_status_of_a_killed_run_is_not_that_it_runs(place):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        here = {"host": socket.gethostname(), "pid": os.getpid()}
        writer.record_run(RUN, {"state": "running", **here, **PROGRESS})
        text = shown(place)
        assert "latest run  made-up-run: running, last word 2026-01-02T03:04:05+00:00" in text
        told = "25%, 1 of 4 shards, 30 of 60 sequences at 0.50/s, 500 of 2,000 pairs at 1,234/s, at least 0:02:40 left"
        assert f"progress    {told}" in text
        assert "53.3 s so far, 2 retries" in text
    text = shown(place)
    assert "running     nobody" in text
    assert "latest run  made-up-run: ended without a word, last word 2026-01-02T03:04:05+00:00" in text
    assert "left" not in text, "nothing is forecast of a run that is dead"


def test_status_of_a_killed_run_beside_one_that_has_just_begun(place):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        writer.record_run(RUN, {"state": "running", "host": "elsewhere", "pid": 1})
        assert "latest run  made-up-run: ended without a word" in shown(place)


def test_status_shows_names_of_others_as_they_are(place):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        writer.commit(failed_attempt(place, "a" * 16, [(7, "sub[/b]\x1b[31m\nforged 12:00 done")]))
        writer.record_run(RUN, {"state": "[/red]\x1b]0;title\x07"})
    text = shown(place)
    assert r"sub[/b]\x1b[31m\nforged 12:00 done" in text
    assert r"made-up-run: [/red]\x1b]0;title\x07" in text
    assert "\x1b" not in text


def shown(place) -> str:
    text = io.StringIO()
    show(place, Console(file=text, width=200))
    return text.getvalue()


def test_a_syntax_error_is_duckdbs_message_and_no_traceback(place, capsys):
    assert run("sql", "--store", place, "SELEC 1") == 2
    error = capsys.readouterr().err
    assert 'syntax error at or near "SELEC"' in error
    assert "Traceback" not in error


def test_an_error_in_the_middle_of_a_result_is_one_message(place, capsys):
    assert run("sql", "--store", place, "SELECT error('boom') FROM pairs") == 2
    assert "boom" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "verify", "compact", "sql"])
def test_a_place_without_a_store(tmp_path, capsys, command, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 1"))
    assert run(command, "--store", tmp_path / "none") == 2
    assert "holds no store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_sql_works_while_a_run_holds_the_store(place, capsys):
    with StudyWriter.open(place, synthetic_study(2, 5, baseline=None)).lock():
        assert run("sql", "--store", place, "SELECT count(*) FROM books") == 0
        assert run("status", "--store", place) == 0
    assert "running    process" in capsys.readouterr().out


def test_status_counts_what_is_committed_and_names_bad_books(place):
    study = synthetic_study(2, 5, baseline=None)
    writer = StudyWriter.open(place, study)
    with writer.lock():
        writer.commit(failed_attempt(place, "a" * 16, [(7, "connection refused")]))
        writer.record_run(RUN, {"state": "failures", "shards": 2, "shards_committed": 2, "elapsed_seconds": 1.26})
    text = io.StringIO()
    status = show(place, Console(file=text, width=200))
    assert (status.shards, status.rows["pairs"], status.running) == (3, 80, None)
    shown = text.getvalue()
    assert "1 failed, 2 used" in shown
    assert "connection refused" in shown
    assert "running     nobody" in shown
    assert "latest run  made-up-run: failures" in shown
    assert "progress    2 of 2 shards" in shown
    assert sum(file.bytes for record in load_records(object_store(place)) for file in record.files) == status.bytes


def test_status_tells_of_a_driver_and_its_last_sign(place):
    with StudyWriter.open(place, synthetic_study(2, 5, baseline=None)).lock():
        owner = read_status(place).running
        assert owner is not None
        assert abs(owner.heartbeat - time.time()) < 60
    assert read_status(place).running is None


def test_a_damaged_run_record_is_named(place):
    (place / "_runs").mkdir(exist_ok=True)
    (place / "_runs" / f"{RUN}.json").write_text('{"state": "runn')
    assert "latest run  made-up-run: its record is damaged: it is not JSON" in shown(place)


def test_status_as_json_has_all_of_it(place, capsys):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        writer.commit(failed_attempt(place, "a" * 16, [(7, "connection refused")]))
        writer.record_run(RUN, {"state": "done", **PROGRESS})
        assert run("status", "--store", place, "--json") == 0
        assert json.loads(capsys.readouterr().out)["running"]["pid"] == os.getpid()
    assert run("status", "--store", place, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["books"], told["rows"]["pairs"], told["running"]) == ({"failed": 1, "used": 2}, 80, None)
    assert (told["latest_run"]["name"], told["latest_run"]["state"]) == (RUN, "done")
    assert told["latest_run"]["progress"]["share_done"] == 0.25
    assert sum(told["bytes_by_table"].values()) == told["bytes"]
    (failed,) = told["books_without_results"]
    assert (failed["book"], failed["reason"]) == ("book7", "connection refused")
    assert run("status", "--store", place, "--json", "--watch") == 2


def test_watching_draws_a_terminal_anew_and_tells_a_log_of_changes_only(place, monkeypatch):
    def looks(console):
        """Three looks; a run ends before the last one."""
        seen = []

        def sleep(seconds):
            seen.append(seconds)
            if len(seen) == 2:
                StudyWriter.open(place, synthetic_study(2, 5, baseline=None)).record_run(RUN, {"state": "done"})
            if len(seen) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr("store.status.time.sleep", sleep)
        with pytest.raises(KeyboardInterrupt):
            watch(place, console)
        return console.file.getvalue()

    log = looks(Console(file=io.StringIO(), width=200))
    assert log.count("fingerprint") == 2
    assert log.count("made-up-run: done") == 1
    screen = looks(Console(file=io.StringIO(), width=200, force_terminal=True))
    assert "\x1b[?1049h" in screen, "the alternate screen, which is left as it was found"
    assert screen.endswith("\x1b[?1049l")


def test_sql_over_two_stores(place, tmp_path, capsys):
    build_store(tmp_path / "second", books=1, layers=2, marks=5, baseline=None)
    query = "SELECT (SELECT count(*) FROM books) AS here, (SELECT count(*) FROM other.books) AS there"
    attached = ("--attach", f"other={tmp_path / 'second'}")
    assert run("sql", "--store", place, *attached, "--format", "csv", query) == 0
    assert capsys.readouterr().out.splitlines() == ["here,there", "2,1"]
    assert run("sql", "--store", place, *attached, "-o", tmp_path / "second" / "x.csv", query) == 2
    assert "lies inside the store" in capsys.readouterr().err
    for wrong, word in (("second", "is not NAME=S"), ("books=x", "means something else"), ("a=nothing", "no store")):
        assert run("sql", "--store", place, "--attach", wrong, query) == 2
        assert word in capsys.readouterr().err
    assert run("sql", "--store", place, *attached, *attached, query) == 2
    assert "two stores are attached as other" in capsys.readouterr().err


def test_list_finds_the_studies_below_a_place(location, capsys):
    build_store(f"{location}/a/one", books=2, layers=2, marks=5, baseline=None)
    build_store(f"{location}/two", books=1, layers=2, marks=5, baseline=None)
    remove(f"{location}/a/one", ["book1"], "scanned twice")
    damaged = object_store(f"{location}/z")
    damaged.put("study.json", b"{}")
    assert run("list", location) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["store", *(f"{location}/{name}" for name in ("a/one", "two", "z"))]
    assert "synthetic" in lines[1]
    assert "1 of 2" in lines[1]
    assert "z/study.json is damaged" in lines[3]
    assert run("list", f"{location}/a", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["store"], told["used"], told["books"], told["problem"]) == (f"{location}/a/one", 1, 2, None)
    assert abs(datetime.fromisoformat(told["changed"]).timestamp() - time.time()) < 600
    assert told["pairs"] == 2 * (5 * 4 // 2 * 2 + 5 * 5), "of the book that is left, before any compaction"
    assert run("list", f"{location}/a/one") == 0
    assert run("list", f"{location}/nothing") == 2
    lacking = "no store was found in" if location.startswith("s3:") else f"{location}/nothing does not exist"
    assert lacking in capsys.readouterr().err


def test_a_run_whose_shard_was_dropped_is_not_said_to_be_whole(place, capsys):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    done = PROGRESS | {"shards": 2, "shards_committed": 2, "pairs": 2000}
    with writer.lock():
        writer.record_run(RUN, {"state": "done", **done})
    assert "progress    2 of 2 shards" in shown(place)
    next((place / "summaries").iterdir()).unlink()
    assert run("verify", "--store", place, "--fix") == 1
    text = shown(place)
    assert "committed   1 shard" in text
    assert "progress    shards of it were dropped since, by `interpunct verify --fix`; run the same" in text
    assert "2,000 of 2,000" not in text
    assert read_status(place).to_dict()["latest_run"]["shards_dropped_since"] is True


def test_a_run_whose_shards_were_compacted_or_grew_old_has_dropped_none(place, capsys):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        writer.commit(failed_attempt(place, "a" * 16, [(7, "connection refused")]))
        writer.record_run(RUN, {"state": "done", **PROGRESS, "shards_committed": 2})
    assert not read_status(place).lost
    assert run("compact", "--store", place, "--grace", "0") == 0
    assert not read_status(place).lost


def test_a_run_of_trials_has_commits_without_books():
    of = {"files": (), "books": (), "run": RUN}
    trials = [
        CommitRecord(ShardKey(f"{n}" * 16), **of, tried=(Tried("book0", "0" * 64, ("bins",), 1),)) for n in (1, 2)
    ]
    record = {"shards_committed": 2, "books_used": 2}
    assert not status._lost(RUN, record, trials)
    assert status._lost(RUN, record, trials[:1])


def test_a_lost_shard_shows_beside_books_that_were_set_aside(place):
    """These have a commit of their own, which is none of the run's shards."""
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        writer.commit(failed_attempt(place, "a" * 16, [(7, "connection refused")]))
        writer.record_run(RUN, {"state": "done", "shards_committed": 2, "books_used": 2})
    assert not read_status(place).lost
    next((place / "summaries").iterdir()).unlink()
    assert run("verify", "--store", place, "--fix") == 1
    assert read_status(place).lost


def test_many_bad_books_are_counted_not_listed(place):
    writer = StudyWriter.open(place, synthetic_study(2, 5, baseline=None))
    with writer.lock():
        books = [(number, "gone") for number in range(100, 150)]
        writer.commit(failed_attempt(place, "b" * 16, books))
    text = io.StringIO()
    show(place, Console(file=text, width=200))
    assert "and 30 more" in text.getvalue()


def test_verify_names_damage_and_fix_tells_what_to_do(place, capsys):
    assert run("verify", "--store", place) == 0
    assert "0 damages" in capsys.readouterr().out
    victim = next((place / "summaries").iterdir())
    victim.unlink()
    assert run("verify", "--store", place) == 1
    assert f"damaged: summaries/{victim.name}: is missing" in capsys.readouterr().out
    assert run("verify", "--store", place, "--fix") == 1
    out = capsys.readouterr().out
    assert (
        f"dropped: shard {victim.stem.partition('-')[0]}; run the same `interpunct run` command again to recompute it"
        in out
    )
    assert run("verify", "--store", place) == 0


def test_verify_counts_foreign_files_and_names_some(place, capsys):
    for number in range(12):
        (place / f"{number:02d}-{os.fsdecode(bytes([0xE9]))}.txt").touch()
    assert run("verify", "--store", place) == 0
    out = capsys.readouterr().out
    assert r"foreign: 12 files that no store makes, left alone: 00-\xe9.txt, 01-\xe9.txt" in out
    assert "and 2 more" in out


def test_remove_and_retitle_tell_what_they_did(place, capsys):
    assert run("remove", "--store", place, "--book", "book0", "--reason", "scanned twice") == 0
    said = capsys.readouterr().out
    assert "removed: book0 (used before) from /books/book0.txt" in said
    assert "--retake KEY" in said
    assert run("remove", "--store", place, "--book", "book0", "--reason", "scanned twice") == 0
    assert capsys.readouterr().out == "removed before: 1\n"
    assert run("status", "--store", place) == 0
    assert "rows of 1 removed are among these until `interpunct compact`" in capsys.readouterr().out
    assert run("retitle", "--store", place, "--book", "book1", "--title", "A New Title") == 0
    assert capsys.readouterr().out == "retitled: book1: title A New Title\n"
    assert run("sql", "--store", place, "--format", "csv", "SELECT book, status, title FROM books ORDER BY book") == 0
    assert '"book1","used","A New Title"' in capsys.readouterr().out
    assert run("remove", "--store", place, "--book", "nobody", "--reason", "x") == 2
    assert "has no book 'nobody'" in capsys.readouterr().err
    assert run("retitle", "--store", place, "--book", "book1") == 2
    assert "say --title, --author or both" in capsys.readouterr().err


def test_compact_reports_what_it_did(place, capsys):
    assert run("compact", "--store", place, "--grace", "0", "--target-mb", "1") == 0
    assert "compacted: 40 files into 20, 546 rows rewritten in 1 generations; 40 files" in capsys.readouterr().out
    assert run("verify", "--store", place) == 0
    assert run("compact", "--store", place, "--grace", "0", "--target-mb", "1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to compact: 20 files"


@pytest.mark.parametrize("arguments", [["--grace", "soon"], ["--target-mb", "0"], ["--grace", "-1"]])
def test_wrong_options(place, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("compact", "--store", place, *arguments)
    assert stopped.value.code == 2
    assert "write" in capsys.readouterr().err


def test_a_store_another_driver_holds_refuses_repair(place, capsys):
    with StudyWriter.open(place, synthetic_study(2, 5, baseline=None)).lock():
        assert run("verify", "--store", place, "--fix") == 3
    assert "is in use by process" in capsys.readouterr().err


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "interpunct" / "sql_history"


def at_the_prompt(place, typed: str, form: str = "csv") -> None:
    with create_pipe_input() as keys, open_store(place) as store:
        keys.send_text(typed)
        run_prompt(store, form, input=keys, output=DummyOutput())


def test_the_prompt_answers_survives_errors_and_leaves(place, capsys, history):
    at_the_prompt(place, "SELECT count(*)\rFROM pairs;\rSELEC 1;\rCOPY pairs TO 'x';\rSELECT 6 * 7 AS answer;\r.quit\r")
    out = capsys.readouterr().out
    assert "count_star()\n80\n" in out
    assert "syntax error" in out
    assert "read-only" in out
    assert "answer\n42\n" in out
    assert "+SELECT count(*)\n+FROM pairs;" in history.read_text(), "a statement of two lines is one entry"


def test_the_prompt_knows_its_commands_and_shows_each_result(place, capsys, history):
    two, acting = "SELECT 1 AS one; SELECT 2 AS two;", "SELECT 3 AS three; DROP VIEW pairs;"
    at_the_prompt(place, f".help\r.tables\r.nonsense\r{two}\r{acting}\r.quit\r")
    out = capsys.readouterr().out
    assert ".tables   the views that can be asked" in out
    assert "\npairs\n" in out
    assert ".nonsense is not a command here; .help names those that are" in out
    assert "one\n1\ntwo\n2\n" in out
    assert "three" not in out
    assert "read-only and refuses DROP" in out


def test_the_prompt_leaves_at_the_end_of_input(place, capsys, history):
    at_the_prompt(place, "SELECT 1\x03\x04", "table")
    assert "Views: pairs" in capsys.readouterr().out


def test_a_home_that_cannot_be_written_costs_only_the_history(place, capsys, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    at_the_prompt(place, "SELECT 6 * 7 AS answer;\rquit\r")
    assert "answer\n42\n" in capsys.readouterr().out


def test_a_book_that_is_added_shows_at_once(place, capsys):
    study = synthetic_study(2, 5, baseline=None)
    writer = StudyWriter.open(place, study)
    with writer.lock():
        writer.commit(publish_book(place, study, 2))
    assert run("sql", "--store", place, "--format", "csv", "SELECT max(book) FROM books") == 0
    assert "book2" in capsys.readouterr().out
