"""A result drawn as a table: DuckDB's own drawing on a terminal, and every row of it where output is kept."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from itertools import chain

import duckdb
from rich.cells import cell_len

from store.foreign_text import for_terminal, lines_for_terminal

_SHOWN_ROWS = 40
_MEASURED_ROWS = 10_000
"""The widths of columns follow from so many rows, so that any number can be drawn while they are computed."""

_RIGHT = {
    "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint",
    "float", "double", "decimal",
}  # fmt: skip
_AS_ASCII = str.maketrans("│─┌┐└┘├┤┬┴┼…·", "|-+++++++++.:")


def draw_on_terminal(relation: duckdb.DuckDBPyRelation) -> str:
    """The first and last rows, as wide as the terminal, with nothing in it that the terminal would obey."""
    if _is_plan(relation):
        return _plan(relation)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        relation.show(max_rows=_SHOWN_ROWS, max_width=os.get_terminal_size().columns)
    return lines_for_terminal(text.getvalue())


def draw(relation: duckdb.DuckDBPyRelation, write: Callable[[str], object]) -> None:
    """Every row, a line each. A cell that is longer than those before it is longer than its column."""
    if _is_plan(relation):
        write(_plan(relation))
        return
    names = [for_terminal(name) for name in relation.columns]
    kinds = [for_terminal(str(kind).lower()) for kind in relation.types]
    to_right = [str(kind.id) in _RIGHT for kind in relation.types]
    batches = _cells(relation)
    first = _first_rows(batches)
    widths = [max(map(cell_len, column)) for column in zip(names, kinds, *first, strict=True)]
    write(_border(widths, "┌┬┐"))
    for head in (names, kinds):
        write(_line([_centred(cell, width) for cell, width in zip(head, widths, strict=True)]))
    write(_border(widths, "├┼┤"))
    for rows in chain([first], batches):
        for row in rows:
            write(_line([_aligned(*cell) for cell in zip(row, widths, to_right, strict=True)]))
    write(_border(widths, "└┴┘"))


def in_encoding(text: str, encoding: str) -> str:
    """The text in characters that an encoding has: borders as `+-|`, other characters as `\\u2014`."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_AS_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _is_plan(relation: duckdb.DuckDBPyRelation) -> bool:
    return relation.columns == ["explain_key", "explain_value"]


def _plan(relation: duckdb.DuckDBPyRelation) -> str:
    return "".join(f"{lines_for_terminal(value)}\n" for _, value in relation.fetchall())


def _first_rows(batches: Iterator[list[list[str]]]) -> list[list[str]]:
    """The rows that decide the columns' widths: whole batches until there are so many."""
    rows: list[list[str]] = []
    while len(rows) < _MEASURED_ROWS and (batch := next(batches, None)) is not None:
        rows += batch
    return rows


def _cells(relation: duckdb.DuckDBPyRelation) -> Iterator[list[list[str]]]:
    """Batches of rows as text, which may be as small as a file of the store is."""
    columns = [f"#{n}::VARCHAR AS c{n}" for n in range(1, len(relation.columns) + 1)]
    for batch in relation.project(", ".join(columns)).to_arrow_reader(_MEASURED_ROWS):
        values = [["NULL" if cell is None else for_terminal(cell) for cell in c.to_pylist()] for c in batch.columns]
        yield [list(row) for row in zip(*values, strict=True)]


def _border(widths: list[int], corners: str) -> str:
    return corners[0] + corners[1].join("─" * (width + 2) for width in widths) + corners[2] + "\n"


def _line(cells: list[str]) -> str:
    return "│ " + " │ ".join(cells) + " │\n"


def _centred(cell: str, width: int) -> str:
    space = max(0, width - cell_len(cell))
    return " " * (space // 2) + cell + " " * (space - space // 2)


def _aligned(cell: str, width: int, to_right: bool) -> str:
    space = " " * max(0, width - cell_len(cell))
    return space + cell if to_right else cell + space
