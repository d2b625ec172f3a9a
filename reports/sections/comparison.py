"""Two stores side by side: two models, or two configurations, on the books that both have."""

from __future__ import annotations

import pandas as pd

from analysis import inference
from reports.data.classes import quoted
from reports.data.comparison import COMPARED, Comparison
from reports.figures.comparison import compare_depths
from reports.page.exhibits import Exhibit, Failure, Section, Table, attempt

BOOKS_NAMED = 10


def comparison_section(found: Comparison | None, settings: list[str]) -> Section:
    """What differs between two stores; `settings` has one line a setting with its value here and there.

    `found` is None where the two do not name the same two classes first.
    """
    differing = Table(
        "comparison-settings",
        "What differs",
        "Settings and model identity that differ; each line names the value here, then the value there.",
        pd.DataFrame({"setting: here and there": settings or ["nothing: both stores hold the same study"]}),
    )
    if found is None:
        said = "The stores do not share two named classes: there is nothing to compare."
        return Section("comparison", "Comparison", said, (differing,))
    parts: tuple[Exhibit | Table | Failure, ...] = (
        attempt("comparison", "The figure of the comparison", lambda: _exhibit(found)),
        attempt("comparison-quantities", "The table of the comparison", lambda: _table(found)),
    )
    parts = parts if len(found.rows) else ()
    return Section("comparison", "Comparison", _introduction(found), (*parts, differing))


def _introduction(found: Comparison) -> str:
    first, second = map(quoted, found.pair)
    books = len(found.shared)
    said = [f"What the two stores say of {first} and {second} on the {_books(books)} whose text both have read."]
    for alone, which in ((found.only_here, "this store"), (found.only_there, "the other")):
        if alone:
            more = ", ..." if len(alone) > BOOKS_NAMED else ""
            said.append(f"Left out, since {which} alone has them: {', '.join(alone[:BOOKS_NAMED])}{more}.")
    if books and found.same_tokens == books:
        said.append(f"The tokens of these texts are as many in both; {found.same_marks:.0%} of the marks are the same.")
    elif found.same_tokens:
        said.append(f"In {found.same_tokens} of them the tokens are as many in both: only there can marks be the same.")
    elif books:
        said.append("The tokenizers cut these texts differently, so the marks are not the same.")
    if len(found.rows):
        said.append(_how(found))
    return " ".join(said)


def _how(found: Comparison) -> str:
    estimator, books = found.estimator, len(found.shared)
    if estimator == inference.OVER_BOOKS:
        whose = f"over {books} pairs of books"
        return f"Bands are 95 % intervals {whose}, in all layers at once; they speak of books like these."
    if estimator == inference.NO_INTERVAL:
        return "There are too few books and passages for intervals."
    paired = "the same passages" if found.same_marks == 1 else "either store's passages"
    return f"Bands are 95 % intervals over {paired} of these books, in all layers at once; they speak of no other book."


def _exhibit(found: Comparison) -> Exhibit:
    rows = found.rows[(found.rows["quantity"] == "separation") & (found.rows["measure"] == "corr")]
    return Exhibit(
        "comparison",
        "Two stores on the same books",
        "Left: separation in correlation. Right: this store's less the other's, book by book, averaged. Depth runs "
        "from 0, the embeddings, to 1, the last layer.",
        "Line charts over relative depth of the separation in two stores, and of its paired difference.",
        compare_depths(rows, COMPARED["separation", "corr"]),
        found.sql,
        {"comparison": found.rows},
        "Relative depth sets models with different numbers of layers beside each other; the other's values are "
        "interpolated between its layers. Correlations do not depend on how many dimensions or bins there are, as "
        "mutual information from histograms does. Layer 0, the embeddings, is left out.",
    )


def _table(found: Comparison) -> Table:
    rows = []
    for (quantity, measure), name in COMPARED.items():
        of = found.rows[(found.rows["quantity"] == quantity) & (found.rows["measure"] == measure)]
        if of.empty:
            continue
        most = of.loc[of["difference"].abs().idxmax()]
        above, below = int((of["low"] > 0).sum()), int((of["high"] < 0).sum())
        interval = "" if pd.isna(most["low"]) else f"{most['low']:.3f} to {most['high']:.3f}"
        rows.append((name, above, below, len(of), int(most["layer"]), most["difference"], interval))
    columns = ["quantity", "above", "below", "layers", "layer", "difference", "interval"]
    return Table(
        "comparison-quantities",
        "This store less the other",
        "In how many layers the interval lies above zero (more here) and below it (more there), and the most.",
        pd.DataFrame(rows, columns=columns),
        {
            "above": "more here",
            "below": "more there",
            "layers": "of layers",
            "layer": "largest in layer",
            "interval": "95 % interval",
        },
        found.sql,
    )


def _books(count: int) -> str:
    return "one book" if count == 1 else f"{count:,} books"
