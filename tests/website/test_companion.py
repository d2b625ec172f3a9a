"""The companion: its page runs, block after block, and the notebook beside it is the page with its results."""

from __future__ import annotations

import ast
import base64
import re

import nbformat
import pytest
from matplotlib.figure import Figure

from interpunct import build_parser
from website.companion import NOTEBOOK, PAGE, notebook_of

TEXT = PAGE.read_text(encoding="utf-8")
LONGEST = 10


@pytest.fixture(scope="module")
def cells() -> list[str]:
    return [cell.source for cell in notebook_of(TEXT).cells if cell.cell_type == "code"]


def run(source: str, names: dict[str, object]) -> object:
    """Run a cell as a notebook does; the value of its last line, if that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.whole
def test_every_block_runs_and_shows_what_it_says(cells, capsys, tmp_path, monkeypatch):
    """Half a minute: the model reads 120 windows and fifteen passages."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    shown = [run(source, names) for source in cells]
    drawn = [value for source, value in zip(cells, shown, strict=True) if "interpunct.figure(" in source]
    assert len(drawn) >= 6
    assert all(isinstance(value, Figure) and value.axes for value in drawn)
    counts = shown[0].set_index("class")
    assert (counts["taken"] == 60).all()
    printed = capsys.readouterr().out
    # The notebook's function and the engine print the same number for the same pair.
    one, other = map(float, re.findall(r"(?:histogram2d|at once): *([\d.]+)", printed))
    assert one == pytest.approx(other, abs=1e-12)
    assert re.search(r"2\d marks, after mr.*abbreviation yes", printed), "the known cluster of the story"


def test_no_block_is_long(cells):
    assert {source for source in cells if len(source.splitlines()) > LONGEST} == set()


def test_the_notebook_is_the_page_with_its_results():
    """`make companion` writes it anew."""
    made, stored = notebook_of(TEXT), nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(stored)
    assert [(cell.cell_type, cell.source) for cell in stored.cells] == [
        (cell.cell_type, cell.source) for cell in made.cells
    ]
    for cell in stored.cells:
        if cell.cell_type != "code":
            continue
        assert [output for output in cell.outputs if output.output_type == "error"] == []
        pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(pictures) == cell.source.count("interpunct.figure(")
        assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
    assert str(PAGE.parent.parent) not in NOTEBOOK.read_text(encoding="utf-8"), "a path of somebody's machine"


def test_its_commands_are_ones_that_the_parser_takes():
    commands = set(re.findall(r"^interpunct (.*)$|`interpunct ([^`]*)`", TEXT, re.MULTILINE))
    assert len(commands) >= 4
    for shown, in_a_table in commands:
        assert build_parser().parse_args((shown or in_a_table).split()).execute
