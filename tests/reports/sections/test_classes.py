"""Reports of one class, of three with a baseline, and of pairs that are kept as summaries alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reports.build import build_report
from reports.page.exhibits import Exhibit, Report, Table
from reports.page.page import render_page, render_parts
from store.query.reader import open_store
from tests.builders import build_store


def report_of(location: Path, **settings) -> Report:
    build_store(location, books=1, layers=3, marks=6, width=12, **settings)
    with open_store(location) as store:
        report = build_report(store)
    assert report.failures == ()
    return report


def texts(report: Report) -> str:
    """All words of a report, but those within figures."""
    said = [report.title, *report.findings, *report.figures_in_numbers]
    for section in report.sections:
        if section.key != "study-section":
            said += [section.title, section.introduction]
            for part in section.parts:
                said += [part.title, part.caption, part.reading]
                said += [part.alt] if isinstance(part, Exhibit) else map(str, part.headings.values())
    return "\n".join(said)


def part(report: Report, key: str) -> Exhibit | Table:
    (found,) = [one for section in report.sections for one in section.parts if one.key == key]
    return found


def introduction(report: Report, key: str) -> str:
    (found,) = [section for section in report.sections if section.key == key]
    return found.introduction


@pytest.mark.whole
def test_words_for_classes_are_all_that_a_report_speaks_of(tmp_path):
    classes = [["and", ["and"]], ["but", ["but", "yet"]], ["the", ["the"]]]
    report = report_of(tmp_path / "store", classes=classes)
    said = texts(report).replace("internal vs. terminal punctuation", "")
    assert "internal" not in said
    assert "terminal" not in said
    note = (
        "All 3 classes are drawn. The answer begins with the first two that the study names, “and” and “but”; a table "
        "has every pair of them."
    )
    table = part(report, "class-pairs").frame
    assert list(zip(table["first"], table["second"], strict=True)) == [("and", "but"), ("and", "the"), ("but", "the")]
    lines = part(report, "class-pairs-figure").figure.axes[0].lines
    rows = part(report, "class-pairs-figure").data["class-pairs-layers"].query("first == 'but' and layer > 0")
    np.testing.assert_array_equal(lines[-1].get_ydata(), rows["separation"])
    assert report.findings[-1] == note
    rendered = render_parts(report)
    assert rendered.failures == {}
    for name in ("and", "but (but yet)", "the", "baseline (random tokens)"):
        assert name in rendered.drawings["distributions-by-layer"]
    (explorer,) = [section.explorer for section in report.sections if section.explorer]
    assert [one["name"] for one in explorer["classes"]] == ["and", "but", "the", "baseline"]
    assert "numbers-3-mi" in render_page(report, rendered)


def test_the_answer_is_drawn_from_what_is_in_its_data_and_shown_once(tmp_path):
    report = report_of(tmp_path / "store")
    exhibit = part(report, "answer-figure")
    above, below = exhibit.figure.axes
    labels = ["within internal", "within terminal", "between them", "random tokens"]
    assert [line.get_label() for line in above.lines] == labels
    results = exhibit.data["answer"]
    rows = results[(results["quantity"] == "separation") & (results["measure"] == "mi") & (results["layer"] > 0)]
    (line,) = [line for line in below.lines if line.get_label() == "separation"]
    assert list(line.get_xdata()) == [1, 2], "layer 0 is not drawn"
    np.testing.assert_allclose(line.get_ydata(), rows["estimate"])
    assert "separation" not in part(report, "layers").frame
    table = part(report, "answer-layers")
    assert table.rows_apart == (True, False, False)
    np.testing.assert_allclose(table.frame["separation"][1:], rows["estimate"])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"between": "none", "measures": "notebook", "baseline": None}, "no pairs between classes (--between none)"),
        ({"classes": [["stops", ["."]]]}, "The study names one class, “stops”: no pairs lie between two."),
    ],
)
def test_without_pairs_between_two_there_is_a_sentence(tmp_path, settings, says):
    report = report_of(tmp_path / "store", **settings)
    assert says in introduction(report, "answer")
    assert "separation" not in part(report, "layers").frame


@pytest.mark.whole
def test_one_class_alone_is_compared_with_nothing(tmp_path):
    report = report_of(tmp_path / "store", classes=[["stops", ["."]]], baseline=None)
    assert report.findings == ("There is nothing to compare: the study names one class, “stops”.",)
    assert len(part(report, "headline").figure.axes) == 1
    assert "difference" not in part(report, "layers").frame
    assert render_parts(report).failures == {}


def test_summaries_alone_make_a_report_without_what_needs_rows(tmp_path):
    report = report_of(tmp_path / "store", within="summaries", between="summaries")
    assert "(--within summaries)" in introduction(report, "six-figures")
    assert "(--within summaries)" in introduction(report, "extremes")
    assert part(report, "answer-figure")
    assert part(report, "method-steps")
    keys = [one.key for section in report.sections for one in section.parts]
    assert "mean-activations" in keys
    assert "mutual-information" not in keys
