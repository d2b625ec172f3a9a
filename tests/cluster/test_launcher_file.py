"""The launcher file: Ray accepts it, a simulated EC2 starts its nodes, and every node gets what a run relies on."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

from jobs.cluster.ray_start import CLUSTER_ENVIRONMENT
from tests.cluster.artefacts import LAUNCHER, environment_of, explained_placeholders, filled, used_placeholders

pytestmark = pytest.mark.deploy

REGION = "us-west-2"
ACCOUNT = "123456789012"
SECURITY_GROUP = "sg-0123456789abcdef0"
AMI = "ami-0123456789abcdef0"


@pytest.fixture(scope="module")
def text() -> str:
    return LAUNCHER.read_text(encoding="utf-8")


@pytest.fixture
def config(text: str) -> dict[str, Any]:
    values = {"account": ACCOUNT, "ami": AMI, "bucket": "example-bucket", "security_group": SECURITY_GROUP}
    return yaml.safe_load(filled(text, **values))


@pytest.fixture(scope="module")
def run_instances():
    """The input of EC2's RunInstances, as the AWS service model describes it."""
    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    result = prepare_config(copy.deepcopy(config))
    validate_config(result)
    return result


def test_every_word_to_fill_in_is_explained_and_used(text):
    assert used_placeholders(text) == explained_placeholders(text)
    assert used_placeholders(text) == {"YOUR_ACCOUNT", "YOUR_AMI", "YOUR_BUCKET", "YOUR_SECURITY_GROUP"}


def test_ray_accepts_it(config):
    result = prepared(config)
    assert set(result["available_node_types"]) == {"head", "gpu_worker", "cpu_worker"}
    # What the launcher would fill in by itself installs a nightly Ray on every node.
    assert result["setup_commands"] == []
    assert not result["head_setup_commands"]
    assert not result["worker_setup_commands"]


def test_ray_refuses_a_misspelt_key(config):
    config["idle_timeout"] = config.pop("idle_timeout_minutes")
    with pytest.raises(Exception, match="idle_timeout"):
        prepared(config)


def test_node_configs_are_what_ec2_takes(config, run_instances):
    for name, node_type in config["available_node_types"].items():
        request = {"MinCount": 1, "MaxCount": 1, **node_type["node_config"]}
        report = ParamValidator().validate(request, run_instances)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
        types = run_instances.members["InstanceType"].enum
        assert node_type["node_config"]["InstanceType"] in types


def test_a_misspelt_node_config_is_found(config, run_instances):
    request = {"MinCount": 1, "MaxCount": 1, **config["available_node_types"]["cpu_worker"]["node_config"]}
    request["InstanceMarketOption"] = request.pop("InstanceMarketOptions")
    report = ParamValidator().validate(request, run_instances)
    assert "InstanceMarketOption" in report.generate_report()


def test_spot_is_for_cpu_workers_only(config):
    spot = {
        name
        for name, node_type in config["available_node_types"].items()
        if node_type["node_config"].get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    }
    assert spot == {"cpu_worker"}


def test_every_node_gets_the_settings_that_survive_a_lost_host(config):
    environment = environment_of(config["docker"]["run_options"])
    assert CLUSTER_ENVIRONMENT.items() <= environment.items()
    assert int(environment["RAY_JOB_STOP_WAIT_TIME_S"]) > 10, "a stopped run has ten seconds to end in order"
    assert environment["STORE"].startswith("s3://example-bucket/")
    assert "head_run_options" not in config["docker"], "the head and the workers must not differ"
    assert "worker_run_options" not in config["docker"], "the head and the workers must not differ"


def test_ray_knows_every_setting_by_name():
    """Ray ignores an environment variable that it does not know, so that a renamed setting would go unseen."""
    import ray._raylet

    with open(ray._raylet.__file__, "rb") as library:
        known = library.read()
    for name in CLUSTER_ENVIRONMENT:
        assert name.startswith("RAY_")
        assert name.removeprefix("RAY_").encode() in known, f"this version of Ray has no setting {name}"


def test_the_cluster_is_closed(config):
    environment = environment_of(config["docker"]["run_options"])
    assert environment["RAY_AUTH_MODE"] == "token"
    folder = environment["RAY_AUTH_TOKEN_PATH"].rsplit("/", 1)[0]
    assert folder in config["file_mounts"], "the token's folder must be mounted on every node"
    (start,) = [command for command in config["head_start_ray_commands"] if "--head" in command]
    assert "--dashboard-host=127.0.0.1" in start
    for node_type in config["available_node_types"].values():
        node = node_type["node_config"]
        # Without a security group of its own, the launcher makes one that opens SSH to the whole internet; without a
        # profile of its own, the head gets one with all of EC2 and all of S3.
        assert node["SecurityGroupIds"] == [SECURITY_GROUP]
        assert node["MetadataOptions"]["HttpTokens"] == "required"
        assert f":{ACCOUNT}:instance-profile/interpunct-" in node["IamInstanceProfile"]["Arn"]


@pytest.fixture
def simulated_aws(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[dict[str, str]]:
    """An AWS account in memory, as docs/cluster.md leaves it before `ray up`."""
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "simulated")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("HOME", str(tmp_path))  # the launcher writes its SSH key below it
    logging.getLogger("ray.autoscaler._private.cli_logger").setLevel(logging.ERROR)
    with mock_aws():
        ec2 = boto3.resource("ec2", region_name=REGION)
        vpc = next(iter(ec2.vpcs.all()))
        group = ec2.create_security_group(GroupName="interpunct", Description="interpunct", VpcId=vpc.id)
        iam = boto3.client("iam")
        for profile in ("interpunct-head", "interpunct-worker"):
            iam.create_instance_profile(InstanceProfileName=profile)
        image = ec2.meta.client.describe_images()["Images"][0]["ImageId"]
        yield {"account": ACCOUNT, "ami": image, "bucket": "example-bucket", "security_group": group.id}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_simulated_ec2_starts_every_kind_of_node(text, simulated_aws, monkeypatch):
    """The launcher's own code against moto: it completes the node types, and EC2 answers with running instances."""
    import boto3
    from ray.autoscaler._private.aws import config as launcher
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler.tags import TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

    complete = launcher.bootstrap_aws(prepared(yaml.safe_load(filled(text, **simulated_aws))))
    provider = AWSNodeProvider(complete["provider"], complete["cluster_name"])
    for name, node_type in complete["available_node_types"].items():
        kind = "head" if name == complete["head_node_type"] else "worker"
        tags = {TAG_RAY_NODE_KIND: kind, TAG_RAY_USER_NODE_TYPE: name, TAG_RAY_LAUNCH_CONFIG: "hash"}
        provider.create_node(copy.deepcopy(node_type["node_config"]), tags, 1)

    instances = list(boto3.resource("ec2", region_name=REGION).instances.all())
    assert sorted((i.instance_type, i.instance_lifecycle) for i in instances) == [
        ("c7i.4xlarge", "spot"),
        ("g6.xlarge", None),
        ("m7i.xlarge", None),
    ]
    for instance in instances:
        assert [group["GroupId"] for group in instance.security_groups] == [simulated_aws["security_group"]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_declared_cpus_and_gpus_are_the_instances_own(text, simulated_aws):
    """The head apart, which offers none on purpose: a wrong number would starve nodes or crowd them."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    config = prepared(yaml.safe_load(filled(text, **simulated_aws)))
    detected = copy.deepcopy(config)
    for node_type in detected["available_node_types"].values():
        node_type["resources"] = {}
    detected = AWSNodeProvider.fillout_available_node_types_resources(detected)
    for name in ("gpu_worker", "cpu_worker"):
        own = detected["available_node_types"][name]["resources"]
        declared = config["available_node_types"][name]["resources"]
        assert declared == {resource: own[resource] for resource in ("CPU", "GPU") if resource in own}
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}
