"""The one-shot report on real stores: idempotent, pinned to a snapshot, and calm about every odd store."""

from __future__ import annotations

import base64
import html
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import interpunct
from reports.build import build_report
from reports.errors import ReportUsageError
from reports.produce import Request, produce_report
from store.commits import CommitRecord
from store.query.reader import open_store
from store.study import Study
from store.upkeep.compaction import compact
from store.writer import StudyWriter, publish_chunk
from tests.builders import RUN, book_chunks, build_store, publish_book, synthetic_study

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank pictures, for tests of when a report is made and what it counts, not of what it shows."""
    monkeypatch.setattr("reports.page.page.to_svg", lambda figure, key: "<svg></svg>")
    monkeypatch.setattr("reports.page.page.to_png", lambda figure: PIXEL)


def commit(location: Path, study: Study, record: CommitRecord) -> None:
    writer = StudyWriter.open(location, study)
    with writer.lock():
        writer.commit(record)


def report_once(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of `interpunct report`."""
    code = interpunct.main(["report", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.usefixtures("undrawn")
def test_the_same_snapshot_makes_no_second_report_and_a_new_book_does(tmp_path, capsys):
    location, out = tmp_path / "store", tmp_path / "out"
    study = build_store(location, books=1, layers=2, marks=6, width=8)
    code, said, _ = report_once(capsys, "--store", location, "--out", out)
    assert code == 0
    assert said.splitlines()[-1] == f"report: {out / 'latest' / 'index.html'}"
    first = (out / "latest").resolve()

    code, said, _ = report_once(capsys, "--store", location, "--out", out)
    assert code == 4
    assert "nothing changed" in said
    assert (out / "latest").resolve() == first

    assert report_once(capsys, "--store", location, "--out", out, "--layer", 0)[0] == 0
    commit(location, study, publish_book(location, study, 1))
    code, _, _ = report_once(capsys, "--store", location, "--out", out, "--layer", 0)
    assert code == 0
    facts = json.loads((out / "latest" / "report.json").read_text())
    assert facts["books"] == ["book0", "book1"]
    assert "1 book added (book1); no book no longer there" in (out / "latest" / "index.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_study_can_be_called_otherwise_in_a_report(tmp_path, capsys):
    location, out = tmp_path / "store", tmp_path / "out"
    build_store(location, books=1, layers=2, marks=6, width=8)
    for name in ((), ("--name", "My model")):
        assert report_once(capsys, "--store", location, "--out", out, *name)[0] == 0
        page = (out / "latest" / "index.html").read_text()
        assert f"Punctuation in {'My model' if name else 'synthetic'}" in page


@pytest.mark.whole
@pytest.mark.usefixtures("undrawn")
def test_compaction_is_no_change_and_a_report_after_it_shows_the_same(tmp_path):
    location = tmp_path / "store"
    build_store(location, books=3, layers=2, marks=6, width=8)
    before = produce_report(Request(str(location), str(tmp_path / "out")), NOW)
    compact(str(location))
    assert not produce_report(Request(str(location), str(tmp_path / "out")), NOW).changed
    after = produce_report(Request(str(location), str(tmp_path / "out"), force=True), NOW + timedelta(days=1))
    assert after.findings == before.findings


def test_a_report_shows_what_was_committed_when_it_began(tmp_path):
    """Files of a run that goes on, a commit and a compaction during the report leave it as it was."""
    location = tmp_path / "store"
    study = build_store(location, books=2, layers=2, marks=6, width=8)
    for key, table in book_chunks(study, 2)[:3]:
        publish_chunk(location, key, table, RUN)
    with open_store(location) as store:
        commit(location, study, publish_book(location, study, 3))
        compact(str(location))
        report = build_report(store)
    assert report.facts["books"] == ["book0", "book1"]
    with open_store(location) as store:
        assert build_report(store).facts["books"] == ["book0", "book1", "book3"]


def test_a_store_without_pairs_gives_a_page_that_says_so(tmp_path):
    StudyWriter.open(tmp_path / "store", synthetic_study())
    produced = produce_report(Request(str(tmp_path / "store"), str(tmp_path / "out")), NOW)
    assert produced.findings == ("This store holds no pairs: no book is committed yet.",)
    assert produced.findings[0] in produced.page.read_text()


@pytest.mark.whole
def test_a_class_that_no_book_has(tmp_path):
    study = synthetic_study(layers=2, marks=6, width=8, baseline=None)
    record = publish_book(tmp_path / "store", study, 0, marks={"internal": 6, "terminal": 0})
    commit(tmp_path / "store", study, record)
    produced = produce_report(Request(str(tmp_path / "store"), str(tmp_path / "out"), pdf=True), NOW)
    assert produced.failures == ()
    assert produced.findings == ("There is nothing to compare: no mark of “terminal” was used.",)
    page = produced.page.read_text()
    assert "no terminal pairs" in page
    assert "No book has pairs between “internal” and “terminal” and within both." in page


@pytest.mark.parametrize(("layers", "marks", "width"), [(1, 6, 8), (3, 2, 4), (2, 40, 5)])
@pytest.mark.whole
def test_a_single_layer_a_single_pair_and_odd_widths(tmp_path, layers, marks, width):
    build_store(tmp_path / "store", books=1, layers=layers, marks=marks, width=width)
    produced = produce_report(Request(str(tmp_path / "store"), str(tmp_path / "out"), pdf=True), NOW)
    assert produced.changed
    assert produced.failures == ()
    assert (produced.page.parent / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.whole
def test_many_books_get_intervals_over_books_and_bands(tmp_path):
    build_store(tmp_path / "store", books=12, layers=2, marks=4, width=6)
    with open_store(tmp_path / "store") as store:
        report = build_report(store)
    parts = [part.caption + part.reading for section in report.sections for part in section.parts]
    text = json.dumps(parts + [section.introduction for section in report.sections])
    assert report.failures == ()
    assert "wild bootstrap-t over 12 books" in text
    assert "median book" in text


@pytest.mark.usefixtures("undrawn")
def test_only_some_books(three_books, tmp_path):
    produced = produce_report(Request(str(three_books), str(tmp_path), books=("book1",)), NOW)
    assert json.loads((produced.page.parent / "report.json").read_text())["books"] == ["book1"]


@pytest.mark.whole
@pytest.mark.usefixtures("undrawn")
def test_stores_side_by_side(three_books, tmp_path):
    """Two others of the same name: one of two of the three books, and the store itself, which differs by nothing."""
    build_store(tmp_path / "other", books=2, layers=6, marks=5, width=10, seed=7)
    others = (str(tmp_path / "other"), str(three_books))
    produced = produce_report(Request(str(three_books), str(tmp_path / "out"), compare=others), NOW)
    page = produced.page.read_text()
    assert "seed: 1 and 7" in page
    assert "Left out, since this store alone has them: book2." in page
    assert page.count("How alike the layers are (CKA) is not known") == 2, "12 marks of a class are too few"
    assert json.loads((produced.page.parent / "report.json").read_text())["alignment"] == []
    assert [title for title in re.findall(r"<h2>(.*?)</h2>", page) if "ompar" in title] == [
        "Comparison", "Compared with synthetic (2)", "Compared with synthetic (3)",
    ]  # fmt: skip
    keys = re.findall(r'\bid="([^"]+)"', page)
    assert len(keys) == len(set(keys))
    one, same, both = (
        pd.read_csv(produced.page.parent / "data" / f"{name}.csv")
        for name in ("comparison", "comparison-2", "comparison-all")
    )
    assert set(one["depth"].round(3)) == {0.333, 0.667, 1.0}, "this store's layers but for the embeddings"
    assert (same["difference"] == 0).all()
    assert (one["difference"] != 0).any()
    assert len(both) == len(one) + len(same)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "9"], "layer 9 is not in the store; it has layers 0 to 3"),
        (["--layer", "-1"], "layer -1 is not in the store"),
        (["--books", "nosuch"], "book 'nosuch' is not in the store; its books are: book0, book1, book2\n"),
        (["--books", "bok1"], "book 'bok1' is not in the store (did you mean book1?); its books are"),
        (["--compare", "/nowhere/at/all"], "holds no store"),
    ],
)
def test_wrong_use_is_one_line_and_publishes_nothing(three_books, tmp_path, capsys, options, message):
    code, _, said = report_once(capsys, "--store", three_books, "--out", tmp_path / "out", *options)
    assert code == 2
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "latest").exists()


def test_no_store_and_no_place_to_write_to(three_books, tmp_path, capsys):
    assert report_once(capsys, "--store", tmp_path / "none", "--out", tmp_path / "out")[0] == 2
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    code, _, said = report_once(capsys, "--store", three_books, "--out", tmp_path / "file")
    assert code == 2
    assert "cannot be written" in said


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_a_damaged_store_is_refused_and_nothing_is_published(tmp_path, capsys, damage):
    location, out = tmp_path / "store", tmp_path / "out"
    build_store(location, books=1, layers=2, marks=4, width=6)
    for path in (location / "pairs" / "layer=01").rglob("*.parquet"):
        path.chmod(0o644)
        path.unlink() if damage == "missing" else path.write_bytes(b"garbage")
    code, _, said = report_once(capsys, "--store", location, "--out", out)
    assert code == 3
    assert "`interpunct verify` names what is damaged" in said
    assert not (out / "latest").exists()


def test_an_address_is_no_folder_for_reports(three_books, capsys):
    code, _, said = report_once(capsys, "--store", three_books, "--out", "s3://bucket/reports")
    assert code == 2
    assert "is an address" in said
    assert "name a folder" in said


@pytest.mark.whole
@pytest.mark.usefixtures("undrawn")
def test_a_title_of_any_length_and_script_is_published_whole(three_books, tmp_path, capsys):
    title = "紅樓夢 كتاب \U0001f600 \u202e" + "y" * 3000
    code, _, said = report_once(capsys, "--store", three_books, "--out", tmp_path, "--pdf", "--title", title)
    assert (code, said) == (0, "")
    assert (tmp_path / "latest" / "report.pdf").read_bytes().startswith(b"%PDF")
    heading = (tmp_path / "latest" / "index.html").read_text().partition("<h1>")[2].partition("</h1>")[0]
    assert heading.startswith("紅樓夢 كتاب \U0001f600 \\u202eyyy")
    assert len(heading) < 220


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("broken", "says", "place"),
    [
        pytest.param(
            "reports.produce.render_pdf",
            "report.pdf could not be made: ValueError: broken",
            "findings",
            marks=pytest.mark.whole,
        ),
        ("reports.build.chance_level", "The level of chance could not be made: ValueError: broken", "findings"),
        ("reports.sections.answer.within_and_between", "The figure of the answer could not be made", "answer"),
        ("reports.build.explorer_data", "The explorer of the layers could not be made", "layers-section"),
        ("reports.build.layer_table", "The table of the layers could not be made", "layers-section"),
        ("reports.sections.notebook.mi_against_covariance", "The figure mi-against-covariance could", "six-figures"),
        ("reports.build.books_section", "The section &#39;Book by book&#39; could not be made", "books"),
        ("reports.build.study_section", "The section &#39;What was run&#39; could not be made", "study-section"),
    ],
)
def test_a_part_that_fails_fails_alone(three_books, tmp_path, capsys, monkeypatch, broken, says, place):
    def fail(*arguments, **options):
        raise ValueError("broken")

    arguments = ("--store", three_books, "--out", tmp_path, *(["--pdf"] if "pdf" in broken else []))
    monkeypatch.setattr(broken, fail)
    code, said, complaint = report_once(capsys, *arguments)
    assert code == 1
    assert said.splitlines()[-1] == f"report: {tmp_path / 'latest' / 'index.html'}"
    assert html.unescape(says) in complaint
    assert "Traceback" not in complaint
    page = (tmp_path / "latest" / "index.html").read_text()
    assert says in re.split(rf'<(?:section|details class="chapter") id="{place}"', page)[1].partition("</section>")[0]


@pytest.mark.whole
@pytest.mark.usefixtures("undrawn")
def test_a_report_with_a_part_that_failed_is_tried_again_until_it_is_whole(three_books, tmp_path, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("broken")

    arguments = ("--store", three_books, "--out", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("reports.build.layer_table", fail)
        code, _, complaint = report_once(capsys, *arguments)
        first = (tmp_path / "latest").resolve()
        assert code == 1
        code, _, again = report_once(capsys, *arguments)
        assert (code, again) == (1, complaint), "tried again, told again"
        assert (tmp_path / "latest").resolve() == first, "and not published again"
    assert report_once(capsys, *arguments)[0] == 0
    assert (tmp_path / "latest").resolve() != first


@pytest.mark.usefixtures("undrawn")
def test_old_reports_go(three_books, tmp_path):
    for day in range(2):
        produce_report(Request(str(three_books), str(tmp_path), layer=day, keep=1), NOW + timedelta(days=day))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("2026")] == ["20260302T060000Z"]


def test_a_book_that_gave_nothing_is_refused_by_name(tmp_path, three_books):
    with open_store(three_books) as store, pytest.raises(ReportUsageError, match="book 'x' is not"):
        build_report(store, books=("x",))


def _internal_only(table):
    if "class" not in table.column_names:
        return table
    keep = [name == "internal" for name in table.column("class").to_pylist()]
    return table.filter(keep)


@pytest.mark.whole
def test_a_report_made_twice_is_the_same_byte_for_byte(tmp_path):
    build_store(tmp_path / "store", books=1, layers=2, marks=6, width=8, baseline=None)
    made = []
    for folder in ("one", "two"):
        produced = produce_report(Request(str(tmp_path / "store"), str(tmp_path / folder), pdf=True), NOW)
        files = sorted(path for path in produced.page.parent.rglob("*") if path.is_file() and path.name[0] != ".")
        made.append({str(path.relative_to(produced.page.parent)): path.read_bytes() for path in files})
    one, two = made
    assert {Path(name).suffix for name in one} == {".html", ".svg", ".png", ".pdf", ".csv", ".parquet", ".sql", ".json"}
    assert [name for name in one if one[name] != two.get(name)] == []
    assert len(one) == len(two)


@pytest.mark.usefixtures("undrawn")
def test_data_beside_the_page_is_the_same_in_csv_and_in_parquet(tmp_path):
    build_store(tmp_path / "store", books=1, layers=2, marks=6, width=8)
    folder = produce_report(Request(str(tmp_path / "store"), str(tmp_path / "out")), NOW).page.parent / "data"
    names = sorted(path.stem for path in folder.glob("*.csv"))
    assert "pairs-mi" in names
    for name in names:
        read = pd.read_csv(folder / f"{name}.csv", keep_default_na=True)
        typed = pd.read_parquet(folder / f"{name}.parquet")
        assert len(read) == len(typed)
        assert read.columns.tolist() == typed.columns.tolist()
