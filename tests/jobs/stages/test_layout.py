"""Where the marks of a shard lie: book after book, class after class, none twice and none left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.stages.layout import Layout, layout_of

NAMES = ("a", "b", "c")
counts = st.lists(st.tuples(*[st.integers(0, 5)] * len(NAMES)), max_size=4)


def made_layout(marks: list[tuple[int, ...]]) -> Layout:
    passages = [[np.arange(count, dtype=np.int32) for count in of_book] for of_book in marks]
    return layout_of(NAMES, [f"book{number}" for number in range(len(marks))], passages)


@given(counts)
def test_rows_follow_each_other_book_after_book_and_class_after_class(marks):
    layout = made_layout(marks)
    rows = [layout.rows(book, number) for book in range(len(marks)) for number in range(len(NAMES))]
    assert [row for part in rows for row in range(part.start, part.stop)] == list(range(layout.total))
    assert [part.stop - part.start for part in rows] == [count for of_book in marks for count in of_book]
    for book, of_book in enumerate(marks):
        assert layout.book_rows(book).start == layout.rows(book, 0).start
        assert layout.book_rows(book).stop == layout.rows(book, len(NAMES) - 1).stop
        for number, count in enumerate(of_book):
            np.testing.assert_array_equal(layout.passages[layout.rows(book, number)], np.arange(count))


def test_each_two_classes_are_combined_once_with_the_earlier_first():
    layout = made_layout([(2, 1, 0)])
    assert list(layout.combinations(between=False)) == [(0, 0), (1, 1), (2, 2)]
    assert list(layout.combinations(between=True))[3:] == [(0, 1), (0, 2), (1, 2)]


def test_shapes_are_those_of_each_books_marks():
    layout = made_layout([(4, 3, 0), (1, 5, 2)])
    assert [shape.total for shape in layout.shapes(0, 0)] == [6, 0]
    assert [shape.total for shape in layout.shapes(0, 1)] == [12, 5]
    assert [shape.total for shape in layout.shapes(0, 2)] == [0, 2]


def test_a_shard_without_a_usable_book_has_an_empty_layout():
    layout = made_layout([])
    assert layout.total == 0
    assert layout.passages.dtype == np.int32
    assert layout.shapes(0, 1) == []
