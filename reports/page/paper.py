"""Figures as files for papers: SVG, PDF and PNG of a stated width, with text of one size whatever the width.

A figure is laid out anew at the width at which its text, as large as on the page, shrinks to what a journal prints;
then all of it is scaled. So panels give way and words stay readable, in a column of 89 mm as over two of 183 mm.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import warnings

import pikepdf
from matplotlib.figure import Figure

from reports.figures.style import report_style, to_pdf, to_png, to_svg

SHRINKS = tuple(7.0 / 9.5 * 0.8**step for step in range(6))
"""How much smaller text is than on the page: 9.5 points become 7, the smallest 5; less where panels have no room."""
MILLIMETRES_AN_INCH = 25.4
PAPER_DPI = 300


def paper_files(figure: Figure, key: str, width_mm: float) -> dict[str, bytes]:
    """The figure of this width by the ending of its file: `svg`, `pdf`, `png`. It has the new layout from then on."""
    shrink = _lay_out(figure, width_mm / MILLIMETRES_AN_INCH)
    svg, pdf = to_svg(figure, key), to_pdf(figure)
    return {
        "svg": standalone(_sized_svg(svg, *(shrink * inches for inches in figure.get_size_inches()))),
        "pdf": _scaled_pdf(pdf, shrink),
        "png": to_png(figure, dpi=round(PAPER_DPI * shrink)),
    }


def standalone(svg: str) -> bytes:
    """An SVG file of its own: colours that every program reads, dark ink for white paper."""
    plain = re.sub(r"var\(--[\w-]+, (#\w+)\)", r"\1", svg).replace("currentColor", "#111418")
    return ('<?xml version="1.0" encoding="utf-8"?>\n' + plain).encode()


def _lay_out(figure: Figure, inches: float) -> float:
    """Give the figure the size that is so wide once it has shrunk, and say by how much it has to.

    Its height goes halfway with its width. Where its panels have no room beside words of the size that is wanted, it is
    laid out larger and shrinks more.
    """
    width, height = figure.get_size_inches()
    for shrink in SHRINKS:
        wider = inches / shrink / width
        figure.set_size_inches(width * wider, height * math.sqrt(wider))
        if _fits(figure):
            break
    return shrink


def _fits(figure: Figure) -> bool:
    """Whether panels have room for what is written in them, no word is cut off, and no title lies on another."""
    with report_style(), warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied")
        figure.set_layout_engine("constrained")
        try:
            figure.draw_without_rendering()
        except UserWarning:
            return False
        figure.set_layout_engine("none")  # It stands now, and is not solved again for each form.
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.title.get_window_extent() for axes in shown if axes.get_title()]
    legends = [*figure.legends, *(legend for axes in shown if (legend := axes.get_legend()))]
    labels = [label for axes in shown for label in (axes.xaxis.label, axes.yaxis.label) if label.get_text()]
    words = [*titles, *(each.get_window_extent() for each in (*legends, *labels))]
    paper = figure.bbox.padded(2)
    inside = all(paper.containsx(x) and paper.containsy(y) for box in words for x, y in (box.min, box.max))
    apart = not any(one.overlaps(other) for one, other in itertools.combinations(titles, 2))
    notes = [(text.get_window_extent(), axes.bbox) for axes in shown for text in axes.texts]
    return inside and apart and all(box.width <= panel.width for box, panel in notes)


def _sized_svg(svg: str, width: float, height: float) -> str:
    """The same drawing with its size in millimetres, given in inches; what it is drawn in stays."""
    width, height = MILLIMETRES_AN_INCH * width, MILLIMETRES_AN_INCH * height
    start, end = svg.split(">", 1)
    start = re.sub(r'\bwidth="[^"]*"', f'width="{width:.2f}mm"', start)
    return re.sub(r'\bheight="[^"]*"', f'height="{height:.2f}mm"', start) + ">" + end


def _scaled_pdf(drawing: bytes, scale: float) -> bytes:
    made = io.BytesIO()
    with pikepdf.open(io.BytesIO(drawing)) as document:
        page = document.pages[0]
        page.mediabox = pikepdf.Array([round(float(corner) * scale, 3) for corner in page.mediabox])
        page.contents_add(f"{scale:.6f} 0 0 {scale:.6f} 0 0 cm\n".encode(), prepend=True)
        document.save(made, deterministic_id=True)
    return made.getvalue()
