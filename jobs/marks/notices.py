"""What is told at the end of a run or a plan about classes and labels that found nothing: one line each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from jobs.config import StudyConfig
from jobs.marks.labels import Labels

LISTED = 5
"""Names in one line, at most; a count stands for the others."""


def class_notices(
    config: StudyConfig, labels: Labels, books: Collection[str], marks: Mapping[str, int]
) -> Iterator[str]:
    """All lines of a run or a plan: `books` are the keys that it knows, `marks` what it takes anew, by class."""
    yield from unknown_books(labels, books)
    if any(marks.values()):
        yield from missing_classes(config, marks)


def unknown_books(labels: Labels, books: Collection[str]) -> Iterator[str]:
    """A line where the labels file names books that the run does not have."""
    unknown = sorted(labels.by_book.keys() - set(books))
    if unknown:
        count = "1 book" if len(unknown) == 1 else f"{len(unknown):,} books"
        yield f"the labels file names {count} that this run does not have: {_listed(unknown)}"


def missing_classes(config: StudyConfig, marks: Mapping[str, int]) -> Iterator[str]:
    """A line where no book gave a mark of a class; `marks` counts those that were taken, by class."""
    missing = [name for name in config.named_classes if not marks.get(name)]
    if missing:
        what = "class" if len(missing) == 1 else "classes"
        yield f"no book of this run has a usable mark of the {what} {_listed(missing)}; `reason` in books says why"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
