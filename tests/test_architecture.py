"""Imports go one way; the test reads the import statements and fails on an arrow that runs back."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("analysis", "store", "jobs", "reports", "interpunct")
MAY_IMPORT = {
    "analysis": set(),
    "store": set(),
    "jobs": {"analysis", "store"},
    "reports": {"analysis", "store"},
    "interpunct": {"analysis", "store", "jobs", "reports"},
}
ONLY_IN = {
    "ray": ("jobs/",),
    "transformers": ("jobs/",),
    "torch": ("jobs/",),
    "matplotlib": ("reports/",),
    "duckdb": ("store/",),
    "argparse": ("interpunct.py", "jobs/commands.py", "store/commands.py", "reports/commands.py"),
}


def source_files() -> list[Path]:
    files = [ROOT / "interpunct.py"]
    for package in PACKAGES[:-1]:
        files += sorted((ROOT / package).rglob("*.py"))
    return files


def imported_modules(path: Path) -> set[str]:
    """The top-level names that a file imports anywhere, function bodies included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the package"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    relative = path.relative_to(ROOT).as_posix()
    package = relative.split("/")[0].removesuffix(".py")
    imports = imported_modules(path)
    forbidden = (imports & set(PACKAGES)) - MAY_IMPORT[package] - {package}
    assert not forbidden, f"{relative} imports {sorted(forbidden)}; {package} may import {sorted(MAY_IMPORT[package])}"
    for library, places in ONLY_IN.items():
        if library in imports:
            assert relative.startswith(places), f"{relative} imports {library}; only {places} may"


def test_the_front_door_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io, interpunct\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    interpunct.main(['--help'])\n"
        "print([m for m in ('ray', 'torch', 'transformers', 'matplotlib', 'duckdb', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_grab_bags():
    names = {path.name for path in source_files()}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}
