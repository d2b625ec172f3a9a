"""What a run shows: structured lines in a log, bars on a terminal, a table at the end."""

from __future__ import annotations

import io
import json
import re
import time
from datetime import datetime

from rich.console import Console

from jobs.account.display import Bars, Lines, listener_for, summary_table
from jobs.account.tally import Tally
from jobs.stages.compute import BlockReceipt
from jobs.stages.extract import ModelWork
from jobs.stages.prepare import PreparedOutline
from store.books import BookStatus
from store.keys import BlockKey, ShardKey


def half_done() -> Tally:
    tally = Tally(hidden_layers=2, shards=4, shards_prepared=2, shards_committed=1, pairs_expected=1000, pairs=500)
    tally.sequences, tally.sequences_expected, tally.retries = 30, 60, 2
    tally.queues = {"pairs": 3}
    tally.seconds |= {"forward": 15.0, "pairs": 30.0, "write": 10.0}
    tally.started -= 55.0
    return tally


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_a_log_gets_one_line_an_event_with_its_keys():
    stream = io.StringIO()
    Lines(stream).line("trying again", unit="pairs of shard abc", attempt=2)
    assert re.fullmatch(r'\S+T\S+Z trying again unit="pairs of shard abc" attempt=2\n', stream.getvalue())


def test_a_log_is_told_of_progress_now_and_then_only():
    stream = io.StringIO()
    lines = Lines(stream, between=1000.0)
    for _ in range(100):
        lines.update(half_done())
    assert stream.getvalue() == ""
    Lines(stream, between=0.0).update(half_done())
    (line,) = stream.getvalue().splitlines()
    assert "shards=1/4 sequences=30/60 pairs=500/1000 done=25.0%" in line
    assert "sequences_per_s=2.00 pairs_per_s=12 retries=2 eta=0:02:45" in line
    assert "retries=2" in line
    assert "queue_pairs=3" in line


def test_a_json_log_has_an_object_a_line_with_the_time_in_utc():
    stream = io.StringIO()
    Lines(stream, form="json").line("trying again", unit="pairs of shard abc", attempt=2)
    told = json.loads(stream.getvalue())
    assert (told["event"], told["unit"], told["attempt"]) == ("trying again", "pairs of shard abc", 2)
    assert abs(datetime.fromisoformat(told["time"]).timestamp() - time.time()) < 60
    assert told["time"].endswith("Z")


def test_a_terminal_gets_bars_and_only_the_events_that_no_bar_shows():
    console = terminal()
    bars = Bars(console)
    bars.line("committed", shard="abc")
    bars.line("rejected", book="short")
    bars.update(half_done())
    bars.close()
    shown = console.file.getvalue()
    assert "committed" not in shown
    assert "rejected book=short" in shown
    for bar in ("shards", "sequences", "pairs"):
        assert bar in shown
    assert "500/1000" in shown
    assert "2.00/s" in shown
    assert "12/s" in shown
    assert "0:02:45 left" in shown


def test_the_listener_suits_the_console():
    bars = listener_for(terminal())
    bars.close()
    assert isinstance(bars, Bars)
    assert isinstance(listener_for(Console(file=io.StringIO())), Lines)


def test_the_table_at_the_end_has_seconds_by_stage_and_leaves_out_what_did_not_happen():
    tally = half_done()
    tally.seconds["forward"] = 12.3
    console = Console(file=io.StringIO(), width=80)
    console.print(summary_table(tally))
    shown = console.file.getvalue()
    assert re.search(r"seconds: forward\s+│\s+12\.3", shown)
    assert re.search(r"retries\s+│\s+2", shown)
    assert "reused" not in shown


def test_the_tally_is_plain_json():
    import json

    tally = half_done()
    tally.not_used["b"] = (BookStatus.FAILED, "gone")
    told = json.loads(json.dumps(tally.to_dict()))
    assert told["pairs"] == 500
    assert told["not_used"] == {"b": {"status": "failed", "reason": "gone"}}
    assert tally.undone == {"b": (BookStatus.FAILED, "gone")}


SHARD, BLOCK = ShardKey("a" * 16), BlockKey(ShardKey("a" * 16), 0)


def prepared(tally: Tally, shard: ShardKey = SHARD) -> None:
    """A shard of two books, with 5 marks of each class in 4 passages, and 20 pairs in a layer."""
    tally.prepared(PreparedOutline(shard, {"internal": 5, "terminal": 5}, 4, 20, 2, {"short": "no comma"}, 0.5))


def test_books_and_marks_count_when_they_are_committed_and_once():
    tally = Tally(hidden_layers=3, shards=1)
    prepared(tally)
    assert (tally.books_used, tally.marks, tally.pairs_expected) == (0, 0, 60)
    tally.committed(SHARD, 0.1)
    assert (tally.books_used, tally.marks, tally.pairs_expected) == (2, 10, 60)


def test_what_a_shard_that_was_given_up_had_left_is_not_expected_any_more():
    tally = Tally(hidden_layers=3, shards=2)
    prepared(tally, ShardKey("b" * 16))
    prepared(tally)
    tally.extracted(SHARD, ModelWork(3, 0.1, 3))
    tally.computed(BlockReceipt(BLOCK, (), {}, {}, 7))
    tally.given_up(SHARD)
    tally.given_up(SHARD)
    tally.extracted(SHARD, ModelWork(3, 0.1, 3))
    assert (tally.sequences, tally.sequences_expected) == (3, 4 + 3)
    assert (tally.pairs, tally.pairs_expected) == (7, 60 + 7)
    assert (tally.blocks, tally.blocks_expected) == (1, 3 + 1)
    assert (tally.shards_prepared, tally.books_used, tally.marks) == (1, 0, 0)
    assert tally.not_used == {}
