"""The map of the code names every module, and no module that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Modules")[2].partition("\n## ")[0]
PACKAGES = ("analysis", "jobs", "reports", "store")


def test_every_module_is_on_the_map():
    """By its own name, or as one of a folder that the map names as a whole."""
    modules = {p.relative_to(ROOT) for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", MAP))
    assert {
        path.as_posix()
        for path in modules
        if path.name != "__init__.py" and not {path.as_posix(), f"{path.parent.as_posix()}/"} & named
    } == set()


def test_every_module_of_the_map_exists():
    named = set(re.findall(r"`((?:analysis|jobs|store|reports)/[\w/]+\.py)`", MAP))
    assert named
    assert {m for m in named if not (ROOT / m).exists()} == set()
