"""The one way to a terminal or a log for everything that jobs print: names and reasons are others' text.

A file may be called anything. Escape sequences, line breaks and rich's markup in its name are shown, not obeyed.
"""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from store.foreign_text import for_terminal


def say(console: Console, text: object) -> None:
    """Print a text as one line, which the terminal wraps."""
    console.print(cell(text), soft_wrap=True, highlight=False)


def show(console: Console, table: Table) -> None:
    """Print a table. Its cells are numbers, our own words, or made by `cell`."""
    console.print(table)


def log(stream: TextIO, text: object) -> None:
    """Print a text as one line of a log, at once."""
    print(for_terminal(text), file=stream, flush=True)


def cell(text: object) -> Text:
    """A text of others for a table."""
    return Text(for_terminal(text))


def key_values(values: dict[str, object]) -> str:
    """`name=value ...`; a value that could be taken for more than one is put in quotes."""
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in values.items())


def _quoted(value: str) -> str:
    if not any(character.isspace() or character in '"=' for character in value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
