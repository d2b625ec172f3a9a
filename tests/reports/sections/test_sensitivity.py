"""What survives, said of a store in which it is known: a true difference, and one that the outlier rule makes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.specifications import Trial, contrasted
from jobs.config import StudyConfig
from jobs.sensitivity.grid import trials_of
from jobs.sensitivity.table import SpecificationRows, sensitivity_table
from reports.data.answer import BOOK_COLUMNS, COLUMNS, Answers, find_answers
from reports.data.classes import Classes
from reports.data.sensitivity import find_survival
from reports.sections.answer import sentences
from reports.sections.sensitivity import NOT_TRIED, facts_of, marked, sensitivity_section
from store.commits import CommitRecord, Tried
from store.keys import ChunkKey, ShardKey
from store.query.reader import open_store
from store.study import study_of
from store.writer import StudyWriter, publish_chunk
from tests.builders import build_store

MARKS, WIDTH, PASSAGES = 48, 256, np.arange(48) // 6
ARTEFACT, TRUE = 1, 2
"""Layers in which the difference is the outlier rule's doing, and in which it is true."""


def states(layer: int, book: int) -> Trial:
    random = np.random.default_rng((layer, book))
    x = random.standard_normal((2, MARKS, WIDTH)).astype(np.float32)
    if layer == ARTEFACT:  # masked by a threshold of 5 in the first class alone, by 3 in both, by 8 in neither
        x[0, :, 0], x[1, :, 0] = 7.5, 4.9
    elif layer == TRUE:
        x[1] += random.standard_normal(WIDTH)
    return Trial(x[0], x[1], (PASSAGES, PASSAGES))


def add_table(place, books: int) -> None:
    """Commit the trials of the study's model that need no model, of the first books, as a run would."""
    trials = [trial for trial in trials_of(StudyConfig(), None, quick=False) if trial.name in ("study", "combinations")]
    with open_store(place) as store:
        checksums = dict(store.sql("SELECT book, sha256 FROM books ORDER BY book").fetchall()[:books])
    writer = StudyWriter.open(place, study_of(str(place)))
    with writer.lock():
        for number, book in enumerate(checksums):
            by_layer = [states(layer, number) for layer in range(3)]
            for trial in trials:
                rows = []
                for s in trial.specifications:
                    found = [contrasted(of.sums(s.measuring), s.measuring) for of in by_layer]
                    rows.append(
                        SpecificationRows(
                            s, trial.condition, book, ("internal", "terminal"), (0, 1, 2), found, (MARKS, MARKS), 8
                        )
                    )
                shard = ShardKey.of("sensitivity", [f"{trial.name} {book}"])
                table = sensitivity_table(rows, "made up", MARKS)
                receipt = publish_chunk(place, ChunkKey("sensitivity", shard), table, "run-s")
                tried = Tried(book, checksums[book], tuple(s.name for s in trial.specifications), 3)
                writer.commit(CommitRecord(shard, (receipt,), (), "run-s", tried=(tried,)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("sensitivity") / "store"
    build_store(place, books=2, layers=3, marks=30, width=16)
    return place


@pytest.fixture(scope="module")
def tried(place):
    add_table(place, 2)
    with open_store(place) as store:
        survival = find_survival(store, "internal", "terminal")
        answers = find_answers(store, Classes.of(store.study))
    assert survival is not None
    return survival, answers


def test_a_store_without_the_table_says_that_nothing_was_tried(tmp_path):
    build_store(tmp_path / "store", books=1, layers=2, marks=12, width=16)
    with open_store(tmp_path / "store") as store:
        assert find_survival(store, "internal", "terminal") is None
        answers = find_answers(store, Classes.of(store.study))
    section = sensitivity_section(None, "internal", "terminal", 1)
    assert section.introduction.startswith("Not tried.")
    assert not section.parts
    said = sentences(answers, "a model")
    assert marked(said, answers, None) == (*said, NOT_TRIED)


def test_the_difference_that_the_outlier_rule_makes_is_flagged_and_the_true_one_is_not(tried):
    survival, _ = tried
    kept = survival.kept("difference").set_index("layer")
    assert kept.loc[ARTEFACT, "sure"], "by itself it looks like a finding"
    assert kept.loc[ARTEFACT, "share"] < 0.7
    assert kept.loc[TRUE, "sure"]
    assert kept.loc[TRUE, "kept"] == kept.loc[TRUE, "choices"]


def test_the_sentence_names_the_layer_and_what_turns_it(tried):
    survival, _ = tried
    said = sensitivity_section(survival, "internal", "terminal", TRUE).introduction
    assert f"It does not survive in layer {ARTEFACT}; it is turned round by" in said
    cause = said.partition("turned round by")[2].partition(".")[0]
    assert "no threshold" in cause
    assert "threshold 8" in cause


def test_headlines_carry_whether_they_survive(tried):
    survival, answers = tried
    said = sentences(answers, "a model")
    found = marked(said, answers, survival)
    assert len(found) == len(said)
    assert all(sentence.startswith(plain) for sentence, plain in zip(found, said, strict=True))
    assert f"[Tried under other choices on {MARKS} marks of each class of 2 books: survives" in found[0]
    assert f"[Not shown to survive other choices: {MARKS} marks" in found[1], "and the sentence claims nothing"


def headline(layer: int, estimate: float) -> Answers:
    """Results of which the difference is sure in one layer alone."""
    row = dict.fromkeys(COLUMNS, np.nan) | {"first": "internal", "second": "terminal", "measure": "mi"}
    rows = [
        row
        | {"quantity": quantity, "layer": layer, "estimate": estimate, "low": estimate - 0.01, "high": estimate + 0.01}
        for quantity in ("separation", "difference")
    ]
    none = pd.DataFrame(columns=list(BOOK_COLUMNS))
    return Answers("internal", "terminal", ("book0",), 8, pd.DataFrame(rows), none, ())


@pytest.mark.parametrize(
    ("layer", "sign", "said"),
    [
        (TRUE, 1, "2 books: survives; in layer 2, {choices} of {choices} choices give the same sign.]"),
        (ARTEFACT, 1, "survives in 0 of 1 layers; in layer 1, {kept} of {choices} choices give the same sign.]"),
        (TRUE, -1, "alone are sure of it in no layer.]"),
    ],
)
def test_a_headline_survives_where_the_trial_is_sure_of_it_by_itself(tried, layer, sign, said):
    survival, _ = tried
    (row,) = survival.kept("difference").query(f"layer == {layer}").to_dict("records")
    _, marked_difference = marked(("apart.", "alike."), headline(layer, sign * row["estimate"]), survival)
    assert said.format(**row) in marked_difference


def test_every_choice_is_drawn_once_with_the_default_marked(tried):
    survival, _ = tried
    signs, _, curve, table = sensitivity_section(survival, "internal", "terminal", TRUE).parts
    estimates = list(curve.figure.axes[0].containers)
    points = sum(len(container.lines[0].get_xdata()) for container in estimates)
    assert points == survival.rows["specification"].nunique()
    (default,) = [c for c in estimates if c.lines[0].get_marker() == "D"]
    own = survival.default("difference").set_index("layer").loc[TRUE, "estimate"]
    assert default.lines[0].get_ydata()[0] == pytest.approx(own)
    assert len(signs.figure.axes) == 2
    assert set(table.frame["kind"]) == {"choice"}
    assert not table.frame["specification"].str.contains(",").any(), "single changes alone"


def test_every_single_change_is_a_line_over_the_layers_beside_the_default_and_its_band(tried):
    survival, _ = tried
    _, axes, *_ = sensitivity_section(survival, "internal", "terminal", TRUE).parts
    panels = {panel.get_title(): panel for panel in axes.figure.axes}
    names = ["Bins", "Outlier threshold", "Form of the states", "Estimator", "Which marks", "Half of the passages"]
    assert list(panels) == names
    lines = {line.get_label(): line for line in panels["Outlier threshold"].get_lines()}
    assert {"default", "threshold 3", "threshold 8", "no threshold"} <= set(lines)
    default = survival.default("difference").set_index("layer")["estimate"]
    assert lines["default"].get_ydata() == pytest.approx(default.loc[[ARTEFACT, TRUE]])
    without = survival.rows.query("specification == 'no threshold' and quantity == 'difference' and layer > 0")
    assert lines["no threshold"].get_ydata() == pytest.approx(without["estimate"])
    (band,) = panels["Bins"].collections
    assert band.get_paths()[0].get_extents().ymin == pytest.approx(survival.default("difference")["low"].loc[1:].min())


def test_means_over_books_have_half_widths_as_of_independent_books(tried, place):
    survival, _ = tried
    with open_store(place) as store:
        rows = store.sql(
            "SELECT estimate, high - low FROM sensitivity WHERE specification = '30 bins' AND layer = 2 "
            "AND quantity = 'separation'"
        ).fetchall()
    mean = survival.rows.query("specification == '30 bins' and layer == 2 and quantity == 'separation'").iloc[0]
    assert mean["estimate"] == pytest.approx(np.mean([estimate for estimate, _ in rows]))
    assert mean["high"] - mean["low"] == pytest.approx(np.hypot(*(width for _, width in rows)) / 2)


def test_books_that_miss_a_specification_are_left_out(tmp_path):
    build_store(tmp_path / "store", books=2, layers=3, marks=12, width=16)
    add_table(tmp_path / "store", 1)
    with open_store(tmp_path / "store") as store:
        survival = find_survival(store, "internal", "terminal")
        assert len(survival.books) == 1
        assert find_survival(store, "internal", "terminal", ("no such book",)) is None


def test_facts_are_plain_json(tried):
    survival, _ = tried
    facts = json.loads(json.dumps(facts_of(survival)))
    assert [entry["quantity"] for entry in facts] == ["difference", "separation"]
    assert all(len(entry["kept"]) == 3 for entry in facts)
    assert facts_of(None) == []
