"""The layer explorer: small matrices, curves and numbers of every layer, packed for a slider in the page."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from reports.data.classes import Classes, quoted
from reports.data.likeness import QUANTITIES
from reports.data.queries import Store, ask
from reports.data.scope import GRID_MARKS, Scope
from reports.figures.style import LAYER_COLOURS, MI_COLOURS, class_variable, robust_limits
from reports.page.page import png_uri

PICTURE_BYTES = 1_500_000
"""All matrices together take about so much; more layers make smaller pictures."""
BYTES_A_PIXEL = 0.75
COLOURS = 64
CURVE_BINS = 60


def explorer_data(store: Store, scope: Scope, moments: pd.DataFrame) -> dict[str, Any]:
    """What the slider shows, as JSON values, one panel a layer; see `two_triangles`."""
    classes = scope.classes
    marks = int(min(GRID_MARKS, scope.example_marks[list(classes.named[:2])].max()))
    block = block_size(marks, len(scope.layers))
    answer = ask(store, "layer_blocks", book=scope.example_book, marks=marks, block=block)
    by_layer = dict(tuple(answer.frame.groupby("layer", observed=True)))
    side = math.ceil(marks / block)
    nothing = answer.frame.iloc[:0]
    panels = [
        {
            quantity: _panel(by_layer.get(layer, nothing), moments[moments["layer"] == layer], quantity, side, classes)
            for quantity in QUANTITIES
        }
        for layer in scope.layers
    ]
    return {
        "layers": list(scope.layers),
        "start": scope.layer,
        "book": scope.example_book,
        "classes": [{"name": name, "colour": class_variable(classes, name)} for name in classes.names],
        "alt": f"Matrix of all pairs: {triangles(classes)}",
        "marks": marks,
        "block": block,
        "panels": panels,
        "sql": answer.sql.strip(),
    }


def block_size(marks: int, layers: int) -> int:
    """Marks averaged into one pixel so that the pictures of all layers stay within PICTURE_BYTES.

    >>> block_size(250, 13), block_size(250, 31), block_size(250, 97)
    (1, 2, 3)
    """
    side = math.sqrt(PICTURE_BYTES / (BYTES_A_PIXEL * len(QUANTITIES) * layers))
    return max(1, math.ceil(marks / side))


def triangles(classes: Classes) -> str:
    """Which pairs stand where in a matrix, in words."""
    above = f"{quoted(classes.named[0])} above the diagonal"
    return f"{above}, {quoted(classes.named[1])} below" if classes.compared else above


def two_triangles(blocks: pd.DataFrame, quantity: str, side: int, classes: Classes) -> np.ndarray:
    """Two classes in one matrix, float64 `[side, side]`: the first above the diagonal, the second below, NaN on it."""
    matrix = np.full((side, side), np.nan)
    for place, mark_class in enumerate(classes.named[:2]):
        rows = blocks[blocks["class"] == mark_class]
        row, column = rows["block_row"].to_numpy(dtype=int), rows["block_column"].to_numpy(dtype=int)
        if place == 0:
            matrix[row, column] = rows[quantity]
        else:
            matrix[column, row] = rows[quantity]
    np.fill_diagonal(matrix, np.nan)
    return matrix


def _panel(blocks: pd.DataFrame, moments: pd.DataFrame, quantity: str, side: int, classes: Classes) -> dict[str, Any]:
    matrix = two_triangles(blocks, quantity, side, classes)
    low, high = robust_limits(matrix)
    values = {str(name): rows[quantity].to_numpy(dtype=float) for name, rows in blocks.groupby("class", observed=True)}
    edges = np.linspace(low, high, CURVE_BINS + 1)
    return {
        "picture": png_uri(_picture(matrix, low, high, quantity)),
        "low": low,
        "high": high,
        "curves": {
            name: [round(share, 5) for share in np.histogram(sample, edges)[0] / max(1, sample.size)]
            for name, sample in values.items()
        },
        "numbers": {name: _numbers(moments[moments["class"] == name], quantity) for name in classes.names},
    }


def _numbers(moments: pd.DataFrame, quantity: str) -> str:
    if moments.empty:
        return "no pairs"
    row = moments.iloc[0]
    mean, spread = float(row[f"{quantity}_mean"]), float(row[f"{quantity}_std"])
    largest = max(abs(mean), abs(spread), 1e-3)
    decimals = max(0, 2 - math.floor(math.log10(largest))) if math.isfinite(largest) else 2
    return f"mean {mean:.{decimals}f}, SD {spread:.{decimals}f}"


def _picture(matrix: np.ndarray, low: float, high: float, quantity: str) -> bytes:
    """A PNG with a palette of COLOURS and one transparent entry for the diagonal."""
    colours = MI_COLOURS if quantity == "mi" else LAYER_COLOURS
    level = np.clip((matrix - low) / (high - low) * COLOURS, 0, COLOURS - 1)
    index = np.where(np.isnan(matrix), COLOURS, np.nan_to_num(level)).astype(np.uint8)
    image = Image.fromarray(index, mode="P")
    palette = (colours(np.linspace(0, 1, COLOURS))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette(palette.tobytes() + b"\x80\x80\x80")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, transparency=COLOURS)
    return buffer.getvalue()
