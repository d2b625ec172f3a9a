"""The words on books: which are tried again, which settle a text, and which are done with."""

from __future__ import annotations

import pytest

from store.books import BookStatus
from store.commits import CommittedBook


@pytest.mark.parametrize(
    ("status", "retried", "settled", "analysed"),
    [
        (BookStatus.USED, False, False, True),
        (BookStatus.REJECTED, False, True, True),
        (BookStatus.DUPLICATE, False, True, False),
        (BookStatus.FAILED, True, False, False),
        (BookStatus.QUARANTINED, True, False, False),
    ],
)
def test_what_follows_from_a_status(status, retried, settled, analysed):
    assert (status.retried, status.settled, status.analysed) == (retried, settled, analysed)


def test_a_committed_book_takes_no_other_word():
    assert CommittedBook("pg1", None, "/x", "failed").status is BookStatus.FAILED
    with pytest.raises(ValueError, match="'lost' is not a valid BookStatus"):
        CommittedBook("pg1", None, "/x", "lost")
