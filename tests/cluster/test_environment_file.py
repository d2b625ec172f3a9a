"""The settings for hosts of one's own: what a shell reads from the file is what the driver asks for."""

from __future__ import annotations

import subprocess

import pytest

from jobs.cluster.ray_start import CLUSTER_ENVIRONMENT
from tests.cluster.artefacts import ROOT

pytestmark = pytest.mark.deploy


def test_a_shell_reads_the_settings_that_survive_a_lost_host():
    read = "set -a; . deploy/cluster.env; set +a; env"
    printed = subprocess.run(["env", "-i", "sh", "-c", read], cwd=ROOT, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in printed.stdout.splitlines())
    assert CLUSTER_ENVIRONMENT.items() <= found.items()
    assert found["RAY_AUTH_MODE"] == "token"


def test_services_read_it_too():
    """systemd and docker take NAME=VALUE lines and comments, no quotes and no `export`."""
    for line in (ROOT / "deploy" / "cluster.env").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or line.split("=")[0].replace("_", "").isalnum()
        assert line.startswith("#") or not set("'\"$ ") & set(line)
