"""The table `layer_measures` of a run is what the kept hidden states give, and a store without it stays sound."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.layer_measures import alignments, layer_measures
from jobs import run
from jobs.config import RunConfig
from store.query.reader import open_store
from store.upkeep.verify import verify
from tests.jobs.injection import study, write_books


@pytest.fixture(scope="module")
def kept(tmp_path_factory, tiny_gpt2, sample_text) -> str:
    folder = tmp_path_factory.mktemp("measured")
    books = write_books(folder / "books", sample_text, 2)
    config = study(tiny_gpt2, keep_hidden_states=True, clusters=False)
    assert run.execute(books, config, RunConfig(serial=True, books_per_shard=2), str(folder / "store")) == 0
    return str(folder / "store")


def test_each_layer_class_and_book_has_the_measures_of_its_states(kept):
    with open_store(kept) as store:
        rows = store.sql("SELECT * FROM layer_measures ORDER BY ALL").to_arrow_table().to_pylist()
        states = {
            (layer, name, book): np.array([state for (state,) in of], dtype=np.float32)
            for layer, name, book in {(row["layer"], row["class"], row["book"]) for row in rows}
            for of in (
                store.sql(
                    f"SELECT state FROM hidden_states WHERE layer = {layer} AND class = '{name}' AND book = '{book}' "
                    "ORDER BY i"
                ).fetchall(),
            )
        }
    assert len(rows) == 4 * 3 * 2
    for row in rows:
        name, book = row["class"], row["book"]
        expected = layer_measures(states[row["layer"], name, book])
        for field in ("marks", "anisotropy", "intrinsic_dimension", "norm", "massive", "massive_dimension"):
            assert row[field] == pytest.approx(getattr(expected, field), rel=1e-12, nan_ok=True), field
        sketches = {layer: layer_measures(states[layer, name, book]).sketch for layer in range(4)}
        np.testing.assert_allclose(row["cka"], alignments(sketches)[row["layer"]], rtol=1e-12)


def test_verification_counts_its_marks(kept):
    assert not verify(kept).damages
