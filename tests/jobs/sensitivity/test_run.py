"""`sensitivity` from a store to its table: what stands there, once, whatever stopped it and however it is spread."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import run
from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from jobs.model.hidden_states import HiddenStates
from jobs.sensitivity import reading
from jobs.sensitivity import run as sensitivity
from jobs.sensitivity.run import Asked
from jobs.sensitivity.stages import ModelOfTrials, compute_trial
from reports.data.answer import find_answers
from reports.data.scope import choose_scope
from store.amendments import remove
from store.query.reader import open_store
from store.upkeep.compaction import compact
from store.upkeep.verify import verify
from tests.jobs.injection import study, write_books

SERIAL = RunConfig(serial=True)
LAYERS = 4
MARKS = 12
ASKED = Asked(per_class=MARKS)


@pytest.fixture(scope="module")
def config(tiny_gpt2) -> StudyConfig:
    return study(tiny_gpt2, skip_tokens=80, clusters=False)


@pytest.fixture(scope="module")
def books(tmp_path_factory, sample_text) -> list[str]:
    return write_books(tmp_path_factory.mktemp("books"), sample_text, 2)


@pytest.fixture(scope="module")
def study_store(tmp_path_factory, books, config) -> Path:
    location = tmp_path_factory.mktemp("study") / "store"
    assert run.execute(books, config, SERIAL, str(location)) == 0
    return location


@pytest.fixture
def store(study_store, tmp_path) -> str:
    """A copy of the study, to be added to."""
    import shutil

    return str(shutil.copytree(study_store, tmp_path / "store"))


@pytest.fixture(scope="module")
def tried(study_store, tmp_path_factory) -> str:
    """The study with all of its table; to be read only."""
    import shutil

    location = str(shutil.copytree(study_store, tmp_path_factory.mktemp("tried") / "store"))
    assert sensitivity.execute(location, ASKED, SERIAL) == 0
    return location


def rows(location: str, query: str) -> list[tuple]:
    with open_store(location) as opened:
        return opened.sql(query).fetchall()


def table(location: str) -> list[tuple]:
    return [tuple(map(repr, row)) for row in rows(location, "SELECT * FROM sensitivity ORDER BY ALL")]


def test_every_specification_has_every_layer_of_every_book(tried):
    counts = rows(tried, "SELECT specification, book, quantity, count(*) FROM sensitivity GROUP BY ALL")
    assert {count for *_, count in counts} == {LAYERS}
    names = {name for name, *_ in counts}
    assert {
        "default",
        "30 bins",
        "no threshold",
        "context: window of 20",
        "words shuffled",
        "untrained weights",
    } < names
    by_name = {(name, book): set() for name, book, *_ in counts}
    for name, book, quantity, _ in counts:
        by_name[name, book].add(quantity)
    assert by_name.pop(("default", "book0")) == {"difference", "separation"}
    without = {name for (name, _), found in by_name.items() if found == {"difference"}}
    assert without == {name for name in names if "centred" in name}


def test_the_default_is_the_number_of_the_study_s_report(tried):
    """The sample has as many marks as the study: what is estimated must be what the report's answer says."""
    ((book,),) = rows(tried, "SELECT min(book) FROM books")
    with open_store(tried) as opened:
        scope = choose_scope(opened, None, (book,))
        assert scope is not None
        answers = find_answers(opened, scope.classes, (book,))
    for quantity in ("difference", "separation"):
        query = (
            f"SELECT estimate FROM sensitivity WHERE specification = 'default' AND book = '{book}' "
            f"AND quantity = '{quantity}' ORDER BY layer"
        )
        found = [estimate for (estimate,) in rows(tried, query)]
        np.testing.assert_allclose(found, answers.of(quantity, "mi")["estimate"], rtol=1e-5, atol=1e-7)


def test_intervals_hold_their_estimates_and_marks_are_counted(tried):
    for estimate, low, high, marks, others, passages in rows(
        tried,
        "SELECT estimate, low, high, marks, other_marks, passages FROM sensitivity WHERE NOT isnan(low)",
    ):
        assert low <= estimate <= high
        assert 2 <= marks <= MARKS
        assert 2 <= others <= MARKS
        assert passages >= 2


def test_untrained_weights_give_the_very_numbers_of_a_model_that_is_untrained(tried):
    """The small GPT-2 has the weights that were drawn for it, and from the control's seed."""
    untrained, default = (
        rows(
            tried,
            f"SELECT book, quantity, layer, estimate, low FROM sensitivity WHERE specification = '{name}' ORDER BY ALL",
        )
        for name in ("untrained weights", "default")
    )
    assert repr(untrained) == repr(default)


def test_a_second_command_finds_nothing_to_do_and_a_longer_one_does_the_rest(store, tried, capfd):
    assert sensitivity.execute(store, replace(ASKED, quick=True), SERIAL) == 0
    first = table(store)
    assert sensitivity.execute(store, replace(ASKED, quick=True), SERIAL) == 0
    assert "nothing to do: 6 trials are in the store" in capfd.readouterr().err
    assert table(store) == first
    assert sensitivity.execute(store, ASKED, SERIAL) == 0
    assert table(store) == table(tried)


def test_what_was_committed_before_a_failure_stays_and_is_not_done_again(store, tried, monkeypatch):
    from jobs.sensitivity import stages

    calls = []

    def failing(trials, context, block, leftovers=None):
        calls.append(block.key)
        if len(calls) == 3 * LAYERS:
            raise OSError("injected: the disk stuttered")
        return compute_trial(trials, context, block, leftovers)

    monkeypatch.setattr(stages, "compute_trial", failing)
    with pytest.raises(OSError, match="stuttered"):
        sensitivity.execute(store, ASKED, SERIAL)
    committed = table(store)
    assert 0 < len(committed) < len(table(tried))
    assert sensitivity.execute(store, ASKED, SERIAL) == 0
    assert table(store) == table(tried)
    shards = {str(key.shard) for key in calls}
    assert len(calls) == (len(shards) + 1) * LAYERS, "one trial alone is done twice"


def test_the_study_s_own_tables_stay_as_they_are_and_the_store_is_sound(tried, study_store):
    for name in ("pairs", "books", "marks", "passage_sums"):
        query = f"SELECT * FROM {name} ORDER BY ALL"
        assert repr(rows(tried, query)) == repr(rows(str(study_store), query))
    assert not verify(tried).damages


def test_compaction_keeps_the_rows(store):
    assert sensitivity.execute(store, replace(ASKED, quick=True), SERIAL) == 0
    before = table(store)
    assert compact(store).generations == 1
    assert table(store) == before
    assert not verify(store).damages
    assert sensitivity.execute(store, replace(ASKED, quick=True), SERIAL) == 0
    assert table(store) == before


def test_a_book_that_was_taken_again_with_another_text_is_tried_again(store, books, config, tmp_path):
    quick = replace(ASKED, quick=True)
    assert sensitivity.execute(store, quick, SERIAL) == 0
    before = set(table(store))
    remove(store, ["book1"], "pages missing")
    mended = tmp_path / "book1.txt"
    mended.write_text(Path(books[1]).read_text() + " And so, at last, it ended. Nobody spoke, and nobody stirred.")
    assert run.execute([str(mended)], config, replace(SERIAL, retake=("book1",)), store) == 0
    assert rows(store, "SELECT DISTINCT book FROM sensitivity") == [("book0",)]
    assert sensitivity.execute(store, quick, SERIAL) == 0
    after = set(table(store))
    assert len(after) == len(before)
    assert {row for row in after & before if "'book1'" in row} != {row for row in before if "'book1'" in row}
    assert not verify(store).damages


@pytest.fixture(scope="module")
def keeping(tmp_path_factory, books, config) -> str:
    """The study of one book, with its hidden states."""
    location = str(tmp_path_factory.mktemp("keeping") / "store")
    assert run.execute(books[:1], replace(config, keep_hidden_states=True), SERIAL, location) == 0
    return location


def test_kept_states_give_what_the_model_gives(keeping, tried, tmp_path, monkeypatch):
    """The sample has as many marks as the study, so that both take the same ones."""
    import shutil

    store, loaded = str(shutil.copytree(keeping, tmp_path / "store")), []
    load = ModelOfTrials._load
    monkeypatch.setattr(ModelOfTrials, "_load", lambda self, weights: loaded.append(weights) or load(self, weights))
    assert sensitivity.execute(store, replace(ASKED, quick=True), SERIAL) == 0
    assert loaded == ["trained", "untrained"], "other marks, shuffled words and other weights"
    query = (
        "SELECT specification, quantity, layer, marks, passages, estimate, low FROM sensitivity WHERE book = 'book0'"
    )
    kept, read = ({tuple(row[:5]): row[5:] for row in rows(place, query)} for place in (store, tried))
    assert len(kept) > 100
    for key, values in kept.items():
        np.testing.assert_allclose(values, read[key], rtol=1e-4, atol=1e-6, err_msg=str(key))


def test_what_is_kept_needs_no_text_and_a_smaller_sample_is_of_the_kept_marks(keeping, tmp_path, monkeypatch):
    import shutil

    store = str(shutil.copytree(keeping, tmp_path / "store"))
    reading._read.cache_clear()
    monkeypatch.setattr(reading, "read_book", lambda ref, of_run: pytest.fail("the text was read"))
    with pytest.raises(pytest.fail.Exception):
        sensitivity.execute(store, replace(ASKED, per_class=6), SERIAL)
    found = {name for (name,) in rows(store, "SELECT DISTINCT specification FROM sensitivity")}
    assert {"default", "30 bins", "first half", "8 bins, standardised"} < found
    assert not any(name.startswith(("selection", "context", "words", "untrained")) for name in found)
    assert rows(store, "SELECT DISTINCT marks, other_marks FROM sensitivity WHERE half = 'whole'") == [(6, 6)]


@pytest.mark.whole
def test_ray_makes_the_rows_of_the_plain_loop(store, tried, ray_cluster):
    assert sensitivity.execute(store, replace(ASKED, quick=True), RunConfig()) == 0
    assert set(table(store)) < set(table(tried))
    assert len(table(store)) == len(
        rows(store, "SELECT DISTINCT specification, book, quantity, layer FROM sensitivity")
    )


def test_another_model_s_layers_stand_beside_the_study_s(store, tiny_gpt2, tmp_path):
    import shutil

    other = shutil.copytree(tiny_gpt2, tmp_path / "other-gpt2")
    (other / "generation_config.json").unlink(missing_ok=True)
    settings = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(settings))
    assert sensitivity.execute(store, replace(ASKED, quick=True, models=(str(other),)), SERIAL) == 0
    model, default = (
        rows(
            store,
            f"SELECT book, quantity, layer, estimate FROM sensitivity WHERE specification = '{name}' ORDER BY ALL",
        )
        for name in ("model: other-gpt2", "default")
    )
    assert model == default, "the same model under another name"


def test_one_sample_for_the_whole_table(store):
    assert sensitivity.execute(store, replace(ASKED, quick=True, books=1), SERIAL) == 0
    with pytest.raises(UsageError, match=f"use --per-class {MARKS}"):
        sensitivity.execute(store, replace(ASKED, per_class=6), SERIAL)


def test_books_are_chosen_by_the_study_s_seed_and_more_can_be_added(store):
    assert sensitivity.execute(store, replace(ASKED, quick=True, books=1), SERIAL) == 0
    (first,) = rows(store, "SELECT DISTINCT book FROM sensitivity")
    assert sensitivity.execute(store, replace(ASKED, quick=True, books=None), SERIAL) == 0
    assert first in rows(store, "SELECT DISTINCT book FROM sensitivity")
    assert len(rows(store, "SELECT DISTINCT book FROM sensitivity")) == 2


def test_a_text_that_is_gone_is_named_and_can_be_shown_where_it_is(store, books, tmp_path, study_store):
    import shutil

    moved = [shutil.copy(book, tmp_path / f"moved{number}.txt") for number, book in enumerate(books)]
    with pytest.raises(UsageError, match="book1 is not among what was named"):
        sensitivity.execute(store, replace(ASKED, sources=(str(moved[0]),)), SERIAL)
    found = sensitivity.execute(store, replace(ASKED, quick=True, sources=tuple(map(str, moved))), SERIAL)
    assert found == 0


def test_the_plan_counts_what_a_run_then_does_and_writes_nothing(store, capsys):
    before = sorted(path for path in Path(store).rglob("*") if path.is_file())
    assert sensitivity.execute(store, ASKED, SERIAL, plan_only=True) == 0
    said = capsys.readouterr().out
    assert "on this machine" in said
    assert "combinations" in said
    assert "2 books: book0, book1" in said
    assert "times the tokens" in said
    assert sorted(path for path in Path(store).rglob("*") if path.is_file()) == before


def test_a_study_of_one_class_has_nothing_to_contrast(tmp_path, books, config):
    store = str(tmp_path / "one")
    assert run.execute(books[:1], replace(config, classes=config.classes[:1]), SERIAL, store) == 0
    with pytest.raises(UsageError, match="names one class, internal"):
        sensitivity.execute(store, ASKED, SERIAL)


def test_a_study_of_windows_is_tried_too(tmp_path, books, tiny_gpt2):
    store = str(tmp_path / "windows")
    windows = study(tiny_gpt2, context="window", bos="no", skip_tokens=80, selection="notebook", clusters=False)
    assert run.execute(books[:1], windows, SERIAL, store) == 0
    assert sensitivity.execute(store, ASKED, SERIAL) == 0
    contexts = {name for (name,) in rows(store, "SELECT DISTINCT context FROM sensitivity")}
    assert contexts == {"window of 8", "window of 20", "window of 60", "passage"}
    ((same,),) = rows(store, "SELECT count(*) FROM sensitivity WHERE specification = 'selection: strict'")
    assert same == 2 * LAYERS


def test_untrained_weights_are_the_same_each_time_and_leave_random_numbers_alone(tiny_gpt2):
    import torch

    windows = np.arange(40).reshape(2, 20)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (HiddenStates(str(tiny_gpt2), untrained=seed).states(windows) for seed in (5, 5, 6))
    assert torch.equal(torch.rand(1), expected)
    trained = HiddenStates(str(tiny_gpt2)).states(windows)
    assert one.shape == trained.shape
    assert (one == same).all()
    assert (one != other).any()
    assert (one != trained).any()
