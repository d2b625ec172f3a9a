"""The panels show what the table says, and an old store says that it has none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reports.data.scope import choose_scope
from reports.sections.layer_measures import layer_measures_section, mean_alignment
from store.query.reader import open_store
from tests.builders import build_store


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("layers") / "store"
    build_store(place, books=2, layers=3, marks=12, width=16)
    return place


def test_lines_are_the_means_over_books(place):
    with open_store(place) as store:
        section = layer_measures_section(store, choose_scope(store))
        expected = store.sql(
            "SELECT avg(anisotropy) FROM layer_measures WHERE class = 'terminal' GROUP BY layer ORDER BY layer"
        ).fetchall()
    (exhibit,) = section.parts
    lines = {line.get_label(): line.get_ydata() for line in exhibit.figure.axes[0].lines}
    assert set(lines) == {"internal", "terminal", "baseline"}
    np.testing.assert_allclose(lines["terminal"], [value for (value,) in expected])
    assert "baseline" in section.introduction


def test_alignments_are_averaged_over_books_that_have_one():
    nothing = float("nan")
    frame = pd.DataFrame(
        {"layer": [0, 1], "alignments": [[[nothing, nothing], [1.0, 0.4]], [[nothing, 1.0], [0.4, 1.0]]]}
    )
    np.testing.assert_allclose(mean_alignment(frame, 2), [[1.0, 0.4], [0.4, 1.0]])
    empty = pd.DataFrame({"layer": [0], "alignments": [[[nothing]]]})
    assert np.isnan(mean_alignment(empty, 1)).all()
