"""The parts a report is made of, as plain values: what a page or a PDF sets, and nothing about how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Exhibit:
    """One figure with everything that belongs to it.

    `key` names its files; `alt` is read where the picture cannot be seen; `sql` are the queries as they were run;
    `data` the frames that were drawn, by file name.
    """

    key: str
    title: str
    caption: str
    alt: str
    figure: Figure
    sql: tuple[str, ...]
    data: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Table:
    """One table. Columns are shown in the frame's order under `headings`; `sql` as it was run, if it was."""

    key: str
    title: str
    caption: str
    frame: pd.DataFrame
    headings: Mapping[str, str] = field(default_factory=dict)
    sql: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A chapter of the report; `explorer` is set in the one that can be stepped through layer by layer."""

    key: str
    title: str
    introduction: str
    parts: tuple[Exhibit | Table, ...] = ()
    explorer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Report:
    """A whole report. `facts` is what a later report compares itself with: plain JSON values."""

    title: str
    subtitle: str
    snapshot: str
    findings: tuple[str, ...]
    figures_in_numbers: Mapping[str, str]
    sections: tuple[Section, ...]
    facts: Mapping[str, Any]
