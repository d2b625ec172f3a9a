"""Nothing that others wrote is obeyed by a terminal, and no line of a log can be forged."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from jobs.account.console import cell, key_values, log, say, show
from jobs.account.display import Bars, Lines

JOBS = Path(__file__).resolve().parent.parent.parent.parent / "jobs"
EVIL = "book[/b]\n2026-01-01T00:00:00 committed shard=1\r\x1b[31m\x9b2J\u202e"


def printed(method, *arguments) -> str:
    console = Console(file=io.StringIO(), width=500, force_terminal=True, color_system=None)
    method(console, *arguments)
    return console.file.getvalue()


def test_a_text_of_others_is_one_line_without_commands():
    table = Table("book")
    table.add_row(cell(EVIL))
    for shown in (printed(say, EVIL), printed(show, table)):
        assert "book[/b]\\n2026-01-01T00:00:00 committed shard=1\\r\\x1b[31m\\x9b2J\\u202e" in shown
        assert not any(character in shown for character in "\r\x1b\x9b\u202e")
    assert printed(say, EVIL).count("\n") == 1


def test_no_line_of_a_log_can_be_forged():
    stream = io.StringIO()
    log(stream, EVIL)
    Lines(stream).line("rejected", book=EVIL, reason='it" committed="yes')
    first, second = stream.getvalue().splitlines()
    assert first.startswith("book[/b]\\n2026")
    assert second.endswith(r'reason="it\" committed=\"yes"')


def test_bars_show_events_as_they_are_written():
    console = Console(file=io.StringIO(), width=300, force_terminal=True, color_system=None)
    bars = Bars(console)
    bars.line("rejected", book=EVIL)
    bars.close()
    assert 'rejected book="book[/b]\\n2026-01-01T00:00:00 committed shard=1\\r\\x1b[31m' in console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "told"),
    [("a", "a=a"), ("b c", 'a="b c"'), ('"', r'a="\""'), ("x=1", 'a="x=1"'), ("\\ ", r'a="\\ "'), (5, "a=5")],
)
def test_a_value_is_one_value(value, told):
    assert key_values({"a": value}) == told


def test_jobs_print_nowhere_else():
    trees = {path.relative_to(JOBS).as_posix(): ast.parse(path.read_text("utf-8")) for path in JOBS.rglob("*.py")}
    called = {
        (name, getattr(node.func, "id", getattr(node.func, "attr", None)))
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    assert {name for name, function in called if function == "print"} == {"account/console.py"}
