"""Whatever a string holds: on a terminal it is one harmless line, in markup plain text, in a spreadsheet no formula."""

from __future__ import annotations

import csv
import io
import os
import unicodedata

import pytest
from rich.console import Console
from rich.text import Text

from store.foreign_text import for_spreadsheet, for_terminal, lines_for_terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with é, 漢字 and 🙂", "plain, with é, 漢字 and 🙂"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("name\nforged log line\r", r"name\nforged log line\r"),
        ("a\tb\x00\x7f", r"a\tb\x00\x7f"),
        ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028separator\x85", r"line\u2028separator\x85"),
        ("tag\U000e0041", r"tag\U000e0041"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("half\ud800", r"half\ud800"),
    ],
)
def test_a_terminal_gets_one_line_that_it_does_not_obey(text, shown):
    assert for_terminal(text) == shown


def test_no_character_that_moves_or_hides_reaches_a_terminal():
    joiners = {"\u200c", "\u200d"}  # Persian and emoji are written with them
    for code in range(0x110000):
        character = chr(code)
        shown = for_terminal(character)
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            assert shown.isprintable()
            assert shown.isascii()
        if unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
            assert shown != character
        assert character not in joiners or shown == character


def test_several_lines_keep_their_breaks_and_nothing_else():
    assert lines_for_terminal("one\n\ttwo\x1b[0m\r\n") == "one\n\ttwo\\x1b[0m\\r\n"


def test_what_is_no_string_is_told_as_one():
    assert for_terminal(ValueError("a\x1bb")) == r"a\x1bb"


@pytest.mark.parametrize("name", ["sub[/b]", "[red]x", "[link=file:///etc/passwd]y[/link]", "a\\[b]", "end\\"])
def test_markup_shows_a_name_as_it_is(name):
    plain = Console(file=io.StringIO(), width=200)
    plain.print(Text(for_terminal(name)))
    assert plain.file.getvalue() == f"{name}\n"


@pytest.mark.parametrize(
    "formula",
    [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        " =1+1",
        "\n=1",
        "\uff1d1+1",
        "|calc",
        "%0A=1",
    ],
)
def test_a_spreadsheet_gets_no_formula(formula):
    file = io.StringIO()
    csv.writer(file).writerow([for_spreadsheet(formula)])
    (cell,) = next(csv.reader(io.StringIO(file.getvalue(), newline="")))
    assert cell == f"'{formula}"


@pytest.mark.parametrize("text", ["", ",", "-", "=", "a=b", "pg219", "\u2014 he said", "'tis", "1-2"])
def test_other_cells_stay_as_they_are(text):
    assert for_spreadsheet(text) == text
