"""What is told at the end of a run or a plan about classes and labels: their tokens, and those that found nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from jobs.config import StudyConfig
from jobs.marks.labels import Labels

LISTED = 5
"""Names in one line, at most; a count stands for the others."""
MOST_TOKENS = 10
"""Tokens of a class in one line, likewise."""


def class_notices(
    config: StudyConfig, labels: Labels, books: Collection[str], marks: Mapping[str, int]
) -> Iterator[str]:
    """All lines of a run or a plan: `books` are the keys that it knows, `marks` what it takes anew, by class."""
    yield from unknown_books(labels, books)
    if any(marks.values()):
        yield from tokens_told(config)
        yield from missing_classes(config, marks)


def tokens_told(config: StudyConfig) -> Iterator[str]:
    """A line with the tokens of each class, so that one whose `;` or `?` the shell has taken is seen."""
    if config.classes:
        told = (f"{of.name} ({_listed(list(of.tokens), MOST_TOKENS, ' ')})" for of in config.classes)
        yield f"classes: {'; '.join(told)}"


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


def _listed(names: list[str], most: int = LISTED, between: str = ", ") -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return between.join(names[:most]) + more
