"""The PDF: real pages with an outline, every figure in it, and text of other scripts set or marked."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pandas as pd
import pikepdf
import pytest
from fpdf import FPDF
from fpdf import table as fpdf_table

from reports.figures.style import new_figure, to_pdf
from reports.page.exhibits import Exhibit, Failure, Report, Section, Table
from reports.page.fonts import BOLD
from reports.page.pdf import TABLE_ROWS, render_pdf

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)


def pages(pdf: bytes) -> int:
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return len(document.pages)


@pytest.fixture(scope="module")
def papers(report) -> dict[str, bytes]:
    """One small drawing in the place of every figure of the report."""
    figure = new_figure(7.2, 3.6)
    axes = figure.subplots()
    axes.plot([1, 2], label="nothing in particular")
    axes.set_title("a figure that stands for all")
    drawing = to_pdf(figure)
    return {part.key: drawing for section in report.sections for part in section.parts if isinstance(part, Exhibit)}


def test_every_section_and_part_is_in_the_outline_and_every_figure_has_its_place(report, papers):
    pdf = render_pdf(report, papers, NOW)
    parts = [part for section in report.sections for part in section.parts]
    exhibits = [part for part in parts if isinstance(part, Exhibit)]
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(headings_of(document.Root.Outlines.First)) == len(report.sections) + len(parts)
        assert len(document.pages) >= 5
        drawings = [form for page in document.pages for form in forms(page)]
        said = [str(tag.Alt) for tag in document.objects if isinstance(tag, pikepdf.Dictionary) and "/Alt" in tag]
    assert len(drawings) == len(exhibits)
    assert set(said) == {part.alt for part in exhibits}


def test_a_figure_of_the_report_is_lines_and_words_and_only_its_points_are_a_bitmap(report):
    """The scatter of all pairs, as the report draws it: its text is text, and its size is not the number of pairs."""
    (part,) = [p for s in report.sections for p in s.parts if p.key == "mi-against-correlation"]
    drawing = to_pdf(part.figure)
    pdf = render_pdf(Report("T", "s", "x", (), {}, (Section("s", "S", "", (part,)),), {}), {part.key: drawing}, NOW)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        (form,) = [form for page in document.pages for form in forms(page)]
        assert {str(font.Subtype) for font in form.Resources.Font.values()} == {"/Type0"}
        kinds = {str(image.Subtype) for image in form.Resources.XObject.values()}
        assert "/Image" in kinds
        assert b" l\n" in form.read_bytes()


def forms(page: pikepdf.Page) -> list[pikepdf.Object]:
    """The drawings that lie on a page."""
    return [form for form in page.resources.get("/XObject", {}).values() if str(form.Subtype) == "/Form"]


def headings_of(entry: pikepdf.Object) -> list[str]:
    """The titles of an outline from an entry on, with those below each."""
    found = []
    while entry is not None:
        found.append(str(entry.Title))
        found += headings_of(entry.get("/First"))
        entry = entry.get("/Next")
    return found


def test_the_same_report_makes_the_same_bytes(report, papers):
    assert render_pdf(report, papers, NOW) == render_pdf(report, papers, NOW)


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
