"""Stores side by side: models, or configurations, on the books that this store and another both have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import inference
from reports.data.classes import Classes, quoted
from reports.data.comparison import COMPARED, Comparison
from reports.data.model_alignment import FEWEST, ClassAlignment
from reports.figures.comparison import align_layers, compare_depths, differences_by_store
from reports.figures.style import cut
from reports.page.exhibits import Exhibit, Failure, Section, Table, attempt
from store.keys import BASELINE

KEY = "comparison"
TITLE = "Comparison"
BOOKS_NAMED = 10
SHOWN = ("separation", "corr")
"""Quantity and measure that the figures show."""
ANOTHER = " --compare OTHER"
"""What makes a figure of another store again takes, once a store."""


@dataclass(frozen=True)
class Compared:
    """What was found of another store.

    `here` and `there` are what the two are called. `found` is None where they do not name the same two classes first.
    `settings` has one line a setting that differs, with its value here and there.
    """

    here: str
    there: str
    found: Comparison | None
    settings: Sequence[str]


def names_apart(here: str, others: Sequence[str]) -> tuple[str, ...]:
    """What the other stores are called; one whose name is taken has a number.

    >>> names_apart("gpt2", ["gpt2", "smollm2", "gpt2"])
    ('gpt2 (2)', 'smollm2', 'gpt2 (3)')
    """
    taken, names = [here], []
    for name in others:
        count = taken.count(name)
        names.append(f"{name} ({count + 1})" if count else name)
        taken.append(name)
    return tuple(names)


def comparison_section(compared: Compared, number: int = 1) -> Section:
    """What differs between this store and another; `number` counts the others from 1."""
    key = KEY if number == 1 else f"{KEY}-{number}"
    title, found = f"Compared with {cut(compared.there, 80)}", compared.found
    settings = list(compared.settings) or ["nothing: both stores hold the same study"]
    differing = Table(
        f"{key}-settings",
        "What differs",
        "Settings and model identity that differ; each line names the value here, then the value there.",
        pd.DataFrame({"setting: here and there": settings}),
    )
    if found is None:
        said = "The stores do not share two named classes: there is nothing to compare."
        return Section(f"{key}-section", title, said, (differing,))
    parts: tuple[Exhibit | Table | Failure, ...] = (
        attempt(key, "The figure of the comparison", lambda: _exhibit(key, compared, found, ANOTHER * number)),
        attempt(f"{key}-quantities", "The table of the comparison", lambda: _table(key, compared, found)),
    )
    parts = parts if len(found.rows) else ()
    if found.alignments:
        aligned = attempt(
            f"{key}-alignment", "The figure of layers", lambda: _aligned(key, compared, found, ANOTHER * number)
        )
        parts = (*parts, aligned)
    return Section(f"{key}-section", title, _introduction(found), (*parts, differing))


def overview_section(compared: Sequence[Compared]) -> Section:
    """This store set against each of several others, in one figure and one table."""
    found = {each.there: each.found for each in compared if each.found is not None and len(each.found.rows)}
    here = compared[0].here
    said = (
        f"{here} is set against {len(compared)} other stores, each on the books that both have, with intervals of its "
        "own: they hold in all layers at once, and not for all stores at once."
    )
    if not found:
        return Section(f"{KEY}-overview", TITLE, said)
    parts = (
        attempt(
            f"{KEY}-all", "The figure of all stores", lambda: _exhibit_of_all(here, found, ANOTHER * len(compared))
        ),
        attempt(f"{KEY}-all-quantities", "The table of all stores", lambda: _table_of_all(here, found)),
    )
    return Section(f"{KEY}-overview", TITLE, said, parts)


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
    if books:
        said.append(_alike(found.alignments))
    return " ".join(said)


def facts_of(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """The alignment of this store's layers with each other store's, by class: plain JSON values, null for none."""
    return [
        {
            "store": each.there,
            "class": of_class.name,
            "layers": list(of_class.layers),
            "other_layers": list(of_class.other_layers),
            "cka": [[_plain(value) for value in row] for row in of_class.cka.tolist()],
            "chance": _plain(of_class.chance),
            "books": of_class.books,
            "marks": list(of_class.marks),
        }
        for each in compared
        for of_class in (each.found.alignments if each.found is not None else ())
    ]


def _plain(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _alike(alignments: tuple[ClassAlignment, ...]) -> str:
    """How alike layers of the same depth lay out the marks, or why that is not known."""
    medians = [(of_class.name, of_class.at_depth().query("layer > 0")["cka"].median()) for of_class in alignments]
    said = [f"{median:.2f} over {name} marks" for name, median in medians if not pd.isna(median)]
    if said:
        return f"The alignment (CKA) of layers as deep is {', '.join(said)} in the median; 1 is alike up to a rotation."
    return (
        f"How alike the layers are (CKA) is not known: no book has {FEWEST} marks of one class of which both stores "
        "hold a sketch."
    )


def _how(found: Comparison) -> str:
    estimator, books = found.estimator, len(found.shared)
    if estimator == inference.OVER_BOOKS:
        whose = f"over {books} pairs of books"
        return f"Bands are 95 % intervals {whose}, in all layers at once; they speak of books like these."
    if estimator == inference.NO_INTERVAL:
        return "There are too few books and passages for intervals."
    paired = "the same passages" if found.same_marks == 1 else "either store's passages"
    return f"Bands are 95 % intervals over {paired} of these books, in all layers at once; they speak of no other book."


def _exhibit(key: str, compared: Compared, found: Comparison, needs: str) -> Exhibit:
    return Exhibit(
        key,
        "Two stores on the same books",
        "Left: separation in correlation. Right: this store's less the other's, book by book, averaged. Depth runs "
        "from 0, the embeddings, to 1, the last layer.",
        "Line charts over relative depth of the separation in two stores, and of its paired difference.",
        compare_depths(_shown(found), COMPARED[SHOWN], compared.here, compared.there),
        found.sql,
        {key: found.rows},
        "Relative depth sets models with different numbers of layers beside each other; the other's values are "
        "interpolated between its layers. Correlations do not depend on how many dimensions or bins there are, as "
        "mutual information from histograms does. Layer 0, the embeddings, is left out.",
        needs,
    )


def _aligned(key: str, compared: Compared, found: Comparison, needs: str) -> Exhibit:
    first, classes = found.alignments[0], Classes((*found.pair, BASELINE))
    fewest, most = first.marks
    marks = f"{most}" if fewest == most else f"{fewest} to {most}"
    chance = max(of_class.chance for of_class in found.alignments)
    return Exhibit(
        f"{key}-alignment",
        "How alike the layers of the two stores are",
        f"Linear CKA, unbiased. Left: of every two layers, over {marks} {first.name} marks a book that both stores "
        f"have taken, the mean of {_books(first.books)}. Right: of layers at the same relative depth, by class. "
        f"Dotted: {chance:.2f}, below which 95 % of the values lie where marks are matched at random.",
        "A matrix of the alignment of two stores' layers, and lines of that of layers as deep.",
        align_layers(found.alignments, classes, compared.here, compared.there),
        found.sql,
        {
            f"{key}-alignment": pd.concat([of_class.rows() for of_class in found.alignments], ignore_index=True),
            f"{key}-alignment-depth": pd.concat([of_class.at_depth() for of_class in found.alignments]),
        },
        "1: the marks lie to each other alike, up to a rotation and a scale; 0: as unrelated ones would. It is blind "
        "to how far the classes are from each other. Values below 0 are drawn as 0.",
        needs,
    )


def _exhibit_of_all(here: str, found: dict[str, Comparison], needs: str) -> Exhibit:
    rows = [each.rows.assign(store=name) for name, each in found.items()]
    return Exhibit(
        f"{KEY}-all",
        "This store less each other store",
        "The paired difference of separation in correlation from each store, over relative depth. A band that leaves "
        "zero out says that the two stores differ there.",
        "A line chart over relative depth of the paired difference of separation from each of several stores.",
        differences_by_store({name: _shown(each) for name, each in found.items()}, COMPARED[SHOWN], here),
        tuple(dict.fromkeys(query for each in found.values() for query in each.sql)),
        {f"{KEY}-all": pd.concat(rows, ignore_index=True)},
        needs=needs,
    )


def _shown(found: Comparison) -> pd.DataFrame:
    quantity, measure = SHOWN
    return found.rows[(found.rows["quantity"] == quantity) & (found.rows["measure"] == measure)]


_HEADINGS = {
    "store": "less",
    "above": "more here",
    "below": "more there",
    "layers": "of layers",
    "layer": "largest in layer",
    "interval": "95 % interval",
}
_COLUMNS = ["quantity", "above", "below", "layers", "layer", "difference", "interval"]
_COUNTS = (
    "In how many layers the interval lies above zero (more here) and below it (more there), and the most; empty where "
    "there is no interval. Correlations are over the dimensions that each study's outlier threshold leaves."
)


def _table(key: str, compared: Compared, found: Comparison) -> Table:
    title = f"{cut(compared.here, 40)} less {cut(compared.there, 40)}"
    return Table(f"{key}-quantities", title, _COUNTS, _most(found), _HEADINGS, found.sql)


def _table_of_all(here: str, found: dict[str, Comparison]) -> Table:
    rows = pd.concat([_most(each).assign(store=name) for name, each in found.items()], ignore_index=True)
    order = {name: place for place, (name, _) in enumerate(found.items())}
    names = {name: place for place, name in enumerate(COMPARED.values())}
    rows = rows.sort_values(
        ["quantity", "store"],
        key=lambda column: column.map(names if column.name == "quantity" else order),
        ignore_index=True,
    )
    title = f"{cut(here, 40)} less each other store"
    return Table(f"{KEY}-all-quantities", title, _COUNTS, rows[["quantity", "store", *_COLUMNS[1:]]], _HEADINGS)


def _most(found: Comparison) -> pd.DataFrame:
    """A row a quantity: in how many layers it differs, and where the most."""
    rows = []
    for (quantity, measure), name in COMPARED.items():
        of = found.rows[(found.rows["quantity"] == quantity) & (found.rows["measure"] == measure)]
        if of.empty:
            continue
        most = of.loc[of["difference"].abs().idxmax()]
        known = bool(of["low"].notna().any())
        above, below = (int(found_here.sum()) if known else None for found_here in (of["low"] > 0, of["high"] < 0))
        interval = "" if pd.isna(most["low"]) else f"{most['low']:.3f} to {most['high']:.3f}"
        rows.append((name, above, below, len(of), int(most["layer"]), most["difference"], interval))
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"above": "Int64", "below": "Int64"})


def _books(count: int) -> str:
    return "one book" if count == 1 else f"{count:,} books"
