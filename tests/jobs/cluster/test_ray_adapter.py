"""What failures mean, where models are placed, and guards for several machines."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import ray
import ray.exceptions

from jobs.account.display import Lines
from jobs.account.tally import Tally
from jobs.cluster import nodes
from jobs.cluster.extractors import place
from jobs.cluster.metrics import COUNTERS, Metrics
from jobs.cluster.ray_adapter import Cluster, failure_of
from jobs.cluster.survey import SOURCES_PER_TASK, survey_on_ray
from jobs.cluster.unit_scheduler import Fault
from jobs.config import RunConfig, StudyConfig
from jobs.corpus.references import BookRef, Source
from jobs.errors import JobError, SourceError, UsageError
from jobs.model.models import RecordedModel
from jobs.stages.prepare import RunContext
from jobs.stages.stages import Stages
from store.errors import StoreFull, StoreUnavailable
from tests.jobs.injection import crash

MODEL = RecordedModel("smollm2", "sha256:of the file")


def died_with(message: str) -> ray.exceptions.ActorDiedError:
    error = ray.exceptions.ActorDiedError()
    error._error_msg = error.error_msg = message
    error.args = (message,)
    return error


def test_failures_are_told_apart():
    cases = {
        ray.exceptions.WorkerCrashedError(): (Fault.UNIT, "quarantined", "its process died"),
        ray.exceptions.OutOfMemoryError("killed on node 1, its node died of it"): (Fault.UNIT, "quarantined", "memory"),
        ray.exceptions.ObjectLostError("00" * 28, None, ""): (Fault.LOST, "failed", "lost"),
        ray.exceptions.NodeDiedError("node gone"): (Fault.LOST, "failed", "lost"),
        died_with("The actor is dead because its node has died."): (Fault.LOST, "failed", "lost"),
        died_with("The actor is dead because its worker process has died."): (Fault.UNIT, "quarantined", "died"),
        ValueError("no such bin"): (Fault.UNIT, "quarantined", "ValueError: no such bin"),
        OSError("disk full"): (Fault.UNIT, "failed", "OSError: disk full"),
        SourceError("404"): (Fault.UNIT, "failed", "SourceError: 404"),
        StoreFull("no space"): (Fault.RUN, "failed", "StoreFull: no space"),
        StoreUnavailable("503"): (Fault.RUN, "failed", "StoreUnavailable: 503"),
        UsageError("another model"): (Fault.RUN, "failed", "UsageError: another model"),
    }
    for error, (fault, status, reason) in cases.items():
        failure = failure_of(error)
        assert (failure.fault, failure.status) == (fault, status), error
        assert reason in failure.reason
        assert failure.error is (error if fault is Fault.RUN else None)


def test_models_go_to_gpus_where_there_are_some_and_share_the_cores_where_not():
    context = RunContext("s", StudyConfig(), RunConfig(), "f", "r", MODEL)
    with_gpus = place(context, Cluster(2, 32, 8, 1 << 30, 1 << 30))
    assert (with_gpus.count, with_gpus.gpus, with_gpus.device) == (8, 1, "cuda")
    without = place(context, Cluster(1, 2, 0, 1 << 30, 1 << 30))
    assert (without.count, without.cpus, without.gpus, without.threads, without.device) == (1, 0, 0, 2, "cpu")
    several = place(context, Cluster(3, 8, 0, 1 << 30, 1 << 30))
    assert (several.count, several.cpus) == (1, 1)
    greedy = RunContext("s", StudyConfig(), RunConfig(extractors=9), "f", "r", MODEL)
    assert place(greedy, Cluster(3, 8, 0, 1 << 30, 1 << 30)).count == 7
    ordered = RunContext("s", StudyConfig(), RunConfig(device="cuda", extractors=4, address="auto"), "f", "r", MODEL)
    assert place(ordered, Cluster(1, 8, 0, 1 << 30, 1 << 30)).count == 4


def test_a_gpu_asked_for_on_a_machine_without_one_is_refused_and_not_waited_for():
    context = RunContext("s", StudyConfig(), RunConfig(device="cuda"), "f", "r", MODEL)
    with pytest.raises(UsageError, match="Ray finds no GPU on this machine; use --device cpu"):
        place(context, Cluster(1, 8, 0, 1 << 30, 1 << 30))
    assert place(context, Cluster(1, 8, 2, 1 << 30, 1 << 30)).count == 2


def test_a_node_with_another_version_or_without_the_store_is_named():
    here = nodes.versions()
    nodes._check("worker7", here, True, "/data/store")
    with pytest.raises(UsageError, match=r"node worker7 has torch 1\.0 and the driver"):
        nodes._check("worker7", {**here, "torch": "1.0"}, True, "/data/store")
    with pytest.raises(UsageError, match=r"node worker7 does not see the folder of store /data/store; .* s3://"):
        nodes._check("worker7", here, False, "/data/store")


def test_the_probe_leaves_nothing_behind_and_is_not_made_on_s3(tmp_path):
    with nodes._probe(str(tmp_path / "not" / "yet")) as probe:
        assert Path(probe).parent == tmp_path
        assert Path(probe).exists()
    assert list(tmp_path.iterdir()) == []
    with nodes._probe("s3://bucket/store") as probe:
        assert probe is None


def look_until(newcomers: nodes.Newcomers, enough, seconds: float = 30.0) -> list[str]:
    found, end = newcomers.differences(), time.monotonic() + seconds
    while not enough(found) and time.monotonic() < end:
        time.sleep(0.05)
        found += newcomers.differences()
    return found


@pytest.fixture
def newcomers(ray_cluster, tmp_path, monkeypatch) -> nodes.Newcomers:
    """Of a cluster whose only node is yet to join."""
    with monkeypatch.context() as patch:
        patch.setattr(nodes, "_alive", dict)
        return nodes.Newcomers(str(tmp_path / "store"))


def test_a_node_that_joins_and_fits_is_asked_once_and_leaves_no_trace(newcomers, tmp_path):
    assert newcomers.differences() == []
    assert list(tmp_path.glob(".interpunct-probe-*"))
    assert look_until(newcomers, lambda found: not newcomers._asked) == []
    assert list(tmp_path.iterdir()) == []
    newcomers.differences()
    assert not newcomers._asked


def test_a_node_that_joins_with_another_version_is_told_and_ends_nothing(newcomers, monkeypatch):
    monkeypatch.setattr(nodes, "versions", lambda: {"torch": "1.0"})
    (problem,) = look_until(newcomers, bool)
    assert re.fullmatch(r"node \S+ has torch \S+ and the driver 1\.0; give all nodes the same image", problem)


def test_a_node_that_joins_and_never_answers_holds_nothing_up(newcomers, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "_ask", lambda node, probe: ray.ObjectRef.nil())
    monkeypatch.setattr(nodes.ray, "wait", lambda answers, **options: ([], answers))
    started = time.monotonic()
    assert newcomers.differences() == []
    assert time.monotonic() - started < 5.0
    monkeypatch.setattr(nodes, "ANSWER_SECONDS", 0.0)
    (problem,) = newcomers.differences()
    assert "did not answer" in problem
    assert newcomers.differences() == []
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_goes_away_while_it_is_asked_is_named(newcomers, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "_alive", lambda: {"ab" * 28: "worker7", "cd" * 28: "worker8"})
    problems = look_until(newcomers, lambda found: len(found) == 2)
    assert all(re.match(r"node worker[78] could not be checked: ", problem) for problem in problems)
    with pytest.raises(JobError, match=r"node worker[78] could not be checked: "):
        nodes.check_nodes(str(tmp_path / "store"))


def test_metrics_pass_on_what_has_changed(monkeypatch):
    told: dict[str, float] = {}

    class Counter:
        def __init__(self, name, description):
            self.name = name

        def inc(self, value):
            told[self.name] = told.get(self.name, 0) + value

    class Gauge:
        def __init__(self, name, description, tag_keys):
            pass

        def set(self, value, tags):
            told[tags["stage"]] = value

    monkeypatch.setattr("jobs.cluster.metrics.Counter", Counter)
    monkeypatch.setattr("jobs.cluster.metrics.Gauge", Gauge)
    metrics, tally = Metrics(), Tally(pairs=10, queues={"pairs": 4})
    metrics.update(tally)
    tally.pairs = 25
    metrics.update(tally)
    assert told == {"interpunct_pairs": 25, "pairs": 4}
    assert all(hasattr(tally, number) for number, _ in COUNTERS.values())


def survey_or_crash(sources, run):
    if any("deadly" in source.uri for source in sources):
        crash()
    return [BookRef(source.uri, source.uri, sha256=source.uri) for source in sources]


@pytest.mark.usefixtures("ray_cluster")
def test_many_sources_are_surveyed_in_order_and_a_deadly_one_is_named_alone(tmp_path):
    number = 3 * SOURCES_PER_TASK
    sources = [Source(f"/b{index}") for index in range(number)]
    sources[20] = Source("/deadly")
    sources.insert(5, BookRef("lost", "/lost", problem="it does not exist"))
    found = list(survey_on_ray(sources, RunConfig(), Stages(survey=survey_or_crash), Lines()))
    assert [ref.uri for ref in found] == [source.uri for source in sources]
    problems = {ref.uri: ref.problem for ref in found if ref.problem}
    assert problems == {"/lost": "it does not exist", "/deadly": "/deadly: it cannot be surveyed: its process died"}
