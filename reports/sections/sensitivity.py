"""Does it survive: the specification curve, the share of choices that keep a sign, and what turns it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.data.answer import Answers
from reports.data.classes import quoted
from reports.data.sensitivity import CONTROL, DEFAULT, OTHER_MODEL, SURVIVES, Survival
from reports.figures.choices import Panel, choices_over_layers
from reports.figures.sensitivity import signs_kept, specification_curve
from reports.page.exhibits import Exhibit, Section, Table, attempt

KEY = "sensitivity"
TITLE = "Does it survive?"
QUANTITIES = ("difference", "separation")
NAMED = 3
"""Specifications that a sentence names at most."""

_HEADINGS = {
    "specification": "Specification",
    "kind": "Kind",
    "difference_turned": "Difference: layers with another sign",
    "difference_ratio": "Difference: median of the default's",
    "separation_turned": "Separation: layers with another sign",
    "separation_ratio": "Separation: median of the default's",
}
_AXES = {
    "bins": "Bins",
    "outlier_z": "Outlier threshold",
    "states": "Form of the states",
    "estimator": "Estimator",
    "selection": "Which marks",
    "half": "Half of the passages",
    "context": "What is read before a mark",
    "bos": "Beginning of text",
    "words": "Control: words",
    "weights": "Control: weights",
}
"""The axes that have a panel, and its title."""
_CONTROLS = ("words", "weights")

NOT_TRIED = "Whether this survives other choices has not been tried; the command interpunct sensitivity does that."


def marked(said: tuple[str, ...], answers: Answers, survival: Survival | None) -> tuple[str, ...]:
    """The sentences of the answer, each headline number with whether it was tried under other choices, and survived.

    The first sentence is about separation and the second about the difference.
    """
    if survival is None:
        return (*said, NOT_TRIED)
    quantities = ("separation", "difference")
    marks = (_mark(answers, survival, quantity) for quantity in quantities)
    return (
        *(f"{sentence} {mark}".rstrip() for sentence, mark in zip(said, marks, strict=False)),
        *said[len(quantities) :],
    )


def sensitivity_section(survival: Survival | None, first: str, second: str, layer: int) -> Section:
    """The section, or a sentence that nothing was tried. `layer` is the one whose curve is drawn."""
    if survival is None:
        return Section(
            KEY,
            TITLE,
            "Not tried. The command interpunct sensitivity computes the difference and the separation with other bins, "
            "thresholds, forms of the states, estimators, contexts and marks, and under controls, and this section "
            "then shows what survives.",
        )
    both = f"{quoted(first)} and {quoted(second)}"
    makers = (
        ("sensitivity-signs", "The figure of signs", lambda: _signs(survival)),
        ("sensitivity-axes", "The figure of axes", lambda: _axes(survival, both)),
        ("sensitivity-curve", "The specification curve", lambda: _curve(survival, layer, both)),
        ("sensitivity-table", "The table of specifications", lambda: _table(survival)),
    )
    introduction = " ".join(
        filter(
            None,
            (
                _tried(survival),
                *(_verdict(survival, quantity) for quantity in QUANTITIES),
                _without_means(survival),
                _controls(survival),
            ),
        )
    )
    return Section(KEY, TITLE, introduction, tuple(attempt(key, title, make) for key, title, make in makers))


def facts_of(survival: Survival | None) -> list[dict[str, object]]:
    """By quantity and layer, how many choices keep the default's sign: plain JSON values."""
    if survival is None:
        return []
    return [
        {
            "quantity": quantity,
            "layer": [int(layer) for layer in kept["layer"]],
            "kept": [int(count) for count in kept["kept"]],
            "choices": [int(count) for count in kept["choices"]],
        }
        for quantity in QUANTITIES
        for kept in (survival.kept(quantity),)
    ]


def _mark(answers: Answers, survival: Survival, quantity: str) -> str:
    """Whether the sentence's numbers survive: of a separation in all layers, of a difference where it is sure.

    A layer counts where the trial's sample is sure by itself and has the sign that the sentence says.
    """
    rows = answers.of(quantity, "mi")
    rows = rows[(rows["layer"] > 0) & rows["estimate"].notna()] if rows["layer"].nunique() > 1 else rows
    sure = rows[(rows["low"] > 0) | (rows["high"] < 0)]
    rows = (rows if sure.empty else sure).set_index("layer")
    if rows.empty or survival.default(quantity).empty:
        return "[Not tried under other choices.]"
    kept = survival.kept(quantity).set_index("layer").reindex(rows.index)
    if not (kept["choices"] > 0).all():
        return "[Not tried under other choices.]"
    shown = kept[kept["sure"].astype(bool) & (np.sign(kept["estimate"]) == np.sign(rows["estimate"]))]
    sample = f"{survival.sample} marks of each class of {_books(survival)}"
    if shown.empty:
        return f"[Not shown to survive other choices: {sample} alone are sure of it in no layer.]"
    survived = int((shown["share"] >= SURVIVES).sum())
    if len(shown) < len(rows):
        found = f"these alone are sure of it in {len(shown)} of the {len(rows)} layers, and it survives in {survived}"
    elif survived < len(rows):
        found = f"survives in {survived} of {len(rows)} layers"
    else:
        found = f"survives in all {len(rows)} layers" if len(rows) > 1 else "survives"
    said = f"[Tried under other choices on {sample}: {found}"
    if quantity != "difference":
        return f"{said}.]"
    largest = int(rows["estimate"].abs().idxmax())
    if largest not in shown.index:
        return f"{said}; layer {largest} is not among them.]"
    row = shown.loc[largest]
    return f"{said}; in layer {largest}, {int(row['kept'])} of {int(row['choices'])} choices give the same sign.]"


def _books(survival: Survival) -> str:
    return survival.books[0] if len(survival.books) == 1 else f"{len(survival.books)} books"


def _tried(survival: Survival) -> str:
    choices = len(survival.choices("difference")) + len(survival.choices("difference", raw=False))
    return (
        f"The study was tried under {choices} other choices, on {survival.sample} marks of each class of "
        f"{_books(survival)}. A choice that leaves the states as they are (bins, threshold, estimator, marks, context) "
        f"should not turn a finding round; a sign survives where at least {SURVIVES:.0%} of these keep it."
    )


def _verdict(survival: Survival, quantity: str) -> str:
    """What survives and what does not, with the choices that turn it."""
    kept = _deep(survival.kept(quantity))
    sure = kept[kept["sure"]]
    if not len(kept) or not int(kept["choices"].max()):
        return f"The {quantity} was not tried under other choices."
    if sure.empty:
        return f"In no layer is the {quantity} of this sample sure by itself: there is no sign to keep."
    lost = sure[sure["share"] < SURVIVES]
    survived = len(sure) - len(lost)
    said = f"The {quantity} is sure by itself in {len(sure)} of {len(kept)} layers, and survives in {survived}"
    if lost.empty:
        return f"{said}: all of them."
    turned = survival.turned(quantity, [int(layer) for layer in lost["layer"]])
    turned = turned[(turned["kind"] == "choice") & (turned["states"] == "raw") & (turned["turned"] > 0)]
    named = ", ".join(
        f"{row.specification} (in {row.turned})" for row in turned[turned["axis"] != "several"].head(NAMED).itertuples()
    )
    cause = f"; it is turned round by {named}" if named else "; only combinations turn it round"
    return f"{said}. It does not survive in layer{'s' if len(lost) > 1 else ''} {_layers(lost['layer'])}{cause}."


def _without_means(survival: Survival) -> str:
    """What is left of the difference where it is sure, when the class's mean is taken away."""
    kept = _deep(survival.kept("difference"))
    layers = [int(layer) for layer in kept[kept["sure"]]["layer"]]
    turned = survival.turned("difference", layers) if layers else pd.DataFrame(columns=["axis", "states", "ratio"])
    centred = turned[(turned["axis"] == "states") & (turned["states"] == "centred")]
    if centred.empty:
        return ""
    return (
        f"Less the class's mean, {float(centred['ratio'].iloc[0]):.0%} of the difference is left in the median of "
        "these layers: that is another question, not a choice to survive."
    )


def _controls(survival: Survival) -> str:
    """The separation under each control as a share of the default's."""
    layers = [int(layer) for layer in _deep(survival.kept("separation"))["layer"]]
    if not layers:
        return ""
    turned = survival.turned("separation", layers)
    controls = turned[turned["kind"] == CONTROL]
    said = [f"with {row.specification} {row.ratio:.0%}" for row in controls.itertuples()]
    return f"Controls: of the separation, {' and '.join(said)} is left in the median layer." if said else ""


def _signs(survival: Survival) -> Exhibit:
    frames = {quantity: survival.kept(quantity) for quantity in QUANTITIES}
    together = pd.concat([frame.assign(quantity=quantity) for quantity, frame in frames.items()])
    return Exhibit(
        "sensitivity-signs",
        "Which signs survive, layer by layer",
        "Share of the other choices under which difference and separation have the sign that they have by default. "
        "Filled: the default's interval leaves out zero; hollow: there is no sign to keep.",
        "Line charts over the layers of the share of choices that keep the default's sign.",
        signs_kept(frames),
        (survival.sql,),
        {"sensitivity-signs": together},
        "At 1, nobody who chose otherwise would have found the opposite. A share of one half is what chance gives.",
    )


def _curve(survival: Survival, layer: int, both: str) -> Exhibit:
    rows = survival.rows[(survival.rows["layer"] == layer) & (survival.rows["axis"] != OTHER_MODEL)]
    curves = {quantity: rows[rows["quantity"] == quantity] for quantity in QUANTITIES}
    return Exhibit(
        "sensitivity-curve",
        f"Every specification, layer {layer}",
        f"Difference and separation of {both} under each specification, in ascending order, with the 95 % interval of "
        "the passages; below, its settings. Orange: the default. Hollow: less the mean, or standardised. Grey: "
        "controls.",
        "Two rising rows of points with intervals, and below each the settings of every point.",
        specification_curve(curves),
        (survival.sql,),
        {"sensitivity-curve": rows},
        "A setting whose ticks gather at one end moves the result. Combinations count like single changes.",
    )


def panels_of(survival: Survival, quantity: str, *axes: str) -> list[Panel]:
    """A panel for each axis that was tried; each has the default's rows too."""
    rows = survival.rows[survival.rows["quantity"] == quantity]
    rows = rows[rows["estimate"].notna()]
    return [
        Panel(_AXES[axis], f"{quantity} (bits)", rows[(rows["kind"] == DEFAULT) | (rows["axis"] == axis)])
        for axis in axes
        if axis in set(rows["axis"])
    ]


def _axes(survival: Survival, both: str) -> Exhibit:
    choices = panels_of(survival, "difference", *(axis for axis in _AXES if axis not in _CONTROLS))
    panels = choices + panels_of(survival, "separation", *_CONTROLS)
    together = pd.concat([panel.rows for panel in panels]) if panels else survival.rows[:0]
    return Exhibit(
        "sensitivity-axes",
        "Every choice over the layers",
        f"Difference of {both} when one setting is another, and their separation under the controls. Orange, with the "
        "95 % interval of the passages layer by layer: the default.",
        "A panel for each setting: lines over the layers, the default with a band.",
        choices_over_layers(panels),
        (survival.sql,),
        {"sensitivity-axes": together.drop_duplicates(["specification", "quantity", "layer"])},
        "A line on the other side of zero is a finding turned round. A line that leaves the band, and keeps its side, "
        "changes how large the finding is and not what it says. Layer 0 is left out.",
    )


def _table(survival: Survival) -> Table:
    parts = []
    for quantity in QUANTITIES:
        layers = [int(layer) for layer in _deep(survival.kept(quantity))["layer"]]
        turned = survival.turned(quantity, layers).set_index("specification")
        names = {"turned": f"{quantity}_turned", "ratio": f"{quantity}_ratio"}
        parts.append(turned[["kind", "axis", "states", *names]].rename(columns=names))
    frame = parts[0].join(parts[1][["separation_turned", "separation_ratio"]], how="outer").reset_index()
    frame = frame[(frame["axis"] != "several") & (frame["kind"] != DEFAULT)]
    return Table(
        "sensitivity-table",
        "What turns a sign",
        "Single changes and controls: in how many layers the sign is another, and how large the number is against the "
        "default's in the median layer.",
        frame[list(_HEADINGS)].round(2),
        _HEADINGS,
        (survival.sql,),
        "Every row is in the table `sensitivity` of the store, with its interval, layer by layer and book by book; "
        "combinations too.",
    )


def _deep(kept: pd.DataFrame) -> pd.DataFrame:
    return kept[kept["layer"] > 0] if kept["layer"].nunique() > 1 else kept


def _layers(layers: pd.Series) -> str:
    """Layers in words, neighbours as a range: `1 to 4, 9`."""
    runs: list[list[int]] = []
    for layer in sorted(int(layer) for layer in layers):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
