"""One self-contained HTML page: styles, script, figures and data are inside it, so that it opens offline anywhere.

Everything that comes from a store is escaped by Jinja2. The only markup set as it stands is the SVG that matplotlib
wrote, whose text matplotlib has escaped.
"""

from __future__ import annotations

import base64
import gzip
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.exhibits import Exhibit, Report, Table
from reports.style import to_png, to_svg

PLAIN_CSV_BYTES = 30_000
"""CSV data up to this size is in the page as it is, larger data as .csv.gz, which pandas, R and DuckDB read."""


@dataclass(frozen=True)
class Download:
    """A file inside the page: the name it is saved under and its data URI."""

    name: str
    uri: str


def render_page(report: Report, drawings: Mapping[str, str]) -> str:
    """The page as HTML. `drawings` holds the SVG of each exhibit by key."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        drawings={key: Markup(svg) for key, svg in drawings.items()},
        styles=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        is_exhibit=lambda part: isinstance(part, Exhibit),
        downloads=downloads,
        cells=cells,
        heading=heading,
        is_number=lambda table, column: pd.api.types.is_numeric_dtype(table.frame[column]),
    )


def draw(report: Report) -> tuple[dict[str, str], dict[str, bytes]]:
    """Every exhibit as SVG (for the page) and as PNG (for files and PDF), by key."""
    exhibits = [part for section in report.sections for part in section.parts if isinstance(part, Exhibit)]
    return {e.key: to_svg(e.figure, e.key) for e in exhibits}, {e.key: to_png(e.figure) for e in exhibits}


def files_beside(report: Report, pictures: Mapping[str, bytes], drawings: Mapping[str, str]) -> dict[str, bytes]:
    """The same figures, data and queries as files next to the page, for scripts that would rather not read HTML."""
    contents: dict[str, bytes] = {}
    for section in report.sections:
        for part in section.parts:
            sql = "\n".join(query.strip() + ";\n" for query in part.sql)
            if sql:
                contents[f"queries/{part.key}.sql"] = sql.encode()
            if isinstance(part, Table):
                contents[f"data/{part.key}.csv"] = _csv(part.frame)
                continue
            contents[f"figures/{part.key}.png"] = pictures[part.key]
            contents[f"figures/{part.key}.svg"] = _standalone(drawings[part.key]).encode()
            contents.update({f"data/{name}.csv": _csv(frame) for name, frame in part.data.items()})
    return contents


def downloads(part: Exhibit | Table) -> list[Download]:
    """The data behind a figure or a table as CSV inside the page."""
    frames = part.data if isinstance(part, Exhibit) else {part.key: part.frame}
    return [_download(name, _csv(frame)) for name, frame in frames.items()]


def cells(row: Any, columns: list[str]) -> list[tuple[str, str]]:
    """What a row of a table shows, and what it is sorted by."""
    return [(_shown(value), _sort_key(value)) for value in (row[column] for column in columns)]


def heading(table: Table, column: str) -> str:
    """The heading of a column: the table's own, or the column's name with its underscores as spaces."""
    return table.headings.get(column, column.replace("_", " "))


def png_uri(data: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _download(name: str, csv: bytes) -> Download:
    if len(csv) <= PLAIN_CSV_BYTES:
        return Download(f"{name}.csv", "data:text/csv;base64," + base64.b64encode(csv).decode())
    packed = gzip.compress(csv, 9, mtime=0)
    return Download(f"{name}.csv.gz", "data:application/gzip;base64," + base64.b64encode(packed).decode())


def _csv(frame: pd.DataFrame) -> bytes:
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False, float_format="%.7g", lineterminator="\n")
    return buffer.getvalue().encode("utf-8")


def _standalone(svg: str) -> str:
    """An SVG file of its own: dark ink, and the page's paper is white."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg.replace("currentColor", "#111418")


def _shown(value: Any) -> str:
    if _is_missing(value):
        return "–"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:,.4g}" if abs(number) < 1e5 else f"{number:,.0f}"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{int(value):,}"
    return str(value)


def _sort_key(value: Any) -> str:
    if _is_missing(value):
        return ""
    return repr(float(value)) if isinstance(value, int | float | np.integer | np.floating) else str(value)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(float(value)))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")
