"""The section on clusters: clouds and rivers where there are clusters, a sentence where there are none."""

from __future__ import annotations

import pytest

from reports.data.scope import choose_scope
from reports.page.exhibits import Exhibit
from reports.sections.clusters import clusters_section
from store.query.reader import open_store
from tests.builders import build_store


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """Made-up vectors of few dimensions: the internal marks of a book form two clusters in layer 1."""
    place = tmp_path_factory.mktemp("clusters") / "store"
    build_store(place, books=2, layers=2, marks=30, width=16)
    return place


def _section(place, **changes):
    with open_store(place) as store:
        return clusters_section(store, choose_scope(store, **changes))


def test_each_pair_is_in_the_cloud_of_its_two_clusters(clustered):
    with open_store(clustered) as store:
        scope = choose_scope(store)
        section = clusters_section(store, scope)
        sizes = store.sql(
            f"SELECT cluster, count(*) FROM clusters WHERE book = '{scope.example_book}' AND layer = 1 "
            "AND among = 'internal' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    exhibits = [part for part in section.parts if isinstance(part, Exhibit)]
    assert {exhibit.key for exhibit in exhibits} == {"clusters-clouds-internal", "clusters-river-internal"}
    pairs = exhibits[0].data["clusters-clouds-internal"]
    found = pairs.groupby(["first", "second"]).size().to_dict()
    (one, two) = (size for _, size in sizes)
    assert found == {(0, 0): one * (one - 1) // 2, (0, 1): one * two, (1, 1): two * (two - 1) // 2}


def test_the_clouds_and_the_layers_are_drawn_as_they_are_counted(clustered):
    clouds, river, table = _section(clustered).parts
    drawn = {line.get_label(): len(line.get_xdata()) for line in clouds.figure.axes[0].lines}
    assert sum(drawn.values()) == 30 * 29 // 2
    assert len(drawn) == 3
    heights = [patch.get_height() for patch in river.figure.axes[0].patches]
    assert sum(heights) == 30
    assert list(table.frame["layer"]) == [1, 1]
