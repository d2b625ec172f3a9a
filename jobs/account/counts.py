"""The counts that the teaching notebook prints of a text, from what a store has recorded of its books."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from jobs.config import StudyConfig
from jobs.marks.selection import behind_start
from store.books import BookStatus
from store.query.reader import open_store

MOST_BOOKS = 3
"""Books whose counts a run tells at its end; of more, the table `books` has them."""


def told_counts(location: str, books: Iterable[str], config: StudyConfig) -> Iterator[str]:
    """A line on each of a few books: tokens, distinct tokens, marks behind the skipped start, marks used."""
    names = ", ".join("'" + book.replace("'", "''") + "'" for book in books)
    query = (
        "SELECT book, tokens, unique_tokens, eligible, used, left_out FROM books "
        f"WHERE book IN ({names}) AND status = '{BookStatus.USED}' ORDER BY book"
    )
    with open_store(location) as store:
        for row in store.sql(query).to_arrow_table().to_pylist():
            eligible, used, left_out = (dict(row[name] or ()) for name in ("eligible", "used", "left_out"))
            named = {name: behind_start(eligible[name], left_out, name) for name in config.named_classes}
            where = f"behind token {config.skip_tokens}" if config.skip_tokens else "marks"
            yield (
                f"{row['book']}: {row['tokens']:,} tokens, {row['unique_tokens']:,} of them different; {where}: "
                f"{_listed(named)}; used: {_listed({name: used.get(name, 0) for name in named})}"
            )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
