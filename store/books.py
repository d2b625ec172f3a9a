"""What became of a book that a run was given: one word, and what follows from it."""

from __future__ import annotations

from enum import StrEnum


class BookStatus(StrEnum):
    """The word on a book, as commit records and the table `books` hold it.

    >>> [status.value for status in BookStatus if status.retried]
    ['failed', 'quarantined']
    """

    USED = "used"
    """Read, and its pairs are in the store."""
    REJECTED = "rejected"
    """Read, and not fit for the study: too few marks, no text, not the language."""
    DUPLICATE = "duplicate"
    """Not analysed, for another book of the store has the same text."""
    FAILED = "failed"
    """Not read, or not finished, for a reason outside of the book: its source, a machine, the store."""
    QUARANTINED = "quarantined"
    """Given up after it had failed again and again by itself."""
    REMOVED = "removed"
    """Taken out of the store by `interpunct remove`, for the reason that stands with it."""

    @property
    def retried(self) -> bool:
        """Whether the next run tries the book again; the row of a later attempt takes the place of this one's."""
        return self in (BookStatus.FAILED, BookStatus.QUARANTINED)

    @property
    def settled(self) -> bool:
        """Whether the text itself decided against its use, so that saying so once is enough."""
        return self in (BookStatus.REJECTED, BookStatus.DUPLICATE)

    @property
    def analysed(self) -> bool:
        """Whether the study is done with the text: a run that finds it under the same key has nothing to do.

        A duplicate is not, since the book that it repeats may turn out to be unusable. A removed book is: only who asks
        for it by name gets it back.
        """
        return self in (BookStatus.USED, BookStatus.REJECTED, BookStatus.REMOVED)
