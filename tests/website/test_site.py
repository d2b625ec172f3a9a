"""The site: every page has its place, what is made from the code is all there, and Sphinx has no warning."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import interpunct
from jobs.config import RunConfig, StudyConfig
from jobs.settings import typed_settings_of
from website.build import DOCS, PARTS, ROOT, write_pages
from website.reference import commands_page, configuration_page, python_page


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "source"
    write_pages(folder)
    return folder


def test_every_page_is_in_a_part_and_every_part_has_its_pages(source):
    written = {page.stem for page in source.glob("*.md")}
    assert {page.stem for page in DOCS.glob("*.md")} <= written
    assert {page for pages in PARTS.values() for page in pages} <= written
    index = (source / "index.md").read_text()
    assert all(re.search(rf"^{page}$", index, re.MULTILINE) for page in written - {"index"})


def test_links_to_files_are_downloads(source):
    links = {link for page in source.glob("*.md") for link in re.findall(r"\]\((files/[^)]+)\)", page.read_text())}
    assert "files/deploy/iam-policy.json" in links
    assert {link for link in links if not (source / link).exists()} == set()
    assert not [page.name for page in source.glob("*.md") if "](../" in page.read_text()]


def test_the_companion_shows_its_figures(source):
    text = (source / "companion.md").read_text()
    pictures = re.findall(r"!\[[^\]]+\]\((pictures/[^)]+)\)", text)
    assert len(pictures) >= 6
    assert all((source / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert "of them different" in text


def test_the_reference_names_every_command_setting_and_public_name():
    parser = interpunct.build_parser()
    commands = next(action for action in parser._actions if action.choices and "run" in action.choices).choices
    page = commands_page()
    assert {name for name in commands if f"## interpunct {name}\n" not in page} == set()
    for name in ("--per-class", "--outlier-z Z|none", "--cron EXPR"):
        assert name in page
    settings = {**typed_settings_of(StudyConfig), **typed_settings_of(RunConfig)}
    listed = set(re.findall(r"^\| `(\w+)` \|", configuration_page(), re.MULTILINE))
    assert listed == set(settings)
    assert re.findall(r"^## (\w+)$", python_page(), re.MULTILINE) == [n for n in interpunct.__all__ if n != "main"]
    assert {"#### TextMarks.states", "#### Measured.pairs", "#### Store.sql"} <= set(python_page().splitlines())
    assert "interpunct.pair_statistics(x, bins=15, outlier_z=5.0)" in python_page()


@pytest.mark.slow
def test_sphinx_builds_it_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="the extra `site` is not installed: make site")
    build = [sys.executable, "-m", "website.build", str(tmp_path / "site")]
    built = subprocess.run(build, capture_output=True, text=True, cwd=ROOT)
    assert (built.returncode, built.stderr) == (0, "")
    assert (tmp_path / "site" / "html" / "python.html").exists()
