"""How alike the marks of each class are, and the difference of the first two, as frames: the answer's own estimates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports.data.answer import Answers
from reports.data.classes import Classes

QUANTITIES = ("mi", "cov")


def class_means(answers: Answers, moments: pd.DataFrame, classes: Classes) -> pd.DataFrame:
    """Mean over books by quantity, layer and class, with 95 % intervals that hold in all layers of a class at once.

    `moments` has layer, class, mi_min, mi_max, cov_min, cov_max over all pairs. Rows: quantity, layer, class, books,
    mean, low, high, varies (see `varying`); classes without pairs in a layer are left out.
    """
    frames = [
        answers.of_class("likeness", quantity, name).assign(quantity=quantity, **{"class": name})
        for quantity in QUANTITIES
        for name in classes.names
    ]
    rows = pd.concat(frames, ignore_index=True).rename(columns={"estimate": "mean"})
    rows = rows[rows["mean"].notna()][["quantity", "layer", "class", "books", "mean", "low", "high"]]
    return rows.merge(varying(moments), on=["quantity", "layer", "class"], how="left").astype({"varies": bool})


def varying(moments: pd.DataFrame) -> pd.DataFrame:
    """Whether the words around the marks move the pairs, by quantity, layer and class (column `varies`).

    They do not in layer 0, where a mark's state is its embedding alone, nor where all pairs are equal. Such a layer
    says nothing of context, and its values would hide the other layers. It counts where it is the only one.
    """
    in_context = (moments["layer"] > 0) | (moments["layer"].nunique() == 1)
    return pd.concat(
        moments[["layer", "class"]].assign(
            quantity=quantity, varies=in_context & (moments[f"{quantity}_max"] > moments[f"{quantity}_min"])
        )
        for quantity in QUANTITIES
    )


def class_differences(
    answers: Answers, means: pd.DataFrame, layers: Sequence[int], moments: pd.DataFrame, classes: Classes
) -> pd.DataFrame:
    """The second class less the first by quantity and layer, with the answer's 95 % intervals.

    `means` is from `class_means`. `standardised` divides the difference by the root mean square of the two classes'
    standard deviations over pairs, which `moments` has. Rows: quantity, layer, difference, low, high, standardised,
    varies; a layer where neither class varies has no interval, since nothing is estimated there. No rows where one
    class alone is named.
    """
    columns = ["quantity", "layer", "difference", "low", "high", "standardised", "varies"]
    if classes.compared is None:
        return pd.DataFrame(columns=columns).astype({"varies": bool} | dict.fromkeys(columns[2:6], float))
    two = list(classes.compared)
    frames = []
    for quantity in QUANTITIES:
        rows = answers.of("difference", quantity, classes.compared).set_index("layer").reindex(list(layers))
        of_both = means[(means["quantity"] == quantity) & means["class"].isin(two)]
        varies = of_both.groupby("layer")["varies"].any().reindex(rows.index).eq(True)
        spread = moments.pivot_table(index="layer", columns="class", values=f"{quantity}_std")
        pooled = np.sqrt((spread.reindex(index=rows.index, columns=two) ** 2).mean(axis=1, skipna=False))
        frame = pd.DataFrame({"quantity": quantity, "layer": rows.index, "difference": rows["estimate"].to_numpy()})
        frame["low"], frame["high"] = (rows[name].where(varies).to_numpy() for name in ("low", "high"))
        frame["standardised"] = (rows["estimate"] / pooled.where(pooled > 0)).to_numpy()
        frame["varies"] = varies.to_numpy()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def less_chance(differences: pd.DataFrame, chance: pd.DataFrame, classes: Classes) -> pd.DataFrame:
    """The differences with a column `by_chance`: how far apart independent vectors would set the classes, in bits.

    `chance` has layer, class, chance. Covariance is unbiased: zero there. NaN where the level is not known. It is no
    correction: the bias of dependent vectors is smaller.
    """
    if classes.compared is None:
        return differences.assign(by_chance=differences["difference"])
    first, second = classes.compared
    level = chance.pivot_table(index="layer", columns="class", values="chance").reindex(columns=[first, second])
    bias = differences["layer"].map(level[second] - level[first])
    return differences.assign(by_chance=bias.where(differences["quantity"] == "mi", 0.0))
