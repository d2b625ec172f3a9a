"""The chance level: the known bias for Gaussian vectors, blind to dependence, and there only where states are kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from reports.build import build_report
from reports.chance import MARKS, measured_chance, shuffled_mi
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


def test_a_store_without_states_has_no_measured_chance(store):
    assert measured_chance(store, "book0", 15, 5.0) is None


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
        chance = measured_chance(store, "book0", 15, 5.0)
        report = build_report(store)
    assert chance is not None
    rows = chance.frame.set_index(["layer", "class"])["chance"]
    states = hidden_states(1, "terminal", 0, 20, 40, study.config["seed"])[:MARKS]
    assert rows[1, "terminal"] == shuffled_mi(states, 15, 5.0)
    (table,) = [part for section in report.sections for part in section.parts if part.key == "layers"]
    above = table.frame.set_index("layer").loc[1, "above_chance_terminal"]
    assert above == pytest.approx(table.frame.set_index("layer").loc[1, "mi_mean_terminal"] - rows[1, "terminal"])
    headline = report.sections[0].parts[0]
    assert [line.get_label() for line in headline.figure.axes[0].lines].count("by chance") == 1
