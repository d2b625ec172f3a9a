"""The PDF: real pages with an outline, every figure in it, and text of other scripts set or marked."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pandas as pd
from fpdf import FPDF
from fpdf import table as fpdf_table

from reports.page.exhibits import Exhibit, Failure, Report, Section, Table
from reports.page.fonts import BOLD
from reports.page.pdf import TABLE_ROWS, render_pdf

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)


def outline(pdf: bytes) -> int:
    """How many headings the PDF's outline has."""
    return len(re.findall(rb"/Dest ", pdf))


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def test_every_section_and_part_is_in_the_outline_and_every_figure_is_an_image(report, rendered):
    pdf = render_pdf(report, rendered.pictures, NOW)
    parts = [part for section in report.sections for part in section.parts]
    assert outline(pdf) == len(report.sections) + len(parts)
    assert len(re.findall(rb"/Subtype /Image", pdf)) >= sum(isinstance(part, Exhibit) for part in parts)
    assert pages(pdf) >= 5
    assert b"/Alt " in pdf


def test_the_same_report_makes_the_same_bytes(report, rendered):
    assert render_pdf(report, rendered.pictures, NOW) == render_pdf(report, rendered.pictures, NOW)


def test_a_long_table_ends_after_its_first_rows():
    def with_rows(rows: int) -> bytes:
        table = Table("t", "T", "caption", pd.DataFrame({"a": range(rows)}))
        return render_pdf(Report("T", "s", "x", (), {}, (Section("s", "S", "", (table,)),), {}), {}, NOW)

    assert pages(with_rows(TABLE_ROWS * 20)) == pages(with_rows(TABLE_ROWS))


def test_columns_that_do_not_fit_beside_each_other_go_on_below_under_the_first(monkeypatch):
    frame = pd.DataFrame({"layer": [7], **{f"mean_{number}": [0.125 + number] for number in range(40)}})
    report = Report("T", "s", "x", (), {}, (Section("s", "S", "", (Table("t", "T", "", frame),)),), {})
    rows: list[list[str]] = []
    set_row = fpdf_table.Table.row
    monkeypatch.setattr(fpdf_table.Table, "row", lambda self, cells: rows.append(cells) or set_row(self, cells))
    render_pdf(report, {}, NOW)
    headings, values = rows[::2], rows[1::2]
    assert len(headings) == len(values) > 2
    assert {row[0] for row in headings} == {"layer"}
    assert {row[0] for row in values} == {"7"}
    assert [name for row in headings for name in row[1:]] == [f"mean {number}" for number in range(40)]


def test_titles_of_any_script_are_set():
    frame = pd.DataFrame({"title": ["Ἰλιάς", "Война и мир", "紅樓夢", "", "line\nbreak", "x" * 500]})
    table = Table("t", "T", "caption", frame)
    title = "<script>alert(1)</script> 紅樓夢"
    report = Report(title, "s", "x", ("finding",), {"model": "m"}, (Section("s", "S", "intro", (table,)),), {})
    assert pages(render_pdf(report, {}, NOW)) == 1


def text_set(monkeypatch, report: Report) -> str:
    """All text that is handed to the PDF to be set."""
    said: list[str] = []
    set_paragraph = FPDF.multi_cell

    def listen(self, width, height, text="", **options):
        said.append(text)
        return set_paragraph(self, width, height, text, **options)

    monkeypatch.setattr(FPDF, "multi_cell", listen)
    render_pdf(report, {}, NOW)
    return "\n".join(said)


def test_characters_that_no_font_has_are_squares_and_it_is_said(monkeypatch):
    monkeypatch.setattr("reports.page.fonts._system_fonts", list)
    report = Report("紅樓夢 Emma", "s", "x", (), {}, (), {})
    said = text_set(monkeypatch, report)
    assert said.startswith("□□□ Emma")
    assert "□ stands for 3 characters that no font on this machine has; the page shows them." in said


def test_a_font_of_this_machine_sets_what_dejavu_lacks(monkeypatch):
    """The bold face of DejaVu plays the other font: it has the letters that are taken from the regular one."""
    monkeypatch.setattr("reports.page.fonts._system_fonts", lambda: [BOLD])
    monkeypatch.setattr("reports.page.pdf._Document._glyphs", glyphs_without_cyrillic)
    said = text_set(monkeypatch, Report("Война", "s", "x", (), {}, (), {}))
    assert said.startswith("Война\n")
    assert "stands for" not in said


def glyphs_without_cyrillic(document, family):
    known = set(document.fonts[family.lower()].cmap)
    return known if family.startswith("fallback") else {code for code in known if not 0x400 <= code < 0x500}


def test_arabic_is_joined_and_runs_from_the_right(monkeypatch):
    shaped = []
    monkeypatch.setattr(FPDF, "set_text_shaping", lambda self, use: shaped.append(use))
    render_pdf(Report("Emma", "s", "x", (), {}, (), {}), {}, NOW)
    assert shaped == []
    render_pdf(Report("كتاب", "s", "x", (), {}, (), {}), {}, NOW)
    assert shaped == [True]


def test_what_failed_is_said_in_the_pdf(monkeypatch):
    section = Section("s", "S", "", (Failure("one", "The figure", "ValueError: no ink"),))
    said = text_set(monkeypatch, Report("t", "s", "x", (), {}, (section,), {}, (Failure("c", "Chance", "why"),)))
    assert "The figure could not be made: ValueError: no ink" in said
    assert "Chance could not be made: why" in said
