"""The map of the code names every room, no module that is gone, and no promise that nobody keeps."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = PAGE.partition("## The rooms")[2].partition("\n## ")[0]
PROMISES = PAGE.partition("## What the packages promise")[2]
PACKAGES = ("analysis", "jobs", "reports", "store")
SOURCE = "\n".join(p.read_text(encoding="utf-8") for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def test_every_room_is_on_the_map():
    """A room is a folder of a package, or a module beside the folders."""
    modules = {path for package in PACKAGES for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"}
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")}
    rooms = {p.relative_to(ROOT).as_posix() for p in modules}
    rooms |= {f"{p.relative_to(ROOT).as_posix()}/" for p in folders}
    assert rooms - set(re.findall(r"`([\w/]+(?:\.py|/))`", ROOMS)) == set()


def test_every_file_of_the_page_exists():
    named = set(re.findall(r"\b(?:analysis|jobs|store|reports)/[\w/]+\.py", PAGE))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_promise_is_kept():
    """What a block of the promises calls is defined in the packages."""
    blocks = "".join(re.findall(r"```python\n(.*?)```", PROMISES, re.DOTALL))
    calls = re.sub(r"#.*|->.*", "", blocks)
    promised = set(re.findall(r"^(?:\w*\.|[ ]+\.)?(\w+)\(|[;,] \.?([a-z]\w+)\(", calls, re.MULTILINE))
    names = {name for pair in promised for name in pair if name}
    assert {"pair_statistics", "settle_chunk", "record_run", "merge", "between", "BookVectors"} <= names
    assert {name for name in names if not re.search(rf"^\s*(?:def|class) {name}\b", SOURCE, re.MULTILINE)} == set()


def test_links_lead_somewhere():
    links = set(re.findall(r"\]\(([\w./]+\.md)", PAGE))
    assert links
    assert {link for link in links if not (ROOT / "docs" / link).exists()} == set()
