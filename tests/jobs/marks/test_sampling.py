"""Passages, baseline and context of the marks that are taken; classes other than the two usual ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.classes import parse_classes
from jobs.config import StudyConfig, resolve
from jobs.errors import UsageError
from jobs.marks.passages import PassageGrid
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize

WINDOW = replace(resolve({}, preset="notebook")[0], skip_tokens=0)
NARROW = replace(WINDOW, before=0, after=0, per_class=None)
PASSAGES = StudyConfig(passage_tokens=120, warmup_tokens=30, per_class=20)


@pytest.fixture(scope="module")
def story(tokenizers, sample_text):
    return tokenize(tokenizers["byte-level"], sample_text)


def texts(tokenization, positions) -> set[str]:
    return {tokenization.vocabulary.text(int(i)).strip() for i in tokenization.ids[positions]}


@pytest.mark.parametrize("sample", ["spread", "first", "random"])
def test_marks_of_passages_lie_in_bodies_and_the_sequences_hold_them(story, sample):
    selection = select(story, replace(PASSAGES, sample=sample))
    sequences = selection.sequences
    tokens = sequences.tokens(story.ids)
    farthest = max(columns.max() for columns in sequences.columns.values())
    assert tokens.shape == (len(selection.passage_starts), farthest + 1)
    assert farthest < 120
    assert selection.passage_length == sequences.length, "what is read is what the table of passages says"
    for name, selected in selection.classes.items():
        rows, columns = sequences.rows[name], sequences.columns[name]
        np.testing.assert_array_equal(tokens[rows, columns], story.ids[selected.taken])
        np.testing.assert_array_equal(rows, selection.passage_of[name])
        assert (columns >= 30).all()
        assert (np.diff(selected.taken) > 0).all()
    assert [selected.taken.size for selected in selection.classes.values()] == [20, 20, 64]
    read = np.concatenate(list(sequences.rows.values()))
    assert set(read.tolist()) == set(range(len(tokens))), "no passage is read for nothing"


def test_spread_reaches_from_the_beginning_to_the_end_and_first_does_not(story):
    spread, first = (
        select(story, replace(PASSAGES, sample=sample)).classes["internal"].taken / story.ids.size
        for sample in ("spread", "first")
    )
    assert spread.min() < 0.3
    assert spread.max() > 0.7
    assert first.max() < 0.3


def test_all_takes_every_eligible_mark_of_the_whole_text(story):
    selection = select(story, replace(PASSAGES, per_class=None))
    assert len(selection.passage_starts) == PassageGrid.of(story.ids.size, 120, 30).count
    for name in ("internal", "terminal"):
        assert selection.classes[name].taken.size == selection.classes[name].eligible


def test_the_baseline_belongs_to_no_class_and_lies_in_the_same_passages(story):
    selection = select(story, PASSAGES)
    baseline = selection.classes["baseline"]
    assert not texts(story, baseline.taken) & {",", "."}
    assert baseline.found == baseline.eligible == 64
    assert not np.array_equal(select(story, replace(PASSAGES, seed=1)).classes["baseline"].taken, baseline.taken)
    without = select(story, replace(PASSAGES, baseline=None))
    assert "baseline" not in without.classes
    np.testing.assert_array_equal(without.classes["internal"].taken, selection.classes["internal"].taken)


def test_a_baseline_of_windows_lies_among_the_marks(story):
    selection = select(story, replace(WINDOW, baseline=30, per_class=40))
    marks = np.concatenate([selection.classes[name].taken for name in ("internal", "terminal")])
    baseline = selection.classes["baseline"].taken
    assert baseline.size == 30
    assert ((baseline > marks.min()) & (baseline < marks.max())).all()
    assert not texts(story, baseline) & {",", "."}


def test_a_text_shorter_than_a_passage_is_read_whole(tokenizers):
    tokens = tokenize(tokenizers["byte-level"], "One, two. Three, four. " * 12)
    selection = select(tokens, StudyConfig())
    assert selection.problem is None
    assert tokens.ids.size - 5 <= selection.sequences.length <= tokens.ids.size, "up to its last mark"
    assert selection.passage_starts.tolist() == [0]
    assert selection.left_out["internal: in the first warm-up"] > 0


@pytest.mark.parametrize("config", [PASSAGES, replace(WINDOW, per_class=60)], ids=["passages", "windows"])
def test_the_first_of_its_class_in_what_the_model_reads(story, config):
    selection = select(story, config)
    for name, mark in (("internal", ","), ("terminal", ".")):
        ids, starts = story.vocabulary.ids_of(mark), selection.sequences.starts
        marks = zip(selection.sequences.rows[name], selection.classes[name].taken, strict=True)
        expected = [not np.isin(story.ids[starts[row] : position], ids).any() for row, position in marks]
        assert selection.first_in_context[name].tolist() == expected
        assert np.mean(expected) < 0.1 if config is PASSAGES else any(expected), "a warm-up sees to it"


def test_words_are_classes_like_marks_and_a_clash_is_named(story):
    words = replace(PASSAGES, classes=parse_classes({"and": ["and"], "but": ["but"], "the": ["the", "The"]}))
    selection = select(story, words)
    assert texts(story, selection.classes["and"].taken) == {"and"}
    assert texts(story, selection.classes["the"].taken) <= {"the", "The"}
    assert selection.classes["the"].taken.size == 20
    with pytest.raises(UsageError, match="belongs to the classes 'and' and 'words'"):
        select(story, replace(PASSAGES, classes={"and": ["and"], "words": [r"re:[a-z]+"]}))


def test_a_class_without_marks_is_a_warning_and_the_others_are_used(tokenizers):
    text = tokenize(tokenizers["byte-level"], "One, two, three. " * 9)
    selection = select(text, replace(NARROW, classes={"commas": [","], "stars": ["*"]}))
    assert selection.problem is None
    assert selection.warnings == ["no pairs of class stars: 0 stars of 0 found"]
    assert select(text, replace(NARROW, classes={"stars": ["*"]})).problem is not None


@pytest.mark.parametrize("name", ["internal", "stops"])
def test_rules_go_with_the_mark_and_not_with_the_name_of_its_class(tokenizers, name):
    text = tokenize(tokenizers["byte-level"], "Mr. Smith paid 3.14 , then left. He slept.")
    for selection, reasons in (
        ("notebook", {"decimal point"}),
        ("strict", {"decimal point", "abbreviation or initial"}),
    ):
        one = select(text, replace(NARROW, selection=selection, classes={name: ["."]})).classes[name]
        assert set(one.left_out) == reasons
