"""How far a rule learned on one type of mark of two classes tells their other types apart, layer by layer."""

from __future__ import annotations

from matplotlib.figure import Figure

from reports.data.answer import Answers
from reports.figures.answer import draw_line
from reports.figures.style import INK, NEUTRAL, legend, new_figure, over_layers, report_style


def transfer_by_layer(answers: Answers) -> Figure:
    """AUC of the first two classes' other types and of control labels; the level of layer 0 and chance as lines."""
    with report_style():
        figure = new_figure(7.6, 3.6)
        axes = figure.subplots()
        rows = answers.of("transfer", "direction")
        axes.axhline(0.5, color=INK, linewidth=0.8)
        embeddings = rows.loc[rows["layer"] == 0, "estimate"]
        if len(embeddings) and len(rows) > 1:
            axes.axhline(embeddings.iloc[0], color=INK, linewidth=0.9, linestyle=":", label="layer 0, the embeddings")
        draw_line(axes, answers.of("transfer_control", "direction"), NEUTRAL, "control labels", marker=".")
        draw_line(axes, rows, INK, "other mark types", marker="o")
        axes.set(xlabel="layer", ylabel="AUC")
        axes.grid(axis="y")
        over_layers(axes)
        legend(axes)
    return figure
