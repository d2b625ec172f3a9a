"""One source of pins, extras that are enough, and a wheel that works where nothing else is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from jobs.installed import OF_A_RUN
from tests.builders import build_store

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
BLOCKED = """
import sys
from importlib.machinery import PathFinder
class WithoutARun(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {of_a_run} else PathFinder.find_spec(name, path, target)
sys.meta_path = [WithoutARun if finder is PathFinder else finder for finder in sys.meta_path]
import interpunct
sys.argv[0] = "interpunct"
sys.exit(interpunct.main({arguments}))
"""


def without_a_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command where none of the libraries of a run can be imported."""
    code = BLOCKED.format(of_a_run=OF_A_RUN, arguments=[str(argument) for argument in arguments])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> dict[str, str]:
    """Every direct requirement, whatever extra it is of, with its bounds."""
    listed = [
        *PROJECT["dependencies"],
        *(line for lines in PROJECT["optional-dependencies"].values() for line in lines),
    ]
    parts = [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?(.*)", line) for line in listed]
    return {normal(part[1]): part[2] for part in parts if part and part[1] != "interpunct"}


def test_every_requirement_is_pinned_within_its_bounds():
    from packaging.specifiers import SpecifierSet

    pins = {normal(name): pin for name, pin in PINS.items()}
    unpinned = {name for name in requirements() if name not in pins}
    assert unpinned == set()
    for name, bounds in requirements().items():
        assert ">=" in bounds, f"{name} has no lowest version"
        assert SpecifierSet(bounds).contains(pins[name]), f"{name}{bounds} and {pins[name]}"


def test_libraries_whose_private_parts_are_used_have_an_upper_bound():
    source = "\n".join(
        p.read_text(encoding="utf-8") for folder in ("analysis", "jobs") for p in (ROOT / folder).rglob("*.py")
    )
    assert "ray._private" in source
    assert "numba.core" in source
    bounds = requirements()
    assert {name for name in ("ray", "numba", "llvmlite", "torch", "transformers") if "<" not in bounds[name]} == set()


@pytest.mark.whole
def test_a_store_is_queried_and_reported_without_torch_and_ray(tmp_path):
    build_store(tmp_path / "store", books=1, layers=2, marks=6, width=8)
    asked = without_a_run(
        "sql", "--store", tmp_path / "store", "SELECT count(*) AS pairs FROM pairs", "--format", "csv"
    )
    assert (asked.returncode, asked.stdout.split()[0]) == (0, "pairs"), asked.stderr
    assert without_a_run("status", "--store", tmp_path / "store").returncode == 0
    made = without_a_run("report", "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "out" / "latest" / "index.html").exists()


def test_a_run_without_them_says_what_to_install(tmp_path):
    said = without_a_run("run", "sample", "--store", tmp_path / "store")
    assert said.returncode == 2
    assert "torch" in said.stderr
    assert "pip install 'interpunct[run]'" in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_versions_agree():
    assert version("interpunct") == PROJECT["version"]
    assert f"version: {PROJECT['version']}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    tagged = re.findall(
        r"interpunct:(\d[\w.]*)", "".join((ROOT / p).read_text() for p in ("Dockerfile", "docs/cluster.md"))
    )
    assert len(tagged) > 3
    assert set(tagged) == {PROJECT["version"]}
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (PROJECT["version"], "Unreleased")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_and_the_sdist_work_in_an_empty_environment(tmp_path):
    """Everything is built and fetched anew, which takes minutes: the core alone, and its commands on a store."""
    build = [sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT]
    subprocess.run(build, check=True, capture_output=True)
    built = sorted(path.name for path in (tmp_path / "dist").iterdir())
    assert built == [f"interpunct-{PROJECT['version']}-py3-none-any.whl", f"interpunct-{PROJECT['version']}.tar.gz"]
    build_store(tmp_path / "store", books=1, layers=2, marks=6, width=8)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python, command = (environment / "bin" / name for name in ("python", "interpunct"))
    for name in built:  # the wheel with its libraries, then the sdist in its place
        install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", tmp_path / "dist" / name]
        subprocess.run([*install, "--force-reinstall", "--no-deps"], check=True, capture_output=True)
        subprocess.run(install, check=True, capture_output=True)
        for arguments in (
            ["sql", "--store", tmp_path / "store", "SELECT count(*) FROM pairs"],
            ["report", "--store", tmp_path / "store", "--out", tmp_path / name],
        ):
            subprocess.run([command, *arguments], check=True, capture_output=True, cwd=tmp_path)
        listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
        assert not re.search(r"^(torch|ray|transformers) ", listed, re.MULTILINE)
