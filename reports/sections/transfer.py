"""What two classes are beyond their tokens: whether a rule of one pair of mark types tells the others apart."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reports.data.answer import Answers
from reports.data.classes import quoted
from reports.figures.transfer import transfer_by_layer
from reports.page.exhibits import Exhibit, Failure, Table, attempt

HEADINGS = {
    "layer": "layer",
    "transfer": "AUC",
    "transfer_interval": "95 % interval",
    "gain": "more than layer 0",
    "gain_interval": "95 % interval",
    "control": "control labels",
    "control_interval": "95 % interval",
}


def parts_of_transfer(answers: Answers, teaching: Mapping[str, str]) -> tuple[Exhibit | Table | Failure, ...]:
    """The figure and the table of the first two classes; nothing where the study does not measure it."""
    if answers.of("transfer", "direction").empty:
        return ()
    return (
        attempt("transfer", "The figure of the transfer", lambda: _exhibit(answers, teaching)),
        attempt("transfer-layers", "The table of the transfer", lambda: _table(answers)),
    )


def _exhibit(answers: Answers, teaching: Mapping[str, str]) -> Exhibit:
    first, second = answers.first, answers.second
    taught = f"{teaching.get(first, '?')} against {teaching.get(second, '?')}"
    rows = answers.results[answers.results["measure"] == "direction"]
    return Exhibit(
        "transfer",
        "What the classes are beyond their tokens",
        f"A rule learned on {taught} is asked about the other marks of {quoted(first)} and {quoted(second)}, in "
        "passages that it was not learned on: the chance that it sets a mark of the second class above one of the "
        "first (AUC). "
        "Bands are 95 % intervals that hold in all layers at once.",
        "Line chart over the layers of the AUC of the other mark types, beside control labels and layer 0.",
        transfer_by_layer(answers),
        answers.sql,
        {"transfer": rows},
        "Any two tokens are told apart by their states, in the embeddings too. What is learned on one pair of mark "
        "types and holds for others is more than the token. At 0.5 the rule says nothing of other types; 0.92 is a "
        "distance "
        "of two standard deviations. Control labels put mark types on two sides at random: the rule must be at 0.5 "
        "there, but for what the draw catches. The rule is the direction from one mean state to the other, learned in "
        "the same book: that it holds from book to book is not asked.",
    )


def _table(answers: Answers) -> Table:
    transfer, gain, control = (
        answers.of(name, "direction").set_index("layer") for name in ("transfer", "transfer_gain", "transfer_control")
    )
    frame = pd.DataFrame({"layer": transfer.index})
    for name, rows in (("transfer", transfer), ("gain", gain), ("control", control)):
        here = rows.reindex(transfer.index)
        frame[name] = here["estimate"].to_numpy()
        frame[f"{name}_interval"] = [
            "" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
            for low, high in zip(here["low"], here["high"], strict=True)
        ]
    return Table(
        "transfer-layers",
        "Transfer, layer by layer",
        "AUC among the mark types that did not teach, how much more that is than in layer 0, and the same rule among "
        "control labels.",
        frame,
        HEADINGS,
        apart="Layer 0 holds the embeddings: what transfers there is likeness of the tokens themselves.",
    )
