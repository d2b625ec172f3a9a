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
# A name, an edition or an address must follow: `Produced by Anna`, not `Produced by the cook from nothing, the soup`.
_SOMEONE = r"(?:\s*:)?\s+(?:the\s+|an?\s+)?(?-i:[A-Z\d\[(<_]|www|http|anonymous|volunteers?)"
_CREDIT = re.compile(
    rf"[^\w\"“”„«»'‘’]*(?:(?:{_THING}\s+)?(?:was\s+|is\s+|were\s+)?(?:originally\s+|first\s+)?{_WORK}"
    rf"(?:[\s,/&]+(?:and\s+)?{_WORK})*\s+(?:by|from|with|for project|courtesy(?:\s+of)?){_SOMEONE}"
    rf"|{_EBOOK}\s+(?:by|was|is|comes)\b|(?:with\s+)?(?:many\s+|special\s+)thanks\s+to{_SOMEONE}"
    r"|\W*this file should be named|this and all associated files of|updated editions will"
    r"|(?:credits|most recently updated|release date|posting date|last updated|character set(?: encoding)?"
    r"|original publication):\s+(?-i:[A-Z\d])|language:\s+[a-z]+\s*(?:\n|\Z)"
    r"|note: (?:images of|project gutenberg|there is an? (?:\w+\s+)?(?:edition|version)"
    r"|the original (?:scans|images|files?)))",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"project\s+gutenberg|pgdp\.net|distributed\s+proofread|archive\.org|images\s+generously\s+made"
    r"|https?://\w|\bwww\.\w|\b[\w.-]+@[\w-]+\.\w",
    re.IGNORECASE,
)
_NOTE = re.compile(
    r"[^\w\"“”„«»]*(?:(?:transcri(?:ber|ption|ptor)|proofreader|e-?text(?: editor| transcriber)?|digiti[sz]er)s?"
    r"(?:['’`´]?s?['’]?)"
    r"[\s:-]+(?:end\s*)?(?:foot)?(?:note|comment|correction|remark|introduction)s?[ \t]*(?:[]:.;|*_=-]|$)"
    r"|anmerkung(?:en)?\s+(?:zur|des)\s+(?:transkri|bearbeit)|notes?\s+(?:du|de|sur)\s+(?:la\s+)?transcri"
    r"|au\s+lecteur[ \t]*[.:]?$|opmerkingen\s+van\s+de\s+bewerker)",
    re.IGNORECASE | re.MULTILINE,
)
"""The heading of a note: the words alone on their line, or before a colon, a full stop or the end of a box."""

_CORRECTIONS = re.compile(
    r"[^\w\"“”„«»]*(?:(?:the\s+following|list\s+of|these|some|a\s+few|all)\s+)*"
    r"(?:(?:obvious|minor|simple)\s+)?(?:(?:print(?:ing|er['’]?s?['’]?)|typograph\w+|spelling|punctuation)\s+"
    r"(?:errors?|mistakes?|corrections?|changes?|inconsistenc\w+)|misprints?|typos?)"
    r"\b[^.]{0,80}?\b(?:corrected|corrections|transcriber|amended|changed|repaired)\b",
    re.IGNORECASE,
)
"""The first words of a list of corrections that has no heading. What they speak of is a printed page, never a ship."""

_OF_A_NOTE = re.compile(
    r"\bcorrect(?:ed|ions?)\b|\bchanged\b|\bamended\b|\bspell(?:ing|ed)|\bhyphen|\bpunctuation|\btypograph|\bmisprint"
    r"|\bprinter|\btranscri|\boriginal(?:ly)?\b|\bitalic|\bunderscore|\bfootnote|\billustration|=>|->|\{pg|\bpage \d"
    r"|\bp\. ?\d|\bline \d|\w+ (?:to|for|read) \w+$|[\"”’'] (?:to|for|read) [\"“‘']",
    re.IGNORECASE | re.MULTILINE,
)
"""What a paragraph behind a note's heading speaks of, if it belongs to the note."""

_BRACKETED_NOTE = re.compile(r"\[\s*transcriber[’'`]?s?[’'`]?\s+(?:foot)?notes?\b[^\]]{0,4000}\]", re.IGNORECASE)
_ELECTRONIC_VERSION = re.compile(r"<<\s*this electronic version.{0,2000}?>>", re.IGNORECASE | re.DOTALL)

_ALPHANUMERIC = re.compile(r"[^\W_]")
_HEAD_PARAGRAPHS = 40
_HEAD_CHARACTERS = 8_000
_TAIL_PARAGRAPHS = 60
_LONGEST_CREDIT = 1_500
_LONGEST_NOTE = 6_000
_LONGEST_NOTE_PARAGRAPH = 1_200
_LONGEST_TAIL_NOTE = 60_000
_PROSE = 400
"""A paragraph so long that is not a credit is the book's own: what comes behind it was not written by transcribers."""


@dataclass(frozen=True)
class Removed:
    """Characters that were taken off, without line breaks."""

    credits: int = 0
    notes: int = 0


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


def without_credits(lines: list[str]) -> tuple[list[str], Removed]:
    """The lines of a book without credits and transcriber's notes before its beginning and after its end."""
    head = _paragraphs(lines, _HEAD_PARAGRAPHS)
    credits, notes = _credits_at_start(head)
    end_of_text, start_of_credits = _notes_at_end(lines, max(credits | notes, default=-1) + 1)
    dropped = credits | notes | set(range(end_of_text, len(lines)))
    kept = [number for number in range(end_of_text) if number not in dropped]
    # Blank lines go, and so does an ornament (`* * *`) that parted the last words from what is gone now.
    while (
        kept
        and not _ALPHANUMERIC.search(last := lines[kept[-1]])
        and not (last.strip() and kept[-1] > max(dropped, default=-1))
    ):
        notes.add(kept.pop())
    credits |= set(range(start_of_credits, len(lines)))
    notes |= set(range(end_of_text, start_of_credits))
    characters = (
        sum(len(lines[number]) for number in numbers if lines[number].strip()) for numbers in (credits, notes)
    )
    return [lines[number] for number in kept], Removed(*characters)


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


def _credits_at_start(paragraphs: list[_Paragraph]) -> tuple[set[int], set[int]]:
    """The lines of credits and of notes before the first paragraph of prose. Titles may stand between them."""
    credits: set[int] = set()
    notes: set[int] = set()
    seen, index = 0, 0
    while index < len(paragraphs) and seen < _HEAD_CHARACTERS:
        paragraph = paragraphs[index]
        count, lines = 1, credits
        if _NOTE.match(paragraph.text):
            count, lines = _note_length(paragraphs[index:]), notes
        elif not _is_credit(paragraph.text):
            if len(paragraph.text) > _PROSE:
                break
            seen += len(paragraph.text)
            index += 1
            continue
        for removed in paragraphs[index : index + count]:
            lines.update(range(removed.start, removed.stop))
        index += count
    return credits, notes


def _note_length(paragraphs: list[_Paragraph]) -> int:
    """Count the paragraphs of a note: up to the first gap of two blank lines, which is how these files part sections.

    A note that would go on for ever, or into prose, is only its first paragraph.
    """
    characters = 0
    for count, paragraph in enumerate(paragraphs, start=1):
        characters += len(paragraph.text)
        if characters > _LONGEST_NOTE or (count > 2 and not _may_be_note(paragraph.text)):
            break
        if paragraph.gap >= 2:
            return count
    return 1


def _notes_at_end(lines: list[str], start: int) -> tuple[int, int]:
    """Find the line where the notes behind the text begin, and the one where the credits behind those begin.

    Each is the number of lines where there are none.
    A heading counts where nothing but a note is behind it: paragraphs that are short, half of them about
    corrections. A list of corrections without a heading counts where all of them are.
    """
    paragraphs = _last_paragraphs(lines, start)
    credits = len(paragraphs)
    while credits and _is_credit(paragraphs[credits - 1].text):
        credits -= 1
    notes, about, characters = credits, 0, 0
    for index in range(credits - 1, -1, -1):
        text = paragraphs[index].text
        characters += len(text)
        behind = credits - index - 1
        if characters > _LONGEST_TAIL_NOTE:
            break
        headed = _NOTE.match(text) and (2 * about >= behind or behind == 1)
        listed = index and about == behind and _CORRECTIONS.match(text)
        if headed or listed:
            notes = index
        if not _may_be_note(text):
            break
        about += bool(_OF_A_NOTE.search(text)) or bool(_NOTE.match(text)) or _is_credit(text)
    starts = [*(paragraph.start for paragraph in paragraphs), len(lines)]
    return starts[notes], starts[credits]


def _may_be_note(text: str) -> bool:
    """Whether a paragraph is short, or a list, or speaks of what notes speak of and of nothing for too long."""
    return len(text) <= _PROSE or bool(_OF_A_NOTE.search(text) and len(text) <= _LONGEST_NOTE_PARAGRAPH)


def _is_credit(text: str) -> bool:
    return len(text) <= _LONGEST_CREDIT and bool(_CREDIT.match(text) or _PLACE.search(text))


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
