"""The top of a report: what was run, the main finding in numbers, and one picture of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis import inference
from reports.data.absence import why_no_difference
from reports.data.answer import Answers
from reports.data.chance import PAIRS, Chance
from reports.data.classes import quoted
from reports.data.scope import Scope, used_column
from reports.figures.headline import headline
from reports.page.exhibits import Exhibit, Section, Table
from store.study import model_name


def findings(differences: pd.DataFrame, moments: pd.DataFrame, scope: Scope) -> tuple[str, ...]:
    """The main finding in words, from the differences of the first two classes over the layers.

    `differences` has quantity, layer, difference, low, high, varies, by_chance; `moments` layer, class, pairs,
    mi_min, mi_max.
    """
    rows = differences[(differences["quantity"] == "mi") & differences["difference"].notna() & differences["varies"]]
    if rows.empty:
        return (f"There is nothing to compare: {why_no_difference(moments, scope)}.",)
    largest = rows.loc[rows["difference"].abs().idxmax()]
    first_class, second_class = map(quoted, scope.classes.compared or ())
    more, less = (second_class, first_class) if largest["difference"] > 0 else (first_class, second_class)
    first = (
        f"The classes differ most in layer {int(largest['layer'])}: two marks of {more} share "
        f"{abs(largest['difference']):.3g} bits more than two of {less}{_interval(largest, scope)}."
    )
    counted = () if rows["low"].isna().all() else (_counted(rows, scope.books_with_pairs, first_class, second_class),)
    return tuple(filter(None, (first, *counted, scope.classes.others_note)))


def _counted(rows: pd.DataFrame, books: int, first: str, second: str) -> str:
    """In how many layers the classes part, with and without what independent vectors would show."""
    above, below = _apart(rows, 0.0)
    less_above, less_below = _apart(rows, rows["by_chance"])
    few = 1 < books < inference.BOOKS_TO_SPEAK_OF_OTHERS
    where = "In this one book, marks" if books == 1 else f"In these {books} books, marks" if few else "Marks"
    return (
        f"{where} of {second} share more in {above} of {len(rows)} layers and marks of {first} in {below}, with 95 % "
        "intervals over all layers at once that leave out zero. Taking off what independent vectors of these margins "
        f"would show, which is more than the bias of dependent ones, leaves {less_above} and {less_below}."
    )


def numbers(study: dict[str, Any], scope: Scope, pairs_between: int) -> dict[str, str]:
    """The size of the study at a glance."""
    pairs = int(scope.book_means.frame["pairs"].sum())
    used = scope.marks_used.sum()
    return {
        "model": model_name(study),
        "layers": f"{len(scope.layers)}",
        "books": f"{scope.books_with_pairs:,}",
        **{used_column(name): f"{int(used[name]):,}" for name in scope.classes.names},
        "pairs within classes": f"{pairs:,}",
        **({"pairs between classes": f"{pairs_between:,}"} if pairs_between else {}),
    }


def headline_exhibit(
    scope: Scope, answers: Answers, means: pd.DataFrame, differences: pd.DataFrame, chance: Chance
) -> Exhibit:
    """The picture of the main finding: mean MI of each class over the layers, and the difference of the first two."""
    classes = scope.classes
    right = ""
    if classes.compared:
        first, second = map(quoted, classes.compared)
        right = (
            f" Below: {classes.difference}; above zero, marks of {second} resemble each other more than marks of "
            f"{first}."
        )
    several = len(classes.names) > 1
    return Exhibit(
        "headline",
        f"What {'the classes share' if several else f'{classes.list()} shares'}, layer by layer",
        f"{'Above: mean' if right else 'Mean'} mutual information of pairs within a class whose marks lie in different "
        f"passages, averaged over books.{right} {interval_note(answers)}",
        f"Line chart of mean mutual information within {classes.list()} over the layers"
        f"{f', and of {classes.difference}' if right else ''}.",
        headline(means, differences, chance.frame, classes),
        (*answers.sql, chance.sql),
        {"means": means, "differences": differences, "chance": chance.frame},
        (
            "All pairs here lie within a class: it can resemble itself more by a mean vector that its marks share, and "
            "a difference is no evidence that the model keeps the classes apart. "
            if right
            else ""
        )
        + "Layer 0 holds the embeddings, which no context has touched: it is named, not drawn, and not counted."
        + chance_note(chance)
        + (" Dashed: the difference less that of the dotted lines." if right else ""),
    )


def interval_note(answers: Answers) -> str:
    """How the intervals were made and of what they speak, in a sentence."""
    estimator, books = answers.estimator, len(answers.books)
    if estimator == inference.OVER_BOOKS:
        return (
            f"Bands are 95 % intervals that hold in all layers at once (wild bootstrap-t over {books:,} books, max-t)."
        )
    if estimator == inference.NO_INTERVAL:
        return "There are too few passages for intervals."
    return (
        f"Bands are 95 % intervals that hold in all layers at once, from the {answers.passages:,} passages of "
        f"{'this one book' if books == 1 else f'these {books} books'} (jackknife, wild bootstrap-t, max-t)."
    )


def chance_note(chance: Chance) -> str:
    """How the chance level was found, for captions; nothing where it is not known."""
    if chance.frame.empty:
        return ""
    how = (
        f"from the histograms of {PAIRS} pairs of one book"
        if chance.measured
        else "computed from the stored entropies for heavy-tailed histograms; a study that keeps its hidden states "
        "measures it"
    )
    return (
        " Dotted: what the plug-in estimator would find between independent vectors of these margins, which depends on "
        f"how the values are spread and so on the class ({how}). The bias of dependent vectors is smaller, so means "
        "less this level are no corrected means."
    )


def study_section(study: dict[str, Any], model: dict[str, Any], versions: dict[str, str]) -> Section:
    """What was run: settings, model and versions."""
    rows = [("setting", name, _plain(value)) for name, value in study.items()]
    rows += [("model", name, _plain(value)) for name, value in model.items()]
    rows += [("version", name, value) for name, value in versions.items()]
    table = Table(
        "study",
        "Settings, model and versions",
        "Settings and model bind everything in the store; versions are those that first wrote it.",
        pd.DataFrame(rows, columns=["kind", "name", "value"]),
    )
    return Section("study-section", "What was run", "", (table,))


def _apart(rows: pd.DataFrame, level: pd.Series | float) -> tuple[int, int]:
    """In how many layers the whole interval lies above the level, and in how many below it."""
    return int((rows["low"] > level).sum()), int((rows["high"] < level).sum())


def _interval(row: pd.Series, scope: Scope) -> str:
    """The interval of the size of the difference, whichever class has more."""
    if pd.isna(row["low"]):
        return ""
    low, high = (row["low"], row["high"]) if row["difference"] > 0 else (-row["high"], -row["low"])
    whose = " for these books" if 1 < scope.books_with_pairs < inference.BOOKS_TO_SPEAK_OF_OTHERS else ""
    zero = ", not distinguishable from zero" if low <= 0 <= high else ""
    return f" (95 % interval{whose} {low:.3g} to {high:.3g}{zero})"


def _plain(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    # A class is a name and its tokens; anything else in a list is a plain value.
    return "; ".join(f"{one[0]}: {' '.join(map(str, one[1]))}" if isinstance(one, list) else str(one) for one in value)
