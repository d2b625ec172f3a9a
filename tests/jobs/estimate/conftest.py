"""A shelf of texts to plan for, and the plan of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.config import RunConfig, StudyConfig
from jobs.estimate.estimate import Rates
from jobs.estimate.plan import PlanReport, plan_books
from jobs.model.models import identify_model
from jobs.settle import settle
from store.commits import Committed

RATES = Rates(tokens=1_000.0, within=1e6, between=1e6, clusters=1e4, cores=2, measured_on="a machine")
NOTHING = Committed(frozenset(), {})


def planned(
    named: list[str], model: Path, done: Committed = NOTHING, run: RunConfig | None = None, **settings: object
) -> PlanReport:
    """The plan for what is named, with rates that are given."""
    config = StudyConfig(model=str(model), **settings)
    settled = settle(config, run or RunConfig(), identify_model(config.model), None)
    return plan_books(named, *settled, done, RATES)


@pytest.fixture
def shelf(tmp_path: Path, sample_path: Path) -> Path:
    """Two different books, a copy of one, a file that is not a book, and one that is too short."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    text = sample_path.read_text(encoding="utf-8")
    (folder / "a.txt").write_text(text, encoding="utf-8")
    (folder / "b.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    (folder / "copy.txt").write_text(text, encoding="utf-8")
    (folder / "image.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "short.txt").write_text("Too short, this. It has one mark of each", encoding="utf-8")
    return folder
