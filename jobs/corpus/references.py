"""The small values that travel between the driver and the workers: sources, references to texts, and problems.

All of them are frozen, picklable and a few hundred bytes, so that tens of thousands of books can be planned
without holding one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from jobs.errors import BookError, SourceError
from store.objects.public_names import public_name


class Problem(StrEnum):
    """What kind of thing is wrong with a source or a text."""

    MISSING = "missing"
    EMPTY = "empty"
    BINARY = "binary"
    FORMAT = "format"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"

    @property
    def wrong_use(self) -> bool:
        """Whether the user named something that is not a book, as against a book that cannot be fetched just now."""
        return self is not Problem.UNREADABLE


class UnreadableSourceError(SourceError):
    """A source that gives no bytes: missing, refused, truncated. The next run tries it again."""

    def __init__(self, message: str, kind: Problem = Problem.UNREADABLE) -> None:
        super().__init__(message)
        self.kind = kind


class UnusableTextError(BookError):
    """Bytes that were read and are not text to work with: empty, binary, too large, without the named column."""

    def __init__(self, message: str, kind: Problem) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Source:
    """One readable thing: the absolute path of a file, a URL, an object in a bucket, or `gutenberg:ID`.

    `uri` is what opens it, passwords and signatures included; `name` is what may be shown.
    """

    uri: str = field(repr=False)

    @property
    def name(self) -> str:
        """The source as it may be shown and stored."""
        return public_name(self.uri)


@dataclass(frozen=True, slots=True)
class BookRef:
    """Where one text is, what it is called, and the checksum it must have when it is read again.

    `number` counts the text within a file that holds several (a row, a line, a member of an archive). `offset`
    is the byte at which its line starts, or the row group it is in; None where the file has no random access.
    `bytes` counts the text itself. `problem` says why the text cannot be used: with a `sha256` its content is at
    fault (the book is rejected), without one its source is (it failed, and is tried again by the next run).
    """

    stem: str
    uri: str = field(repr=False)
    number: int | None = None
    offset: int | None = None
    bytes: int = 0
    sha256: str | None = None
    ebook_id: int | None = None
    title: str | None = None
    author: str | None = None
    problem: str | None = None
    problem_kind: Problem | None = None

    @property
    def source(self) -> str:
        """Where the text was read from, unique for each text and fit to be shown: the `source` column of `books`."""
        name = public_name(self.uri)
        return name if self.number is None else f"{name}#{self.number}"

    @property
    def wrong_use(self) -> bool:
        """Whether the reference stands for an argument that is not a book at all, rather than for a failed read."""
        return self.problem_kind is not None and self.problem_kind.wrong_use


@dataclass(frozen=True, slots=True)
class NamedBook:
    """A text with its key, unique in the store. `duplicate_of` is the key of the book it repeats, or None."""

    key: str
    ref: BookRef
    duplicate_of: str | None = None
