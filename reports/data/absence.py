"""Why something is not there to be shown, told from what is there: never one cause assumed for every empty frame."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.data.classes import Classes, quoted
from reports.data.scope import Scope, used_column


def why_no_difference(moments: pd.DataFrame, scope: Scope) -> str:
    """Why no layer sets the first two classes against each other, as half a sentence.

    `moments` has layer, class, pairs, mi_min, mi_max; it has rows only where pairs have values.
    """
    if scope.classes.compared is None:
        return f"the study names one class, {scope.classes.list(scope.classes.named)}"
    moments = moments[moments["class"].isin(scope.classes.compared)]
    absent = [name for name in scope.classes.compared if name not in set(moments["class"])]
    if absent:
        books = scope.book_rows.frame
        books = books if scope.books is None else books[books["book"].isin(scope.books)]
        return "; ".join(why_no_pairs(books, scope.layer_rows.frame, name) for name in absent)
    classes = moments.groupby("layer")["class"].nunique()
    both = moments[moments["layer"].isin(classes.index[classes == 2])]
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


def why_no_separation(scope: Scope, apart: bool) -> str:
    """Why it cannot be said whether the first two classes are kept apart, as a sentence.

    `apart`: whether there are pairs within both and between them, all of them equal.
    """
    if scope.classes.compared is None:
        return f"The study names one class, {scope.classes.list(scope.classes.named)}: no pairs lie between two."
    if not scope.between_measured:
        return "The study measured no pairs between classes (--between none), so what sets them apart is not known."
    both = scope.classes.list(scope.classes.compared)
    if apart:
        return f"In every layer all pairs of {both} are equal, so nothing can be said of what context makes of them."
    return f"No book has pairs between {both} and within both."


def why_no_pairs(books: pd.DataFrame, layer_rows: pd.DataFrame, mark_class: str) -> str:
    """Why no book has a pair of the class with a value.

    `books` has a column of marks used by class; `layer_rows` has layer, class of what was summarised.
    """
    used, name = books[used_column(mark_class)].fillna(0), quoted(mark_class)
    if not used.sum():
        return f"no mark of {name} was used"
    if used.max() < 2:
        return f"no book has more than one mark of {name}, and a pair takes two"
    if mark_class not in set(layer_rows["class"]):
        return f"no pairs within {name} are stored, though {int(used.sum()):,} marks were used"
    return f"no pair within {name} has a value: fewer than two dimensions are left in each"


def why_no_pairs_at_all(books: pd.DataFrame, layer_rows: pd.DataFrame, classes: Classes) -> str:
    """Why a store has no pairs, as half a sentence.

    `books` has status and a column of marks used by class; `layer_rows` has layer, class of what was summarised.
    """
    if books.empty:
        return "no book is committed yet"
    if not (books["status"] == "used").any():
        counts = books["status"].value_counts()
        return f"none of its {len(books):,} books was used ({', '.join(f'{n:,} {name}' for name, n in counts.items())})"
    return "; ".join(why_no_pairs(books, layer_rows, mark_class) for mark_class in classes.names)


def why_not_drawn(means: pd.DataFrame, classes: Sequence[str]) -> str:
    """Why a chart of one class or of several over the layers has no line, in a few words for its middle.

    `means` has layer, class, varies of one quantity.
    """
    absent = [name for name in classes if name not in set(means["class"])]
    if absent:
        return f"no {' and no '.join(absent)} pairs"
    chosen = means[means["class"].isin(classes)]
    if not chosen["varies"].any():
        return "all pairs of a layer are equal" if (chosen["layer"] > 0).any() else "only embeddings have pairs"
    return "no value lies in the range drawn" if len(classes) == 1 else "no layer has pairs of both classes"
