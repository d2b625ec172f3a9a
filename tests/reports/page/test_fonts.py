"""Text of any script in a PDF: a font that has it where there is one, a square that is seen where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.page import fonts
from reports.page.fonts import characters_without_glyph, fonts_of_this_machine, printable, runs_from_right_to_left

COVERED = set(map(ord, "abc "))


def test_what_a_font_lacks_is_a_square_and_nothing_vanishes():
    assert printable("a\n紅b\U0001f600", COVERED) == "a\n□b□"
    assert printable("a\ufe0fb", COVERED) == "ab"
    assert characters_without_glyph("a\n紅\ufe0f\u200d", COVERED) == {"紅"}


@pytest.mark.parametrize(("text", "left"), [("Emma", False), ("紅樓夢", False), ("كتاب", True), ("a שיר b", True)])
def test_scripts_that_are_written_to_the_left_are_known(text, left):
    assert runs_from_right_to_left(text) == left


def test_fonts_are_chosen_by_what_they_add(monkeypatch):
    held = {Path("a.ttf"): "xyz", Path("b.ttf"): "wx", Path("c.ttf"): "yz", Path("d.ttf"): ""}
    monkeypatch.setattr(fonts, "_system_fonts", lambda: list(held))
    monkeypatch.setattr(fonts, "_coverage", lambda path: set(map(ord, held[path])))
    assert fonts_of_this_machine(set("wxyz")) == [Path("a.ttf"), Path("b.ttf")]
    assert fonts_of_this_machine(set("q")) == []
    assert fonts_of_this_machine(set()) == []


def test_a_font_that_cannot_be_read_is_passed_over(tmp_path, monkeypatch):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"\0\1\0\0nonsense")
    monkeypatch.setattr(fonts, "_system_fonts", lambda: [broken, tmp_path / "gone.ttf", fonts.REGULAR])
    assert fonts_of_this_machine({"Ж", "紅"}) == [fonts.REGULAR]
