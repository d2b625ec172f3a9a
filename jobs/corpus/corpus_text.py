"""One text as it lies in a file, and the bound on how much of it is ever held."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, BinaryIO

from jobs.config import RunConfig
from jobs.corpus.references import Problem, UnusableTextError

_LONGEST_LIST = 200

Content = bytes | str | UnusableTextError
"""A text as bytes to be decoded or as characters, or why it is none."""


@dataclass(frozen=True)
class CorpusText:
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


def check_columns(columns: Collection[str], run: RunConfig) -> None:
    """Raise UnusableTextError, with the columns that there are, where a table lacks one that was named."""
    named = {"--text-column": run.text_column, "--id-column": run.id_column, "--title-column": run.title_column}
    for option, column in named.items():
        if column is not None and column not in columns:
            raise missing_column(column, columns, option, "column")


def missing_column(column: str, found: Collection[str], option: str, what: str) -> UnusableTextError:
    """The refusal of a file that lacks a column or key, with those that it has and the option that names another."""
    there = ", ".join(sorted(map(str, found)))[:_LONGEST_LIST] or "none"
    message = f"there is no {what} {column!r}; found: {there}. Name the {what.split()[-1]} with {option}"
    return UnusableTextError(message, Problem.FORMAT)


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")
