"""Gives each text its key in the store, and finds the texts that are there twice."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from jobs.corpus.references import BookRef, NamedBook
from store.books import BookStatus

_EBOOK_KEY = re.compile(r"pg(\d+)(?:-[1-9]\d*)?")
"""A second edition has a number behind its key, and is the original where the first one was rejected."""


class CommittedBook(Protocol):
    """What the store remembers of a book."""

    @property
    def sha256(self) -> str | None:
        """The text's checksum; None where it could not be read."""

    @property
    def source(self) -> str:
        """Where the text came from."""

    @property
    def status(self) -> BookStatus:
        """What became of the book."""


def name_books(
    refs: Iterable[BookRef], committed: Mapping[str, CommittedBook], retake: Collection[str] = ()
) -> Iterator[NamedBook]:
    """Name texts in the order in which they come.

    A key is readable (`pg219`, a file's stem), unique in the store, and the same when the same command runs again.
    A text repeats another where their bytes are equal or their headers state the same ebook number; the first one
    stands, the later ones name it in `duplicate_of`. A text that is named twice over (a file and its folder) comes
    once. `retake` are keys of removed books that are to be had again, from this source or another, in these words or
    others: the first text that would be called so has the key.
    """
    names = _Names(committed, retake)
    for ref in refs:
        if names.is_new(ref):
            yield names.name(ref)


class _Names:
    """The keys given so far, and what they were given to."""

    def __init__(self, committed: Mapping[str, CommittedBook], retake: Collection[str]) -> None:
        self._keys = set(committed).difference(retake)
        self._retake = set(retake)
        self._next_number: dict[str, int] = {}
        self._seen: set[tuple[str, str | None]] = set()
        self._by_content: dict[str, str] = {}
        self._by_ebook: dict[int, str] = {}
        self._by_source: dict[tuple[str, str | None], str] = {}
        for key, book in committed.items():
            again = book.status.retried
            self._by_source[book.source, None if again else book.sha256] = key
            if book.status.analysed and book.sha256 is not None:
                self._by_content.setdefault(book.sha256, key)
            if book.status is BookStatus.USED and (match := _EBOOK_KEY.fullmatch(key)):
                self._by_ebook.setdefault(int(match[1]), key)

    def is_new(self, ref: BookRef) -> bool:
        identity = (ref.source, ref.sha256)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def name(self, ref: BookRef) -> NamedBook:
        key = self._by_source.get((ref.source, ref.sha256)) or self._by_source.get((ref.source, None))
        original = self._original(ref)
        if original in self._retake:
            key, original = original, None
        if key is None:
            key = self._fresh(ref.stem)
        if ref.problem is None:
            self._retake.discard(key)
            self._keys.add(key)
        if ref.problem is None and original is None:
            self._register(ref, key)
        return NamedBook(key, ref, None if original == key else original)

    def _original(self, ref: BookRef) -> str | None:
        if ref.sha256 is None or ref.problem is not None:
            return None
        by_ebook = None if ref.ebook_id is None else self._by_ebook.get(ref.ebook_id)
        return self._by_content.get(ref.sha256) or by_ebook

    def _register(self, ref: BookRef, key: str) -> None:
        if ref.sha256 is not None:
            self._by_content[ref.sha256] = key
        if ref.ebook_id is not None:
            self._by_ebook[ref.ebook_id] = key

    def _fresh(self, stem: str) -> str:
        key, number = stem, self._next_number.get(stem, 2)
        while key in self._keys:
            key, number = f"{stem}-{number}", number + 1
        self._next_number[stem] = number
        self._keys.add(key)
        return key
