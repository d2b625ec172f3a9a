"""What changed since the last report: books that came or went, and the headline numbers then and now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.data.classes import Classes
from reports.page.exhibits import Section, Table

BOOKS_NAMED = 20


def changes_section(before: Mapping[str, Any] | None, now: Mapping[str, Any], classes: Classes) -> Section:
    """Compare the facts of two reports: keys books, pairs, mi_difference and made (of the earlier one)."""
    if before is None:
        return Section("changes", "Since the last report", "This is the first report in this folder.")
    came = sorted(set(now["books"]) - set(before.get("books", ())))
    went = sorted(set(before.get("books", ())) - set(now["books"]))
    when = str(before.get("made", "an earlier time")).replace("T", " ").replace("+00:00", " UTC")
    text = (
        f"Compared with the report of {when}: {_books(came, 'added')}; {_books(went, 'no longer there')}. "
        f"{before.get('pairs', 0):,} pairs then, {now['pairs']:,} now."
    )
    if classes.compared is None:
        return Section("changes", "Since the last report", text)
    rows = _differences(before.get("mi_difference", {}), now["mi_difference"])
    if all(then == new for _, then, new in rows):
        return Section("changes", "Since the last report", f"{text} No difference between the classes changed.")
    frame = pd.DataFrame(rows, columns=["layer", "then", "now"]).astype({"then": float, "now": float})
    frame["change"] = frame["now"] - frame["then"]
    table = Table(
        "changes",
        "Then and now",
        f"Differences are {classes.difference}: mean mutual information, in bits, layer by layer.",
        frame,
        nothing="Neither report has a layer in which the classes can be compared.",
    )
    return Section("changes", "Since the last report", text, (table,))


def _books(keys: list[str], what: str) -> str:
    if not keys:
        return f"no book {what}"
    named = ", ".join(keys[:BOOKS_NAMED]) + (", ..." if len(keys) > BOOKS_NAMED else "")
    return f"{len(keys):,} book{'s' if len(keys) > 1 else ''} {what} ({named})"


def _differences(then: Mapping[str, float], now: Mapping[str, float]) -> list[tuple[int, float, float]]:
    layers = sorted(set(then) | set(now), key=int)
    missing = float("nan")
    return [(int(layer), then.get(layer, missing), now.get(layer, missing)) for layer in layers]
