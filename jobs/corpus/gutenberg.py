"""What Project Gutenberg puts around a book: header, markers, small print and licence, in their historic forms.

From 1971 to now the wording changed many times (`Etext`, `EBook`, `eBook`; `*END*THE SMALL PRINT!`; `*** START OF
THIS PROJECT GUTENBERG EBOOK`, on one line or two; end lines in the book's own language). What all forms share is
that they speak of Project Gutenberg again and again, so a marker counts only where what it cuts off does.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

_MENTION = re.compile(r"gutenberg|small print|\be-?texts?\b|full licen[cs]e|^updated editions", re.IGNORECASE)
_START = re.compile(r"^\W*(?:this is the )?start of (?:th(?:e|is) )?project gutenberg", re.IGNORECASE)
_SMALL_PRINT_END = re.compile(r"\*\s*end\s*\*?.{0,8}the small print|small print!?.*\*\s*end\s*\*", re.IGNORECASE)
_SMALL_PRINT_START = re.compile(r"\*\s*start\s*\**\s*the small print", re.IGNORECASE)
_END = re.compile(
    r"^\W*(?:(?:this|here) (?:is|ends) )?(?:the |das |la )?"
    r"(?:ends?|ende|fin|fine|fim|final|einde|slut|slutet|loppu|kraj|konec|koniec|sfarsitul|τέλος|конец)\b"
    r".{0,60}proje[ck]t[- ]gutenberg",
    re.IGNORECASE,
)
_MARKER = re.compile(f"{_START.pattern}|{_END.pattern}", re.IGNORECASE)
_LICENCE = re.compile(
    r"start(?::| of the)? full licen[cs]e|^\W*the full project gutenberg licen[cs]e"
    r"|^updated editions will replace the previous one"
    r"|^\W*section 1\.\s+general terms of use and redistributing project gutenberg",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(r"^\W*(?:the |this is (?:the|a) )?project gutenberg(?:'s|’s)?\b", re.IGNORECASE)
_EBOOK_ID = re.compile(r"\[\s*e-?(?:book|text)\s*(?:#|number)?\s*(\d+)\s*\]", re.IGNORECASE)
_FIELD = re.compile(r"^(title|author):[ \t]*(\S.*(?:\n[ \t]+\S.*)*)", re.IGNORECASE | re.MULTILINE)
_FIRST_LINE = re.compile(
    r"project gutenberg(?:(?:'s|’s)[ \t]+|[ \t]+e-?(?:book|text)[ \t]+of[ \t]+)(?P<title>[^\n]+?)"
    r"(?:,?[ \t]+by[ \t]+(?P<author>[^\n*#\[]+))?[ \t*]*$",
    re.IGNORECASE | re.MULTILINE,
)
_PARTS_OF_MENTIONS = ("utenberg", "UTENBERG", "text", "TEXT", "SMALL PRINT", "LICENSE", "License", "Updated editions")
_HEADER_CHARACTERS = 20_000
_LITTLE = 1_500
_LONGEST_SILENCE = 40
_LONGEST_SILENCE_IN_HEADER = 100
_LONGEST_SILENCE_UNMARKED = 20


@dataclass(frozen=True)
class Header:
    """What the header of a Project Gutenberg file states; None where it does not."""

    ebook_id: int | None = None
    title: str | None = None
    author: str | None = None


def read_header(text: str) -> Header:
    """Ebook number, title and author from the first characters of a text; nothing for a text of another origin.

    >>> read_header("The Project Gutenberg Etext of Emma, by Jane Austen\\n\\nAugust, 1994  [Etext #158]\\n")
    Header(ebook_id=158, title='Emma', author='Jane Austen')
    """
    head = text[:_HEADER_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    if "gutenberg" not in head.lower():
        return Header()
    start = next((match.start() for match in re.finditer(r"^.*$", head, re.MULTILINE) if _START.match(match[0])), None)
    head = head[:start]
    number = _EBOOK_ID.search(head)
    fields = {match[1].lower(): " ".join(match[2].split()) for match in reversed(list(_FIELD.finditer(head)))}
    first = _FIRST_LINE.search(head)
    return Header(
        int(number[1]) if number else None,
        fields.get("title") or (first["title"].strip(" *.") if first else None),
        fields.get("author") or (first["author"].strip(" *") if first and first["author"] else None),
    )


def is_gutenberg(text: str) -> bool:
    """Whether a text speaks of Project Gutenberg anywhere; a novel about the printer does not."""
    return any(name in text for name in ("Project Gutenberg", "PROJECT GUTENBERG", "Projekt Gutenberg"))


def body_lines(lines: list[str]) -> list[str]:
    """The lines of a Project Gutenberg file without header, licence and what stands between several books of it."""
    mentions = _Mentions(lines)
    kept: list[str] = []
    position = _header_end(lines, 0, mentions)
    while position < len(lines):
        end = _next_end(lines, position, mentions)
        stray = {number for number in mentions.at if position <= number < end and _MARKER.match(lines[number])}
        kept.extend(lines[number] for number in range(position, end) if number not in stray)
        if end == len(lines):
            break
        restart = _next_start(lines, end)
        position = len(lines) if restart is None else _header_end(lines, restart, mentions)
    return kept


class _Mentions:
    """The lines that speak of Project Gutenberg, in order."""

    def __init__(self, lines: list[str]) -> None:
        self.at = [number for number in _candidates(lines) if _MENTION.search(lines[number])]

    def longest_silence(self, start: int, stop: int) -> int:
        """Most lines in a row, from `start` up to `stop`, that do not speak of it."""
        spoken = [start, *(number for number in self.at if start <= number < stop), stop]
        return max(later - earlier for earlier, later in pairwise(spoken))


def _candidates(lines: list[str]) -> list[int]:
    """Numbers of the lines that hold a part of what a mention may say.

    One search through the whole text takes a fraction of the time that a search in each line takes.
    """
    text = "\n".join(lines)
    found: set[int] = set()
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    for part in _PARTS_OF_MENTIONS:
        offset = text.find(part)
        while offset >= 0:
            number = bisect_right(starts, offset) - 1
            found.add(number)
            offset = text.find(part, starts[number + 1])
    return sorted(found)


def _header_end(lines: list[str], position: int, mentions: _Mentions) -> int:
    """The first line after the header that starts at `position`.

    It follows the last marker or, where there is none, the last paragraph that speaks of Project Gutenberg.
    """
    end = position
    for number in _markers(lines, position, mentions):
        if mentions.longest_silence(end, number) > _LONGEST_SILENCE_IN_HEADER:
            break
        end = _after_marker(lines, number)
    if end == position and any(_HEADER_LINE.match(line) for line in lines[position : position + 20]):
        end = _unmarked_header_end(lines, position, mentions)
    return end


def _markers(lines: list[str], position: int, mentions: _Mentions) -> Iterator[int]:
    """Lines that end a header, as far as the first line that ends a book."""
    for number in mentions.at:
        if number < position:
            continue
        if _END.match(lines[number]):
            return
        if _START.match(lines[number]) or _SMALL_PRINT_END.search(lines[number]):
            yield number


def _after_marker(lines: list[str], number: int) -> int:
    """A marker may run over two or three lines, up to the closing asterisks."""
    if not lines[number].lstrip().startswith("*") or lines[number].rstrip().endswith("*"):
        return number + 1
    for following in range(number + 1, min(number + 4, len(lines))):
        if not lines[following].strip():
            break
        if lines[following].rstrip().endswith("*"):
            return following + 1
    return number + 1


def _unmarked_header_end(lines: list[str], position: int, mentions: _Mentions) -> int:
    """Follow the mentions as long as they stay close together, to the end of the last one's paragraph."""
    end = position
    for number in mentions.at:
        if number >= end:
            if number - end > _LONGEST_SILENCE_UNMARKED or _END.match(lines[number]):
                break
            end = number + 1
    while end < len(lines) and lines[end].strip():
        end += 1
    return end


def _next_end(lines: list[str], position: int, mentions: _Mentions) -> int:
    """The first line of what follows the book after `position`, or the number of lines where nothing does.

    An end line counts only if the file goes on to speak of Project Gutenberg, or hardly goes on at all.
    """
    for number in mentions.at:
        end = _end_at(lines, number) if number >= position else None
        if end is not None:
            following = _next_start(lines, number + 1)
            stop = len(lines) if following is None else following
            soon = any(number < other <= number + _LONGEST_SILENCE for other in mentions.at)
            if soon or sum(map(len, lines[number:stop])) < _LITTLE:
                return end
    return len(lines)


def _end_at(lines: list[str], number: int) -> int | None:
    """Where the end line that speaks in line `number` begins: there, or in the line before; None if it is none."""
    line = lines[number].strip()
    if _END.match(line) or _LICENCE.search(line) or _SMALL_PRINT_START.search(line):
        return number
    before = lines[number - 1].strip() if number else ""
    return number - 1 if before and len(before) < 40 and _END.match(f"{before} {line}") else None


def _next_start(lines: list[str], position: int) -> int | None:
    return next((number for number in range(position, len(lines)) if _START.match(lines[number])), None)
