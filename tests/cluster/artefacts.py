"""Reads the files that an operator fills in: their placeholders, and the same text with each of them filled."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
LAUNCHER = ROOT / "ray_cluster.yaml"
RAYJOB = ROOT / "deploy" / "rayjob.yaml"

_PLACEHOLDER = re.compile(r"YOUR_[A-Z_]+")


def used_placeholders(text: str) -> set[str]:
    """The words to fill in that occur in the values of a YAML file, comments aside."""
    return set(_PLACEHOLDER.findall("\n".join(line.split(" #")[0] for line in _without_comments(text))))


def explained_placeholders(text: str) -> set[str]:
    """The words to fill in that the comment at the head of the file explains, one a line."""
    return set(re.findall(r"^#   (YOUR_[A-Z_]+)  +\S.{20,}$", text, re.MULTILINE))


def filled(text: str, **values: str) -> str:
    """The text with YOUR_X replaced by the value of `x`."""
    for name, value in values.items():
        text = text.replace(f"YOUR_{name.upper()}", value)
    return text


def environment_of(settings: list[str]) -> dict[str, str]:
    """The variables among `docker run` options of the form `--env NAME=VALUE`."""
    pairs = [setting.removeprefix("--env ").split("=", 1) for setting in settings if setting.startswith("--env ")]
    return dict(pairs)


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]
