"""The page `docs/companion.md` as a notebook: its Python blocks become cells, and are executed in their order.

python -m website.companion          executes the page and writes docs/companion.ipynb
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PAGE = Path(__file__).resolve().parent.parent / "docs" / "companion.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")

_BLOCK = re.compile(r"^(<!-- skip[^>]*-->\n)?```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_CELL_SECONDS = 240


def notebook_of(page: str) -> NotebookNode:
    """The page as a notebook without results; a Python block behind `<!-- skip: why -->` stays text."""
    cells: list[NotebookNode] = []
    text, start = "", 0
    for block in _BLOCK.finditer(page):
        text += page[start : block.start()]
        start = block.end()
        if block[1]:
            text += f"```python\n{block[2]}```\n"
            continue
        cells += [new_markdown_cell(text.strip(), id=f"text-{len(cells)}")] if text.strip() else []
        cells.append(new_code_cell(block[2].rstrip(), id=f"code-{len(cells)}"))
        text = ""
    cells += [new_markdown_cell((text + page[start:]).strip(), id=f"text-{len(cells)}")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def executed(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its results, run in an empty folder. Raises CellExecutionError where a cell fails."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=_CELL_SECONDS, resources={"metadata": {"path": folder}}, record_timing=False
        )
        client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # warnings of libraries about this machine are no results
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Execute the page and write the notebook beside it."""
    nbformat.write(executed(notebook_of(PAGE.read_text(encoding="utf-8"))), NOTEBOOK)
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
