"""Why something is not there to be shown, told from what is there: never one cause assumed for every empty frame."""

from __future__ import annotations

import pandas as pd

from reports.data.scope import Scope
from store.keys import MARK_CLASSES


def why_no_difference(moments: pd.DataFrame, scope: Scope) -> str:
    """Why no layer sets the classes against each other, as half a sentence.

    `moments` has layer, class, pairs, mi_min, mi_max; it has rows only where pairs have values.
    """
    absent = [mark_class for mark_class in MARK_CLASSES if mark_class not in set(moments["class"])]
    if absent:
        books = scope.book_rows.frame
        books = books if scope.books is None else books[books["book"].isin(scope.books)]
        return "; ".join(why_no_pairs(books, scope.layer_rows.frame, name) for name in absent)
    classes = moments.groupby("layer")["class"].nunique()
    both = moments[moments["layer"].isin(classes.index[classes == len(MARK_CLASSES)])]
    if both.empty:
        return "no layer has pairs of both classes"
    deeper = both[both["layer"] > 0] if moments["layer"].nunique() > 1 else both
    if deeper.empty:
        return "only the embeddings have pairs of both classes"
    if (deeper["pairs"] == 1).all():
        return "each class has a single pair"
    return (
        "in every layer all pairs of a class have the same value, as where each mark is read without the words before "
        "it (--before 0)"
    )


def why_no_pairs(books: pd.DataFrame, layer_rows: pd.DataFrame, mark_class: str) -> str:
    """Why no book has a pair of the class with a value.

    `books` has a column of marks used by class; `layer_rows` has layer, class of what was summarised.
    """
    used = books[f"{mark_class}_used"].fillna(0)
    if not used.sum():
        return f"no {mark_class} mark was used"
    if used.max() < 2:
        return f"no book has more than one {mark_class} mark, and a pair takes two"
    if mark_class not in set(layer_rows["class"]):
        return f"no {mark_class} pairs are stored, though {int(used.sum()):,} marks were used"
    return f"no {mark_class} pair has a value: fewer than two dimensions are left in each"


def why_no_pairs_at_all(books: pd.DataFrame, layer_rows: pd.DataFrame) -> str:
    """Why a store has no pairs, as half a sentence.

    `books` has status and a column of marks used by class; `layer_rows` has layer, class of what was summarised.
    """
    if books.empty:
        return "no book is committed yet"
    if not (books["status"] == "used").any():
        counts = books["status"].value_counts()
        return f"none of its {len(books):,} books was used ({', '.join(f'{n:,} {name}' for name, n in counts.items())})"
    return "; ".join(why_no_pairs(books, layer_rows, mark_class) for mark_class in MARK_CLASSES)


def why_not_drawn(means: pd.DataFrame, mark_class: str | None = None) -> str:
    """Why a chart over the layers has no line, in a few words for its middle.

    `means` has layer, class, varies of one quantity: of one class where it is named, else of both, which are compared.
    """
    absent = [name for name in ([mark_class] if mark_class else MARK_CLASSES) if name not in set(means["class"])]
    if absent:
        return f"no {' and no '.join(absent)} pairs"
    chosen = means if mark_class is None else means[means["class"] == mark_class]
    if not chosen["varies"].any():
        return "all pairs of a layer are equal" if (chosen["layer"] > 0).any() else "only embeddings have pairs"
    return "no value lies in the range drawn" if mark_class else "no layer has pairs of both classes"
