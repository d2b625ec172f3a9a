"""One self-contained HTML page: styles, script, figures and data are inside it, so that it opens offline anywhere.

Everything that comes from a store is escaped by Jinja2, after what is invisible or turns the direction of writing has
been made visible. The only markup set as it stands is the SVG that matplotlib wrote, whose text matplotlib has escaped.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.figures.style import colour_variables, cut, to_pdf, to_png, to_svg
from reports.page.exhibits import Exhibit, Failure, Report, Table, attempt
from reports.page.paper import paper_files, standalone
from store.foreign_text import for_page, for_spreadsheet

CELL_CHARACTERS = 400
"""A cell of a table shows so much of a text; the CSV has all of it."""
CSS_PIXELS_AN_INCH = 96
PLAIN_CSV_BYTES = 30_000
"""CSV data up to this size is in the page as it is, larger data as .csv.gz, which pandas, R and DuckDB read."""


DATA_BYTES = 2_000_000
"""All data inside a page have at most so many bytes; what comes after lies beside the page alone."""


@dataclass(frozen=True)
class Download:
    """A file inside the page: the name it is saved under and its data URI, empty where the page has no room for it."""

    name: str
    uri: str


@dataclass(frozen=True)
class Rendered:
    """The parts of a report as files, by key: each exhibit's SVG as the page sets it, CSV of each frame of each part.

    `figures` has each exhibit's files by their ending: `svg`, `png`, and `pdf` where that was wanted; `papers` the PDF
    that `report.pdf` sets. `failures` has the parts that could not be drawn or written: they are in none of the others.
    """

    drawings: Mapping[str, str]
    figures: Mapping[str, Mapping[str, bytes]]
    data: Mapping[str, Mapping[str, bytes]]
    failures: Mapping[str, Failure]
    papers: Mapping[str, bytes] = field(default_factory=dict)


def render_parts(report: Report, as_pdf: bool = False, width_mm: float | None = None) -> Rendered:
    """Draw every exhibit and write every frame, once for all the forms a report takes.

    `as_pdf`: as PDF too. `width_mm`: the files of the figures have this width, the page and `report.pdf` their own.
    """
    parts = [part for section in report.sections for part in section.parts if not isinstance(part, Failure)]
    drawings, figures, data, failures, papers = {}, {}, {}, {}, {}
    for part in parts:
        made = attempt(part.key, part.title, functools.partial(_render_part, part, as_pdf, width_mm))
        if isinstance(made, Failure):
            failures[part.key] = made
            continue
        if made.drawing is not None:
            drawings[part.key], figures[part.key] = made.drawing, made.figure
        if made.paper is not None:
            papers[part.key] = made.paper
        data[part.key] = made.data
    return Rendered(drawings, figures, data, failures, papers)


def render_page(report: Report, rendered: Rendered) -> str:
    """The page as HTML."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        drawings={key: Markup(svg) for key, svg in rendered.drawings.items()},
        downloads=_downloads(rendered),
        styles=Markup(_asset("report.css") + _class_colours()),
        script=Markup(_asset("report.js")),
        is_exhibit=lambda part: isinstance(part, Exhibit),
        is_failure=lambda part: isinstance(part, Failure),
        table_rows=table_rows,
        heading=heading,
        natural_width=lambda part: round(part.figure.get_figwidth() * CSS_PIXELS_AN_INCH),
        is_number=lambda table, column: pd.api.types.is_numeric_dtype(table.frame[column]),
    )


def files_beside(report: Report, rendered: Rendered) -> dict[str, bytes]:
    """The same figures, data and queries as files next to the page, for scripts that would rather not read HTML."""
    contents: dict[str, bytes] = {}
    for section in report.sections:
        for part in section.parts:
            if isinstance(part, Failure):
                continue
            if part.sql:
                contents[f"queries/{part.key}.sql"] = "\n".join(f"{query.strip()};\n" for query in part.sql).encode()
            contents.update({f"data/{name}.csv": csv for name, csv in rendered.data[part.key].items()})
            contents.update({f"data/{name}.parquet": to_parquet(frame) for name, frame in _frames(part).items()})
    for key, made in rendered.figures.items():
        contents.update({f"figures/{key}.{ending}": file for ending, file in made.items()})
    return contents


def to_csv(frame: pd.DataFrame) -> bytes:
    """A frame as CSV: a header, numbers with all their digits, what is missing as an empty field.

    A text that a spreadsheet would compute has an apostrophe before it.
    """
    safe = frame.rename(columns=for_spreadsheet)
    for column in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        codes, values = pd.factorize(safe[column], use_na_sentinel=False)  # few texts, each in many rows
        written = [for_spreadsheet(value) if isinstance(value, str) else value for value in values]
        safe[column] = pd.Series(written, dtype=object).to_numpy()[codes]
    buffer = io.BytesIO()
    pyarrow.csv.write_csv(pyarrow.Table.from_pandas(safe, preserve_index=False), buffer)
    return buffer.getvalue()


def to_parquet(frame: pd.DataFrame) -> bytes:
    """A frame as a Parquet file with its own types, the same bytes for the same rows."""
    buffer = io.BytesIO()
    table = pyarrow.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def download(name: str, csv: bytes) -> Download:
    """A CSV file inside the page: as it is where it is small, packed where it is not."""
    if len(csv) <= PLAIN_CSV_BYTES:
        return Download(f"{name}.csv", "data:text/csv;base64," + base64.b64encode(csv).decode())
    packed = gzip.compress(csv, compresslevel=6, mtime=0)
    return Download(f"{name}.csv.gz", "data:application/gzip;base64," + base64.b64encode(packed).decode())


def _downloads(rendered: Rendered) -> dict[str, list[Download]]:
    """The data of each part by its key, smallest first into the page, as far as DATA_BYTES goes."""
    made = {(key, name): download(name, csv) for key, data in rendered.data.items() for name, csv in data.items()}
    room = DATA_BYTES
    for which, file in sorted(made.items(), key=lambda item: len(item[1].uri)):
        room -= len(file.uri)
        if room < 0:
            made[which] = Download(f"data/{which[1]}.csv", "")
    found: dict[str, list[Download]] = {key: [] for key in rendered.data}
    for (key, _), file in made.items():
        found[key].append(file)
    return found


def table_rows(frame: pd.DataFrame, chosen: Mapping[str, int] | None = None) -> Iterator[list[tuple[str, str]]]:
    """Row by row what each cell shows and what it is sorted by; a column has one number of decimals."""
    chosen = chosen or {}
    decimals = {column: decimals_of(frame[column]) for column in frame.columns} | dict(chosen)
    for row in frame.to_dict("records"):
        yield [(_shown(value, decimals[column], column in chosen), _sort_key(value)) for column, value in row.items()]


def decimals_of(column: pd.Series) -> int:
    """How many decimals show three digits of nearly all numbers of a column, 4 at most; 0 where none is a fraction.

    >>> decimals_of(pd.Series([0.3072, 0.344, 2.9])), decimals_of(pd.Series([14442.76, 120.5]))
    (3, 0)
    """
    if not pd.api.types.is_float_dtype(column):
        return 0
    sizes = column[np.isfinite(column) & (column != 0)].abs()
    if sizes.empty or (sizes == sizes.round()).all():
        return 0
    typical = math.floor(math.log10(float(sizes.quantile(0.25))))
    return min(4, max(0, 2 - typical))


def heading(table: Table, column: str) -> str:
    """The heading of a column: the table's own, or the column's name with its underscores as spaces."""
    return table.headings.get(column, column.replace("_", " "))


def png_uri(data: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(data).decode()


@dataclass(frozen=True)
class _RenderedPart:
    """One part as files; a table has no drawing, no figure and no paper."""

    data: Mapping[str, bytes]
    drawing: str | None = None
    figure: Mapping[str, bytes] = field(default_factory=dict)
    paper: bytes | None = None


def _render_part(part: Exhibit | Table, as_pdf: bool, width_mm: float | None) -> _RenderedPart:
    data = {name: to_csv(frame) for name, frame in _frames(part).items()}
    if isinstance(part, Table):
        return _RenderedPart(data)
    drawing = to_svg(part.figure, part.key)
    paper = to_pdf(part.figure) if as_pdf else None
    if width_mm is not None:
        return _RenderedPart(data, drawing, paper_files(part.figure, part.key, width_mm), paper)
    files = {"svg": standalone(drawing), "png": to_png(part.figure)} | ({"pdf": paper} if paper is not None else {})
    return _RenderedPart(data, drawing, files, paper)


def _class_colours() -> str:
    """The colours of classes as CSS variables, by the system's choice of light or dark or the reader's."""
    light, dark = colour_variables(dark=False), colour_variables(dark=True)
    return (
        f":root {{ {light} }}\n"
        f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}\n'
        f':root[data-theme="dark"] {{ {dark} }}\n'
    )


def _frames(part: Exhibit | Table) -> Mapping[str, pd.DataFrame]:
    return part.data if isinstance(part, Exhibit) else {part.key: part.frame}


def _visible(value: Any) -> Any:
    """What a template sets, on its way out: strings of others as `foreign_text` has them, our own markup as it is."""
    return for_page(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _shown(value: Any, decimals: int, plain: bool = False) -> str:
    if _is_missing(value):
        return "–"
    if isinstance(value, float | np.floating):
        number = float(value)
        too_small = not plain and number != 0 and abs(number) < 0.5 * 10**-decimals
        return f"{number:.1e}" if too_small else f"{number:z,.{decimals}f}"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{int(value):,}"
    return cut(str(value), CELL_CHARACTERS)


def _sort_key(value: Any) -> str:
    if _is_missing(value):
        return ""
    return repr(float(value)) if isinstance(value, int | float | np.integer | np.floating) else str(value)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float | np.floating) and math.isnan(float(value)))


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reports.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )


@functools.cache
def _asset(name: str) -> str:
    return (files("reports.page") / "templates" / name).read_text(encoding="utf-8")
