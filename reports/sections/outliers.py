"""Dimensions that marks leave out as outliers, and what leaving them out does to the pairs."""

from __future__ import annotations

from reports.data.classes import quoted
from reports.data.outlier_sets import outlier_set_shares
from reports.data.queries import Store, ask
from reports.data.scope import GRID_MARKS, Scope
from reports.data.statistics import outlier_shares
from reports.figures.style import cut
from reports.page.exhibits import Section, Table, attempt
from reports.sections.tables import EMBEDDINGS_APART

KEY = "outliers"
TITLE = "Outlier dimensions and sets"
OUTLIERS_PER_LAYER = 5


def outlier_section(store: Store, scope: Scope, outlier_z: float | None) -> Section:
    """Dimensions that are left out as outliers, layer by layer."""
    answer = ask(store, "outlier_dimensions", books=scope.spread_books)
    names = scope.classes.names
    frame = outlier_shares(answer.frame, names, OUTLIERS_PER_LAYER)
    table = Table(
        "outlier-dimensions",
        "What most marks leave out",
        f"The {OUTLIERS_PER_LAYER} dimensions of each layer that most marks leave out, and the share of the marks of "
        "each class that do.",
        frame,
        {f"share_{name}": f"share: {name}" for name in names}
        | {"marks_without": "marks that leave it out", "dimensions_in_layer": "outlier dimensions in the layer"},
        (answer.sql,),
        "A dimension is left out of a pair where either vector has it beyond the study's threshold of standard "
        "deviations. Dimensions that stay on the list from layer to layer are the massive activations of the residual "
        "stream.",
        apart=EMBEDDINGS_APART if len(scope.layers) > 1 else "",
        nothing=f"No mark has a dimension more than {outlier_z:g} standard deviations from its mean, so all are kept."
        if outlier_z
        else "The study leaves no dimension out (--outlier-z none).",
        decimals={f"share_{name}": 3 for name in names},
    )
    if not (outlier_z and scope.rows_kept):
        return Section(KEY, TITLE, "", (table,))
    return Section(
        KEY,
        TITLE,
        "",
        (table, attempt("outlier-sets", "The table of outlier sets", lambda: _sets_table(store, scope))),
    )


def _sets_table(store: Store, scope: Scope) -> Table:
    frame, sql = outlier_set_shares(store, scope)
    deep = frame[((frame["layer"] > 0) | (frame["layer"].nunique() == 1)) & frame["class"].isin(scope.classes.named)]
    largest = deep.loc[(deep["cov"] - deep["cov_shuffled"]).idxmax()] if deep["cov"].notna().any() else None
    found = (
        ""
        if largest is None
        else f" Most of all: {largest['cov']:.0%} of covariance, {quoted(largest['class'])} in layer "
        f"{int(largest['layer'])}."
    )
    return Table(
        "outlier-sets",
        "What leaving dimensions out does to the pairs",
        "The share of the variance over pairs that goes with which dimensions the two marks leave out; beside it, what "
        f"the same sets take when they are shuffled over the marks.{found}",
        frame,
        {
            "sets": "different sets",
            "cov": "of covariance",
            "cov_shuffled": "shuffled (cov)",
            "mi": "of MI",
            "mi_shuffled": "shuffled (MI)",
        },
        sql,
        f"Of the first {GRID_MARKS} marks of each class of {cut(scope.example_title, 60)}. A pair is measured over the "
        "dimensions that neither mark leaves out. Where a dimension that dwarfs the others is in for some pairs and "
        "out for others, they differ by that alone: what exceeds the shuffled share may be the threshold's work and "
        "not the text's. The copula measure takes all dimensions.",
        apart=EMBEDDINGS_APART if len(scope.layers) > 1 else "",
        decimals=dict.fromkeys(("cov", "cov_shuffled", "mi", "mi_shuffled"), 2),
    )
