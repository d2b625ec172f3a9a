"""The page: self-contained, complete, and nothing in it that came from a book is markup."""

from __future__ import annotations

import base64
import gzip
import html
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.page.exhibits import Exhibit, Report, Section, Table
from reports.page.page import PLAIN_CSV_BYTES, cells, download, files_beside, render_page, render_parts, to_csv

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
        "matrices-mi",
        "matrices-cov",
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
            pd.testing.assert_frame_equal(read, frame.reset_index(drop=True), check_dtype=False, check_names=False)


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
    sections = (section, Section("explorer-section", "x", "y", (), explorer))
    report = Report(SCRIPT, IMAGE, "snapshot", (SCRIPT, IMAGE), {SCRIPT: IMAGE}, sections, {})
    page = render_page(report, render_parts(report))
    elements = Elements(page)
    assert [tag for tag, _ in elements.elements].count("script") == 2
    assert not elements.attributes("onerror")
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in elements.elements)
    assert SCRIPT in elements.text
    assert IMAGE in elements.text


def test_cells_show_numbers_with_four_digits_and_sort_by_all_of_them():
    row = {"a": 0.123456, "b": 1234567, "c": None, "d": np.nan, "e": "text", "f": np.float32(2.5), "g": pd.NA, "h": 2e6}
    shown = cells(row, list(row))
    assert [text for text, _ in shown] == ["0.1235", "1,234,567", "–", "–", "text", "2.5", "–", "2,000,000"]
    assert [key for _, key in shown] == ["0.123456", "1234567.0", "", "", "text", "2.5", "", "2000000.0"]


def test_the_example_for_notebooks_runs(three_books, tmp_path, monkeypatch):
    docs = Path(__file__).resolve().parents[3] / "docs" / "reports.md"
    example = re.search(r"```python\n(.*?)```", docs.read_text(encoding="utf-8"), re.DOTALL)[1]
    for name, value in {
        "demo/store": str(three_books),
        "the_lighthouse_ledger": "book0",
        "layer=15": "layer=2",
    }.items():
        assert name in example
        example = example.replace(name, value)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/reports.md", "exec"), {})
    assert (tmp_path / "matrices.png").read_bytes().startswith(b"\x89PNG")
