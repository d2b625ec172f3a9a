"""The image: hadolint finds nothing, its steps are those of `make setup`, and what a cluster needs of it is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cluster.artefacts import ROOT

pytestmark = pytest.mark.deploy

DOCKERFILE = ROOT / "Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line.strip()]


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "hadolint"
    return subprocess.run([program, "--no-color", path], capture_output=True, text=True, check=False)


def test_the_linter_is_content():
    result = hadolint(DOCKERFILE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_linter_finds_what_is_wrong(tmp_path):
    broken = tmp_path / "Dockerfile"
    broken.write_text("FROM python\nRUN cd /tmp\nCOPY a b c\n")
    result = hadolint(broken)
    assert result.returncode != 0
    assert "DL3003" in result.stdout


def pip_installs(text: str) -> list[list[str]]:
    """What each `pip install` in a text installs, and with which constraints, in order."""
    cosmetic = {"--quiet", "--no-cache-dir", "--disable-pip-version-check", "--editable"}
    found = re.findall(r"pip install ([^\n&;]+)", text)
    return [[word for word in shlex.split(line) if word not in cosmetic] for line in found]


def test_the_steps_are_those_of_make_setup(instructions):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^(\w+) :?\??= (.+)$", makefile, re.MULTILINE))
    recipe = makefile.split("$(VENV)/.runtime:", 1)[1].split("\n\n", 1)[0]
    while "$(" in recipe:
        recipe = re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], recipe)
    image = "\n".join(arguments for name, arguments in instructions if name == "RUN")
    *libraries, code = pip_installs(image)
    assert libraries == pip_installs(recipe)
    assert libraries[0] == ["-c", "constraints.txt", "torch"]
    assert code == ["--no-deps", "."], "what an editable install finds in the checkout, copied"


def test_the_whole_package_is_copied_and_nothing_private(instructions):
    copied = {word for name, arguments in instructions if name == "COPY" for word in arguments.split()[:-1]}
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = set(re.findall(r'"(\w+)\*"', pyproject.split("[tool.setuptools.packages.find]")[1].split("[")[1]))
    assert packages <= copied
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[1] == "*", "everything is left out but what the image needs"
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    for path in copied:
        assert (ROOT / path).exists(), f"the Dockerfile copies {path}, which is not there"


def test_what_ray_and_kubernetes_need_of_the_image(instructions):
    by_name: dict[str, list[str]] = {}
    for name, arguments in instructions:
        by_name.setdefault(name, []).append(arguments)
    assert "ENTRYPOINT" not in by_name, "the launcher starts `IMAGE bash`, which an entry point would swallow"
    assert by_name["CMD"] == ['["interpunct", "--help"]']
    assert by_name["USER"] == ["1000"], "a number, so that Kubernetes can check runAsNonRoot"
    assert any(argument.startswith("HOME=/home/") for argument in by_name["ENV"]), (
        "the launcher reads HOME of the image"
    )
    packages = next(argument for argument in by_name["RUN"] if "apt-get install" in argument)
    assert {"rsync", "wget"} <= set(packages.split())


def test_what_is_copied_installs_with_all_its_data(instructions, tmp_path):
    """The image has no source tree beside it: queries, templates and the sample must be in the package."""
    context = tmp_path / "context"
    context.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for path in (word for name, arguments in instructions if name == "COPY" for word in arguments.split()[:-1]):
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, context / path, ignore=ignored)
        else:
            shutil.copy(ROOT / path, context)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        tmp_path,
    ]
    subprocess.run([*build, context], check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("interpunct-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    packages = ("analysis", "jobs", "reports", "store")
    present = {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert present | {"interpunct.py"} <= packed
    assert any(name.endswith("entry_points.txt") for name in packed)
