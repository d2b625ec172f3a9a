"""The Kubernetes manifests: pods as the API's own schema has them, the RayJob's keys, the settings of every node."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest

from jobs.cluster.ray_start import CLUSTER_ENVIRONMENT
from tests.cluster.artefacts import RAYJOB, ROOT, documents, explained_placeholders, used_placeholders

pytestmark = pytest.mark.deploy

# The keys of KubeRay's custom resources that the manifest uses (KubeRay API reference, ray.io/v1, version 1.6).
JOB_KEYS = {
    "activeDeadlineSeconds", "backoffLimit", "entrypoint", "entrypointNumCpus", "rayClusterSpec",
    "shutdownAfterJobFinishes", "submissionMode", "suspend", "ttlSecondsAfterFinished",
}  # fmt: skip
CLUSTER_KEYS = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "headGroupSpec", "rayVersion", "workerGroupSpecs",
}  # fmt: skip
GROUP_KEYS = {"groupName", "maxReplicas", "minReplicas", "rayStartParams", "replicas", "template"}


@pytest.fixture
def job() -> dict[str, Any]:
    _, job = documents(RAYJOB)
    return job


@pytest.fixture
def groups(job) -> list[dict[str, Any]]:
    """The head's group and the workers' groups."""
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def pod(group: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **copy.deepcopy(group["template"])}


def validate(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, desired_version="1.33", strict=True)


def test_pods_are_what_kubernetes_takes(groups):
    assert len(groups) == 3
    for group in groups:
        validate(pod(group))


def test_a_misspelt_pod_is_found(groups):
    broken = pod(groups[0])
    broken["spec"]["containers"][0]["resource"] = broken["spec"]["containers"][0].pop("resources")
    with pytest.raises(kubernetes_validate.ValidationError, match="resource"):
        validate(broken)


def test_plain_resources_are_what_kubernetes_takes():
    plain = [
        resource
        for path in sorted((ROOT / "deploy").glob("*.yaml"))
        for resource in documents(path)
        if not resource["apiVersion"].startswith("ray.io/")
    ]
    assert "ServiceAccount" in {resource["kind"] for resource in plain}
    for resource in plain:
        validate(resource)


def test_the_ray_resources_have_known_keys_only(job, groups):
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) <= JOB_KEYS
    assert set(job["spec"]["rayClusterSpec"]) <= CLUSTER_KEYS
    assert set(groups[0]) <= GROUP_KEYS - {"groupName"}
    for group in groups[1:]:
        assert set(group) <= GROUP_KEYS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_every_pod_gets_the_settings_that_survive_a_lost_host(groups):
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert {variable["name"]: variable["value"] for variable in container["env"]} == CLUSTER_ENVIRONMENT


def test_gpus_are_asked_for_by_the_gpu_group_alone(groups):
    with_gpu = [
        group.get("groupName", "head")
        for group in groups
        if "nvidia.com/gpu" in group["template"]["spec"]["containers"][0]["resources"]["limits"]
    ]
    assert with_gpu == ["gpu"]


def test_the_cluster_is_closed(job, groups):
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_ray_and_the_image_are_of_the_pinned_versions(job, groups):
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in pins
    images = {group["template"]["spec"]["containers"][0]["image"] for group in groups}
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if line.startswith("version")
    )
    assert images == {f"YOUR_REGISTRY/interpunct:{version}"}


def test_the_entry_point_is_a_command_that_interpunct_takes(job):
    import shlex

    import interpunct

    program, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert program == "interpunct"
    parsed = interpunct.build_parser().parse_args(arguments)
    assert parsed.store == "s3://YOUR_BUCKET/study"


def test_every_word_to_fill_in_is_explained_and_used():
    text = RAYJOB.read_text(encoding="utf-8")
    assert used_placeholders(text) == explained_placeholders(text) == {"YOUR_BUCKET", "YOUR_REGISTRY"}
