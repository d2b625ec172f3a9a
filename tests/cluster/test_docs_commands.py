"""What docs/cluster.md and docs/operations.md tell an operator to type exists, and the sums in them are right."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess

import botocore.session
import pytest
import yaml
from botocore import xform_name

import interpunct
from tests.cluster.artefacts import LAUNCHER, RAYJOB, ROOT, used_placeholders

pytestmark = pytest.mark.deploy

PAGES = ("cluster.md", "operations.md")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language; `""` for those without."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    return [block for found, block in fenced if found == language]


def shell_lines(pattern: str) -> list[str]:
    """Every piece of a shell block of the pages that matches, up to the end of its command."""
    text = "\n".join(block for name in PAGES for block in blocks(name, "bash"))
    return re.findall(pattern, text)


AWS = shell_lines(r"\baws [a-z0-9-]+ [a-z-]+[^\n|]*")
RAY = shell_lines(r"(?<![\w./-])ray [a-z-]+[^\n|]*")
INTERPUNCT = shell_lines(r"(?<![\w./-])interpunct [a-z]+[^\n|']*")


OF_THE_COMMAND_LINE_ALONE = ("aws s3 ", "aws ecr get-login-password")
"""Commands that stand for no single operation of the service's interface."""


@pytest.mark.parametrize("command", [c for c in AWS if not c.startswith(OF_THE_COMMAND_LINE_ALONE)])
def test_aws_has_this_operation_with_these_parameters(command):
    _, service, operation, *_ = command.split()
    model = botocore.session.get_session().get_service_model({"s3api": "s3"}.get(service, service))
    operations = {xform_name(name).replace("_", "-"): name for name in model.operation_names}
    assert operation in operations, f"{service} has no {operation}"
    shape = model.operation_model(operations[operation]).input_shape
    members = {xform_name(name).replace("_", "-") for name in (shape.members if shape else {})}
    used = set(re.findall(r" --([a-z-]+)", command)) - {"query", "output"}
    assert used <= members
    required = {xform_name(name).replace("_", "-") for name in (shape.required_members if shape else [])}
    assert required <= used


@pytest.mark.parametrize("command", RAY)
def test_ray_has_this_command_with_these_options(command):
    from ray.scripts.scripts import cli

    words = shlex.split(command.split(" -- ")[0], comments=True)[1:]
    found = cli.commands[words.pop(0)]
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("command", INTERPUNCT)
def test_interpunct_takes_this_command(command):
    with contextlib.redirect_stderr(io.StringIO()) as complaint:
        try:
            interpunct.build_parser().parse_args(shlex.split(command, comments=True)[1:])
        except SystemExit:
            pytest.fail(complaint.getvalue())


def test_there_are_such_commands():
    assert len(AWS) > 10
    assert len(RAY) > 5
    assert len(INTERPUNCT) > 3


@pytest.mark.parametrize(("target", "path"), [("~/interpunct.yaml", LAUNCHER), ("kubectl apply", RAYJOB)])
def test_the_fill_in_command_leaves_no_word_to_fill_in(target, path):
    (command,) = shell_lines(rf"sed -e [^\n]*{re.escape(path.name)} [>|] {re.escape(target)}")
    variables = {name.removeprefix("YOUR_"): "filled" for name in used_placeholders(path.read_text(encoding="utf-8"))}
    environment = {**os.environ, **variables}
    sed = re.split(r" [>|] ", command)[0]
    result = subprocess.run(
        ["bash", "-euc", sed], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert used_placeholders(result.stdout) == set()
    assert all(yaml.safe_load_all(result.stdout))


def test_the_cost_is_worked_out_right():
    (sum_of_costs,) = blocks("cluster.md", "python")
    (shown, *_) = [block for block in blocks("cluster.md", "") if block.startswith("GPU")]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(sum_of_costs, "docs/cluster.md", "exec"), {})
    assert printed.getvalue() == shown


def test_the_variant_for_google_cloud_is_a_launcher_file_too():
    from ray.autoscaler._private.util import prepare_config, validate_config

    (variant,) = [block for block in blocks("cluster.md", "yaml") if "type: gcp" in block]
    base = yaml.safe_load(LAUNCHER.read_text(encoding="utf-8"))
    config = prepare_config({**base, **yaml.safe_load(variant), "auth": {"ssh_user": "ubuntu"}})
    validate_config(config)
    assert set(config["available_node_types"]) == set(base["available_node_types"])


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", page(name)):
        path, _, anchor = target.partition("#")
        linked = (ROOT / "docs" / path).resolve() if path else ROOT / "docs" / name
        assert linked.exists(), f"{name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{name} links to {target}; there are {sorted(anchors)}"
