"""The chance level: measured it is the known bias, computed it is what simulation finds; neither sees dependence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis.reference import entropy, kept_dimensions
from reports.build import build_report
from reports.chance import (
    MARKS,
    chance_level,
    expected_mi,
    margin_counts,
    matched_chance,
    shuffled_mi,
)
from reports.scope import choose_scope
from store.columns import TABLES
from store.keys import MARK_CLASSES, ChunkKey
from store.reader import open_store
from store.writer import StudyWriter, publish_chunk
from tests.builders import book_chunks, hidden_states, record_of, shard_of, synthetic_study


def test_independent_gaussian_vectors_of_1024_dimensions_have_the_known_bias():
    vectors = np.random.default_rng(0).normal(size=(60, 1024)).astype(np.float32)
    assert shuffled_mi(vectors, 15, 5.0) == pytest.approx(0.119, abs=0.01)


def test_shuffling_forgets_what_the_vectors_share():
    rng = np.random.default_rng(1)
    shared = rng.normal(size=512)
    alike = (shared + 0.01 * rng.normal(size=(20, 512))).astype(np.float32)
    apart = rng.normal(size=(20, 512)).astype(np.float32)
    assert shuffled_mi(alike, 15, 5.0) == pytest.approx(shuffled_mi(apart, 15, 5.0), abs=0.03)


def test_one_vector_makes_no_pair():
    assert np.isnan(shuffled_mi(np.ones((1, 8), dtype=np.float32), 15, 5.0))


def test_the_expected_mi_is_the_mean_over_shuffles():
    rng = np.random.default_rng(2)
    a, b = margin_counts(1.5, 15, 500), margin_counts(2.5, 15, 500)
    x, y = np.repeat(np.arange(15), a), np.repeat(np.arange(15), b)
    found = []
    for _ in range(400):
        joint = np.zeros((15, 15), dtype=np.int64)
        np.add.at(joint, (x, rng.permutation(y)), 1)
        found.append(entropy(a) + entropy(b) - entropy(joint))
    assert expected_mi(a, b) == pytest.approx(np.mean(found), rel=0.01)


def test_the_smallest_table_by_hand():
    """Two values in two bins each: the shuffles pair them as 1 0 / 0 1 or 0 1 / 1 0, one bit either way."""
    assert expected_mi(np.array([1, 1]), np.array([1, 1])) == pytest.approx(1)


def test_margins_have_the_size_and_spread_that_was_asked_for():
    narrow, wide = margin_counts(0.5, 15, 577), margin_counts(5, 15, 577)
    assert narrow.sum() == wide.sum() == 577
    assert entropy(narrow) < entropy(wide)
    assert np.abs(narrow - narrow[::-1]).max() <= 1


def test_margins_are_matched_by_their_entropy():
    rows = pd.DataFrame(
        {"layer": [1, 1], "class": list(MARK_CLASSES), "entropy": [2.0, 2.5], "dimensions": [576.0, 576.0]}
    )
    low, high = matched_chance(rows, 15)["chance"]
    assert 0.05 < low < high < 0.2


def test_a_vector_in_nearly_one_bin_shares_next_to_nothing_by_chance():
    rows = pd.DataFrame({"layer": [0], "class": ["internal"], "entropy": [0.0], "dimensions": [576.0]})
    assert matched_chance(rows, 15)["chance"][0] == pytest.approx(0, abs=0.02)


def test_a_store_without_states_has_a_computed_level(store, scope):
    chance = chance_level(store, scope, 15, 5.0)
    assert not chance.measured
    assert len(chance.frame) == 8
    assert (chance.frame["chance"] > 0).all()


def test_the_computed_level_is_near_the_measured_one_on_real_states(smollm2_states):
    """From the entropies of real vectors' own histograms alone: half off at worst, a fifth on average."""
    ratios = []
    for states in smollm2_states.values():
        kept = [vector[kept_dimensions(vector)] for vector in states[:MARKS]]
        mean = np.mean([entropy(np.histogram(vector, 15)[0]) for vector in kept])
        size = float(np.mean([len(vector) for vector in kept]))
        rows = pd.DataFrame({"layer": [0], "class": ["internal"], "entropy": [mean], "dimensions": [size]})
        ratios.append(matched_chance(rows, 15)["chance"][0] / shuffled_mi(states[:MARKS], 15, 5.0))
    assert min(ratios) > 0.5
    assert max(ratios) < 1.5
    assert 0.8 < np.mean(ratios) < 1.2


def test_a_store_that_keeps_states_shows_them_in_the_report(tmp_path):
    study = synthetic_study(layers=2, tokens=20, width=40)
    chunks = list(book_chunks(study, 0))
    for layer in range(2):
        for mark_class in MARK_CLASSES:
            states = hidden_states(layer, mark_class, 0, 20, 40, study.config["seed"])
            rows = [{"book": "book0", "i": i, "state": state.tolist()} for i, state in enumerate(states)]
            table = pa.Table.from_pylist(rows, schema=TABLES["hidden_states"].schema)
            chunks.append((ChunkKey("hidden_states", shard_of(study, 0), layer, mark_class), table))
    files = [publish_chunk(tmp_path, key, table) for key, table in chunks]
    writer = StudyWriter.open(tmp_path, study)
    with writer.lock():
        writer.commit(record_of(study, 0, files))
    with open_store(tmp_path) as store:
        scope = choose_scope(store)
        assert scope is not None
        chance = chance_level(store, scope, 15, 5.0)
        report = build_report(store)
    assert chance.measured
    rows = chance.frame.set_index(["layer", "class"])["chance"]
    states = hidden_states(1, "terminal", 0, 20, 40, study.config["seed"])[:MARKS]
    assert rows[1, "terminal"] == shuffled_mi(states, 15, 5.0)
    (table,) = [part for section in report.sections for part in section.parts if part.key == "layers"]
    assert table.frame.set_index("layer").loc[1, "chance_terminal"] == rows[1, "terminal"]
    headline = report.sections[0].parts[0]
    assert [line.get_label() for line in headline.figure.axes[0].lines].count("by chance") == 1
