"""How every figure looks, and how it becomes SVG and PNG.

A class has one colour everywhere, by its place in the study: hues of Okabe and Ito (2008) first, then those of Paul
Tol's muted scheme (2021), told apart with every kind of colour vision. Sixteen hues are more than anyone tells apart
for sure, so each class has a marker of its own too. Random tokens, the baseline, are grey. Layers are coloured by
cividis, made for colour-blind readers (Nuñez et al. 2018, doi:10.1371/journal.pone.0199239). Ink is drawn in a marker
colour that the SVG turns into `currentColor`, so that one rendering reads well on light and on dark pages.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from PIL import Image

from reports.data.classes import Classes
from store.foreign_text import for_page

PALETTE = (
    ("#0072b2", "#45a5e0"),
    ("#d55e00", "#f0883e"),
    ("#009e73", "#1fc79a"),
    ("#cc79a7", "#de94bd"),
    ("#e69f00", "#f2b632"),
    ("#56b4e9", "#7cc8f2"),
    ("#332288", "#9a8cf0"),
    ("#117733", "#4fb872"),
    ("#999933", "#c2c25e"),
    ("#882255", "#cf6fa0"),
    ("#44aa99", "#63c9b8"),
    ("#cc6677", "#e58795"),
    ("#aa4499", "#d57ac7"),
    ("#ddcc77", "#e8db95"),
    ("#661100", "#c9775f"),
    ("#88ccee", "#a9def8"),
)
"""The colour of each class in the study's order, on light paper and on dark."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h", "d", "H", "8", (4, 1, 0))
BASELINE_MARKER = "."
LINES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.2)),
    (0, (3, 1, 1, 1)),
    (0, (8, 1.5, 1.5, 1.5)),
)
"""Where lines have no markers, classes take these in turn."""
INK = "#010203"
NEUTRAL = "#7d8590"
"""Grey that reads on light and on dark paper, for what is rasterised and cannot follow the page."""
LAYER_COLOURS = mpl.colormaps["cividis"]
MI_COLOURS = mpl.colormaps["viridis"]
COV_COLOURS = mpl.colormaps["PuOr"]
TYPE_COLOURS = ("#44aa99", "#cc6677", "#aa4499", "#88ccee", "#ddcc77", "#999933")
"""Colours of pairs of mark types, the most frequent first; none is that of a study's first six classes."""
QUANTITY_LABELS = {"mi": "mutual information (bits)", "cov": "covariance", "corr": "correlation"}
WIDTH = 7.2
"""Inches (183 mm): the width of figures that stand alone across two columns of a paper."""
POINT_ALPHA = 0.25
LOGARITHMIC = ", log scale"
"""What the label of a logarithmic axis ends with."""

Marker = Any
"""A marker as matplotlib takes it: a letter, or (corners, 1, turn) of a star."""


@dataclass(frozen=True)
class ClassStyle:
    """How a class is drawn: its colour, its marker on lines over layers, its dashes on lines without markers."""

    colour: str
    marker: Marker
    dashes: str | tuple[int, tuple[float, ...]]


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


class ReportFigure(Figure):
    """A figure that a notebook shows as the value of a cell, whether or not it draws with pyplot."""

    def _repr_png_(self) -> bytes:
        return to_png(self, dpi=90)


def new_figure(width: float, height: float) -> Figure:
    """A figure of that many inches with the Agg canvas; it belongs to no pyplot state."""
    figure = ReportFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def class_style(classes: Classes, name: str) -> ClassStyle:
    """How a class of a study is drawn, everywhere the same."""
    if name == classes.baseline:
        return ClassStyle(NEUTRAL, BASELINE_MARKER, "-")
    place = classes.named.index(name)
    return ClassStyle(PALETTE[place][0], MARKERS[place], LINES[place % len(LINES)])


def class_variable(classes: Classes, name: str) -> str:
    """The CSS variable of the page that holds a class's colour."""
    return "baseline" if name == classes.baseline else f"class-{classes.named.index(name) + 1}"


def colour_variables(dark: bool) -> str:
    """The page's CSS variables of all colours of classes, on light or on dark paper."""
    colours = {f"class-{place + 1}": both[dark] for place, both in enumerate(PALETTE)} | {"baseline": NEUTRAL}
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def class_colour_map(colour: str) -> Colormap:
    """From nearly transparent to the full hue of a class: reads on light and on dark paper."""
    red, green, blue = to_rgb(colour)
    return LinearSegmentedColormap.from_list(colour, [(red, green, blue, 0.12), (red, green, blue, 1.0)])


def layer_colour(layer: int, layers: list[int]) -> tuple[float, float, float, float]:
    """The colour of a layer on the scale from the first to the last one present."""
    return LAYER_COLOURS(_layer_scale(layers)(layer))


def add_layer_colour_bar(figure: Figure, axes: list[Axes], layers: list[int]) -> None:
    """A colour bar from the first to the last layer, shared by the axes."""
    mappable = ScalarMappable(_layer_scale(layers), LAYER_COLOURS)
    whole = MaxNLocator("auto", integer=True, min_n_ticks=1)
    bar = figure.colorbar(
        mappable, ax=axes, label="layer", location="top", pad=0.015, aspect=60, shrink=0.6, ticks=whole
    )
    bar.outline.set_visible(False)


def panel_title(axes: Axes, text: str) -> None:
    """A title with the study's own words in it, which are not formulas."""
    axes.set_title(in_figure(text), parse_math=False)


def legend(axes: Axes, **options: Any) -> None:
    """The legend of axes with a line for each of up to 17 classes: in two columns or three where they are many."""
    entries = len(axes.get_legend_handles_labels()[1])
    axes.legend(loc="best", ncols=1 if entries <= 5 else 2 if entries <= 10 else 3, **options)


def what_is_shown(figure: Figure, text: str) -> None:
    """Say above a figure, small, which part of the study it shows; what it is stands on the page."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=8.5, parse_math=False)


def note(axes: Axes, text: str) -> None:
    """A line of text in the middle of empty axes: what is missing, and why."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, alpha=0.7)
    axes.set_xticks([])
    axes.set_yticks([])


def not_drawn(axes: Axes, means: pd.DataFrame) -> None:
    """Name the layers that are not drawn, and the cause, below the title.

    `means` has layer, class, mean, varies of one quantity.
    """
    hidden = means[~means["varies"]]
    if hidden.empty:
        return
    equal = hidden[hidden["layer"] > 0]
    lines = [] if len(equal) == len(hidden) else [_left_out(hidden[hidden["layer"] == 0], "embeddings")]
    lines += [] if equal.empty else [_left_out(equal, "all pairs equal")]
    axes.set_title(axes.get_title(), pad=15)
    axes.text(0.5, 0.99, "; ".join(lines), transform=axes.transAxes, fontsize=7.5, alpha=0.7, ha="center", va="bottom")


def _left_out(means: pd.DataFrame, cause: str) -> str:
    layers = sorted({int(layer) for layer in means["layer"]})
    named = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers from {layers[0]} to {layers[-1]}"
    return f"{named} not drawn: {cause}"


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
    """An axis that is logarithmic beyond +-threshold and linear between, and whose label says so.

    It has about six ticks at powers of ten; those next to zero give way where zero is shown.
    """
    set_scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    set_scale("symlog", linthresh=threshold, linscale=0.6)
    last = math.floor(math.log10(max(-low, high, 10 * threshold)))
    first = math.ceil(math.log10(threshold))
    both = low < -threshold and high > threshold
    step = max(1, math.ceil((last - first + 1) / (2 if both else 4)))
    sizes = [10.0**power for power in range(last, first - 1, -step)]
    if len(sizes) < 3 and not both:
        sizes += [3 * size for size in sizes]
    axis.set_major_locator(FixedLocator(_both_signs(sizes, low, high)))
    between = [digit * 10.0**power for power in range(first - 1, last + 1) for digit in range(1, 10)]
    axis.set_minor_locator(FixedLocator(_both_signs([size for size in between if size >= threshold], low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    if LOGARITHMIC not in axis.get_label_text():
        axis.set_label_text(f"{axis.get_label_text()}{LOGARITHMIC}")


def logarithmic(axis: Axis) -> None:
    """A logarithmic axis of values above zero, whose label says so."""
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")
    axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    if not axis.get_label_text().endswith(LOGARITHMIC.lstrip(", ")):
        axis.set_label_text(f"{axis.get_label_text()}{LOGARITHMIC}")


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


def to_pdf(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a page of its own size, for papers: vectors, text as text, dense points as bitmaps."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    with mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", dpi=dpi, facecolor="white", metadata=nothing)
    return buffer.getvalue()


def to_svg(figure: Figure, key: str, dpi: int = 130) -> str:
    """The figure as an SVG element without XML header, on no paper.

    Its ink is `currentColor`; the hues of the classes are the page's, where it has some. `key` makes the ids of clip
    paths and markers unique on a page with many figures.
    """
    buffer = io.BytesIO()
    with report_style():  # Text stays text and ids are the same every time: both are settings of saving.
        figure.savefig(buffer, format="svg", dpi=dpi, facecolor="none", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode("utf-8")
    figure.set_layout_engine("none")  # The layout stands now: solving it again for the bitmap would double the cost.
    svg = text[text.index("<svg") :].replace(INK, "currentColor")
    for place, (colour, _) in enumerate(PALETTE):
        svg = svg.replace(colour, f"var(--class-{place + 1}, {colour})")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=data:image/png;base64,)[^"]+', _with_fewer_colours, svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', lambda match: f"{match[1]}{key}-", svg)
    return re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg).strip()


def _with_fewer_colours(match: re.Match[str]) -> str:
    """A bitmap inside an SVG with 256 colours in place of millions, where that is smaller: a third of the bytes."""
    data = base64.b64decode(match[0])
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    opaque = image.getchannel("A").getextrema() == (255, 255)
    method = Image.Quantize.MEDIANCUT if opaque else Image.Quantize.FASTOCTREE
    few = (image.convert("RGB") if opaque else image).quantize(256, method=method, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG", optimize=True)
    return base64.b64encode(min(data, buffer.getvalue(), key=len)).decode()


def _both_signs(sizes: list[float], low: float, high: float) -> list[float]:
    return sorted(value for size in [0.0, *sizes] for value in {size, -size} if low <= value <= high)


def _layer_scale(layers: list[int]) -> Normalize:
    return Normalize(min(layers, default=0), max(max(layers, default=0), min(layers, default=0) + 1))
