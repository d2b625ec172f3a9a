"""The map of the code names every module, and no module that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Modules")[2].partition("\n## ")[0]
PACKAGES = ("analysis", "jobs", "reports", "store")


def test_every_module_is_on_the_map():
    modules = {p.relative_to(ROOT).as_posix() for package in PACKAGES for p in (ROOT / package).glob("*.py")}
    assert {m for m in modules if not m.endswith("__init__.py") and f"`{m}`" not in MAP} == set()


def test_every_module_of_the_map_exists():
    named = set(re.findall(r"`((?:analysis|jobs|store|reports)/[\w/]+\.py)`", MAP))
    assert named
    assert {m for m in named if not (ROOT / m).exists()} == set()
