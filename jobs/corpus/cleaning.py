"""From a file's characters to the book itself: newlines, header, licence, credits and transcriber's notes."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.corpus.credits import Removed, without_credits, without_insertions
from jobs.corpus.gutenberg import body_lines, is_gutenberg, read_header
from jobs.corpus.references import Problem, UnusableTextError

_CONTROLS = [*range(9), 11, *range(14, 32), 127, 0xFEFF]
_LITTLE_SURVIVES = 0.5


@dataclass(frozen=True)
class CleanText:
    """The book's own text, what its header states, and what the reader should know about the cleaning."""

    text: str
    title: str | None = None
    author: str | None = None
    warnings: tuple[str, ...] = ()


def text_of_book(text: str, how: str) -> CleanText:
    """What a study takes for a book's text, under its setting `text`: `clean`, or `raw` as it comes."""
    return clean(text) if how == "clean" else CleanText(text)


def clean(text: str) -> CleanText:
    """Take away what is not the book. A text from elsewhere than Project Gutenberg keeps every line.

    Warns, with numbers, of credits and notes that were taken off, and where less than half of the characters
    survive. Raises UnusableTextError where none do.
    """
    normal = _normalised(text)
    header = read_header(normal)
    body = without_insertions(normal)
    inserted, removed = len(normal) - len(body), Removed()
    if is_gutenberg(body):
        lines, removed = without_credits(body_lines(body.split("\n")))
        body = "\n".join(lines)
    body = body.strip("\n")
    if not body.strip():
        raise UnusableTextError(
            f"nothing is left of {len(normal)} characters when header, licence and notes are taken away; "
            "use --text raw to keep them",
            Problem.EMPTY,
        )
    warnings = _taken_off(removed, inserted)
    if len(body) / len(normal) < _LITTLE_SURVIVES:
        warnings = (*warnings, _warning(len(body), len(normal)))
    return CleanText(body + "\n", header.title, header.author, warnings)


def _taken_off(removed: Removed, inserted: int) -> tuple[str, ...]:
    """What was taken off beside header and licence, in characters."""
    parts = {"credits": removed.credits, "transcriber's notes": removed.notes, "notes in brackets": inserted}
    said = ", ".join(f"{count} characters of {what}" for what, count in parts.items() if count)
    return (f"cleaning took off {said}",) if said else ()


def _normalised(text: str) -> str:
    """Newlines as `\\n`, a form feed as a newline, and no other control characters."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\f", "\n")
    present = [code for code in _CONTROLS if chr(code) in text]
    return text.translate(dict.fromkeys(present)) if present else text


def _warning(kept: int, total: int) -> str:
    return (
        f"cleaning kept {kept} of {total} characters ({kept / total:.0%}); if that is too little, "
        "look at the file, or use --text raw"
    )
