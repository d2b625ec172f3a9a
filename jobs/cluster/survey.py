"""The survey of many sources on a cluster: a bounded number of tasks under way, results in the order of the sources."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import ray
import ray.exceptions

from jobs.account.display import Listener
from jobs.cluster.ray_adapter import failure_of, survey_remotely
from jobs.config import RunConfig
from jobs.corpus.references import BookRef, Source, UnreadableSourceError
from jobs.corpus.survey import refused
from jobs.stages.stages import Stages

SOURCES_PER_TASK = 16


def survey_on_ray(
    sources: Sequence[Source | BookRef], run: RunConfig, stages: Stages, listener: Listener
) -> Iterator[BookRef]:
    """References of all texts. Sources whose survey kills its worker become references with a problem."""
    shared, settings = ray.put(stages), ray.put(run)
    ahead = 2 * max(1, int(ray.cluster_resources().get("CPU", 1))) + 2
    under_way: deque[tuple[list[Source], Any]] = deque()
    for some in _batches(sources):
        if isinstance(some, BookRef):
            under_way.append(([], [some]))
        else:
            under_way.append((some, survey_remotely.remote(shared, some, settings)))
        while len(under_way) > ahead:
            yield from _result(*under_way.popleft(), shared, settings, listener)
    while under_way:
        yield from _result(*under_way.popleft(), shared, settings, listener)


def _result(sources: list[Source], result: Any, stages: Any, run: Any, listener: Listener) -> Iterator[BookRef]:
    """The references of one task; after a failure each source is tried alone, so that only the bad one is lost."""
    if isinstance(result, list):
        yield from result
        return
    try:
        yield from ray.get(result)
    except ray.exceptions.RayError as error:
        reason = failure_of(error).reason
        if len(sources) == 1:
            yield refused(sources[0].uri, UnreadableSourceError(f"it cannot be surveyed: {reason}"))
            return
        listener.line("survey failed; trying its sources one by one", sources=len(sources), reason=reason)
        for source in sources:
            yield from _result([source], survey_remotely.remote(stages, [source], run), stages, run, listener)


def _batches(sources: Sequence[Source | BookRef]) -> Iterator[list[Source] | BookRef]:
    """Sources in groups; what is a reference already stays in its place in the order."""
    some: list[Source] = []
    for source in sources:
        if isinstance(source, Source):
            some.append(source)
        if some and (len(some) == SOURCES_PER_TASK or isinstance(source, BookRef)):
            yield some
            some = []
        if isinstance(source, BookRef):
            yield source
    if some:
        yield some
