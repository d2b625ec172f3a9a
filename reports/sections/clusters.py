"""Clusters of marks: which clouds pairs form and what they are, through the layers and over the books."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import pandas as pd

from reports.data.clusters import MARKS, Followed, followed, lineage_rows
from reports.data.queries import Answer, StudyStore, ask
from reports.data.scope import Scope
from reports.figures.clusters import clouds, ordered_matrix, river
from reports.page.exhibits import Exhibit, Failure, Section, Table, attempt
from store.columns import ALL_CLASSES

KEY = "clusters"
TITLE = "Clusters of marks"

MATRIX_MARKS = 250
"""Ordered matrices show the first so many marks of each class."""
FOLLOWED = 9
"""Names that have a colour of their own in the river."""
STABLE = 0.5
"""Layers whose clusters are all found again at least this well are shown before others."""

_EVERY = {
    "layer": "layer",
    "among": "marks of",
    "cluster": "cluster",
    "name": "what sets it apart",
    "marks": "marks",
    "silhouette": "silhouette",
    "stability": "stability",
    "mi_share": "share of MI's variance",
    "corr_share": "share of r's variance",
    "told": "told by the previous word",
}
_LINEAGES = {
    "name": "what sets it apart",
    "first": "from layer",
    "last": "to layer",
    "named": "so named in layers",
    "marks": "marks",
    "stability": "stability",
    "told": "told by the previous word",
    "origin": "parts from",
    "destination": "goes into",
}
_TERMS = {
    "cluster": "cluster",
    "name": "name",
    "feature": "feature",
    "value": "what it has more of",
    "inside": "in the cluster",
    "outside": "elsewhere",
    "effect": "effect",
    "q": "false discoveries",
}
_OUTLIERS = {
    "cluster": "cluster",
    "name": "name",
    "dimensions": "dimensions left out most often",
    "inside": "in the cluster",
    "outside": "elsewhere",
}
_EXAMPLES = {"cluster": "cluster", "name": "name", "class": "class", "words": "its clearest marks, in their words"}
_BOOKS = {
    "among": "marks of",
    "explanation": "what sets them apart",
    "books": "books",
    "clusters": "clusters",
    "layers": "layers",
    "first_layer": "from layer",
    "last_layer": "to layer",
    "marks": "marks",
    "stability": "stability",
    "mi_share": "share of MI's variance",
    "told": "told by the previous word",
}

Part = Exhibit | Table


_DECIMALS = dict.fromkeys(
    ("stability", "told", "inside", "outside", "effect", "mi_share", "corr_share", "silhouette"), 2
)
"""Shares and the like, of which the tables show two decimals; the data have all."""


def clusters_section(store: StudyStore, scope: Scope) -> Section:
    """What was found in the example book and over all books, or a sentence that marks are one group in every layer."""
    if "clusters" not in store.tables() or not store.study.config.get("clusters", False):
        return Section(KEY, TITLE, "The study did not look for clusters (--clusters no).")
    answer = ask(store, "clusters", book=scope.example_book)
    frame = answer.frame[answer.frame["among"].isin((*scope.classes.named, ALL_CLASSES))]
    frame = frame.assign(told=frame["told"].clip(lower=0))
    if frame.empty:
        return Section(KEY, TITLE, f"In no layer do the marks of {scope.example_book} form more than one cluster.")

    @cache
    def marks() -> Answer:
        return ask(store, "cluster_marks", book=scope.example_book, marks=MARKS)

    parts: list[Part | Failure] = []
    for name in (*scope.classes.named, ALL_CLASSES):
        of_class = frame[frame["among"] == name]
        if not of_class.empty:
            parts += _parts(store, scope, Answer(of_class, answer.sql), name, marks)
    parts.append(attempt(f"{KEY}-books", TITLE, partial(_books, store, scope)))
    return Section(KEY, TITLE, _counted(frame, scope), (*parts, _table(frame, answer)))


def _parts(
    store: StudyStore, scope: Scope, found: Answer, name: str, marks: Callable[[], Answer]
) -> list[Part | Failure]:
    """The figures and tables of one class's marks, or of all classes'; `marks` gives those that are followed."""
    config = store.study.config
    layer = _clearest_layer(found.frame, 1 + len(scope.classes.named) if name == ALL_CLASSES else 2)

    @cache
    def through() -> Followed:
        frame = marks().frame
        return followed(frame[frame["among"] == name])

    shown: dict[str, Callable[[StudyStore, Scope, Answer, str, int], Part]] = {
        "clouds": _clouds,
        "matrix": _matrix,
        "terms": _terms,
        "outliers": _outliers,
        "examples": _examples,
    }
    makers: dict[str, Callable[[], Part]] = {
        what: partial(make, store, scope, found, name, layer) for what, make in shown.items()
    }
    makers["river"] = lambda: _river(through(), marks().sql, found, name)
    makers["lineages"] = lambda: _lineages(through(), marks().sql, found, name)
    drawn = config.get("within", "rows") == "rows" and (name != ALL_CLASSES or config.get("between") == "rows")
    order = (*(("clouds", "matrix") if drawn else ()), "river", "lineages", "terms", "outliers", "examples")
    return [attempt(f"{KEY}-{what}-{_slug(name)}", TITLE, makers[what]) for what in order]


def _clearest_layer(frame: pd.DataFrame, most_telling: int) -> int:
    """Where clusters take most of MI's variance, among layers whose clusters are all stable if there are any.

    Layer 0, where equal tokens have equal vectors, and layers of fewer names than `most_telling` (of all classes
    those where clusters are the classes) are taken only where there are no others.
    """
    for kept in (frame["layer"] > 0, frame.groupby("layer")["name"].transform("nunique") >= most_telling):
        frame = frame[kept.reindex(frame.index)] if kept.reindex(frame.index).any() else frame
    layers = frame.groupby("layer").agg(share=("mi_share", "max"), stability=("stability", "min"))
    stable = layers[layers["stability"] >= STABLE]
    return int((layers if stable.empty else stable)["share"].fillna(0).idxmax())


def _clouds(store: StudyStore, scope: Scope, found: Answer, name: str, layer: int) -> Exhibit:
    pairs = ask(store, "cluster_pairs", book=scope.example_book, layer=layer, among=name)
    rows = found.frame[found.frame["layer"] == layer]
    mi, corr = (f"{float(rows[share].iloc[0]):.0%}" for share in ("mi_share", "corr_share"))
    return Exhibit(
        f"{KEY}-clouds-{_slug(name)}",
        f"What each cloud is: {name}, layer {layer}",
        f"Pairs of marks of {scope.example_book} in the colour of the clusters of their two marks. The clusters take "
        f"{mi} of the variance of MI over pairs and {corr} of that of r.",
        f"Scatter plot of covariance and mutual information of pairs of {name} marks, coloured by clusters.",
        clouds(pairs.frame, _names(found.frame, layer)),
        (found.sql, pairs.sql),
        {f"clusters-clouds-{_slug(name)}": pairs.frame},
        "Marks are clustered, not pairs: k clusters of marks make k (k + 1) / 2 clouds. The layer is the one where "
        "clusters take most of MI's variance, of those where all are found again without a quarter of the passages.",
    )


def _matrix(store: StudyStore, scope: Scope, found: Answer, name: str, layer: int) -> Exhibit:
    pairs = ask(store, "cluster_matrix", book=scope.example_book, layer=layer, among=name, marks=MATRIX_MARKS)
    return Exhibit(
        f"{KEY}-matrix-{_slug(name)}",
        f"Mutual information, cluster after cluster: {name}, layer {layer}",
        "Each cell is one pair of marks. Rows and columns are the marks in the order of their clusters, the clearest "
        "mark of each cluster first.",
        f"Heat map of the mutual information of pairs of {name} marks in the order of their clusters.",
        ordered_matrix(pairs.frame, _names(found.frame, layer)),
        (found.sql, pairs.sql),
        {f"clusters-matrix-{_slug(name)}": pairs.frame},
        f"The stripes of the matrix in the order of the text are blocks here. The first {MATRIX_MARKS} marks of a "
        "class take part.",
    )


def _river(through: Followed, sql: str, found: Answer, name: str) -> Exhibit:
    steps = through.steps.merge(found.frame[["layer", "cluster", "name"]], on=["layer", "cluster"], how="left")
    steps["name"] = steps["name"].fillna("")
    several = steps[steps["clusters"] > 1]
    names = several.groupby("name")["marks"].sum().sort_values(ascending=False, kind="stable").index[:FOLLOWED]
    return Exhibit(
        f"{KEY}-river-{_slug(name)}",
        f"Clusters through the layers: {name}",
        "Bars are the clusters of a layer, bands the marks that go from one to the next. A cluster goes on where at "
        "least half of the marks of either layer are in both. A light bar: all marks are one cluster.",
        f"Bars and bands over the layers, divided by the clusters of the {name} marks.",
        river(steps, through.flows, [str(of) for of in names]),
        (found.sql, sql),
        {f"clusters-river-{_slug(name)}": steps, f"clusters-flows-{_slug(name)}": through.flows},
        "Colours are what sets a cluster apart in that layer: where one begins, a cluster of that kind is born; where "
        "one ends, it dissolves. Names beyond the nine of most marks are grey.",
    )


def _lineages(through: Followed, sql: str, found: Answer, name: str) -> Table:
    rows = lineage_rows(through, found.frame)
    names = dict(zip(rows["lineage"], rows["name"], strict=True))
    last = int(through.steps["layer"].max())
    shown = rows[rows["layers"] > 1].copy()
    for end, nowhere in (("origin", "there from the start"), ("destination", "there at the end")):
        shown[end] = [
            nowhere if pd.isna(other) else names.get(int(other), "one cluster of all") for other in shown[end]
        ]
    shown["named"] = [f"{row.named} of {row.layers}" for row in shown.itertuples()]
    return Table(
        f"{KEY}-lineages-{_slug(name)}",
        f"Where clusters are born and where they dissolve: {name}",
        f"Clusters that go on for more than one of the {last + 1} layers, the largest first.",
        shown[list(_LINEAGES)],
        _LINEAGES,
        (found.sql, sql),
        "Parts from, goes into: the cluster that holds most of its marks one layer before its first, and one after its "
        "last. Marks, stability and what the previous word tells are medians over its layers.",
        nothing="No cluster goes on for more than one layer.",
        decimals=_DECIMALS,
    )


def _terms(store: StudyStore, scope: Scope, found: Answer, name: str, layer: int) -> Table:
    answer = ask(store, "cluster_terms", book=scope.example_book, layer=layer, among=name)
    shown = answer.frame[list(_TERMS)].copy()
    shown["q"] = [f"{q:.1g}" for q in shown["q"]]
    told = found.frame.loc[found.frame["layer"] == layer, "told"].iloc[0]
    quoted = " Tokens are in quotes, with the space that is part of them." if "token" in set(shown["feature"]) else ""
    more = "" if pd.isna(told) else f" The previous word alone tells {max(0.0, float(told)):.0%} of the division."
    return Table(
        f"{KEY}-terms-{_slug(name)}",
        f"What sets each cluster apart: {name}, layer {layer}",
        f"Of each cluster the three features of the marks with the largest effects.{more}",
        shown,
        _TERMS,
        (answer.sql,),
        "In the cluster, elsewhere: the share of marks that have it; of a number, the share on the cluster's side of "
        "the best divide. Effect: Cramer's V, of a number the rank-biserial correlation. False discoveries: Benjamini "
        f"and Hochberg's q over all features, clusters, layers and classes of the book.{quoted}",
        nothing="Nothing that is known of the marks sets these clusters apart.",
        decimals=_DECIMALS,
    )


def _outliers(store: StudyStore, scope: Scope, found: Answer, name: str, layer: int) -> Table:
    answer = ask(store, "cluster_outliers", book=scope.example_book, layer=layer, among=name)
    shown = answer.frame.assign(name=answer.frame["cluster"].map(_names(found.frame, layer)))
    return Table(
        f"{KEY}-outliers-{_slug(name)}",
        f"What the marks of each cluster leave out: {name}, layer {layer}",
        "The set of outlier dimensions that most marks of the cluster leave out, and how many marks do so.",
        shown[list(_OUTLIERS)],
        _OUTLIERS,
        (answer.sql,),
        "Where nearly all marks of a cluster leave out a set and hardly any others do, the outlier threshold makes the "
        "cluster: one dimension lies above it there and below it elsewhere.",
        decimals=_DECIMALS,
    )


def _examples(store: StudyStore, scope: Scope, found: Answer, name: str, layer: int) -> Table:
    answer = ask(store, "cluster_examples", book=scope.example_book, layer=layer, among=name)
    names = _names(found.frame, layer)
    shown = answer.frame.assign(
        name=answer.frame["cluster"].map(names),
        words=[
            f"{row.before} [{row.token.strip()}] {row.after}".replace("\n", " ") for row in answer.frame.itertuples()
        ],
    )
    return Table(
        f"{KEY}-examples-{_slug(name)}",
        f"Clusters in their words: {name}, layer {layer}",
        "The five marks of each cluster that are clearest in it, between square brackets.",
        shown[list(_EXAMPLES)],
        _EXAMPLES,
        (answer.sql,),
        "Clearest: with the highest silhouette, nearer to its own cluster than to any other.",
    )


def _books(store: StudyStore, scope: Scope) -> Table:
    answer = ask(store, "cluster_explanations")
    frame = answer.frame[answer.frame["among"].isin((*scope.classes.named, ALL_CLASSES))]
    return Table(
        f"{KEY}-books",
        "Clusters of the same explanation, over all books",
        f"In how many of {scope.books_with_pairs:,} books clusters of this explanation are found, and in which layers.",
        frame.assign(told=frame["told"].clip(lower=0))[list(_BOOKS)],
        _BOOKS,
        (answer.sql,),
        "Which words a cluster stands behind differs from book to book and is not part of its explanation here. Marks "
        "and the numbers behind them are medians over these clusters.",
        decimals=_DECIMALS,
    )


def _table(frame: pd.DataFrame, answer: Answer) -> Table:
    shown = frame[list(_EVERY)]
    return Table(
        f"{KEY}-table",
        "Every cluster",
        "Stability above 0.75: found again without a quarter of the passages; below 0.5, hardly.",
        shown,
        _EVERY,
        (answer.sql,),
        "Told by the previous word: 1 where the word before a mark says which cluster it is in, 0 where it says "
        "nothing.",
        decimals=_DECIMALS,
    )


def _counted(frame: pd.DataFrame, scope: Scope) -> str:
    counts = frame.groupby("among", sort=False)["layer"].nunique()
    layers = ", ".join(f"{name} in {count} of {len(scope.layers)} layers" for name, count in counts.items())
    return f"Marks of {scope.example_book} form more than one cluster: {layers}."


def _names(frame: pd.DataFrame, layer: int) -> dict[int, str]:
    rows = frame[frame["layer"] == layer]
    return {int(cluster): str(name) for cluster, name in zip(rows["cluster"], rows["name"], strict=True)}


def _slug(name: str) -> str:
    return name.replace(" ", "-")
