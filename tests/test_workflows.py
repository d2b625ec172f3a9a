"""What runs on GitHub: files that its schema takes, that a linter finds nothing in, and commands that `make` has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / name, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_files_are_as_their_schema_says(schema, files, tmp_path):
    checked = tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert checked.returncode == 0, checked.stdout
    (tmp_path / "broken.yml").write_text("jobs: 3\nversion: [\n")
    assert tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", tmp_path / "broken.yml").returncode != 0


def test_no_workflow_gives_away_more_than_it_must(tmp_path):
    folder = ROOT / ".github"
    checked = tool("zizmor", "--offline", "--config", folder / "zizmor.yml", folder)
    assert checked.returncode == 0, checked.stdout
    shutil.copytree(folder, tmp_path / ".github")
    spoiled = tmp_path / ".github" / "workflows" / WORKFLOWS[0].name
    spoiled.write_text(spoiled.read_text().replace("contents: read", "contents: write"))
    assert tool("zizmor", "--offline", "--config", folder / "zizmor.yml", tmp_path / ".github").returncode != 0


def steps() -> list[str]:
    found = []
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            matrix = job.get("strategy", {}).get("matrix", {})
            commands = [step["run"] for step in job["steps"] if "run" in step]
            assert commands or name == "publish"
            for target in matrix.get("target", [""]):
                found += [command.replace("${{ matrix.target }}", target) for command in commands]
    return found


def test_every_step_is_a_target_of_make():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = {word for command in steps() for word in command.removeprefix("make ").split()}
    assert all(command.startswith("make ") for command in steps())
    run = {"lint", "test", "test-whole", "test-slow", "test-deploy", "site", "lowest", "audit", "package"}
    assert run <= named <= targets


def test_what_a_marker_keeps_out_of_the_tests_has_a_target_that_is_run():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    markers = {marker.partition(":")[0] for marker in settings["markers"]}
    assert set(re.findall(r"not (\w+)", settings["addopts"])) == markers
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {f"make test-{marker}" for marker in markers - {"slow"}} | {"make test"} <= set(commands)
    assert {f"test-{marker}" for marker in markers} <= {word for command in steps() for word in command.split()}


def test_the_pythons_are_those_that_the_package_allows():
    matrix = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())["jobs"]["tests"]["strategy"]
    assert matrix["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
