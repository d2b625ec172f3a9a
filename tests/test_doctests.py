"""Every example with `>>>` in the four packages runs and gives what it shows."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("analysis", "jobs", "reports", "store")
WITH_EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0, "the file has examples, and none was found in a docstring"
    assert result.failed == 0


def test_the_pair_engines_example_goes_through_all_steps():
    """One worked example explains every structure of the engine; shortened, it would explain less."""
    from analysis.engine import vectors

    assert len([e for test in doctest.DocTestFinder().find(vectors) for e in test.examples]) > 20
