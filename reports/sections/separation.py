"""What sets the first two classes apart: pairs within each, between them, and within random tokens, layer by layer."""

from __future__ import annotations

import pandas as pd

from reports.data.queries import Answer, Store, ask
from reports.data.scope import Scope
from reports.figures.separation import within_and_between
from reports.page.exhibits import Exhibit, Section, attempt

KEY = "within-and-between"
TITLE = "Within classes and between them"


def ask_separation(store: Store, scope: Scope) -> Answer | None:
    """Means within, between and separation by layer, from summaries alone; None where one class is named."""
    if scope.classes.compared is None:
        return None
    first, second = scope.classes.compared
    return ask(store, "separation", first=first, second=second, baseline=scope.classes.baseline, books=scope.books)


def separation_section(scope: Scope, answer: Answer | None) -> Section:
    """The figure of the four means and of separation, or a sentence on why there is none."""
    if answer is None or answer.frame.empty:
        return Section(KEY, TITLE, why_no_separation(scope, answer))
    return Section(
        KEY,
        TITLE,
        " ".join(filter(None, (_counted(answer.frame, scope), scope.classes.others_note))),
        (attempt(KEY, TITLE, lambda: _exhibit(scope, answer)),),
    )


def why_no_separation(scope: Scope, answer: Answer | None) -> str:
    """Why no pairs between the first two classes can be shown, as a sentence."""
    if answer is None:
        return f"The study names one class, {scope.classes.list(scope.classes.named)}: no pairs lie between two."
    if not scope.between_measured:
        return "The study measured no pairs between classes (--between none), so what sets them apart is not known."
    both = scope.classes.list(scope.classes.compared)
    return f"No book has pairs between {both} and within both."


def _exhibit(scope: Scope, answer: Answer) -> Exhibit:
    frame, classes = answer.frame, scope.classes
    both = classes.list(classes.compared)
    baseline = f" Grey: within {classes.baseline}, random tokens." if classes.baseline else ""
    return Exhibit(
        f"{KEY}-figure",
        f"What {both} share within and between",
        f"Left: mean mutual information of pairs within each class and (dashed) between them, averaged over books."
        f"{baseline} Right: separation, half the sum of the two within less the one between.",
        f"Line charts over the layers of the mean mutual information within {both}, between them and within random "
        "tokens, and of their separation.",
        within_and_between(frame, classes),
        (answer.sql,),
        {"within-and-between": frame},
        "Above zero, a mark resembles marks of its own class more than those of the other: the model keeps the two "
        "apart. At zero it does not tell them apart, however much the classes differ in how alike their own marks are. "
        "All four have the plug-in estimator's bias in them; separation has what of it differs between them. Layer 0 "
        "holds the embeddings, where two classes of different tokens are apart whatever a model does: it is named, "
        "not drawn, and not counted. There is no interval here: a number says what these marks show.",
    )


def _counted(frame: pd.DataFrame, scope: Scope) -> str:
    rows = frame[frame["layer"] > 0] if len(frame) > 1 else frame
    largest = rows.loc[rows["separation"].idxmax()]
    above = int((rows["separation"] > 0).sum())
    return (
        f"Separation of {scope.classes.list(scope.classes.compared)} is above zero in {above} of {len(rows)} "
        f"layer{'s' if len(rows) > 1 else ''}, and largest in layer {int(largest['layer'])}: "
        f"{largest['separation']:.3g} bits."
    )
