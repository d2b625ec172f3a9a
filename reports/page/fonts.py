"""Fonts for text of any script in a PDF: DejaVu, which comes with matplotlib, then what this machine has.

A PDF holds its own glyphs, so a title in Chinese takes a font that has it. Where no font does, the text shows a square
and the PDF says so.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from fontTools.ttLib import TTFont
from matplotlib import font_manager

REGULAR = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
BOLD = REGULAR.with_name("DejaVuSans-Bold.ttf")
MISSING = "\N{WHITE SQUARE}"
MOST_FONTS = 4
_INVISIBLE = frozenset("\ufe0e\ufe0f\u200c\u200d\n")
"""They choose between forms of their neighbours, or end a line: no glyph of their own is missed."""


def characters_without_glyph(characters: Iterable[str], covered: set[int]) -> set[str]:
    """Which of the characters a font lacks that should be seen."""
    return {character for character in characters if ord(character) not in covered} - _INVISIBLE


def fonts_of_this_machine(characters: set[str]) -> list[Path]:
    """At most MOST_FONTS fonts that together have most of the characters, the most useful first.

    Fonts that cannot be read are passed over; a font counts only where it has outlines, which colour emoji lack.
    """
    if not characters:
        return []
    wanted = {ord(character) for character in characters}
    coverage = {path: found for path in _system_fonts() if (found := _coverage(path) & wanted)}
    chosen: list[Path] = []
    while wanted and coverage and len(chosen) < MOST_FONTS:
        best = max(coverage, key=lambda path: len(coverage[path] & wanted))
        found = coverage.pop(best) & wanted
        if not found:
            break
        chosen.append(best)
        wanted -= found
    return chosen


def runs_from_right_to_left(characters: Iterable[str]) -> bool:
    """Whether any of the characters is of Arabic, Hebrew or another script that is written to the left."""
    return any(unicodedata.bidirectional(character) in ("R", "AL") for character in characters)


def printable(text: str, covered: set[int]) -> str:
    """The text with a visible square for each character that no font has, so that no line of it vanishes."""
    kept = (character for character in text if ord(character) in covered or character not in _INVISIBLE - {"\n"})
    return "".join(c if c == "\n" or ord(c) in covered else MISSING for c in kept)


def _system_fonts() -> list[Path]:
    return sorted(Path(path) for path in font_manager.findSystemFonts() if Path(path).suffix.lower() in _SUFFIXES)


_SUFFIXES = (".ttf", ".otf", ".ttc")


def _coverage(path: Path) -> set[int]:
    try:
        # Opened here: of a file that is not a font, TTFont would leave the handle open.
        with path.open("rb") as file, TTFont(file, fontNumber=0, lazy=True) as font:
            return set(font.getBestCmap() or ()) if "glyf" in font or "CFF " in font else set()
    except Exception:
        return set()  # Other people's files: whatever is wrong with one, another may do.
