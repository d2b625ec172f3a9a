"""The top of a report: what was run, the main finding in numbers, and one picture of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.chance import Chance
from reports.exhibits import Exhibit, Section, Table
from reports.figures.headline import headline
from reports.queries import Answer
from reports.scope import Scope


def findings(differences: pd.DataFrame, scope: Scope) -> tuple[str, ...]:
    """The main finding in words, from the differences terminal - internal over the layers.

    `differences` has quantity, layer, difference, low, high, varies, by_chance.
    """
    rows = differences[(differences["quantity"] == "mi") & differences["difference"].notna() & differences["varies"]]
    if rows.empty:
        return ("Only one of the two classes has pairs, so there is nothing to compare yet.",)
    largest = rows.loc[rows["difference"].abs().idxmax()]
    more, less = ("terminal", "internal") if largest["difference"] > 0 else ("internal", "terminal")
    lines = [
        f"The classes differ most in layer {int(largest['layer'])}: pairs of {more} marks share "
        f"{abs(largest['difference']):.3g} bits more than pairs of {less} marks{_interval(largest)}."
    ]
    if rows["low"].notna().any():
        above, below = _apart(rows, 0.0)
        really_above, really_below = _apart(rows, rows["by_chance"])
        lines.append(
            f"Terminal marks share more in {above} of {len(rows)} layers and internal marks in {below}, with 95 % "
            "intervals over all layers at once that leave out zero. With the level of chance taken out, it is "
            f"{really_above} and {really_below}."
        )
    return tuple(lines)


def numbers(study: dict[str, Any], scope: Scope) -> dict[str, str]:
    """The size of the study at a glance."""
    pairs = int(scope.book_means.frame["pairs"].sum())
    rows = scope.book_rows.frame
    used = rows.loc[rows["book"].isin(scope.book_means.frame["book"]), ["internal_used", "terminal_used"]].sum()
    return {
        "model": str(study.get("model", "unknown")),
        "layers": f"{len(scope.layers)}",
        "books": f"{scope.books_with_pairs:,}",
        "internal marks": f"{int(used['internal_used']):,}",
        "terminal marks": f"{int(used['terminal_used']):,}",
        "pairs": f"{pairs:,}",
    }


def headline_exhibit(
    scope: Scope, moments: Answer, means: pd.DataFrame, differences: pd.DataFrame, chance: Chance
) -> Exhibit:
    """The picture of the main finding: mean MI of both classes over the layers, and their difference."""
    return Exhibit(
        "headline",
        "What the two classes share, layer by layer",
        "Left: mean mutual information of pairs within a class, averaged over books. Right: terminal minus internal; "
        "above zero, marks that end resemble each other more than marks that go on. Layer 0 holds the embeddings, "
        "which no context has touched: it is named, not drawn, and not counted. "
        + interval_note(scope.books_with_pairs)
        + chance_note(chance),
        "Line chart of mean mutual information of both classes over the layers, and of their difference.",
        headline(means, differences, chance.frame),
        (scope.book_means.sql, moments.sql, chance.sql),
        {"means": means, "differences": differences, "chance": chance.frame},
    )


def interval_note(books: int) -> str:
    """How the intervals were made, for captions."""
    if books == 1:
        return (
            "Bands are 95 % intervals from a bootstrap over the tokens of the one book: they say how sure the numbers "
            "are for this book, not for others."
        )
    return (
        f"Bands are 95 % intervals from a bootstrap over the {books:,} books, each resampled whole"
        + ("" if books >= 20 else "; with so few books they are rough")
        + ". Pairs share marks and are not independent, so no test is made on pairs."
    )


def chance_note(chance: Chance) -> str:
    """How the chance level was found, for captions."""
    how = (
        "measured on 8 pairs of one book whose dimensions were shuffled against each other"
        if chance.measured
        else "computed from the stored entropies for heavy-tailed histograms; a study that keeps its hidden states "
        "measures it"
    )
    return (
        " Dotted: what the plug-in estimator finds without any dependence, its upward bias, which depends on how the "
        f"values are spread and so on the class ({how}). Dashed: the difference less that of the dotted lines."
    )


def study_section(study: dict[str, Any], model: dict[str, Any], versions: dict[str, str], picture: Exhibit) -> Section:
    """What was run: settings, model and versions, with the picture of the main finding first."""
    rows = [("setting", name, _plain(value)) for name, value in study.items()]
    rows += [("model", name, _plain(value)) for name, value in model.items()]
    rows += [("version", name, value) for name, value in versions.items()]
    table = Table(
        "study",
        "What was run",
        "Settings and model bind everything in the store; versions are those that first wrote it.",
        pd.DataFrame(rows, columns=["kind", "name", "value"]),
    )
    return Section("overview", "Overview", "", (picture, table))


def _apart(rows: pd.DataFrame, level: pd.Series | float) -> tuple[int, int]:
    """In how many layers the whole interval lies above the level, and in how many below it."""
    return int((rows["low"] > level).sum()), int((rows["high"] < level).sum())


def _interval(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return ""
    return f" (95 % interval {row['low']:.3g} to {row['high']:.3g})"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
