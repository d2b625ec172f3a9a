"""Guards for a cluster of several machines: the same code everywhere, and a store that every machine sees."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.errors import JobError, UsageError
from store.locations import is_remote

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
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    if len(nodes) < 2:
        return
    with _probe(location) as probe:
        answers = {
            _inspect.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(probe): name
            for node, name in nodes.items()
        }
        ready, missing = ray.wait(list(answers), num_returns=len(answers), timeout=ANSWER_SECONDS)
        if missing:
            raise JobError(f"node {answers[missing[0]]} did not answer within {ANSWER_SECONDS:.0f} s; see `ray status`")
        for answer in ready:
            found, sees_store = ray.get(answer)
            _check(answers[answer], found, sees_store, location)


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
