"""How the marks of a shard lie in the arrays that go from stage to stage: book after book, class after class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jobs.stages.partition import PairShape


@dataclass(frozen=True, eq=False)
class Layout:
    """The books of a shard and their marks: the same in every layer.

    `classes` in the study's order. `marks[book][class]` counts the marks of a book's class; those of book 0's class 0
    come first, then its class 1. `passages`: int32 [all marks], the passage of each within its book; `mark_types`: str
    [all marks].
    """

    classes: tuple[str, ...]
    books: tuple[str, ...]
    marks: tuple[tuple[int, ...], ...]
    passages: NDArray[np.int32]
    mark_types: NDArray[np.str_]

    @property
    def total(self) -> int:
        """Marks of all books and classes."""
        return sum(map(sum, self.marks))

    def rows(self, book: int, mark_class: int) -> slice:
        """Where the marks of one book's class lie."""
        start = int(self._starts[book, mark_class])
        return slice(start, start + self.marks[book][mark_class])

    def book_rows(self, book: int) -> slice:
        """Where all marks of one book lie."""
        start = int(self._starts[book, 0])
        return slice(start, start + sum(self.marks[book]))

    def shapes(self, first: int, second: int) -> list[PairShape]:
        """The pairs of two classes, or within one, of each book."""
        if first == second:
            return [PairShape(counts[first]) for counts in self.marks]
        return [PairShape(counts[first], counts[second]) for counts in self.marks]

    def combinations(self, *, between: bool) -> Iterator[tuple[int, int]]:
        """Classes whose pairs are computed: each with itself, then if asked each with those that come after it."""
        numbers = range(len(self.classes))
        yield from ((number, number) for number in numbers)
        if between:
            yield from ((first, second) for first in numbers for second in numbers if first < second)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        counts = np.array(self.marks, dtype=np.int64).reshape(len(self.books), len(self.classes))
        flat = np.cumsum([0, *counts.ravel()])[:-1]
        return flat.reshape(counts.shape)


def layout_of(
    classes: Sequence[str],
    books: Sequence[str],
    passages: Sequence[Sequence[NDArray[np.int32]]],
    types: Sequence[Sequence[NDArray[np.str_]]] | None = None,
) -> Layout:
    """The layout of books whose marks lie in these passages: `passages[book][class]` int32 [marks].

    `types`: the same of their mark types; marks without one teach no rule (`analysis.transfer`).
    """
    flat = [part for of_book in passages for part in of_book]
    typed = (
        [part for of_book in types for part in of_book] if types is not None else [np.full(len(p), "") for p in flat]
    )
    return Layout(
        tuple(classes),
        tuple(books),
        tuple(tuple(len(part) for part in of_book) for of_book in passages),
        np.concatenate([*flat, np.zeros(0, np.int32)]).astype(np.int32),
        np.concatenate([*typed, np.zeros(0, np.str_)]).astype(np.str_),
    )
