"""The SQL of the report: each query in a file of its own, filled in with literals and run against a store.

A query file names its parameters as `$name`. They are written into the text as SQL literals, so that the query
shown under a figure is the query that was run, and can be pasted into `interpunct sql` as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

import pandas as pd

from reports.errors import UnreadableStoreError
from store.study import Study

Literal = int | float | str | Sequence[str] | None

_PARAMETER = re.compile(r"\$([a-z_]+)")


class Store(Protocol):
    """What a report asks of `store.open_store`: views to query and the name of what is committed."""

    def sql(self, query: str, /) -> Any:
        """A DuckDB relation."""

    def tables(self) -> list[str]:
        """The views that queries may name."""

    @property
    def snapshot(self) -> str:
        """Changes exactly when the committed data changes."""


class StudyStore(Store, Protocol):
    """A store that also knows what it is a study of."""

    @property
    def study(self) -> Study:
        """The configuration and the model."""


@dataclass(frozen=True)
class Answer:
    """The rows of a query, and the text that was run."""

    frame: pd.DataFrame
    sql: str


def ask(store: Store, name: str, **parameters: Literal) -> Answer:
    """Run `queries/<name>.sql` and return its rows.

    Raises KeyError where the parameters are not exactly those that the file names, UnreadableStoreError where the
    store's files cannot be read.
    """
    sql = render(name, **parameters)
    try:
        return Answer(store.sql(sql).df(), sql)
    except Exception as error:
        # Rows are computed while they are read, so DuckDB's errors come from here too; the queries are known to be
        # right, which leaves the files.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableStoreError(
            f"the query {name} fails ({reason}); `interpunct verify` names what is damaged. If a compaction has just "
            "removed a file, make the report again"
        ) from error


def render(name: str, **parameters: Literal) -> str:
    """The text of `queries/<name>.sql` with its parameters written in as SQL literals."""
    template = (files("reports.data") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    wanted = set(_PARAMETER.findall(template))
    if wanted != set(parameters):
        raise KeyError(f"query {name} takes {sorted(wanted)}, was given {sorted(parameters)}")
    return _PARAMETER.sub(lambda match: literal(parameters[match[1]]), template)


def literal(value: Literal) -> str:
    """One SQL literal. A sequence of strings becomes a parenthesised list for IN; an empty one matches nothing.

    >>> literal("O'Brien"), literal(["a", "b"]), literal(None), literal([])
    ("'O''Brien'", "('a', 'b')", 'NULL', '(NULL)')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        raise TypeError("a query takes numbers, strings and lists of strings")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "(" + (", ".join(literal(str(item)) for item in value) or "NULL") + ")"
