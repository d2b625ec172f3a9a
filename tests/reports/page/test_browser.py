"""The page in a real browser: no complaint in its console, a slider that moves, tables that sort, figures that save."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from reports.page.page import render_page
from tests.reports.page import chromium

pytestmark = pytest.mark.skipif(
    chromium.EXECUTABLE is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
)

HOSTILE = '<script>alert(1)</script>"><img src=x onerror="alert(2)">'

READ_EXPLORER = """(() => JSON.stringify({
  layer: document.getElementById("layer-number").textContent,
  matrix: document.getElementById("matrix-mi").src,
  width: document.getElementById("matrix-mi").naturalWidth,
  mean: document.getElementById("numbers-1-mi").textContent,
  curves: document.querySelectorAll("#curve-cov polyline").length,
}))()"""


@pytest.fixture(scope="module")
def page_file(report, rendered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_page(replace(report, title=HOSTILE), rendered), encoding="utf-8")
    return path


def test_the_slider_steps_through_the_layers(page_file):
    async def steps() -> tuple[list[dict], list[str]]:
        async with chromium.browse(page_file) as page:
            seen = [json.loads(await page.run(READ_EXPLORER))]
            await page.run('document.getElementById("layer-next").click()')
            await page.run("new Promise((done) => setTimeout(done, 200))")
            seen.append(json.loads(await page.run(READ_EXPLORER)))
            await page.run(
                '(() => { const s = document.getElementById("layer-slider"); s.value = 0;'
                ' s.dispatchEvent(new Event("input")); return new Promise((done) => setTimeout(done, 200)); })()'
            )
            seen.append(json.loads(await page.run(READ_EXPLORER)))
            return seen, page.complaints

    seen, complaints = asyncio.run(steps())
    assert complaints == []
    assert [state["layer"] for state in seen] == ["2", "3", "0"]
    assert len({state["matrix"] for state in seen}) == 3
    assert len({state["mean"] for state in seen}) == 3
    assert all(state["width"] == 12 and state["curves"] == 2 for state in seen)


def test_a_hostile_title_is_text_and_runs_nothing(page_file):
    async def look() -> tuple[str, int, list[str]]:
        async with chromium.browse(page_file) as page:
            heading = await page.run('document.querySelector("h1").textContent')
            return heading, await page.run('document.querySelectorAll("img[src=x]").length'), page.complaints

    assert asyncio.run(look()) == (HOSTILE, 0, [])


def test_a_table_sorts_by_its_numbers_both_ways(page_file):
    column = '[...document.querySelectorAll("#layers tbody tr")].map((row) => Number(row.cells[2].dataset.key))'
    heading = 'document.querySelectorAll("#layers th button")[2].click()'

    async def sort() -> list[list[float]]:
        async with chromium.browse(page_file) as page:
            orders = []
            for _ in range(2):
                await page.run(heading)
                orders.append(await page.run(column))
            assert page.complaints == []
            return orders

    up, down = asyncio.run(sort())
    *others, embeddings = up
    assert others == sorted(others)
    assert down == [*sorted(others, reverse=True), embeddings], "layer 0 stays below, whatever its number"
    assert len(set(up)) == 4


@pytest.mark.parametrize(("kind", "start"), [("svg", "image/svg+xml"), ("png", "image/png")])
def test_a_figure_is_saved_as_vector_and_as_bitmap(page_file, kind, start):
    catch = """new Promise((done) => {
      const made = URL.createObjectURL;
      URL.createObjectURL = (blob) => { done(JSON.stringify([blob.type, blob.size])); return made(blob); };
      HTMLAnchorElement.prototype.click = () => {};
      document.querySelector('[data-figure="mutual-information"][data-save="%s"]').click();
    })"""

    async def save() -> tuple[str, int]:
        async with chromium.browse(page_file) as page:
            saved = json.loads(await page.run(catch % kind))
            assert page.complaints == []
            return saved

    media_type, size = asyncio.run(save())
    assert media_type == start
    assert size > 5_000


@pytest.mark.parametrize("dark", [False, True])
def test_ink_and_paper_contrast_in_light_and_in_dark(page_file, dark):
    measure = """(() => {
      const light = (colour) => { const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const paper = light(getComputedStyle(document.body).backgroundColor);
      const inks = [...document.querySelectorAll("#answer-figure svg text, figcaption, td")]
        .map((e) => light(e.tagName === "text" ? getComputedStyle(e).fill : getComputedStyle(e).color));
      return Math.min(...inks.map((ink) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)));
    })()"""

    async def contrast() -> float:
        async with chromium.browse(page_file, dark=dark) as page:
            return await page.run(measure)

    assert asyncio.run(contrast()) >= 4.5


def test_a_wide_table_on_a_phone_keeps_its_first_column_and_says_where_it_goes_on(page_file):
    script = """(async () => {
      document.getElementById("layers-section").open = true;
      await new Promise((done) => setTimeout(done, 200));
      const box = document.querySelector("#layers .scroll"), cue = document.querySelector("#layers .cue");
      const first = box.querySelector("tbody td"), place = () => Math.round(first.getBoundingClientRect().left);
      const seen = [cue.checkVisibility(), place()];
      box.scrollLeft = box.scrollWidth;
      await new Promise((done) => setTimeout(done, 200));
      return JSON.stringify([...seen, cue.checkVisibility(), place()]);
    })()"""

    async def scroll() -> list:
        async with chromium.browse(page_file, width=390, height=800) as page:
            return json.loads(await page.run(script))

    before, left, after, still = asyncio.run(scroll())
    assert (before, after) == (True, False)
    assert left == still


def test_nothing_is_wider_than_a_phone(page_file):
    async def widths() -> tuple[int, int]:
        async with chromium.browse(page_file, width=390, height=800) as page:
            return await page.run("document.documentElement.scrollWidth"), len(page.complaints)

    assert asyncio.run(widths()) == (390, 0)


def test_everything_else_is_folded_until_a_link_leads_there(page_file):
    script = """(async () => {
      const chapters = [...document.querySelectorAll("details.chapter")];
      const seen = [chapters.length, chapters.filter((each) => each.open).length];
      location.hash = "#outlier-dimensions";
      await new Promise((done) => setTimeout(done, 300));
      const open = chapters.filter((each) => each.open).map((each) => each.id);
      return JSON.stringify([...seen, open, document.getElementById("outlier-dimensions").checkVisibility()]);
    })()"""

    async def follow() -> list:
        async with chromium.browse(page_file) as page:
            return json.loads(await page.run(script))

    count, opened, by_link, visible = asyncio.run(follow())
    assert count >= 6
    assert opened == 0
    assert (by_link, visible) == (["outliers"], True)
