"""One text as it lies in a file, and the bound on how much of it is ever held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from jobs.config import RunConfig
from jobs.corpus.references import Problem, UnusableTextError

Content = bytes | str | UnusableTextError
"""A text as bytes to be decoded or as characters, or why it is none."""


@dataclass(frozen=True)
class Record:
    """One text of a file. `number` is None where the file is the text; `name` and `title` come from its columns."""

    content: Content
    number: int | None = None
    offset: int | None = None
    name: str | None = None
    title: str | None = None


def limit_of(run: RunConfig) -> int:
    """The most bytes of one text."""
    return run.max_book_megabytes * 1_000_000


def too_large(run: RunConfig) -> UnusableTextError:
    """What stands in the place of a text beyond the limit."""
    return UnusableTextError(
        f"the text is larger than {run.max_book_megabytes} MB; raise --max-book-megabytes if that is meant",
        Problem.TOO_LARGE,
    )


def bounded(data: BinaryIO, run: RunConfig) -> Content:
    """The rest of a stream as one text, if it is not too large; no more than the limit is read."""
    content = data.read(limit_of(run) + 1)
    return content if len(content) <= limit_of(run) else too_large(run)


def bounded_text(text: str | bytes, run: RunConfig) -> Content:
    """A text from a column, if it is not too large. Halves of surrogate pairs cannot be encoded and become `?`."""
    if len(text) > limit_of(run):
        return too_large(run)
    if isinstance(text, bytes):
        return text
    return _encodable(text)


def column_value(values: dict[str, Any], named: str | None, usual: str) -> str | None:
    """The value of the column that the user named, or of the usual one where it is there; as text."""
    value = values.get(named or usual)
    return _encodable(str(value)) if isinstance(value, str | int) and str(value).strip() else None


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")
