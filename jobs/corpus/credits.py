"""Paragraphs around a book's text that were written by those who transcribed it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORK = (
    r"(?:produced|prepared|transcribed|scanned|typed|digiti[sz]ed|proof-?read|proofed|converted|keyed|contributed"
    r"|submitted|ocr(?:'?e?d)?|etext(?:ed)?|html version|further corrections|corrections|proofing|proofreading"
    r"|scanning|transcription|encoded|marked up)"
)
_EBOOK = r"(?:th(?:e|is)\s+)?(?:project gutenberg\s+)?(?:e-?texts?|e-?books?|electronic (?:edition|text|version))"
_THING = rf"(?:{_EBOOK}|(?:th(?:e|is)\s+)?(?:text|(?:html\s+)?file))"
_CREDIT = re.compile(
    rf"[\W_]*(?:(?:{_THING}\s+)?(?:was\s+|is\s+|were\s+)?(?:originally\s+|first\s+)?{_WORK}"
    rf"(?:[\s,/&]+(?:and\s+)?{_WORK})*\s+(?:by|from|with|for project|courtesy)\b"
    rf"|{_EBOOK}\s+(?:by|was|is|comes)\b|(?:with\s+)?(?:many\s+|special\s+)thanks\s+to"
    r"|special thanks|this file should be named|this and all associated files"
    r"|updated editions|credits:|most recently updated|release date|posting date|last updated"
    r"|character set|original publication:|note: (?:images of|project gutenberg|there is|the original)"
    r"|language: [A-Z])",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"project\s+gutenberg|pgdp\.net|distributed\s+proofread|archive\.org|images\s+generously\s+made|\be-?texts?\b"
    r"|https?://|www\.|\b[\w.-]+@[\w-]+\.\w",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"[\W_]*(?:transcri(?:ber|ption|ptor)|proofreader|e-?text(?: editor| transcriber)?|digiti[sz]er)s?"
    r"(?:['’`´]?s?['’]?)"
    r"[\s:-]+(?:end\s*)?(?:foot)?(?:note|comment|correction|remark|introduction)s?\b"
    r"|[\W_]*(?:anmerkung(?:en)?\s+(?:zur|des)\s+(?:transkri|bearbeit)|notes?\s+(?:du|de|sur)\s+(?:la\s+)?transcri"
    r"|au\s+lecteur|opmerkingen\s+van\s+de\s+bewerker)"
    r"|[\W_]*(?:(?:the\s+following|list\s+of|these|some|a\s+few)\s+)*(?:obvious|minor|printing|printer['’]?s?['’]?"
    r"|typograph\w+)\b[^.]{0,80}?\b(?:corrected|corrections|transcriber|amended|have\s+been\s+changed)\b",
    re.IGNORECASE,
)
_BRACKETED_NOTE = re.compile(r"\[\s*transcriber[’'`]?s?[’'`]?\s+(?:foot)?notes?\b[^\]]{0,4000}\]", re.IGNORECASE)
_ELECTRONIC_VERSION = re.compile(r"<<\s*this electronic version.{0,2000}?>>", re.IGNORECASE | re.DOTALL)

_ALPHANUMERIC = re.compile(r"[^\W_]")
_HEAD_PARAGRAPHS = 40
_HEAD_CHARACTERS = 8_000
_TAIL_PARAGRAPHS = 60
_LONGEST_NOTE = 6_000
_LONGEST_TAIL_NOTE = 60_000


@dataclass(frozen=True)
class _Paragraph:
    """Lines without a blank one between them, and the blank lines that follow."""

    start: int
    stop: int
    text: str
    gap: int


def without_insertions(text: str) -> str:
    """A text without the notes and notices that stand within it, in brackets of their own."""
    if "ranscriber" in text or "TRANSCRIBER" in text:
        text = _BRACKETED_NOTE.sub("", text)
    if "<<THIS ELECTRONIC" in text:
        text = _ELECTRONIC_VERSION.sub("", text)
    return text


def without_credits(lines: list[str]) -> list[str]:
    """The lines of a book without credits and transcriber's notes before its beginning and after its end."""
    head = _paragraphs(lines, _HEAD_PARAGRAPHS)
    dropped = _credits_at_start(head)
    end = _notes_at_end(lines, head[-1].stop if head else 0)
    dropped.update(range(end, len(lines)))
    kept = [number for number in range(end) if number not in dropped]
    # Blank lines go, and so does an ornament (`* * *`) that parted the last words from what is gone now.
    while (
        kept
        and not _ALPHANUMERIC.search(last := lines[kept[-1]])
        and not (last.strip() and kept[-1] > max(dropped, default=-1))
    ):
        kept.pop()
    return [lines[number] for number in kept]


def _paragraphs(lines: list[str], most: int, start: int = 0) -> list[_Paragraph]:
    result: list[_Paragraph] = []
    position = start
    while position < len(lines) and len(result) < most:
        while position < len(lines) and not lines[position].strip():
            position += 1
        first = position
        while position < len(lines) and lines[position].strip():
            position += 1
        stop = position
        while position < len(lines) and not lines[position].strip():
            position += 1
        if stop > first:
            result.append(_Paragraph(first, stop, "\n".join(lines[first:stop]), position - stop))
    return result


def _credits_at_start(paragraphs: list[_Paragraph]) -> set[int]:
    dropped: set[int] = set()
    seen, index = 0, 0
    while index < len(paragraphs) and seen < _HEAD_CHARACTERS:
        paragraph = paragraphs[index]
        count = 1
        if _NOTE.match(paragraph.text):
            count = _note_length(paragraphs[index:])
        elif not (_CREDIT.match(paragraph.text) or _PLACE.search(paragraph.text)):
            seen += len(paragraph.text)
            index += 1
            continue
        for removed in paragraphs[index : index + count]:
            dropped.update(range(removed.start, removed.stop))
        index += count
    return dropped


def _note_length(paragraphs: list[_Paragraph]) -> int:
    """Paragraphs of a note: up to the first gap of two blank lines, as these files part their sections. A note
    that would go on for ever is only its first paragraph."""
    characters = 0
    for count, paragraph in enumerate(paragraphs, start=1):
        characters += len(paragraph.text)
        if characters > _LONGEST_NOTE:
            break
        if paragraph.gap >= 2:
            return count
    return 1


def _notes_at_end(lines: list[str], start: int) -> int:
    """The line where the notes and credits behind the text begin; the number of lines where there are none."""
    remaining = 0
    end, only_credits = len(lines), True
    for paragraph in reversed(_last_paragraphs(lines, start)):
        remaining += len(paragraph.text)
        if remaining > _LONGEST_TAIL_NOTE:
            break
        only_credits = only_credits and _is_closing_credit(paragraph.text)
        if only_credits or _NOTE.match(paragraph.text):
            end = paragraph.start
    return end


def _is_closing_credit(text: str) -> bool:
    return bool(_CREDIT.match(text) or _PLACE.search(text))


def _last_paragraphs(lines: list[str], start: int) -> list[_Paragraph]:
    """The paragraphs of the last part of the text, found from its end."""
    position, found = len(lines), 0
    while position > start and found < _TAIL_PARAGRAPHS:
        while position > start and not lines[position - 1].strip():
            position -= 1
        while position > start and lines[position - 1].strip():
            position -= 1
        found += 1
    return _paragraphs(lines, _TAIL_PARAGRAPHS + 1, position)
