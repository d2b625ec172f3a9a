"""How every figure looks, and how it becomes SVG and PNG.

Two hues of Okabe and Ito (2008), told apart with every kind of colour vision and in print, stand for the two
classes everywhere. Layers are coloured by cividis, made for colour-blind readers (Nuñez et al. 2018,
doi:10.1371/journal.pone.0199239). Ink is drawn in a marker colour that the SVG turns into `currentColor`, so that
one rendering reads well on light and on dark pages.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from store.foreign_text import for_page
from store.keys import MARK_CLASSES

CLASSES = MARK_CLASSES
CLASS_COLOURS = {"internal": "#0072b2", "terminal": "#d55e00"}
CLASS_TITLES = {"internal": "Internal (goes on)", "terminal": "Terminal (ends)"}
INK = "#010203"
NEUTRAL = "#7d8590"
"""Grey that reads on light and on dark paper, for what is rasterised and cannot follow the page."""
LAYER_COLOURS = mpl.colormaps["cividis"]
MI_COLOURS = mpl.colormaps["viridis"]
COV_COLOURS = mpl.colormaps["PuOr"]
QUANTITY_LABELS = {"mi": "mutual information (bits)", "cov": "covariance"}
POINT_ALPHA = 0.25

_RC: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "grid.color": INK,
    "grid.alpha": 0.14,
    "figure.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "interpunct",
    "savefig.dpi": 150,
}


@contextmanager
def report_style() -> Iterator[None]:
    """The report's rcParams, for the time of one drawing."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of that many inches with the Agg canvas; it belongs to no pyplot state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def class_colour_map(mark_class: str) -> Colormap:
    """From nearly transparent to the full hue of the class: reads on light and on dark paper."""
    red, green, blue = to_rgb(CLASS_COLOURS[mark_class])
    return LinearSegmentedColormap.from_list(mark_class, [(red, green, blue, 0.12), (red, green, blue, 1.0)])


def layer_colour(layer: int, layers: list[int]) -> tuple[float, float, float, float]:
    """The colour of a layer on the scale from the first to the last one present."""
    return LAYER_COLOURS(_layer_scale(layers)(layer))


def add_layer_colour_bar(figure: Figure, axes: list[Axes], layers: list[int]) -> None:
    """A colour bar from the first to the last layer, shared by the axes."""
    mappable = ScalarMappable(_layer_scale(layers), LAYER_COLOURS)
    whole = MaxNLocator("auto", integer=True, min_n_ticks=1)
    bar = figure.colorbar(mappable, ax=axes, label="layer", pad=0.015, aspect=30, ticks=whole)
    bar.outline.set_visible(False)


def note(axes: Axes, text: str) -> None:
    """A line of text in the middle of empty axes: what is missing, and why."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, alpha=0.7)
    axes.set_xticks([])
    axes.set_yticks([])


def not_drawn(axes: Axes, means: pd.DataFrame) -> None:
    """Name the layers that are not drawn, with their values and the cause, below the title.

    `means` has layer, class, mean, varies of one quantity.
    """
    hidden = means[~means["varies"]]
    if hidden.empty:
        return
    equal = hidden[hidden["layer"] > 0]
    lines = [] if len(equal) == len(hidden) else [_left_out(hidden[hidden["layer"] == 0], "untouched by context")]
    lines += [] if equal.empty else [_left_out(equal, "all pairs equal")]
    axes.set_title(axes.get_title(), pad=15)
    axes.text(0.5, 0.99, "; ".join(lines), transform=axes.transAxes, fontsize=7.5, alpha=0.7, ha="center", va="bottom")


def _left_out(means: pd.DataFrame, cause: str) -> str:
    layers = sorted({int(layer) for layer in means["layer"]})
    named = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers from {layers[0]} to {layers[-1]}"
    values = " and ".join(f"{value:.3g}" for value in means["mean"]) if len(layers) == 1 else ""
    return f"not drawn: {named}, {cause}" + (f" ({values})" if values else "")


def over_layers(axes: Axes) -> None:
    """An axis of layers: whole numbers, however few layers there are."""
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    low, high = axes.get_xlim()
    if high - low < 1:
        middle = round((low + high) / 2)
        axes.set_xlim(middle - 0.6, middle + 0.6)


def cut(text: str, characters: int) -> str:
    """One line of at most so many characters that a title, a heading or a cell has room for.

    >>> cut("The Mill on the Floss", 12), cut("Emma", 12)
    ('The Mill on…', 'Emma')
    """
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def in_figure(text: str) -> str:
    """A string of others as it is set in a figure: one short line without characters that act."""
    return for_page(cut(text, 60))


def symmetric_log(axis: Axis, threshold: float, low: float, high: float) -> None:
    """An axis that is logarithmic beyond +-threshold and linear between, with at most about eight ticks."""
    set_scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    set_scale("symlog", linthresh=threshold, linscale=0.6)
    last = math.floor(math.log10(max(-low, high, 10 * threshold)))
    first = math.ceil(math.log10(threshold))
    step = max(1, math.ceil((last - first + 1) * ((low < -threshold) + (high > threshold)) / 7))
    sizes = [10.0**power for power in range(last, first - 1, -step)]
    if len(sizes) < 3:
        sizes += [3 * size for size in sizes]
    axis.set_major_locator(FixedLocator(_both_signs(sizes, low, high)))
    between = [digit * 10.0**power for power in range(first - 1, last + 1) for digit in range(1, 10)]
    axis.set_minor_locator(FixedLocator(_both_signs([size for size in between if size >= threshold], low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def robust_limits(values: np.ndarray, share: float = 0.005) -> tuple[float, float]:
    """Colour limits that leave out `share` of the values at either end; (0, 1) where there is no value."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.quantile(finite, [share, 1 - share])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure on white paper."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def to_svg(figure: Figure, key: str, dpi: int = 130) -> str:
    """The figure as an SVG element without XML header, on no paper: its ink is `currentColor`, and the hues of the
    classes are the page's, where it has some.

    `key` makes the ids of clip paths and markers unique on a page with many figures.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=dpi, facecolor="none", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode("utf-8")
    figure.set_layout_engine("none")  # The layout stands now: solving it again for the bitmap would double the cost.
    svg = text[text.index("<svg") :].replace(INK, "currentColor")
    for name, colour in CLASS_COLOURS.items():
        svg = svg.replace(colour, f"var(--{name}, {colour})")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', lambda match: f"{match[1]}{key}-", svg)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg).strip()


def _both_signs(sizes: list[float], low: float, high: float) -> list[float]:
    return sorted(value for size in [0.0, *sizes] for value in {size, -size} if low <= value <= high)


def _layer_scale(layers: list[int]) -> Normalize:
    return Normalize(min(layers, default=0), max(max(layers, default=0), min(layers, default=0) + 1))
