"""The documentation site: the pages of `docs/` and the reference made from the code, built by Sphinx without a warning.

python -m website.build build/site          writes build/site/html
"""

from __future__ import annotations

import base64
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from website.companion import NOTEBOOK
from website.reference import commands_page, configuration_page, python_page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PARTS = {
    "Tutorial": ("companion",),
    "How to": ("books", "classes", "sql", "reports", "sensitivity", "scheduling", "cluster", "operations"),
    "Reference": ("commands", "configuration", "data_dictionary", "python"),
    "Explanation": ("statistics", "pitfalls", "clusters", "pair_engine", "store", "performance", "architecture"),
}
"""The parts of the site and their pages; a page of `docs/` that is in none stands in the last."""

_MADE = {"commands": commands_page, "configuration": configuration_page, "python": python_page}
_ELSEWHERE = re.compile(r"\]\(\.\./([\w./-]+)\)")
_LONGEST_OUTPUT = 4_000


def write_pages(folder: Path) -> None:
    """Write the site's source: the pages of `docs/`, the companion with its results, and what is made from the code."""
    folder.mkdir(parents=True)
    for page in sorted(DOCS.glob("*.md")):
        (folder / page.name).write_text(_with_files(page.read_text(encoding="utf-8"), folder), encoding="utf-8")
    for picture in DOCS.glob("*.png"):
        shutil.copy(picture, folder)
    shutil.copytree(DOCS / "figures", folder / "figures")
    shutil.copy(NOTEBOOK, folder)
    companion = _woven(nbformat.read(NOTEBOOK, as_version=4), folder)
    (folder / "companion.md").write_text(companion, encoding="utf-8")
    for name, make in _MADE.items():
        (folder / f"{name}.md").write_text(make(), encoding="utf-8")
    (folder / "index.md").write_text(_index(), encoding="utf-8")


def _with_files(text: str, folder: Path) -> str:
    """The page with links to files beside `docs/` turned into downloads."""
    for name in set(_ELSEWHERE.findall(text)):
        copied = folder / "files" / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copied)
    return _ELSEWHERE.sub(r"](files/\1)", text)


def _woven(notebook: NotebookNode, folder: Path) -> str:
    """The notebook as a page: text, code, and below it what it gave."""
    pictures = folder / "pictures"
    pictures.mkdir()
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(_with_files(cell.source, folder))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += _results(cell, pictures)
    return "\n\n".join(parts) + "\n"


def _results(cell: NotebookNode, pictures: Path) -> Iterator[str]:
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{cell.id}.png"
            (pictures / name).write_bytes(base64.b64decode(data["image/png"]))
            yield f"![{cell.source.splitlines()[-1].replace('[', '').replace(']', '')}](pictures/{name})"
        else:
            text = output.get("text") or data.get("text/plain", "")
            yield f"```text\n{text[:_LONGEST_OUTPUT].rstrip()}\n```"


def _index() -> str:
    """The first page: the README's beginning, and the parts of the site."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    introduction = readme[: readme.index("## Your own books")].replace("](docs/", "](")
    named = {page for pages in PARTS.values() for page in pages}
    others = sorted(page.stem for page in DOCS.glob("*.md") if page.stem not in named)
    parts = {**PARTS, "Explanation": (*PARTS["Explanation"], *others)}
    trees = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
        for title, pages in parts.items()
    ]
    listed = [
        f"**{title}**: " + ", ".join(f"[{page.replace('_', ' ')}]({page}.md)" for page in pages)
        for title, pages in parts.items()
    ]
    return "\n\n".join([introduction.rstrip(), "## The documentation", *listed, *trees]) + "\n"


def main() -> None:
    """Write the pages into the folder given and build the site there. Ends with Sphinx's own exit code."""
    from sphinx.cmd.build import build_main

    if len(sys.argv) != 2:
        sys.exit("usage: python -m website.build FOLDER")
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    write_pages(folder / "source")
    options = ["-W", "--keep-going", "-q", "-b", "html", "-c", str(Path(__file__).parent)]
    sys.exit(build_main([*options, str(folder / "source"), str(folder / "html")]))


if __name__ == "__main__":
    main()
