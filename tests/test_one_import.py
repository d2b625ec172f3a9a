"""`import interpunct` gives what a notebook needs, at once, and from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import interpunct


def test_every_public_name_is_what_its_package_has():
    names = set(interpunct.__all__) - {"main"}
    assert names == set(interpunct._PLACES)
    for name, place in interpunct._PLACES.items():
        assert getattr(interpunct, name) is getattr(import_module(place), name)
    assert names <= set(dir(interpunct))


def test_a_name_that_is_not_there_lists_those_that_are():
    with pytest.raises(AttributeError, match=r"no attribute 'pair_statistic'; it has .*pair_statistics"):
        interpunct.pair_statistic  # noqa: B018


def test_the_import_loads_nothing_heavy():
    heavy = "('ray', 'torch', 'transformers', 'matplotlib', 'duckdb', 'pyarrow', 'numba', 'pandas')"
    code = f"import sys, interpunct; dir(interpunct); print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_folders_of_the_same_names_hide_no_package(tmp_path: Path):
    """Users name their folders as our packages: `--out reports`. The path of this process's code stands for no one."""
    for name in ("analysis", "jobs", "reports", "store"):
        (tmp_path / name).mkdir()
    code = "import interpunct, reports.errors; from store import open_store; print(interpunct.open_store is open_store)"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=plain, capture_output=True, text=True)
    assert said.stdout.strip() == "True", said.stderr


@pytest.mark.parametrize(
    ("typed", "completed"), [("ver", "verify"), ("run --per-c", "--per-class"), ("run --preset n", "notebook")]
)
def test_a_shell_completes_commands_options_and_choices(typed, completed, capsys, tmp_path):
    """bash itself is asked, as it asks when a user presses the tab key."""
    assert interpunct.main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out)
    words = ["interpunct", *typed.split()]
    ask = f"""
        source {script}
        COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
        $(complete -p interpunct | sed 's/.*-F \\([^ ]*\\) .*/\\1/') interpunct {words[-1]} {words[-2]}
        printf '%s\n' "${{COMPREPLY[@]}}"
    """
    said = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, check=True)
    assert completed in said.stdout.split(), said
