"""The report as a PDF with real pages: headings in an outline, figures, captions, tables, page numbers.

Figures are the PDFs that matplotlib makes, laid over their places: vectors, and text that can be searched and copied.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pikepdf
from fpdf import FPDF
from fpdf.fonts import FontFace, TTFFont
from PIL import Image

from reports.figures.style import cut
from reports.page.exhibits import Exhibit, Failure, Report, Table
from reports.page.fonts import (
    BOLD,
    MISSING,
    REGULAR,
    characters_without_glyph,
    fonts_of_this_machine,
    printable,
    runs_from_right_to_left,
)
from reports.page.page import heading, table_rows
from store.foreign_text import for_page

FONT = "DejaVu"
TABLE_ROWS = 60
"""Tables on paper stop after so many rows; the page and the CSV have all."""
CHARACTERS_ACROSS = 130
"""So many small characters stand side by side; columns beyond that go on below, under the first column again."""
BROKEN_CHARACTERS = 16
"""A wider column's text may be broken into lines of so many characters before columns go on below."""
INK = (17, 20, 24)
QUIET = (90, 100, 114)
LINE = (205, 211, 219)
MARGIN = 16.0
POINTS_A_MILLIMETRE = 72 / 25.4


def render_pdf(report: Report, papers: Mapping[str, bytes], now: datetime) -> bytes:
    """The report on A4 pages. `papers` holds each exhibit by key as a PDF of one page.

    Text is of any script that DejaVu or a font of this machine covers; other characters are squares, and it is said so.
    """
    with contextlib.closing(_Document(report.title, set().union(*map(set, _texts(report))))) as document:
        document.set_creation_date(now)
        document.title_page(report)
        for section in report.sections:
            document.section(section.title, section.introduction, section.parts[:1], papers)
            for part in section.parts:
                if isinstance(part, Failure):
                    document.failure(part)
                elif isinstance(part, Exhibit):
                    document.exhibit(part, papers[part.key])
                else:
                    document.table_part(part)
        return _with_drawings(bytes(document.output()), document.placed)


@dataclass(frozen=True)
class _Placed:
    """A figure and where it stands: the page, from 1, and its corners in points from the page's lower left."""

    drawing: bytes
    page: int
    corners: tuple[float, float, float, float]


def _with_drawings(pages: bytes, placed: Sequence[_Placed]) -> bytes:
    """The pages with each figure over its place, under a name that is the same every time."""
    made = io.BytesIO()
    with pikepdf.open(io.BytesIO(pages)) as document:
        for number, figure in enumerate(placed, start=1):
            page = document.pages[figure.page - 1]
            with pikepdf.open(io.BytesIO(figure.drawing)) as drawing:
                form = document.copy_foreign(drawing.pages[0].as_form_xobject())
            name = page.add_resource(form, pikepdf.Name.XObject, pikepdf.Name(f"/Figure{number}"))
            page.contents_add(b"q\n", prepend=True)
            page.contents_add(b"Q\n" + page.calc_form_xobject_placement(form, name, pikepdf.Rectangle(*figure.corners)))
        document.save(made, deterministic_id=True)
    return made.getvalue()


def _size(drawing: bytes) -> tuple[float, float]:
    """Width and height of a PDF of one page in millimetres."""
    with pikepdf.open(io.BytesIO(drawing)) as document:
        left, low, right, high = map(float, document.pages[0].mediabox)
    return (right - left) / POINTS_A_MILLIMETRE, (high - low) / POINTS_A_MILLIMETRE


def _blank() -> io.BytesIO:
    """A white pixel: it holds a figure's place, and the words for those who cannot see it."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1), 255).save(buffer, "PNG")
    return buffer


class _Document(FPDF):
    """A4 with a footer; its methods set one part of a report each. `placed` are the figures to be laid over it."""

    def __init__(self, title: str, characters: set[str]) -> None:
        super().__init__(format="A4")
        self.placed: list[_Placed] = []
        self.add_font(FONT, "", REGULAR)
        self.add_font(FONT, "B", BOLD)
        self._covered = self._glyphs(FONT)
        self._add_fallbacks(characters)
        self._missing = characters_without_glyph(characters, self._covered)
        if runs_from_right_to_left(characters):
            self.set_text_shaping(True)
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, margin=MARGIN + 4)
        self.set_title(title)
        self.set_creator("Interpunct")
        self._running_title = self._printable(cut(title, 80))
        self.add_page()

    def close(self) -> None:
        """Close the files of its fonts, which fpdf2 leaves open."""
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def footer(self) -> None:
        """The title and the page's number."""
        self.set_y(-MARGIN + 2)
        self._font(8, colour=QUIET)
        self.cell(0, 5, self._running_title)
        self.set_x(MARGIN)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    def title_page(self, report: Report) -> None:
        """Title, subtitle, findings and numbers at a glance."""
        self._font(22, bold=True)
        self._paragraph(report.title, 10)
        self._font(11, colour=QUIET)
        self._paragraph(report.subtitle, 6)
        self.ln(4)
        self._font(11)
        for finding in report.findings:
            self._paragraph(finding, 6)
            self.ln(1.5)
        self.ln(2)
        self._font(9, colour=QUIET)
        for name, number in report.figures_in_numbers.items():
            self._paragraph(f"{name}: {number}", 5)
        self._paragraph(f"snapshot of the store: {report.snapshot}", 5)
        for failure in report.missing:
            self._paragraph(failure.sentence, 5)
        if self._missing:
            self._paragraph(
                f"{MISSING} stands for {len(self._missing):,} characters that no font on this machine has; "
                "the page shows them.",
                5,
            )

    def section(
        self,
        title: str,
        introduction: str,
        first: Sequence[Exhibit | Table | Failure],
        papers: Mapping[str, bytes],
    ) -> None:
        """A heading, which also goes into the document's outline, on one page with the first part if that can be."""
        wanted = 30.0 + 5 * math.ceil(len(introduction) / 100)
        wanted += sum(self._needed(papers[part.key]) if isinstance(part, Exhibit) else 50 for part in first)
        self._room_for(wanted if wanted <= self.eph else 45)
        self.ln(6)
        self.start_section(self._printable(title))
        self._font(15, bold=True)
        self._paragraph(title, 8)
        if introduction:
            self._font(9.5, colour=QUIET)
            self._paragraph(introduction, 5)

    def exhibit(self, exhibit: Exhibit, drawing: bytes) -> None:
        """Title, room for the figure over the whole width, caption; on one page together."""
        width, height = _size(drawing)
        shown = self.epw * height / width
        self._room_for(self._needed(drawing))
        self._part_title(exhibit.title, level=1)
        scale = min(1.0, (self.eph - 45) / shown)
        self._place(drawing, self.epw * scale, shown * scale, for_page(exhibit.alt))
        self.ln(1.5)
        self._font(8.5, colour=QUIET)
        self._paragraph(f"{exhibit.caption} {exhibit.reading}".strip(), 4.4)

    def _needed(self, drawing: bytes) -> float:
        """The height of a figure with its title and caption."""
        width, height = _size(drawing)
        return min(self.epw * height / width + 40, self.eph)

    def _place(self, drawing: bytes, width: float, height: float, alt: str) -> None:
        left, top = self.get_x(), self.get_y()
        self.image(_blank(), w=width, h=height, alt_text=alt)
        corners = (left, self.h - top - height, left + width, self.h - top)
        low, bottom, high, upper = (POINTS_A_MILLIMETRE * place for place in corners)
        self.placed.append(_Placed(drawing, self.page_no(), (low, bottom, high, upper)))

    def failure(self, failure: Failure) -> None:
        """The sentence that stands in the place of a part."""
        self._room_for(20)
        self.ln(4)
        self._font(9.5)
        self._paragraph(failure.sentence, 5)

    def table_part(self, part: Table) -> None:
        """Title, caption and the first rows; headings repeat on every page."""
        self._room_for(50)
        self._part_title(part.title, level=1)
        self._font(8.5, colour=QUIET)
        if part.frame.empty:
            self._paragraph(part.nothing, 4.4)
            return
        left = len(part.frame) - TABLE_ROWS
        more = f" The first {TABLE_ROWS} of {len(part.frame):,} rows." if left > 0 else ""
        self._paragraph(" ".join(filter(None, (part.caption, part.reading, part.apart))) + more, 4.4)
        self.ln(1.5)
        for columns in _columns_that_fit(part):
            self._rows(part, columns)

    def _rows(self, part: Table, columns: list[str]) -> None:
        """Some columns of a table, row by row."""
        self._font(6.5 if len(columns) > 6 else 8)
        bold = FontFace(emphasis="BOLD", fill_color=(240, 242, 245))
        self.set_draw_color(*LINE)
        self.set_line_width(0.15)
        widths = tuple(_fitted({column: _column_widths(part)[column] for column in columns}).values())
        style = {"headings_style": bold, "borders_layout": "HORIZONTAL_LINES", "padding": (0.4, 0.6)}
        with self.table(col_widths=widths, line_height=3.6, text_align="LEFT", **style) as table:
            table.row([self._printable(heading(part, column)) for column in columns])
            for row in table_rows(_on_paper(part)[columns], part.decimals):
                table.row([self._printable(shown) for shown, _ in row])
        self.ln(3)

    def _part_title(self, title: str, level: int) -> None:
        self.ln(4)
        self.start_section(self._printable(title), level=level)
        self._font(11.5, bold=True)
        self._paragraph(title, 6)
        self.ln(1)

    def _paragraph(self, text: str, height: float) -> None:
        self.multi_cell(0, height, self._printable(text), new_x="LMARGIN", new_y="NEXT", align="L")

    def _font(self, size: float, bold: bool = False, colour: tuple[int, int, int] = INK) -> None:
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(*colour)

    def _room_for(self, height: float) -> None:
        if self.get_y() + height > self.h - self.b_margin and self.get_y() > MARGIN + 1:
            self.add_page()

    def _printable(self, text: str) -> str:
        return printable(for_page(text), self._covered)

    def _glyphs(self, family: str) -> set[int]:
        font = self.fonts[family.lower()]
        return set(font.cmap) if isinstance(font, TTFFont) else set()

    def _add_fallbacks(self, characters: set[str]) -> None:
        """Fonts of this machine for what DejaVu lacks; one that fpdf2 cannot take is left out."""
        families = []
        for number, path in enumerate(fonts_of_this_machine(characters_without_glyph(characters, self._covered))):
            family = f"fallback{number}"
            try:
                self.add_font(family, "", path)
            except Exception:
                continue
            families.append(family)
            self._covered |= self._glyphs(family)
        self.set_fallback_fonts(families, exact_match=False)


def _texts(report: Report) -> Iterator[str]:
    """Every text that the PDF sets."""
    yield from (report.title, report.subtitle, *report.findings, *report.figures_in_numbers.values())
    for section in report.sections:
        yield from (section.title, section.introduction)
        for part in section.parts:
            if isinstance(part, Failure):
                yield part.sentence
                continue
            yield from (part.title, part.caption, part.reading)
            if isinstance(part, Table):
                columns = part.frame.columns.tolist()
                yield from (heading(part, column) for column in columns)
                for row in table_rows(part.frame.head(TABLE_ROWS), part.decimals):
                    yield from (shown for shown, _ in row)


def _on_paper(part: Table) -> pd.DataFrame:
    """The first rows of a table, those that stand apart last."""
    apart = np.array(part.rows_apart, dtype=bool)
    return pd.concat([part.frame[~apart], part.frame[apart]]).head(TABLE_ROWS)


def _columns_that_fit(part: Table) -> list[list[str]]:
    """The columns in groups that fit beside each other; each group begins with the table's first column."""
    widths = {column: min(width, BROKEN_CHARACTERS) for column, width in _column_widths(part).items()}
    first, *others = widths
    groups = [[first]]
    for column in others:
        if sum(widths[name] for name in (*groups[-1], column)) > CHARACTERS_ACROSS and len(groups[-1]) > 1:
            groups.append([first])
        groups[-1].append(column)
    return groups


def _fitted(widths: dict[str, int]) -> dict[str, float]:
    """The same widths, of which the wide ones give way where all are too many: narrow columns keep whole words."""
    least = {column: min(width, BROKEN_CHARACTERS) for column, width in widths.items()}
    more = sum(widths.values()) - sum(least.values())
    share = max(0.0, min(1.0, (CHARACTERS_ACROSS - sum(least.values())) / more)) if more else 1.0
    return {column: least[column] + share * (widths[column] - least[column]) for column in widths}


def _column_widths(part: Table) -> dict[str, int]:
    """Shares of the width by what the columns hold: whole words of headings, whole numbers, texts up to a limit."""
    columns = part.frame.columns.tolist()
    # A heading is bold: a word of it takes about a sixth more.
    lengths = [math.ceil(max(map(len, heading(part, column).split())) * 7 / 6) + 2 for column in columns]
    for row in table_rows(part.frame.head(TABLE_ROWS), part.decimals):
        for number, (shown, _) in enumerate(row):
            lengths[number] = max(lengths[number], min(len(shown) + 2, 36))
    return dict(zip(columns, lengths, strict=True))
