"""What a run tells of its store at the end: the counts that the teaching notebook prints, and that files are small."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from jobs.config import StudyConfig
from jobs.marks.selection import behind_start
from store.books import BookStatus
from store.commits import live_records, load_records
from store.objects.locations import object_store
from store.query.reader import open_store

MANY_FILES, SMALL_FILE = 2_000, 100_000
"""More files than that, smaller than so many bytes on average, are worth a compaction."""

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


def told_files(location: str) -> Iterator[str]:
    """A line where the store has become many small files, which queries open one by one."""
    files = [file for record in live_records(load_records(object_store(location))) for file in record.files]
    mean = sum(file.bytes for file in files) // max(1, len(files))
    if len(files) > MANY_FILES and mean < SMALL_FILE:
        yield (
            f"the store has {len(files):,} files of {mean // 1000:,} kB on average; "
            f"`interpunct compact --store {shlex.quote(location)}` makes few of them"
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
