"""What the README shows is what happens: the demo's commands run as a user runs them, and print what it prints."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interpunct import build_parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\n(.*?)```", README, re.DOTALL)


def interpunct(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "interpunct", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)


def documented_commands() -> list[list[str]]:
    """The arguments of every `interpunct` command that the README shows."""
    text = "\n".join(block for block in BLOCKS if ".venv/bin/interpunct" in block)
    lines = shlex.split(text, comments=True)
    starts = [k for k, word in enumerate(lines) if word == ".venv/bin/interpunct"]
    return [lines[a + 1 : b] for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """What `make demo` makes, in a folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    run = interpunct("run", "sample", "--store", str(folder / "store"))
    assert run.returncode == 0, run.stderr
    assert "4,921,746" in run.stderr, "the summary table"
    return folder


def cells(table: str) -> list[str]:
    return [cell.strip() for line in table.splitlines() if line.startswith("│") for cell in line.strip("│").split("│")]


def test_every_documented_command_is_one_the_parser_takes():
    commands = documented_commands()
    assert len(commands) >= 5
    for arguments in commands:
        assert build_parser().parse_args(arguments).execute


def test_make_has_the_targets_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_linked_pages_exist():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.whole
def test_the_first_query_prints_what_the_readme_shows(demo):
    (arguments,) = (a for a in documented_commands() if a[0] == "sql")
    answer = interpunct("sql", "--store", str(demo / "store"), arguments[-1])
    assert answer.returncode == 0, answer.stderr
    shown = next(block for block in BLOCKS if "separation" in block and block.startswith("┌"))
    for found, documented in zip(cells(answer.stdout), cells(shown), strict=True):
        if re.fullmatch(r"[\d.]+", documented):
            # Another processor's matrix product may round the states differently.
            assert float(found) == pytest.approx(float(documented), abs=0.011)
        else:
            assert found == documented


@pytest.mark.whole
def test_a_second_run_finds_the_work_done(demo):
    started = time.monotonic()
    again = interpunct("run", "sample", "--store", str(demo / "store"))
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout + again.stderr
    assert time.monotonic() - started < 60


@pytest.mark.whole
def test_the_report_opens_offline(demo):
    report = interpunct("report", "--store", str(demo / "store"), "--out", str(demo / "report"))
    assert report.returncode == 0, report.stderr
    page = (demo / "report" / "latest" / "index.html").read_text(encoding="utf-8")
    assert "index.html" in report.stdout
    assert page.count("<figure ") == page.count('<div class="drawing"') == 22
    assert page.count("<svg ") == 22 + 2, "the figures, and the curves of the explorer"
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)


@pytest.mark.parametrize("page", ["README.md", "docs/reports.md"])
@pytest.mark.whole
def test_the_python_of_a_page_runs(demo, page, tmp_path, monkeypatch):
    """Block after block, as in a notebook, with the demo's store where it was made here."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert any("interpunct.figure" in block for block in blocks)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("demo/store", str(demo / "store")), names)
    if page == "README.md":
        assert len(names["layers"]) == 93
        assert names["statistics"].mi.shape == (50 * 49 / 2,)
