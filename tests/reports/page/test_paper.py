"""Figures of a stated width: all forms have it, their words are words of a size to be read, and panels keep room."""

from __future__ import annotations

import io
import re

import pikepdf
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from reports.figures.style import new_figure, report_style
from reports.page.paper import paper_files


def drawn(columns: int):
    with report_style():
        figure = new_figure(7.2, 3.6)
        for axes in figure.subplots(1, columns, squeeze=False).flat:
            axes.plot([1, 2])
            axes.set(xlabel="layer", ylabel="bits")
            axes.set_title("a panel", fontsize=6.5)
    return figure


def sizes_of_text(svg: str, width_mm: float) -> list[float]:
    """Points that each text has on paper."""
    scale = width_mm / 25.4 * 72 / float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    return sorted(scale * float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg))


@pytest.mark.parametrize("width", [89, 183])
def test_every_form_is_as_wide_as_wanted_and_its_text_can_be_read(width):
    made = paper_files(drawn(2), "k", width)
    svg = made["svg"].decode()
    assert f'width="{width}.00mm"' in svg
    assert ">layer</text>" in svg
    smallest, *_, largest = sizes_of_text(svg, width)
    assert (smallest, largest) == pytest.approx((6.5 * 7 / 9.5, 7), rel=0.01)
    with pikepdf.open(io.BytesIO(made["pdf"])) as paper:
        (page,) = paper.pages
        assert float(page.mediabox[2]) / 72 * 25.4 == pytest.approx(width, abs=0.1)
        assert {str(font.Subtype) for font in page.resources.Font.values()} == {"/Type0"}
    assert Image.open(io.BytesIO(made["png"])).width == pytest.approx(width / 25.4 * 300, abs=6)


@pytest.mark.parametrize("crowd", ["panels", "title", "legend", "note"])
def test_words_are_smaller_before_panels_have_no_room_or_words_are_cut_off(crowd):
    figure = drawn(6 if crowd == "panels" else 2)
    if crowd == "title":
        for axes in figure.axes:
            axes.set_title("a title that is as wide as its panel on the page")
    if crowd == "note":
        figure.axes[0].text(0, 1, "written across the whole of a panel, on the page")
    if crowd == "legend":
        handles = [Line2D([], [], label=f"a long name of a class, number {number}") for number in range(3)]
        figure.legend(handles=handles, ncols=3, loc="outside lower center")
    svg = paper_files(figure, "k", 60)["svg"].decode()
    assert 'width="60.00mm"' in svg
    assert sizes_of_text(svg, 60)[-1] < 6
