"""Transfer between the mark types of a block's classes: does a rule of the first types tell the others apart?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.transfer import TypedMarks, Wins, control, control_sides, transfer
from jobs.stages.layout import Layout

CLASSES, CONTROL = "classes", "control"


class TransferRows(NamedTuple):
    """Wins by passages of one book, two classes and labels."""

    book: str
    mark_class: str
    other: str
    labels: str
    wins: Wins


def transfers_of(
    layout: Layout, book: int, states: Mapping[str, NDArray[np.float32]], taught: Mapping[str, str]
) -> Iterator[TransferRows]:
    """The transfers between each two classes of a book that have a type that teaches; those without pairs as well.

    `states`: by class, float32 [marks, D]; `taught`: by class, the mark type that teaches.
    """
    numbers = range(len(layout.classes))
    types = [layout.mark_types[layout.rows(book, number)] for number in numbers]
    marks = [
        TypedMarks(states[name], layout.passages[layout.rows(book, number)], types[number] == taught.get(name, ""))
        for number, name in enumerate(layout.classes)
    ]
    passages = 1 + int(layout.passages[layout.book_rows(book)].max(initial=0))
    name = layout.books[book]
    teaching = [number for number in numbers if layout.classes[number] in taught]
    for first, second in combinations(teaching, 2):
        one, other = marks[first], marks[second]
        key = (name, layout.classes[first], layout.classes[second])
        yield TransferRows(*key, CLASSES, transfer(one, other, passages))
        yield TransferRows(*key, CONTROL, _control(name, marks, types, first, second, passages))


def _control(
    book: str, marks: Sequence[TypedMarks], types: Sequence[NDArray[np.str_]], first: int, second: int, passages: int
) -> Wins:
    """The rule of two classes among the other mark types of all classes, on sides drawn for the book."""
    asked = [~of.trained if number in (first, second) else np.ones(len(of.x), bool) for number, of in enumerate(marks)]
    kept = np.concatenate(asked)
    pool = TypedMarks(
        np.concatenate([of.x[here] for of, here in zip(marks, asked, strict=True) if here.any()] or [marks[0].x[:0]]),
        np.concatenate([of.passages for of in marks])[kept],
        np.zeros(int(kept.sum()), bool),
    )
    sides = control_sides(np.concatenate(types)[kept], book)
    return control(marks[first], marks[second], pool, sides, passages)
