"""The specification curve of one layer, and over all layers how many specifications keep the default's sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.style import INK, NEUTRAL, PALETTE, new_figure, note, over_layers, report_style

BLUE, ORANGE = PALETTE[0][0], PALETTE[1][0]

_AXES = {
    "states": "states",
    "estimator": "estimator",
    "bins": "bins",
    "outlier_z": "threshold",
    "selection": "selection",
    "half": "half",
    "context": "context",
    "bos": "bos",
}


NOT_KNOWN = "-"
"""Stands for a setting that a specification does not have: the copula's bins and threshold."""


def specification_curve(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """For each quantity: estimates in ascending order with intervals, and below them the settings of each.

    Frames have specification, kind, estimate, low, high and the settings. The default is marked in every part; choices
    that do not leave the states as they are are hollow, controls stand apart on the right.
    """
    with report_style():
        figure = new_figure(10, 8.4)
        grid = figure.subplots(2, len(curves), squeeze=False, height_ratios=[1, 1.5], sharex="col", sharey="row")
        for place, (quantity, frame) in enumerate(curves.items()):
            ordered = _in_order(frame)
            _draw_estimates(grid[0, place], ordered, quantity)
            _draw_settings(grid[1, place], ordered, list(curves.values()))
        grid[0, 0].set_ylabel("bits")
    return figure


def signs_kept(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """For each quantity, by layer: the share of other choices that keep the default's sign.

    Frames are those of `Survival.kept`. Filled where the default's interval leaves out 0, hollow where it does not and
    there is no sign to keep.
    """
    with report_style():
        figure = new_figure(10, 3.4)
        row = figure.subplots(1, len(frames), squeeze=False, sharey=True)[0]
        for axes, (quantity, frame) in zip(row, frames.items(), strict=True):
            axes.set(title=f"{quantity.capitalize()}: choices that keep the sign", ylim=(-0.04, 1.08))
            drawn = frame[frame["layer"] > 0] if frame["layer"].nunique() > 1 else frame
            for column, colour, marker, label in (
                ("share", BLUE, "o", "states as they are"),
                ("share_other_forms", ORANGE, "s", "less the mean, or standardised"),
            ):
                _draw_shares(axes, drawn, column, colour, marker, label)
            axes.axhline(1, color=INK, linewidth=0.6)
            axes.grid(axis="y")
            over_layers(axes)
        row[0].set_ylabel("share of choices")
        row[-1].legend(loc="center left")
    return figure


def _draw_shares(axes: Axes, frame: pd.DataFrame, column: str, colour: str, marker: str, label: str) -> None:
    if frame[column].notna().any():
        axes.plot(frame["layer"], frame[column], color=colour, linewidth=0.9, alpha=0.6)
        for sure, fill in ((True, colour), (False, "none")):
            rows = frame[frame["sure"] == sure]
            axes.plot(
                rows["layer"],
                rows[column],
                linestyle="none",
                marker=marker,
                markersize=4.5,
                color=colour,
                markerfacecolor=fill,
                label=label if sure else "_hollow",
            )
    elif column == "share":
        note(axes, "not tried")


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Choices and the default by their estimates, then, after a gap, the controls by name."""
    chosen = frame[frame["kind"] != "control"].dropna(subset=["estimate"]).sort_values("estimate", kind="stable")
    controls = frame[frame["kind"] == "control"].dropna(subset=["estimate"]).sort_values("specification")
    at = np.concatenate([np.arange(len(chosen)), len(chosen) + 1.5 + 1.5 * np.arange(len(controls))])
    return pd.concat([chosen, controls]).assign(at=at).reset_index(drop=True)


def _draw_estimates(axes: Axes, frame: pd.DataFrame, quantity: str) -> None:
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_title(quantity.capitalize())
    for kind, states, colour, fill in (
        ("choice", True, BLUE, BLUE),
        ("choice", False, BLUE, "none"),
        ("control", True, NEUTRAL, NEUTRAL),
        ("default", True, ORANGE, ORANGE),
    ):
        rows = frame[(frame["kind"] == kind) & ((frame["states"] == "raw") == states)]
        if rows.empty:
            continue
        width = np.nan_to_num((rows["high"] - rows["low"]).to_numpy() / 2)
        axes.errorbar(
            rows["at"],
            rows["estimate"],
            width,
            fmt="D" if kind == "default" else "o",
            markersize=6 if kind == "default" else 3.5,
            color=colour,
            markerfacecolor=fill,
            elinewidth=0.7,
            zorder=3 if kind == "default" else 2,
        )
    for row in frame[frame["kind"] == "control"].itertuples():
        name = axes.text(row.at - 0.2, 0.02, str(row.specification), fontsize=7, ha="right", va="bottom")
        name.set(rotation=90, transform=axes.get_xaxis_transform())
    axes.grid(axis="y")


def _draw_settings(axes: Axes, frame: pd.DataFrame, frames: Sequence[pd.DataFrame]) -> None:
    labels: list[str] = []
    chosen = frame[frame["kind"] != "control"]
    together = pd.concat([other[other["kind"] != "control"] for other in frames])
    for column, name in _AXES.items():
        values = _said(together, column)
        for value in sorted(values.unique(), key=_by_number):
            if values.nunique() < 2 or value == NOT_KNOWN:
                continue
            at = chosen["at"][(_said(chosen, column) == value).to_numpy()]
            height = np.full(len(at), len(labels))
            axes.plot(at, height, "|", color=INK, markersize=5, alpha=0.75)
            default = frame[(frame["kind"] == "default") & (_said(frame, column) == value)]
            axes.plot(default["at"], np.full(len(default), len(labels)), "D", color=ORANGE, markersize=4)
            labels.append(f"{name}: {value}")
    axes.set_yticks(range(len(labels)), labels, fontsize=7.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xticks([])
    axes.set_xlabel("specifications by their estimate")


def _said(frame: pd.DataFrame, column: str) -> pd.Series:
    """A setting's values as words; what the copula does not know is its own."""
    missing = "none" if column == "outlier_z" else NOT_KNOWN
    said = frame[column].map(lambda value: missing if pd.isna(value) else f"{value:g}" if _is_number(value) else value)
    if column in ("bins", "outlier_z"):
        said = said.where((frame["estimator"] != "copula").to_numpy(), NOT_KNOWN)
    return said.astype(str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number)


def _by_number(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
