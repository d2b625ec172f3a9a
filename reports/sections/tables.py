"""Tables of a report: layers, extreme pairs in their words, and books that failed."""

from __future__ import annotations

import pandas as pd

from reports.data.chance import Chance
from reports.data.classes import Classes, quoted
from reports.data.queries import Answer, Store, ask
from reports.data.scope import GRID_MARKS, MATRIX_MARKS, Scope
from reports.data.statistics import cliffs_delta_by_layer
from reports.page.exhibits import Section, Table
from store.books import BookStatus

EXTREME_PAIRS = 8
LAYER_HEADINGS = {"mi_mean": "MI: {}", "cov_mean": "cov: {}", "r": "pooled r: {}", "chance": "if independent: {}"}
SIZE_HEADINGS = {"standardised": "in pooled SD", "cliffs_delta": "Cliff's delta"}
EMBEDDINGS_APART = (
    "Layer 0, the embeddings, stands apart and is not sorted among the others: no context has touched it."
)
TABLE_ROWS = 500
"""A table in the page has at most so many rows; the CSV beside the page has all."""


def layer_table(
    store: Store,
    scope: Scope,
    moments: Answer,
    means: pd.DataFrame,
    differences: pd.DataFrame,
    chance: Chance,
    with_intervals: bool = True,
) -> Table:
    """One row a layer: means over books, their difference with its interval, effect sizes, pooled r, and chance.

    Without intervals there is no column of the difference in bits: the answer has it.

    `means` and `differences` are from `reports.data.likeness`: of the same means, so that the columns can be
    subtracted where every book has both classes.
    """
    classes, sql = scope.classes, [scope.book_means.sql, moments.sql, chance.sql]
    wide = means.pivot_table(index="layer", columns=["quantity", "class"], values="mean", observed=True)
    wide.columns = [f"{quantity}_mean_{mark_class}" for quantity, mark_class in wide.columns]
    r = moments.frame.pivot_table(index="layer", columns="class", values="r", observed=True)
    wide = wide.join(r.add_prefix("r_"))
    level = chance.frame.pivot_table(index="layer", columns="class", values="chance")
    frame = wide.join(level.add_prefix("chance_"))
    sizes: list[str] = []
    if classes.compared is not None:
        chosen = differences[differences["quantity"] == "mi"].set_index("layer")
        sizes = [*(("difference", "low", "high") if with_intervals else ()), "standardised"]
        frame = frame.join(chosen[[*sizes, "varies"]])
    if classes.compared is not None and scope.rows_kept:
        values = ask(store, "mi_values", book=scope.example_book, marks=GRID_MARKS)
        frame = frame.join(cliffs_delta_by_layer(values.frame, *classes.compared))
        # Where all pairs of a class are equal, delta is -1, 0 or 1 whatever the sizes. That is not an effect size:
        # NaN stands in its place.
        frame["cliffs_delta"] = frame["cliffs_delta"].where(frame["varies"].eq(True))
        sizes.append("cliffs_delta")
        sql.append(values.sql)
    headings = {f"{key}_{name}": text.format(name) for key, text in LAYER_HEADINGS.items() for name in classes.names}
    mi, others = ([column for column in headings if column.startswith("mi_") == first] for first in (True, False))
    columns = [*mi, *sizes, *others]
    return Table(
        "layers",
        "Layer by layer",
        _layer_caption(classes, sizes),
        frame.reindex(columns=columns).reset_index(),
        headings | SIZE_HEADINGS,
        tuple(sql),
        _layer_reading(scope, sizes),
        apart=EMBEDDINGS_APART if len(frame) > 1 else "",
        decimals=dict.fromkeys((name for name in columns if not name.startswith("cov_")), 3),
    )


def _layer_caption(classes: Classes, sizes: list[str]) -> str:
    said = "Means over books of each book's mean over pairs of marks of different passages."
    if "standardised" in sizes and "difference" not in sizes:
        return said + (
            f" In pooled SD: {classes.difference} in standard deviations over the pairs of all books. Differences in "
            "bits and their intervals are in the answer."
        )
    if "difference" in sizes:
        said += (
            f" Difference is {classes.difference} in bits with its 95 % interval, and in pooled SD the same in "
            "standard deviations over the pairs of all books."
        )
    return said


def _layer_reading(scope: Scope, sizes: list[str]) -> str:
    said = ""
    if "cliffs_delta" in sizes:
        first, second = map(quoted, scope.classes.compared or ())
        said += (
            f"Cliff's delta sets each pair of {second} of {scope.example_book} (first {GRID_MARKS} marks) against each "
            f"pair of {first} of it: how often the one of {second} shares more, less how often it shares less, from -1 "
            "to 1. It describes that one book, has no interval, and has chance in it as the means do. "
        )
    return said + (
        "r is Pearson's between mutual information and covariance, pooled over the pairs of all books; if independent "
        "is what the estimator would find between independent vectors of these margins, more than the bias of "
        "dependent ones."
    )


def extremes_section(store: Store, scope: Scope) -> Section:
    """The pairs that share the most and the least information, with their words in context."""
    if not scope.rows_kept:
        said = "This study keeps summaries of its pairs alone (--within summaries): no single pair can be shown."
        return Section("extremes", "Pairs in their words", said)
    answer = ask(
        store,
        "extreme_pairs",
        layer=scope.layer,
        books=scope.scatter_books,
        marks=MATRIX_MARKS,
        count=EXTREME_PAIRS,
    )
    frame = answer.frame
    shown = pd.DataFrame(
        {
            "class": frame["class"],
            "extreme": frame["extreme"],
            "mi": frame["mi"],
            "first": _in_context(frame, "i"),
            "second": _in_context(frame, "j"),
            **{name: frame[name] for name in ("corr", "cov", "book", "i", "j")},
        }
    )
    order = shown["class"].map({name: place for place, name in enumerate(scope.classes.names)})
    shown = shown.loc[order.sort_values(kind="stable").index].reset_index(drop=True)
    table = Table(
        "extreme-pairs",
        f"Extreme pairs of layer {scope.layer}",
        f"The {EXTREME_PAIRS} pairs of each class that share the most and the least information, among the first "
        f"{MATRIX_MARKS} marks of {len(scope.scatter_books)} book{'s' if len(scope.scatter_books) > 1 else ''}. The "
        "mark stands in brackets.",
        shown,
        {"mi": "MI (bits)", "first": "first mark in context", "second": "second mark in context"},
        (answer.sql,),
        "Words after a mark are for the reader; the model had not seen them.",
        nothing=f"No pair among these marks has a value in layer {scope.layer}.",
    )
    return Section("extremes", "Pairs in their words", "", (table,))


def failed_section(scope_books: Answer) -> Section:
    """Books that gave no pairs, and why; warnings about books that did."""
    frame = scope_books.frame
    without_pairs = int((frame["status"] != BookStatus.USED).sum())
    left_out = frame[(frame["status"] != BookStatus.USED) | frame["reason"].notna()]
    columns = ["book", "title", "status", "reason", "source"]
    if left_out.empty:
        said = "No book was given yet." if frame.empty else "None: every book was used."
        return Section("failures", "Books that failed", said)
    table = Table(
        "failed-books",
        "Books that were left out, or used with a warning",
        f"{without_pairs:,} of {len(frame):,} books gave no pairs. Failed and quarantined "
        "books are tried again by the next run; rejected ones are not.",
        left_out[columns].head(TABLE_ROWS),
        {},
        (scope_books.sql,),
    )
    return Section("failures", "Books that failed", "", (table,))


def _in_context(frame: pd.DataFrame, which: str) -> pd.Series:
    before = frame[f"before_{which}"].fillna("").str.replace(r"\s+", " ", regex=True)
    after = frame[f"after_{which}"].fillna("").str.replace(r"\s+", " ", regex=True)
    mark = frame[f"token_{which}"].astype("string").fillna("?").str.strip()
    return before.str[-90:] + "[" + mark + "]" + after.str[:50]
