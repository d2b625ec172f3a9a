"""Two stores side by side: two models, or two configurations. Layers are aligned by relative depth."""

from __future__ import annotations

import pandas as pd

from reports.data.classes import Classes
from reports.data.statistics import relative_depth
from reports.figures.comparison import compare_depths
from reports.page.exhibits import Exhibit, Section, Table

STUDIES = ("this store", "the other")


def comparison_section(
    these: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    others: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    settings: list[str],
    sql: tuple[str, ...],
    note: str,
    classes: tuple[Classes, Classes],
) -> Section:
    """Means and differences of both stores over relative depth with their chance levels, and the settings that differ.

    Each three frames are (means, differences) as `reports.data.intervals` and the level as `reports.data.chance` makes
    them; `settings` has one line a setting with its value here and there. `classes` are those here and there.
    """
    means, differences, chance = (_side_by_side(here, there) for here, there in zip(these, others, strict=True))
    here, there = classes
    difference = here.difference if here.compared else there.difference if there.compared else "no difference"
    if here.compared and there.compared and here.compared != there.compared:
        difference += f" here, {there.difference} there"
    picture = Exhibit(
        "comparison",
        "Two stores side by side",
        f"Solid: {STUDIES[0]}; dashed: {STUDIES[1]}. Left: mean mutual information within a class. Right: "
        f"{difference}. Depth runs from 0, the embeddings, to 1, the last layer. {note}",
        "Line charts of mean mutual information and of the difference between two classes over relative depth.",
        compare_depths(means, differences, chance, _together(here, there), difference),
        sql,
        {"comparison-means": means, "comparison-differences": differences, "comparison-chance": chance},
        "Relative depth sets models with different numbers of layers beside each other. Dotted: what the estimator "
        f"would find in each store between independent vectors of the same margins (wide dots: {STUDIES[1]}). That "
        "level depends on the number of dimensions and bins: where it differs, heights of two models do not compare, "
        "and heights above the dots only roughly.",
    )
    table = Table(
        "comparison-settings",
        "What differs",
        "Settings and model identity that differ; each line names the value here, then the value there.",
        pd.DataFrame({"setting: here and there": settings or ["nothing: both stores hold the same study"]}),
    )
    return Section("comparison", "Comparison", "", (picture, table))


def _together(here: Classes, there: Classes) -> Classes:
    """The classes of both, those of this store first, so that each keeps its colour; random tokens last."""
    named = dict.fromkeys((*here.named, *there.named))
    baseline = here.baseline or there.baseline
    return Classes((*named, *((baseline,) if baseline else ())), {**there.tokens, **here.tokens})


def _side_by_side(here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    frames = [
        frame.assign(study=study, depth=relative_depth(frame["layer"]))
        for study, frame in zip(STUDIES, (here, there), strict=True)
    ]
    return pd.concat(frames, ignore_index=True)
