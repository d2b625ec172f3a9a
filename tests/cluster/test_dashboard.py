"""The Grafana dashboard: each metric it asks for is one that a run or Ray exports, and each of a run's is shown."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
from ray.dashboard.modules.metrics.dashboards import default_dashboard_panels
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from jobs.cluster.metrics import COUNTERS, QUEUE
from tests.cluster.artefacts import ROOT

pytestmark = pytest.mark.deploy

RAY_PREFIX = "ray_"
"""What Ray's exporter puts before the name of every metric."""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))


def metrics(text: str) -> set[str]:
    return set(re.findall(r"\bray_[a-z_]+", text))


@pytest.fixture(scope="module")
def asked_for(dashboard) -> set[str]:
    return set().union(*(metrics(target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]))


def test_what_a_run_exports_is_what_is_shown(asked_for):
    exported = {RAY_PREFIX + name for name in (*COUNTERS, QUEUE)}
    assert {name for name in asked_for if name.startswith("ray_interpunct_")} == exported


def test_the_other_metrics_are_rays_own(asked_for):
    others = {name for name in asked_for if not name.startswith("ray_interpunct_")}
    of_machines = {RAY_PREFIX + name for name in METRICS_GAUGES}
    assert len(others) > 3
    assert others <= metrics(inspect.getsource(default_dashboard_panels)) | of_machines


def test_counters_are_shown_as_rates_or_totals(dashboard):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            if "_total" in target["expr"]:
                assert panel["type"] == "stat" or "rate(" in target["expr"], panel["title"]


def test_panels_tile_the_grid(dashboard):
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, f"{panel['title']} covers another panel"
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
