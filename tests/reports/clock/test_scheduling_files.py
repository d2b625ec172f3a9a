"""The cron line, the systemd units and the CronJob of the docs do what they say."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

import interpunct
from reports.clock.schedule import ticks

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
START = datetime(2026, 1, 1, tzinfo=UTC)


def fake_interpunct(folder: Path, code: int) -> Path:
    """A command of that name that only notes its arguments and ends with an exit code."""
    path = folder / "interpunct"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\necho said something\nexit {code}\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("code", "ends", "mails"), [(0, 0, False), (4, 0, False), (2, 0, True)])
def test_the_cron_line_is_silent_unless_something_is_wrong(tmp_path, code, ends, mails):
    (line,) = re.search(r"```text\n(.*?)```", DOCS, re.DOTALL)[1].strip().splitlines()
    when, command = " ".join(line.split()[:5]), line.split(None, 5)[5]
    assert next(ticks(when, START, ZoneInfo("UTC"))).hour == 6
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    fake_interpunct(tmp_path, code).rename(tmp_path / ".venv" / "bin" / "interpunct")
    command = command.replace("/opt/interpunct", str(tmp_path))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, bool(done.stdout)) == (ends, mails)
    assert (tmp_path / "calls").read_text() == "report --store study --out reports\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for kind in ("service", "timer"):
        unit = (ROOT / "deploy" / f"interpunct-report.{kind}").read_text(encoding="utf-8")
        unit = unit.replace("/opt/interpunct/.venv/bin/interpunct", str(fake_interpunct(tmp_path, 0)))
        (tmp_path / f"interpunct-report.{kind}").write_text(unit)
    units = [str(tmp_path / f"interpunct-report.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_takes_nothing_changed_for_success_and_may_write_to_one_folder():
    unit = (ROOT / "deploy" / "interpunct-report.service").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert settings["SuccessExitStatus"] == "4"
    assert settings["ProtectSystem"] == "strict"
    assert set(re.findall(r"/var/lib/(\w+)", settings["ExecStart"])) == {settings["StateDirectory"]}


def cron_job() -> dict:
    return yaml.safe_load((ROOT / "deploy" / "report-cronjob.yaml").read_text(encoding="utf-8"))


def test_the_cron_job_never_overlaps_and_ticks_in_the_morning():
    spec = cron_job()["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert next(ticks(spec["schedule"], START, ZoneInfo(spec["timeZone"]))).hour == 6
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (rule,) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert pod["restartPolicy"] == "Never", "a pod failure policy needs it"
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0)])
def test_the_cron_jobs_command_takes_nothing_changed_for_success(tmp_path, code, ends):
    (container,) = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    fake_interpunct(tmp_path, code)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "STORE": "s3://bucket/study"}
    done = subprocess.run([*container["command"], *container["args"]], env=environment, capture_output=True)
    assert done.returncode == ends
    assert (tmp_path / "calls").read_text() == "report --store s3://bucket/study --out /reports\n"


def test_every_option_that_the_docs_name_is_one():
    parser = interpunct.build_parser()
    (choices,) = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    known = {option for command in choices.values() for option in command._option_string_actions}
    text = DOCS + (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    text = re.sub(r"^chromium .*?```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert named
    assert named <= known
