"""A model as the hub's client keeps it on a machine."""

from __future__ import annotations

import shutil
from pathlib import Path


def hub_snapshot(cache: Path, name: str, commit: str, source: Path, branch: str = "main") -> None:
    """Lay out a model the way the hub's client caches a download."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / branch).write_text(commit)
