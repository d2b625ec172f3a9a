"""The section on clusters: clouds, order, rivers and words where there are clusters."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.data.scope import choose_scope
from reports.page.exhibits import Exhibit, Failure, Table
from reports.sections.clusters import clusters_section
from store.query.reader import open_store
from tests.builders import build_store


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """Made-up vectors of few dimensions: the internal marks of a book form two clusters in layer 1."""
    place = tmp_path_factory.mktemp("clusters") / "store"
    build_store(place, books=2, layers=2, marks=30, width=16)
    return place


@pytest.fixture(scope="module")
def parts(clustered) -> dict[str, Exhibit | Table | Failure]:
    with open_store(clustered) as store:
        return {part.key: part for part in clusters_section(store, choose_scope(store)).parts}


@pytest.fixture(scope="module")
def sizes(clustered) -> dict[str, list[int]]:
    """Sizes of the clusters of layer 1 in the example book, by whose marks they are."""
    with open_store(clustered) as store:
        rows = store.sql(
            f"SELECT among, cluster, count(*) FROM clusters WHERE book = '{choose_scope(store).example_book}' "
            "AND layer = 1 GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    return {among: [size for of, _, size in rows if of == among] for among, _, _ in rows}


def test_no_part_fails_and_each_set_of_marks_with_clusters_has_all(parts):
    assert not [part for part in parts.values() if isinstance(part, Failure)]
    for what in ("clouds", "matrix", "river", "lineages", "terms", "outliers", "examples"):
        assert f"clusters-{what}-internal" in parts
    assert {"clusters-books", "clusters-table"} <= set(parts)


def test_each_pair_is_in_the_cloud_of_its_two_clusters(parts, sizes):
    pairs = parts["clusters-clouds-internal"].data["clusters-clouds-internal"]
    found = pairs.groupby(["first", "second"]).size().to_dict()
    one, two = sizes["internal"]
    assert found == {(0, 0): one * (one - 1) // 2, (0, 1): one * two, (1, 1): two * (two - 1) // 2}
    (axes,) = parts["clusters-clouds-internal"].figure.axes
    assert sum(len(line.get_xdata()) for line in axes.lines) == 30 * 29 // 2
    assert {text.get_text() for text in axes.texts} == {"0 x 0", "0 x 1", "1 x 1"}


def test_the_matrix_stands_in_the_order_of_clusters(parts, sizes):
    exhibit = parts["clusters-matrix-internal"]
    pairs = exhibit.data["clusters-matrix-internal"]
    places = pd.concat(
        [
            pairs[["row", "first"]].set_axis(["at", "of"], axis=1),
            pairs[["col", "second"]].set_axis(["at", "of"], axis=1),
        ]
    )
    assert places.drop_duplicates().sort_values("at")["of"].tolist() == [
        cluster for cluster, size in enumerate(sizes["internal"]) for _ in range(size)
    ]
    (image,) = exhibit.figure.axes[0].images
    drawn = image.get_array()
    for row in pairs.head(50).itertuples():
        assert drawn[row.row, row.col] == drawn[row.col, row.row] == pytest.approx(row.mi)


def test_the_river_has_every_mark_in_every_layer(parts, sizes):
    exhibit = parts["clusters-river-internal"]
    steps = exhibit.data["clusters-river-internal"]
    assert steps.groupby("layer")["marks"].sum().tolist() == [30, 30]
    assert steps[steps["layer"] == 1]["marks"].tolist() == sizes["internal"]
    assert exhibit.data["clusters-flows-internal"]["marks"].sum() == 30
    heights = [patch.get_height() for patch in exhibit.figure.axes[0].patches]
    assert sum(heights) == 60


def test_the_dimensions_left_out_are_those_of_the_clusters_marks(clustered, parts):
    with open_store(clustered) as store:
        rows = store.sql(
            "SELECT c.cluster, l.outliers FROM clusters c JOIN mark_layers l ON l.layer = c.layer AND l.book = c.book "
            "AND l.class = c.class AND l.i = c.i WHERE c.layer = 1 AND c.among = 'internal' "
            f"AND c.book = '{choose_scope(store).example_book}'"
        ).fetchall()
    for row in parts["clusters-outliers-internal"].frame.itertuples():
        inside = [", ".join(map(str, left_out)) for cluster, left_out in rows if cluster == row.cluster]
        outside = [", ".join(map(str, left_out)) for cluster, left_out in rows if cluster != row.cluster]
        assert row.inside == pytest.approx(inside.count(row.dimensions) / len(inside), abs=0.006)
        assert row.outside == pytest.approx(outside.count(row.dimensions) / len(outside), abs=0.006)


def test_words_are_those_of_the_cluster_and_lead_to_the_text(clustered, parts):
    table = parts["clusters-examples-internal"]
    assert table.frame.groupby("cluster").size().max() <= 5
    assert set(table.frame["cluster"]) == {0, 1}
    assert table.frame["words"].str.contains(r"\[,\]").all()


def test_clusters_of_the_same_explanation_are_counted_by_books(clustered, parts):
    frame = parts["clusters-books"].frame
    with open_store(clustered) as store:
        total = store.sql(
            "SELECT count(DISTINCT (book, layer, among, cluster)) FROM clusters WHERE clusters > 1"
        ).fetchall()
    assert frame["clusters"].sum() == total[0][0]
    assert frame["books"].between(1, 2).all()
