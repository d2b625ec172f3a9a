"""The PDF: real pages with an outline, every figure in it, and text of other scripts set or marked."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pandas as pd

from reports.page.exhibits import Exhibit, Report, Section, Table
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


def test_titles_of_any_script_are_set():
    frame = pd.DataFrame({"title": ["Ἰλιάς", "Война и мир", "紅樓夢", "", "line\nbreak", "x" * 500]})
    table = Table("t", "T", "caption", frame)
    title = "<script>alert(1)</script> 紅樓夢"
    report = Report(title, "s", "x", ("finding",), {"model": "m"}, (Section("s", "S", "intro", (table,)),), {})
    assert pages(render_pdf(report, {}, NOW)) >= 1
