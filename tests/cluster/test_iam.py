"""The IAM policies, enforced by a simulated AWS: enough for what a run, a report and the launcher do, and no more."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count
from moto.server import ThreadedMotoServer

import store.objects.s3
from jobs.config import RunConfig
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_book, survey
from jobs.errors import SourceError
from store.errors import StoreError
from store.objects.locations import object_store
from tests.cluster.artefacts import LAUNCHER, ROOT, filled

pytestmark = pytest.mark.deploy

ACCOUNT = "123456789012"
REGION = "us-west-2"

REFUSED = r"access denied \(AccessDenied\)"

enforced = set_initial_no_auth_action_count(0)
"""Decorates a function in which moto checks every request against the caller's policies."""


def policy(name: str, bucket: str = "") -> dict[str, Any]:
    text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
    return json.loads(filled(text, bucket=bucket, account=ACCOUNT))


def reads_of(document: dict[str, Any]) -> dict[str, Any]:
    """The statements that docs/cluster.md gives to those who only query and report."""
    reads = [statement for statement in document["Statement"] if statement["Sid"].startswith(("List", "Read"))]
    return {**document, "Statement": reads}


@pytest.fixture
def administrator(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of someone who may do everything."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "administrator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "administrator")
    yield monkeypatch
    store.objects.s3.client.cache_clear()


@pytest.fixture
def account(administrator: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An empty AWS account in memory."""
    with mock_aws():
        yield administrator


@pytest.fixture
def served_account(administrator: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An empty AWS account behind a real HTTP server, for libraries that do not go through botocore."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    administrator.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield administrator
    server.stop()


def make_bucket(name: str) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=name, Key="study/study.json", Body=b"{}")
    s3.put_object(Bucket=name, Key="books/one.txt", Body=b"text")
    s3.put_object(Bucket=name, Key="private/one.txt", Body=b"text")


def become_holder_of(document: dict[str, Any], environment: pytest.MonkeyPatch) -> None:
    """From here on, requests are those of a user with this one policy."""
    iam = boto3.client("iam")
    iam.create_user(UserName="node")
    iam.put_user_policy(UserName="node", PolicyName="policy", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="node")["AccessKey"]
    environment.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    environment.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    store.objects.s3.client.cache_clear()  # the client that the store has at hand is someone else's


def test_a_node_can_do_all_that_the_store_does(account):
    make_bucket("for-nodes")
    become_holder_of(policy("iam-policy.json", "for-nodes"), account)

    @enforced
    def use() -> None:
        objects = object_store("s3://for-nodes/study")
        assert objects.put_new("pairs/one.parquet", b"one")
        assert objects.put_new("pairs/one.parquet", b"one"), "the same bytes count as this attempt's own"
        assert not objects.put_new("pairs/one.parquet", b"two")
        objects.put("_lock.json", b"{}")
        assert objects.read("pairs/one.parquet") == b"one"
        assert {stored.path for stored in objects.walk("pairs/")} == {"pairs/one.parquet"}
        objects.delete("_lock.json")
        assert object_store("s3://for-nodes/books").read("one.txt") == b"text"

    use()


def test_a_node_can_change_nothing_but_the_study(account):
    make_bucket("for-guests")
    become_holder_of(policy("iam-policy.json", "for-guests"), account)

    @enforced
    def use() -> None:
        with pytest.raises(StoreError, match=REFUSED):
            object_store("s3://for-guests/books").put("one.txt", b"changed")
        with pytest.raises(StoreError, match=REFUSED):
            object_store("s3://for-guests/books").delete("one.txt")
        with pytest.raises(ClientError, match="AccessDenied"):
            boto3.session.Session().client("iam").create_user(UserName="another")

    use()


def test_a_node_can_find_and_read_the_books(served_account):
    """Books are read by another library than the store's, which asks S3 in other ways."""
    make_bucket("with-books")
    become_holder_of(policy("iam-policy.json", "with-books"), served_account)

    @enforced
    def use() -> None:
        (source,) = expand_sources(["s3://with-books/books/"], RunConfig())
        (book,) = survey(source, RunConfig())
        assert read_book(book, RunConfig()) == b"text"
        with pytest.raises(SourceError):
            read_book(replace(book, uri="s3://with-books/private/one.txt"), RunConfig())

    use()


def test_a_reader_can_read_and_no_more(account):
    make_bucket("for-readers")
    become_holder_of(reads_of(policy("iam-policy.json", "for-readers")), account)

    @enforced
    def use() -> None:
        objects = object_store("s3://for-readers/study")
        assert objects.read("study.json") == b"{}"
        assert [stored.path for stored in objects.walk()] == ["study.json"]
        with pytest.raises(StoreError, match=REFUSED):
            objects.put_new("pairs/one.parquet", b"one")
        with pytest.raises(StoreError, match=REFUSED):
            objects.delete("study.json")

    use()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_head_may_call_what_the_autoscaler_calls(account):
    """Ray's own provider starts, lists and ends a node, while each call that it makes is noted."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler._private.aws.utils import resource_cache
    from ray.autoscaler.tags import TAG_RAY_LAUNCH_CONFIG, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

    image = boto3.client("ec2").describe_images()["Images"][0]["ImageId"]
    subnet = boto3.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    config = yaml.safe_load(filled(LAUNCHER.read_text(encoding="utf-8"), account=ACCOUNT, ami=image))
    node = copy.deepcopy(config["available_node_types"]["cpu_worker"]["node_config"])
    del node["SecurityGroupIds"], node["IamInstanceProfile"]
    resource_cache.cache_clear()  # clients of an earlier test, which belong to another account
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    calls: set[str] = set()
    for resource in (provider.ec2, provider.ec2_fail_fast):
        resource.meta.client.meta.events.register(
            "before-call.ec2", lambda model, **rest: calls.add(f"ec2:{model.name}")
        )
    tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: "cpu_worker", TAG_RAY_LAUNCH_CONFIG: "hash"}
    provider.create_node({**node, "SubnetIds": [subnet]}, tags, 1)
    (worker,) = provider.non_terminated_nodes({})
    provider.set_node_tags(worker, {"ray-node-status": "up-to-date"})
    provider.terminate_node(worker)
    assert provider.non_terminated_nodes({}) == []

    allowed = {
        action
        for statement in policy("iam-head.json")["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert {"ec2:RunInstances", "ec2:DescribeInstances", "ec2:TerminateInstances"} <= calls
    assert calls <= allowed
    assert not any(action.endswith("*") for action in allowed), "each action is named"


def test_roles_can_be_taken_by_instances_alone():
    (statement,) = policy("iam-trust.json")["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
