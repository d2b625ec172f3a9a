"""Guards for a cluster of several machines: the same code everywhere, and a store that every machine sees."""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.errors import JobError, UsageError
from store.objects.locations import is_remote

LIBRARIES = ("interpunct", "ray", "torch", "transformers", "numpy", "numba", "pyarrow")
"""What must have the same version on all machines of a run."""

ANSWER_SECONDS = 180.0
"""How long a node may take to answer: the first worker on a fresh machine imports all libraries."""


def versions() -> dict[str, str]:
    """The versions on this machine."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}


def check_nodes(location: str) -> None:
    """Check that every node runs the same versions and sees the same store; at once where there is one node only.

    Raises UsageError naming the node and what differs there, JobError where a node does not answer.
    """
    nodes = _alive()
    if len(nodes) < 2:
        return
    with _probe(location) as probe:
        answers = {_ask(node, probe): name for node, name in nodes.items()}
        ready, missing = ray.wait(list(answers), num_returns=len(answers), timeout=ANSWER_SECONDS)
        if missing:
            raise JobError(f"node {answers[missing[0]]} did not answer within {ANSWER_SECONDS:.0f} s; see `ray status`")
        for answer in ready:
            _check_answer(answers[answer], answer, location)


class Newcomers:
    """Checks the nodes that join a run, beside its work: they cost it no time, and cannot end it.

    What is to be done about one that differs is for whoever reads the log: hours of work are not thrown away for it.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._known = set(_alive())
        self._asked: dict[Any, tuple[str, float]] = {}
        self._probe = ExitStack()
        self._path: str | None = None

    def differences(self) -> list[str]:
        """Ask the nodes that joined since the last call; what nodes that have answered since then lack."""
        nodes = _alive()
        joined = nodes.keys() - self._known
        self._known |= joined
        found = self._ask(joined, nodes) if joined else []
        for answer, (node, since) in list(self._asked.items()):
            if ray.wait([answer], timeout=0)[0]:
                found += self._problem(node, answer)
            elif time.monotonic() - since > ANSWER_SECONDS:
                found.append(f"node {node} did not answer within {ANSWER_SECONDS:.0f} s; see `ray status`")
            else:
                continue
            del self._asked[answer]
        if not self._asked:
            self.close()
        return found

    def close(self) -> None:
        """Leave nothing behind for nodes that have not answered."""
        self._asked.clear()
        self._probe.close()
        self._path = None

    def _ask(self, joined: Iterable[str], nodes: Mapping[str, str]) -> list[str]:
        try:
            self._path = self._path or self._probe.enter_context(_probe(self._location))
        except UsageError as error:
            return [f"nodes have joined and cannot be checked: {error}"]
        self._asked |= {_ask(node, self._path): (nodes[node], time.monotonic()) for node in joined}
        return []

    def _problem(self, node: str, answer: Any) -> list[str]:
        try:
            _check_answer(node, answer, self._location)
        except JobError as error:
            return [str(error)]
        return []


def _alive() -> dict[str, str]:
    """Host names by node id."""
    return {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}


def _ask(node: str, probe: str | None) -> Any:
    return _inspect.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(probe)


def _check_answer(node: str, answer: Any, location: str) -> None:
    """Raise UsageError where a node's answer shows that it differs, JobError where it went away while it was asked."""
    try:
        found, sees_store = ray.get(answer)
    except ray.exceptions.RayError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise JobError(f"node {node} could not be checked: {reason}") from error
    _check(node, found, sees_store, location)


@ray.remote(num_cpus=0, max_retries=2)
def _inspect(probe: str | None) -> tuple[dict[str, str], bool]:
    return versions(), probe is None or os.path.exists(probe)


def _check(node: str, found: dict[str, str], sees_store: bool, location: str) -> None:
    for name, here in versions().items():
        if found.get(name) != here:
            raise UsageError(
                f"node {node} has {name} {found.get(name)} and the driver {here}; give all nodes the same image"
            )
    if not sees_store:
        raise UsageError(
            f"node {node} does not see the folder of store {location}; on several machines use s3://BUCKET/PREFIX, "
            "or a folder that all of them share at the same path"
        )


@contextmanager
def _probe(location: str) -> Iterator[str | None]:
    """A file in the nearest existing folder of a local store's path, for the nodes to look for; None on S3."""
    if is_remote(location):
        yield None
        return
    folder = Path(location).expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    probe = folder / f".interpunct-probe-{uuid.uuid4().hex}"
    try:
        probe.touch()
        yield str(probe)
    except OSError as error:
        raise UsageError(f"store {location} cannot be written: {error}") from error
    finally:
        probe.unlink(missing_ok=True)
