"""The parts a report is made of, as plain values: what a page or a PDF sets, and nothing about how.

A part that cannot be made is a `Failure` in its place, so that one part never takes the others with it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from reports.errors import ReportError
from store.errors import StoreError

Made = TypeVar("Made")

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Exhibit:
    """One figure with everything that belongs to it.

    `key` names its files; `caption` says in a few lines what is shown, `reading` how to read it; `alt` is read where
    the picture cannot be seen; `sql` are the queries as they were run; `data` the frames that were drawn, by file name;
    `needs` the options without which `interpunct figure` does not make it.
    """

    key: str
    title: str
    caption: str
    alt: str
    figure: Figure
    sql: tuple[str, ...]
    data: Mapping[str, pd.DataFrame]
    reading: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Table:
    """One table. Columns are shown in the frame's order under `headings`; `sql` as it was run, if it was.

    `decimals` are those of columns that are to be read beside each other; others have as many as show three digits.
    `nothing` is said in place of a table without rows; `apart` why the rows of layer 0 are set below the others and not
    sorted among them, where they are.
    """

    key: str
    title: str
    caption: str
    frame: pd.DataFrame
    headings: Mapping[str, str] = field(default_factory=dict)
    sql: tuple[str, ...] = ()
    reading: str = ""
    nothing: str = "Nothing to list."
    apart: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_apart(self) -> tuple[bool, ...]:
        """Which rows stand apart: those of layer 0, the embeddings, where `apart` says so below the table."""
        if not self.apart or "layer" not in self.frame:
            return (False,) * len(self.frame)
        return tuple(self.frame["layer"] == 0)


@dataclass(frozen=True)
class Failure:
    """A part that could not be made, and why in one line; `details` is the traceback."""

    key: str
    title: str
    reason: str
    details: str = ""

    @property
    def sentence(self) -> str:
        """What stands in the part's place."""
        return f"{self.title} could not be made: {self.reason}"


@dataclass(frozen=True)
class Section:
    """A chapter of the report; `explorer` is set in the one that can be stepped through layer by layer.

    A `folded` chapter belongs to "Everything else": on the page it is closed until a reader opens it.
    """

    key: str
    title: str
    introduction: str
    parts: tuple[Exhibit | Table | Failure, ...] = ()
    explorer: Mapping[str, Any] | None = None
    folded: bool = False


@dataclass(frozen=True)
class Report:
    """A whole report. `facts` is what a later report compares itself with: plain JSON values.

    `missing` names what failed and has no place in a section, such as the PDF. `results` are the answer's numbers, see
    `reports.data.answer`, for those who go on computing. `choice` are the options with which `interpunct figure` makes
    its figures again.
    """

    title: str
    subtitle: str
    snapshot: str
    findings: tuple[str, ...]
    figures_in_numbers: Mapping[str, str]
    sections: tuple[Section, ...]
    facts: Mapping[str, Any]
    missing: tuple[Failure, ...] = ()
    results: pd.DataFrame | None = None
    choice: str = ""

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every part that could not be made."""
        parts = (part for section in self.sections for part in section.parts)
        return (*self.missing, *(part for part in parts if isinstance(part, Failure)))

    def without(self, failed: Mapping[str, Failure]) -> Report:
        """The report with a failure in place of each part whose key is in `failed`."""
        sections = (
            replace(section, parts=tuple(failed.get(part.key, part) for part in section.parts))
            for section in self.sections
        )
        return replace(self, sections=tuple(sections))


def attempt(key: str, title: str, make: Callable[[], Made]) -> Made | Failure:
    """Make one part, or say in its place why it could not be made.

    Wrong use and a store that refuses concern the whole report and are raised.
    """
    try:
        return make()
    except (ReportError, StoreError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
        if len(reason) > _LONGEST_REASON:
            reason = reason[: _LONGEST_REASON - 3] + "..."
        return Failure(key, title, reason, traceback.format_exc())


def attempt_section(key: str, title: str, make: Callable[[], Section]) -> Section:
    """Make a section, or one that says why it could not be made."""
    made = attempt(key, f"The section {title!r}", make)
    return Section(key, title, "", (replace(made, key=f"{key}-failed"),)) if isinstance(made, Failure) else made
