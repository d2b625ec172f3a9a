"""Two stores side by side: two models, or two configurations. Layers are aligned by relative depth."""

from __future__ import annotations

import pandas as pd

from reports.exhibits import Exhibit, Section, Table
from reports.figures.comparison import compare_depths
from reports.statistics import relative_depth

STUDIES = ("this store", "the other")


def comparison_section(
    these: tuple[pd.DataFrame, pd.DataFrame],
    others: tuple[pd.DataFrame, pd.DataFrame],
    settings: list[str],
    sql: tuple[str, ...],
    note: str,
) -> Section:
    """Means and differences of both stores over relative depth, and the settings that differ.

    Each pair of frames is (means, differences) as `reports.intervals` makes them; `settings` has one line a setting
    with its value here and there.
    """
    means = _side_by_side(these[0], others[0])
    differences = _side_by_side(these[1], others[1])
    picture = Exhibit(
        "comparison",
        "Two stores side by side",
        "Depth runs from 0, the embeddings, to 1, the last layer, so that models with different numbers of layers "
        f"can be set beside each other. Solid: {STUDIES[0]}; dashed: {STUDIES[1]}. Left: mean mutual information "
        f"within a class. Right: terminal minus internal. {note}",
        "Line charts of mean mutual information and of the difference between the classes over relative depth.",
        compare_depths(means, differences),
        sql,
        {"comparison-means": means, "comparison-differences": differences},
    )
    table = Table(
        "comparison-settings",
        "What differs",
        "Settings and model identity that differ; each line names the value here, then the value there.",
        pd.DataFrame({"setting: here and there": settings or ["nothing: both stores hold the same study"]}),
    )
    return Section("comparison", "Comparison", "", (picture, table))


def _side_by_side(here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    frames = [
        frame.assign(study=study, depth=relative_depth(frame["layer"]))
        for study, frame in zip(STUDIES, (here, there), strict=True)
    ]
    return pd.concat(frames, ignore_index=True)
