# ruff: noqa: N818 - the names say what happened; "error" would add nothing
"""What can go wrong with a store, as exceptions whose message is one line: what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StoreError(Exception):
    """The store refuses. The message names the place, what was found and the remedy."""

    exit_code = 3


class NoStore(StoreError):
    """There is no store where one was expected."""

    exit_code = 2


class NoSuchBook(StoreError):
    """The store has no book of this key."""

    exit_code = 2


class StudyMismatch(StoreError):
    """The store holds another study; the message names the fields that differ."""


class StoreLocked(StoreError):
    """Another driver works on the store, or has taken this one's place."""


class StoreUnavailable(StoreError, OSError):
    """The disk or the object store does not answer or refuses. Trying again later may help, so it is an OSError."""


class StoreFull(StoreUnavailable):
    """No space is left where the store lives."""


class ObjectMissing(StoreError):
    """An object that was asked for is not there."""


class ObjectIrregular(StoreError):
    """A name of the store's is taken by something that it does not make: a link, a pipe, a device, a folder."""


class ObjectTooLarge(StoreError):
    """An object is larger than any that the store makes in its place."""


class DocumentDamaged(StoreError):
    """A JSON file of the store does not say what the store writes into such a file."""


class ChunkInvalid(StoreError):
    """A table does not satisfy its column specs."""


class ChunkDamaged(StoreError):
    """A stored file cannot be read, or does not hold what its commit record says."""


class QueryError(StoreError):
    """A query that DuckDB cannot run, or that a store does not allow."""

    exit_code = 2


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """What to put behind a name that is not known: the known one that is most like it, or nothing.

    >>> did_you_mean("per_clas", ["per_class", "seed"]), did_you_mean("x", ["seed"])
    (' (did you mean per_class?)', '')
    """
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""
