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
from reports.figures.scatter import (
    CORRELATIONS_SHOWN,
    mi_against_correlation,
    mi_against_covariance,
    mi_against_covariance_by_layer,
)
from reports.figures.style import cut
from reports.page.exhibits import Exhibit, Section, attempt

NOTEBOOK_TITLE = "The six figures of the notebook"
KEYS = {"mi": "mutual-information", "cov": "covariance"}
"""The figures of the matrices of all pairs, by quantity."""
SQUARE_MARKS = 1_200
"""The square of all pairs has about so many marks on a side, of all classes together."""
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
        "As in the teaching notebook that this study began with, “Clusters in internal vs. terminal punctuation” (one "
        f"book, GPT-2 medium). What shows one layer shows layer {scope.layer}; what shows one book shows "
        f"{cut(scope.example_title, 60)}"
        + (
            ", the only one."
            if scope.books_with_pairs == 1
            else ", whose mean mutual information is nearest the median of the books."
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
        return ask(store, "pair_matrix", layer=scope.layer, book=scope.example_book, marks=matrix_marks(scope))

    @cache
    def sample() -> Answer:
        return ask_sample(store, scope)

    makers: dict[str, Callable[[], Exhibit]] = {"mean-activations": lambda: activations_exhibit(store, scope)}
    if scope.rows_kept:
        makers |= {
            KEYS["mi"]: lambda: matrices_exhibit(scope, matrix(), "mi"),
            KEYS["cov"]: lambda: matrices_exhibit(scope, matrix(), "cov"),
            "mi-against-correlation": lambda: correlation_exhibit(scope, sample()),
            "mi-against-covariance": lambda: covariance_exhibit(scope, sample(), moments()),
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
    against = ""
    if classes.compared:
        first, second = map(quoted, classes.compared)
        against = f"Below: {second} against {first}, a point a dimension; numbers name those that stand out."
    return Exhibit(
        "mean-activations",
        f"Mean activation per dimension, layer {scope.layer}",
        f"{'Above: the' if against else 'The'} mean hidden state by dimension. {against}".strip(),
        f"Line chart{' and scatter plot' if against else ''} of the mean activation of {len(frame)} dimensions for "
        f"{classes.list()}.",
        mean_activations(frame, scope.layer, classes),
        (answer.sql,),
        {"mean-activations": frame},
        f"Means are over marks: {counts}. "
        + (
            "Off the dashed line, the two means differ; how far single marks lie from them is not shown, so a point "
            "off the line is no evidence that its dimension tells the classes apart. "
            if against
            else ""
        )
        + "Where a few dimensions dwarf the others, axes are logarithmic away from zero and say so."
        + _spread_note(scope),
    )


def matrices_exhibit(scope: Scope, matrix: Answer, quantity: str) -> Exhibit:
    """Figures b and c: all pairs within and between the classes as one square, with their distributions below."""
    name = {"mi": "mutual information", "cov": "covariance"}[quantity]
    scale = " about zero" if quantity == "cov" and (matrix.frame["cov"] < 0).any() else ""
    marks = matrix_marks(scope)
    limited = f" Only the first {marks} marks of each class are shown." if _is_limited(scope, marks) else ""
    between = bool((matrix.frame["class"] != matrix.frame["other"]).any())
    empty = "" if between or len(scope.classes.names) == 1 else " Pairs between classes have no rows in this study."
    return Exhibit(
        KEYS[quantity],
        f"All pairs: {name}, layer {scope.layer}",
        f"Each cell is a pair of marks of {cut(scope.example_title, 60)}: along the diagonal within a class, off it "
        f"between two.{empty} Below: the distribution of the same values; upright lines are means.",
        f"Heat map of the {name} of all pairs of marks within {scope.classes.list()}"
        f"{' and between them' if between else ''}, above histograms.",
        pair_matrices(matrix.frame, quantity, scope.layer, scope.example_book, scope.classes),
        (matrix.sql,),
        {f"pairs-{quantity}": matrix.frame[["class", "other", "i", "j", quantity]]},
        "Where the model keeps two classes apart, the squares along the diagonal are brighter than the block between "
        f"them. There is one colour scale{scale} for all, which leaves out 0.5 % of the values at either end. Stripes "
        "are marks that resemble, or do not resemble, all others. The distribution leaves out 0.1 % at either end. "
        "Pairs that share a mark are not independent: read the intervals of the answer, not the width of these "
        "curves." + limited,
    )


def matrix_marks(scope: Scope) -> int:
    """How many marks of each class the square shows: fewer where there are many classes, so that it stays one."""
    return min(MATRIX_MARKS, SQUARE_MARKS // len(scope.classes.names))


def ask_sample(store: Store, scope: Scope) -> Answer:
    """Pairs of one layer for the scatter plots: the same ones every time."""
    keep = scope.per_million(scope.scatter_books, MATRIX_MARKS, SCATTER_PAIRS)
    books, marks = scope.scatter_books, MATRIX_MARKS
    return ask(store, "pair_sample", layer=scope.layer, books=books, marks=marks, seed=SEED, per_million=keep)


def correlation_exhibit(scope: Scope, sample: Answer) -> Exhibit:
    """Mutual information against correlation in one layer, with the curve of Gaussian vectors."""
    several = len(scope.classes.names) > 1
    return Exhibit(
        "mi-against-correlation",
        f"Mutual information against correlation, layer {scope.layer}",
        f"Pairs within one class{_coloured(scope)}.{' Last: all classes.' if several else ''} Dashed: what Gaussian "
        "vectors of that correlation share.",
        f"Scatter plots of mutual information against correlation of pairs within {scope.classes.list()}.",
        mi_against_correlation(sample.frame, scope.layer, scope.classes),
        (sample.sql,),
        {"pair-sample": sample.frame},
        "The curve is -log2(1 - r²) / 2 bits. Near r = 0 all points lie above it: the plug-in estimate is never zero. "
        "Well above it elsewhere, two states depend on each other in more than a straight line; below it, bins are too "
        "coarse to follow a high correlation. Two clouds of one class are two kinds of pairs: see the clusters. "
        + _sample_words(scope, sample),
    )


def covariance_exhibit(scope: Scope, sample: Answer, moments: Answer) -> Exhibit:
    """Figure d: mutual information against covariance in one layer: each class, then all."""
    reference = gaussian_reference(sample.frame)
    several = len(scope.classes.names) > 1
    return Exhibit(
        "mi-against-covariance",
        f"Mutual information against covariance, layer {scope.layer}",
        f"The same pairs by their covariance, as in the notebook{_coloured(scope)}."
        f"{' Last: all classes.' if several else ''} r is Pearson's, over all pairs of the layer.",
        f"Scatter plots of mutual information against covariance of pairs within {scope.classes.list()}.",
        mi_against_covariance(sample.frame, reference, moments.frame, scope.layer, scope.classes),
        (sample.sql, moments.sql),
        {"gaussian-reference": reference},
        "Covariance is correlation times the two states' spread, so marks with large states lie far to the right. "
        "Dashed: what Gaussian vectors with the pairs' correlations share, averaged over groups of similar covariance. "
        "Hexagons are darker, on a log scale, where there are more pairs. " + _sample_words(scope, sample),
    )


def grid_exhibit(store: Store, scope: Scope, moments: Answer) -> Exhibit:
    """Figure e: mutual information against covariance in every layer."""
    keep = scope.per_million(scope.grid_books, GRID_MARKS, GRID_PAIRS)
    answer = ask(store, "layer_samples", books=scope.grid_books, marks=GRID_MARKS, seed=SEED, per_million=keep)
    return Exhibit(
        "mi-against-covariance-by-layer",
        "Mutual information against covariance in every layer",
        "Layer 0 is the embeddings, the last layer comes after the final norm. r is over all pairs of the layer, in "
        "the colour of its class"
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
        "A row a class, a line a layer, from dark (first) to light (last). Last row: means over the books; their "
        "intervals are in the answer.",
        "Line charts of the distributions of covariance and mutual information in each layer, and of their means.",
        distributions_by_layer(frame, means, scope.classes),
        (answer.sql, moments.sql),
        {"histograms": frame, "means": means.drop(columns=["low", "high"])},
        "Bins of mutual information are 0.025 bits wide. Those of covariance are a twelfth of a decade, so its lines "
        "show the share of the pairs in each bin, on an axis that is logarithmic away from zero." + _spread_note(scope),
    )


def _is_limited(scope: Scope, marks: int) -> bool:
    return bool((scope.example_marks > marks).any())


def _coloured(scope: Scope) -> str:
    several = any(len(scope.classes.tokens.get(name, ())) > 1 for name in scope.classes.named)
    return ", by their two mark types where a class has several" if several else ""


def _sample_words(scope: Scope, sample: Answer) -> str:
    keep = scope.per_million(scope.scatter_books, MATRIX_MARKS, SCATTER_PAIRS)
    return _sample_note(keep, len(scope.scatter_books), MATRIX_MARKS, len(sample.frame))


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
