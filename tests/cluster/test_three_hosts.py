"""Three hosts, one of them cut off in mid-run without a goodbye: the run ends soon after, with the same rows.

The hosts share no folder and nothing but a switch; the study lives on an S3 server that runs on the first of them.
Needs root and iproute2, and takes a few minutes: `make test-slow`.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.cluster.ray_start import CLUSTER_ENVIRONMENT
from store.query.reader import open_store
from tests.cluster.artefacts import ROOT
from tests.cluster.hosts import Host, network, wait_until, why_not

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

BOOKS = 40
RECOVERY = 60.0
"""Seconds that losing a host may cost a run."""

S3_PORT, RAY_PORT = 5000, 6379
STORE = "s3://library/study"
SETTINGS = ["--per-class", "60", "--books-per-shard", "1"]
OBJECT_STORE = 200_000_000

_COPY = """
import sys
from pathlib import Path
from store.objects.locations import object_store
source, target = object_store(sys.argv[1]), Path(sys.argv[2])
for stored in source.walk():
    path = target / stored.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.read(stored.path))
"""


@dataclass(frozen=True)
class Cluster:
    """Three hosts with Ray on each, and the S3 server's log of who asked for what."""

    hosts: list[Host]
    environment: dict[str, str]
    requests: Path

    @property
    def head(self) -> Host:
        return self.hosts[0]

    @property
    def address(self) -> str:
        """Where Ray's head is reached."""
        return f"{self.head.address}:{RAY_PORT}"

    def writes(self, folder: str, of: Host | None = None) -> int:
        """How many objects of a folder of the study were written, by all hosts or by one."""
        client = re.escape(of.address) if of else r"\S+"
        pattern = re.compile(rf'^{client} .*"PUT /library/study/{folder}/\S+ HTTP/1.1\S* 200', re.MULTILINE)
        return len(pattern.findall(self.requests.read_text(encoding="utf-8", errors="replace")))


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, sample_text: str) -> Path:
    """Short books: the paragraphs of the sample in different orders."""
    folder = tmp_path_factory.mktemp("books")
    paragraphs = sample_text.split("\n\n")
    for number in range(BOOKS):
        shuffled = random.Random(number).sample(paragraphs, len(paragraphs))
        (folder / f"book{number:02d}.txt").write_text("\n\n".join(shuffled), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def undisturbed(books: Path, tiny_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study by the plain loop on this machine."""
    store = tmp_path_factory.mktemp("undisturbed") / "study"
    command = [sys.executable, "-m", "interpunct", "run", str(books), "--store", str(store), "--serial"]
    subprocess.run([*command, "--model", str(tiny_gpt2), *SETTINGS], cwd=ROOT, check=True, capture_output=True)
    return store


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    # Short, since Ray's socket paths below it may have 107 characters at most.
    folder = tmp_path_factory.mktemp("3h")
    with network(3, folder) as hosts:
        environment = {
            **CLUSTER_ENVIRONMENT,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_USAGE_STATS_ENABLED": "0",
            "AWS_ENDPOINT_URL": f"http://{hosts[0].address}:{S3_PORT}",
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_DEFAULT_REGION": "us-east-1",
            "HF_HUB_OFFLINE": "1",
        }
        requests = folder / "requests.log"
        with requests.open("wb") as log:
            hosts[0].start(["moto_server", "--host", hosts[0].address, "--port", str(S3_PORT)], {}, log)
        wait_until(lambda: "Running on" in requests.read_text(encoding="utf-8"), 60, "the S3 server's start")
        make_bucket = "import boto3; boto3.client('s3').create_bucket(Bucket='library')"
        hosts[0].run(["python", "-c", make_bucket], environment, 60)
        cluster = Cluster(hosts, environment, requests)
        for host in hosts:
            start_ray(cluster, host, environment)
        yield cluster


def start_ray(cluster: Cluster, host: Host, environment: dict[str, str]) -> None:
    """Start Ray on a host and wait until it runs."""
    role = ["--head", f"--port={RAY_PORT}"] if host is cluster.head else [f"--address={cluster.address}"]
    options = ["--num-cpus=2", f"--object-store-memory={OBJECT_STORE}", f"--temp-dir={host.home / 'r'}"]
    command = ["ray", "start", f"--node-ip-address={host.address}", *role, *options, "--block"]
    log = host.folder / "ray.log"
    with log.open("wb") as output:
        host.start(command, environment, output)
    wait_until(lambda: "Ray runtime started" in log.read_text(encoding="utf-8"), 90, "Ray's start")


def run_command(cluster: Cluster, books: Path, model: Path, store: str) -> list[str]:
    command = ["interpunct", "run", str(books), "--store", store, "--address", cluster.address, "--model", str(model)]
    return [*command, "--extractors", "3", *SETTINGS]


def rows(store: Path, view: str) -> list[tuple]:
    with open_store(store) as study:
        return study.sql(f"SELECT * FROM {view} ORDER BY ALL").fetchall()


def test_without_the_token_the_cluster_is_closed(cluster, books, tiny_gpt2):
    stranger = {**cluster.environment, "RAY_AUTH_TOKEN": "another token"}
    told = cluster.head.run(run_command(cluster, books, tiny_gpt2, STORE), stranger, 120, code=2)
    assert cluster.address in told
    assert "Traceback" not in told
    assert cluster.writes("_commits") == 0


def test_a_folder_that_is_not_shared_is_refused(cluster, books, tiny_gpt2):
    store = cluster.head.home / "study"
    told = cluster.head.run(run_command(cluster, books, tiny_gpt2, str(store)), cluster.environment, 240, code=2)
    assert re.search(r"node \S+ does not see the folder of store", told), told
    assert str(store) in told
    assert not (cluster.head.folder / "study").exists()


# The last one in the file, since it leaves the cluster with a host less.
def test_a_host_is_cut_off_in_mid_run(cluster, books, tiny_gpt2, undisturbed, tmp_path):
    lost = cluster.hosts[2]
    log = tmp_path / "run.log"
    with log.open("wb") as output:
        run = cluster.head.start(run_command(cluster, books, tiny_gpt2, STORE), cluster.environment, output)

    def commits() -> int:
        return cluster.writes("_commits") - 1  # the first entry of the log is the run's term

    def committed(shards: int) -> bool:
        assert run.poll() is None, f"the run ended early:\n{log.read_text(encoding='utf-8')}"
        return commits() >= shards

    wait_until(lambda: committed(1), 600, "the first commit")
    under_way = wait_until(
        lambda: committed(BOOKS // 4) and cluster.writes("pairs", lost) >= 10, 300, "a quarter, the third host at work"
    )
    lost.pull_cable()
    cut, done_then, written_then = time.monotonic(), commits(), cluster.writes("pairs", lost)
    assert done_then < BOOKS, "the run was over before the host was cut off"
    pace = under_way / done_then

    code = run.wait(timeout=400)
    ended = time.monotonic()
    told = log.read_text(encoding="utf-8")
    assert code == 0, told
    assert cluster.writes("pairs", lost) == written_then, "the host was not cut off"
    # What was left would have taken two hosts half as long again as three.
    expected = (BOOKS - done_then) * pace * 1.5
    print(
        f"cut after {done_then} of {BOOKS} shards; {expected:.0f} s of work were left, ended {ended - cut:.0f} s later"
    )
    assert ended - cut < expected + RECOVERY, told

    copied = tmp_path / "study"
    cluster.head.run(["python", "-c", _COPY, STORE, str(copied)], cluster.environment, 120)
    for view in ("pairs", "tokens", "activations", "summaries", "books"):
        assert rows(copied, view) == rows(undisturbed, view), f"{view} differs from the undisturbed run's"
