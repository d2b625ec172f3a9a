"""The page: self-contained, complete, and nothing in it that came from a book is markup."""

from __future__ import annotations

import base64
import gzip
import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports.data.queries import ask
from reports.figures.matrices import pair_matrices
from reports.figures.style import to_svg
from reports.page.exhibits import Exhibit, Failure, Report, Section, Table
from reports.page.page import (
    PLAIN_CSV_BYTES,
    decimals_of,
    download,
    files_beside,
    render_page,
    render_parts,
    table_rows,
    to_csv,
)
from tests.reports.classes import TWO

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror="alert(1)">'


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open not in ("script", "style"):
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def page(report, rendered):
    return render_page(report, rendered)


def exhibits(report: Report) -> list[Exhibit]:
    return [part for section in report.sections for part in section.parts if isinstance(part, Exhibit)]


def test_the_six_figures_of_the_notebook_are_there(report):
    (section,) = [section for section in report.sections if section.key == "six-figures"]
    assert [part.key for part in section.parts] == [
        "mean-activations",
        "mutual-information",
        "covariance",
        "mi-against-correlation",
        "mi-against-covariance",
        "mi-against-covariance-by-layer",
        "distributions-by-layer",
    ]


def test_every_figure_has_caption_alternative_text_sql_data_and_drawing(report, page):
    for exhibit in exhibits(report):
        assert len(exhibit.caption) > 60
        assert len(exhibit.alt) > 20
        assert exhibit.sql
        assert all(len(frame) for frame in exhibit.data.values())
        assert f'<figure id="{exhibit.key}">' in page
        assert html.escape(exhibit.alt) in page
        assert f"interpunct figure {exhibit.key} --store STORE --layer 2 -o {exhibit.key}.pdf" in page
    assert page.count("<svg ") >= len(exhibits(report))


def test_the_page_asks_for_nothing_from_outside(page):
    elements = Elements(page)
    for address in elements.attributes("src") + elements.attributes("href") + elements.attributes("xlink:href"):
        assert address.startswith(("data:", "#")), address[:80]
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page.split("</style>")[0])


def test_ids_are_unique(page):
    ids = Elements(page).attributes("id")
    assert len(ids) == len(set(ids))


def test_the_sql_on_the_page_runs_as_it_stands(report, store):
    for exhibit in exhibits(report):
        for query in exhibit.sql:
            assert len(store.sql(query.strip()).df()) > 0


def test_the_data_on_the_page_is_what_was_drawn(report, page):
    links = {
        attributes["download"]: attributes["href"]
        for _, attributes in Elements(page).elements
        if "download" in attributes
    }
    for exhibit in exhibits(report):
        for name, frame in exhibit.data.items():
            uri = links.get(f"{name}.csv") or links[f"{name}.csv.gz"]
            data = base64.b64decode(uri.split(",")[1])
            read = pd.read_csv(io.BytesIO(gzip.decompress(data) if "gzip" in uri else data))
            drawn = frame.reset_index(drop=True).replace("", np.nan)  # an empty text is read as missing
            pd.testing.assert_frame_equal(read, drawn, check_dtype=False, check_names=False)


def test_large_data_is_packed_and_small_data_is_not():
    assert download("a", b"x" * 100).name == "a.csv"
    packed = download("b", b"x" * (PLAIN_CSV_BYTES + 1))
    assert packed.name == "b.csv.gz"
    assert gzip.decompress(base64.b64decode(packed.uri.split(",")[1])) == b"x" * (PLAIN_CSV_BYTES + 1)


def test_csv_has_a_header_all_digits_and_empty_fields_for_what_is_missing():
    frame = pd.DataFrame({"a": [0.1, np.nan], "b": ['say "x"', None], "c": np.float32([0.1, 2])})
    assert to_csv(frame).decode() == '"a","b","c"\n0.1,"say ""x""",0.1\n,,2\n'


def test_the_same_files_lie_beside_the_page(report, rendered):
    beside = files_beside(report, rendered)
    for exhibit in exhibits(report):
        assert beside[f"figures/{exhibit.key}.png"].startswith(b"\x89PNG")
        svg = beside[f"figures/{exhibit.key}.svg"]
        assert b"currentColor" not in svg
        assert b"var(" not in svg
        assert beside[f"queries/{exhibit.key}.sql"].startswith(b"-- ")
    assert beside["data/layers.csv"].startswith(b'"layer",')


def test_titles_tokens_and_reasons_stay_text():
    hostile = pd.DataFrame({"book": [SCRIPT], "token": [IMAGE], SCRIPT: ["x"]})
    table = Table(IMAGE, SCRIPT, IMAGE, hostile, {"token": IMAGE}, (SCRIPT,))
    section = Section(IMAGE, SCRIPT, IMAGE, (table,), None)
    explorer = {"layers": [0], "start": 0, "panels": [], "book": "</script>" + SCRIPT, "sql": SCRIPT}
    explorer |= {"classes": [{"name": SCRIPT, "colour": "class-1"}], "alt": IMAGE}
    sections = (section, Section("explorer-section", "x", "y", (), explorer))
    report = Report(SCRIPT, IMAGE, "snapshot", (SCRIPT, IMAGE), {SCRIPT: IMAGE}, sections, {})
    page = render_page(report, render_parts(report))
    elements = Elements(page)
    assert [tag for tag, _ in elements.elements].count("script") == 2
    assert not elements.attributes("onerror")
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in elements.elements)
    assert SCRIPT in elements.text
    assert IMAGE in elements.text


def test_a_column_has_one_number_of_decimals_and_sorts_by_all_of_them():
    frame = pd.DataFrame(
        {
            "a": [0.123456, 2.5, np.nan, 1e-9, -0.05],
            "b": [1234567, 2, 3, 4, 5],
            "c": ["text", None, "x" * 5000, "", "y"],
            "d": np.float32([14442.76, 120.5, 90, 3, 1e6]),
            "e": [2e6, 1.0, 3.0, 4.0, 5.0],
        }
    )
    shown = list(zip(*([text for text, _ in row] for row in table_rows(frame)), strict=True))
    assert shown[0] == ("0.1235", "2.5000", "–", "1.0e-09", "-0.0500")
    assert shown[1] == ("1,234,567", "2", "3", "4", "5")
    assert shown[2] == ("text", "–", "x" * 399 + "…", "", "y")
    assert shown[3] == ("14,442.8", "120.5", "90.0", "3.0", "1,000,000.0")
    assert shown[4] == ("2,000,000", "1", "3", "4", "5")
    assert [row[0][1] for row in table_rows(frame)] == ["0.123456", "2.5", "", "1e-09", "-0.05"]
    assert decimals_of(pd.Series(["a"])) == 0


@pytest.mark.parametrize("formula", ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1+1"])
def test_no_cell_of_a_csv_is_computed_by_a_spreadsheet(formula):
    read = pd.read_csv(io.BytesIO(to_csv(pd.DataFrame({formula: [formula, "plain"], "x": [-1.5, 2]}))))
    assert read.columns.tolist() == [f"'{formula}", "x"]
    assert read.iloc[:, 0].tolist() == [f"'{formula}", "plain"]
    assert read["x"].tolist() == [-1.5, 2]


def test_what_is_invisible_or_turns_the_direction_is_seen_on_the_page():
    hostile = "a\u202egpj.exe\x1b[31m\x00\ufeff\udc80"
    table = Table("t", hostile, hostile, pd.DataFrame({"title": pd.Series([hostile], dtype=object)}))
    report = Report(hostile, hostile, "x", (hostile,), {"n": hostile}, (Section("s", hostile, hostile, (table,)),), {})
    page = render_page(report, replace(render_parts(replace(report, sections=())), data={"t": {}}))
    assert not set(page) & set("\u202e\x1b\x00\ufeff\udc80")
    assert page.count("a\\u202egpj.exe\\x1b[31m\\x00\\ufeff\\x80") >= 9
    page.encode("utf-8")


def test_a_figure_holds_no_character_that_breaks_xml(store):
    pairs = ask(store, "pair_matrix", layer=2, book="book0", marks=500).frame
    svg = to_svg(pair_matrices(pairs, "mi", 2, "a\x00\x1b\u202e\ufffe" + "y" * 3000, TWO), "one")
    ElementTree.fromstring(svg.replace("xlink:", ""))
    assert "a\\x00\\x1b\\u202e\\ufffeyyy" in svg
    assert "y" * 60 not in svg


def test_the_embeddings_stand_apart_in_the_table_of_the_layers(report, page):
    (table,) = [part for section in report.sections for part in section.parts if part.key == "layers"]
    assert table.rows_apart == (True, False, False, False)
    assert table.frame["cliffs_delta"].isna().tolist() == [True, False, False, False]
    body = page.partition('<div class="table" id="layers">')[2].partition("</table>")[0]
    sorted_rows, _, apart = body.partition('<tbody class="apart">')
    assert re.findall(r'<tr><td data-key="(\d+)', sorted_rows) == ["1", "2", "3"]
    assert re.findall(r'<tr><td data-key="(\d+)', apart) == ["0"]
    assert "Layer 0, the embeddings, stands apart" in page


def test_captions_are_three_lines_at_most_and_the_rest_is_below_them(report, page):
    parts = [part for section in report.sections for part in section.parts]
    assert {part.key: len(part.caption) for part in parts if len(part.caption) > 3 * 78} == {}
    assert page.count("<summary>How to read this</summary>") == sum(bool(part.reading) for part in parts) >= 9


def test_what_was_found_comes_first_and_the_settings_last(report):
    keys = [section.key for section in report.sections]
    assert keys[0] == "answer"
    assert keys[-1] == "study-section"


def test_a_part_that_cannot_be_drawn_or_written_is_a_sentence_in_its_place(report):
    class Undrawable(Figure):
        def savefig(self, *arguments, **options):
            raise ValueError("out of ink")

    (section,) = [section for section in report.sections if section.key == "six-figures"]
    parts = (replace(section.parts[0], figure=Undrawable()), *section.parts[1:2])
    chosen = replace(report, sections=(replace(section, parts=parts),))
    rendered = render_parts(chosen)
    assert set(rendered.drawings) == {section.parts[1].key}
    settled = chosen.without(rendered.failures)
    assert [type(part) for part in settled.sections[0].parts] == [Failure, Exhibit]
    page = render_page(settled, rendered)
    sentence = "Mean activation per dimension, layer 2 could not be made: ValueError: out of ink"
    assert f'<p class="failed" id="mean-activations">{sentence}</p>' in page
    assert '<figure id="mutual-information">' in page
    assert {name for name in files_beside(settled, rendered) if name.startswith("figures/")} == {
        "figures/mutual-information.svg",
        "figures/mutual-information.png",
    }


def test_a_table_without_rows_says_so():
    table = Table("t", "T", "caption", pd.DataFrame({"a": []}), nothing="Nobody was there.")
    report = Report("t", "s", "x", (), {}, (Section("s", "S", "", (table,)),), {})
    page = render_page(report, render_parts(report))
    assert "<p>Nobody was there.</p>" in page
    assert "<table" not in page
