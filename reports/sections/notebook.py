"""The six figures of the notebook that the study began with: their queries, their statistics, their captions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pandas as pd

from reports.data.classes import quoted
from reports.data.queries import Answer, Store, ask
from reports.data.scope import GRID_BOOKS, GRID_MARKS, GRID_PAIRS, MATRIX_MARKS, SCATTER_PAIRS, SEED, Scope
from reports.data.statistics import by_class, densities, gaussian_reference
from reports.figures.activations import mean_activations
from reports.figures.layers import distributions_by_layer
from reports.figures.matrices import pair_matrices
from reports.figures.scatter import CORRELATIONS_SHOWN, mi_against_covariance, mi_against_covariance_by_layer
from reports.figures.style import cut
from reports.page.exhibits import Exhibit, Section, attempt

NOTEBOOK_TITLE = "The six figures of the notebook"
KEYS = {"mi": "mutual-information", "cov": "covariance"}
"""The figures of the matrices of all pairs, by quantity."""
NEEDS_ROWS = (
    "Its matrices and scatter plots need a row for each pair, and this study keeps summaries alone (--within "
    "summaries): they are left out."
)


def notebook_section(store: Store, scope: Scope, moments: Answer, means: pd.DataFrame) -> Section:
    """All six figures, or those that need no rows of pairs where the study keeps none.

    `means` has quantity, layer, class, mean, low, high.
    """
    makers = notebook_makers(store, scope, lambda: moments, lambda: means)
    return Section(
        "six-figures",
        NOTEBOOK_TITLE,
        "The notebook is the teaching notebook that this study began with, 'Clusters in internal vs. terminal "
        f"punctuation': one book, GPT-2 medium, six figures. Those of one layer show layer {scope.layer}; those of one "
        f"book show {scope.example_book}"
        + (
            ", the only book."
            if scope.books_with_pairs == 1
            else ", the book whose mean mutual information is nearest the median of the books."
        )
        + ("" if scope.rows_kept else f" {NEEDS_ROWS}"),
        tuple(attempt(key, f"The figure {key}", make) for key, make in makers.items()),
    )


def notebook_makers(
    store: Store, scope: Scope, moments: Callable[[], Answer], means: Callable[[], pd.DataFrame]
) -> dict[str, Callable[[], Exhibit]]:
    """What makes each of the figures, by its key; nothing is asked or drawn before it is called."""

    @cache
    def matrix() -> Answer:
        return ask(store, "pair_matrix", layer=scope.layer, book=scope.example_book, marks=MATRIX_MARKS)

    makers: dict[str, Callable[[], Exhibit]] = {"mean-activations": lambda: activations_exhibit(store, scope)}
    if scope.rows_kept:
        makers |= {
            KEYS["mi"]: lambda: matrices_exhibit(scope, matrix(), "mi"),
            KEYS["cov"]: lambda: matrices_exhibit(scope, matrix(), "cov"),
            "mi-against-covariance": lambda: scatter_exhibit(store, scope, moments()),
            "mi-against-covariance-by-layer": lambda: grid_exhibit(store, scope, moments()),
        }
    makers["distributions-by-layer"] = lambda: layers_exhibit(store, scope, moments(), means())
    return makers


def activations_exhibit(store: Store, scope: Scope) -> Exhibit:
    """Figure a: mean activation per dimension of each class, and the second against the first."""
    classes = scope.classes
    answer = ask(store, "activation_means", layer=scope.layer, books=scope.spread_books)
    frame = by_class(answer.frame, classes.names)
    marks = answer.frame.groupby("class", observed=True)["marks"].max().to_dict()
    counts = ", ".join(f"{marks[name]:,} of {quoted(name)}" for name in classes.names if name in marks)
    against = (
        f"Right: {quoted(classes.compared[1])} against {quoted(classes.compared[0])}; the largest "
        "dimensions are numbered."
        if classes.compared
        else ""
    )
    return Exhibit(
        "mean-activations",
        "Mean activation per dimension",
        f"{'Left: the' if against else 'The'} hidden state of layer {scope.layer}, averaged over marks ({counts}), by "
        f"dimension. {against}".strip(),
        f"Line chart{' and scatter plot' if against else ''} of the mean activation of {len(frame)} dimensions for "
        f"{classes.list()}.",
        mean_activations(frame, scope.layer, classes),
        (answer.sql,),
        {"mean-activations": frame},
        ("A point off the dashed line is a dimension that tells the two classes apart. " if against else "")
        + "Axes turn logarithmic away from zero where a few dimensions dwarf the others."
        + _spread_note(scope),
    )


def matrices_exhibit(scope: Scope, matrix: Answer, quantity: str) -> Exhibit:
    """Figures b and c: matrices of all pairs within each class, with their distributions below."""
    name = {"mi": "mutual information", "cov": "covariance"}[quantity]
    scale = " about zero" if quantity == "cov" and (matrix.frame["cov"] < 0).any() else ""
    limited = f" Only the first {MATRIX_MARKS} marks of each class are shown." if _is_limited(scope) else ""
    return Exhibit(
        KEYS[quantity],
        f"Pairwise {name}",
        f"Each cell is one pair of marks of {cut(scope.example_book, 60)} in layer {scope.layer}, in the order of the "
        "text. Below: the distribution of the same values; dashed lines are means.",
        f"Heat maps of the {name} of all pairs of marks within {scope.classes.list()}, above their histograms.",
        pair_matrices(matrix.frame, quantity, scope.layer, scope.example_book, scope.classes),
        (matrix.sql,),
        {f"pairs-{quantity}": matrix.frame[["class", "i", "j", quantity]]},
        f"There is one colour scale{scale} for all, which leaves out 0.5 % of the values at either end. Stripes are "
        "marks that resemble, or do not resemble, all others. The distribution leaves out 0.1 % at either end. Pairs "
        "that share a mark are not independent: read the intervals at the top, not the width of these curves."
        + limited,
    )


def scatter_exhibit(store: Store, scope: Scope, moments: Answer) -> Exhibit:
    """Figure d: mutual information against covariance in one layer: each class, then all."""
    keep = scope.per_million(scope.scatter_books, MATRIX_MARKS, SCATTER_PAIRS)
    answer = ask(
        store,
        "pair_sample",
        layer=scope.layer,
        books=scope.scatter_books,
        marks=MATRIX_MARKS,
        seed=SEED,
        per_million=keep,
    )
    reference = gaussian_reference(answer.frame)
    several = len(scope.classes.names) > 1
    last = " Last: all classes, each point one pair." if several else ""
    return Exhibit(
        "mi-against-covariance",
        "Mutual information against covariance",
        f"Pairs within one class in layer {scope.layer}, stronger where there are more.{last} Dashed: what Gaussian "
        "vectors of the same correlation would share.",
        f"Density plots of mutual information against covariance of pairs within {scope.classes.list()}"
        f"{', and a scatter plot of all' if several else ''}.",
        mi_against_covariance(answer.frame, reference, moments.frame, scope.layer, scope.classes),
        (answer.sql, moments.sql),
        {"pair-sample": answer.frame, "gaussian-reference": reference},
        "Shades are logarithmic, and points are drawn in a mixed order. r is Pearson's, over all pairs of the layer. "
        "Gaussian vectors would share -log2(1 - corr^2) / 2. The plug-in estimate is lifted above that by its bias and "
        "pulled below it, where the correlation is high, by bins too coarse to follow it. "
        + _sample_note(keep, len(scope.scatter_books), MATRIX_MARKS, len(answer.frame)),
    )


def grid_exhibit(store: Store, scope: Scope, moments: Answer) -> Exhibit:
    """Figure e: mutual information against covariance in every layer."""
    keep = scope.per_million(scope.grid_books, GRID_MARKS, GRID_PAIRS)
    answer = ask(store, "layer_samples", books=scope.grid_books, marks=GRID_MARKS, seed=SEED, per_million=keep)
    return Exhibit(
        "mi-against-covariance-by-layer",
        "Mutual information against covariance in every layer",
        "One panel a layer; layer 0 is the embeddings, the last one comes after the final norm. r is over all pairs of "
        "the layer, in the colour of its class"
        + (f", for the first {CORRELATIONS_SHOWN} classes." if len(scope.classes.names) > CORRELATIONS_SHOWN else "."),
        f"Grid of {len(scope.layers)} small scatter plots of mutual information against covariance, one a layer.",
        mi_against_covariance_by_layer(answer.frame, moments.frame, scope.classes),
        (answer.sql, moments.sql),
        {"layer-samples": answer.frame},
        "Mutual information is on one axis for all; covariance grows by orders of magnitude, so each panel has its "
        "own; 0.3 % of the points at either end lie outside. "
        + _sample_note(keep, min(len(scope.grid_books), GRID_BOOKS), GRID_MARKS, len(answer.frame)),
    )


def layers_exhibit(store: Store, scope: Scope, moments: Answer, means: pd.DataFrame) -> Exhibit:
    """Figure f: distributions and means of covariance and mutual information over the layers."""
    answer = ask(store, "layer_histograms", books=scope.spread_books)
    frame = densities(answer.frame)
    return Exhibit(
        "distributions-by-layer",
        "Distributions and means over the layers",
        "By class: one line a layer, from dark (embeddings) to light (last). Then: means over the books, with 95 % "
        "intervals where they could be computed.",
        "Line charts of the distributions of covariance and mutual information in each layer, and of their means.",
        distributions_by_layer(frame, means, scope.classes),
        (answer.sql, moments.sql),
        {"histograms": frame, "means": means},
        "Bins of mutual information are 0.025 bits wide; bins of covariance are a twelfth of a decade, so that line "
        "shows the share of the pairs in each bin, on an axis that is logarithmic away from zero."
        + _spread_note(scope),
    )


def _is_limited(scope: Scope) -> bool:
    return bool((scope.example_marks > MATRIX_MARKS).any())


def _sample_note(per_million: int, books: int, marks: int, pairs: int) -> str:
    whose = f"{books} book{'s' if books != 1 else ''}"
    if per_million >= 1_000_000:
        return f"All {pairs:,} pairs among the first {marks} marks of each class in {whose} are drawn."
    return (
        f"Drawn are {pairs:,} pairs, {per_million / 1e4:.3g} % of those among the first {marks} marks of each class "
        f"in {whose}, chosen by a hash of their names with seed {SEED}."
    )


def _spread_note(scope: Scope) -> str:
    if scope.spread_books is None or len(scope.spread_books) == scope.books_with_pairs:
        return ""
    return f" Over {len(scope.spread_books):,} books chosen with seed {SEED}."
