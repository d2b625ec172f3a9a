"""Clusters through the layers: every mark is in a band, and a lineage says when it was one of several."""

from __future__ import annotations

import pandas as pd

from reports.data.clusters import followed, lineage_rows


def _marks(*layers: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"layer": layer, "class": "terminal", "i": i, "cluster": cluster}
            for layer, labels in enumerate(layers)
            for i, cluster in enumerate(labels)
        ]
    )


def test_bands_hold_the_marks_that_two_clusters_have_in_common():
    found = followed(_marks([0] * 6, [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]))
    flows = {(flow.layer, flow.lineage, flow.next): flow.marks for flow in found.flows.itertuples()}
    assert flows == {(0, 0, 0): 4, (0, 0, 1): 2, (1, 0, 0): 3, (1, 0, 1): 1, (1, 1, 1): 2}


def test_a_lineage_counts_the_layers_in_which_it_is_one_of_several():
    found = followed(_marks([0] * 6, [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1], [0] * 6))
    names = pd.DataFrame(
        {
            "layer": [1, 1, 2, 2],
            "cluster": [0, 1, 0, 1],
            "name": ["others", "after mr", "others", "after mr, mrs"],
            "stability": [1.0, 0.5, 0.8, 0.7],
            "told": 0.9,
            "marks": [4, 2, 4, 2],
        }
    )
    rows = lineage_rows(found, names).set_index("lineage")
    assert (rows.loc[0, "first"], rows.loc[0, "last"], rows.loc[0, "named"]) == (1, 2, 2)
    assert (rows.loc[1, "name"], rows.loc[1, "named"], rows.loc[1, "layers"]) == ("after mr", 1, 2)
    assert rows.loc[1, "origin"] == rows.loc[1, "destination"] == -1
