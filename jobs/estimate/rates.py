"""How fast this machine runs a study: its model on its own sequences, its measures and clusters on random vectors."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence

import numpy as np

from analysis.clusters import clusters_of, standardised
from analysis.engine.cores import usable_cores
from analysis.pairing import BookVectors
from jobs.config import RunConfig, StudyConfig
from jobs.estimate.estimate import Rates
from jobs.model.batch_size import MARKS_APART, WITHOUT_GPU
from jobs.model.encoder import beginning_of_text
from jobs.model.hidden_states import HiddenStates
from jobs.stages.compute import pair_options
from jobs.stages.partition import PairShape

_PROBE_SEQUENCES = {"passage": 2, "window": 16}
_PROBE_MARKS = 192


def measure_rates(config: StudyConfig, run: RunConfig) -> Rates:
    """Time the study's model on a few of its sequences, and its measures on random vectors, on this machine."""
    count = min(config.batch_size or WITHOUT_GPU[config.context], _PROBE_SEQUENCES[config.context])
    model = HiddenStates(
        config.model, revision=config.revision, dtype=config.dtype, device=run.device, batch_size=count
    )
    where = f"{platform.node()}, {model.device.type}"
    within, between = _pair_rates(config, model.width)
    clusters = _cluster_rate(model.width)
    return Rates(_token_rate(model, config, count), within, between, clusters, usable_cores(), where)


def _token_rate(model: HiddenStates, config: StudyConfig, count: int) -> float:
    """Tokens per second through the model, with `count` of the study's own sequences at once."""
    random = np.random.default_rng(0)
    sequences = random.integers(0, model.identity.vocabulary, (count, _sequence_length(config)))
    if config.context == "window":
        return sequences.size / _seconds(lambda: model.states(sequences))
    places = np.arange(0, sequences.size, MARKS_APART)
    rows, columns = np.divmod(places, sequences.shape[1])
    return sequences.size / _seconds(lambda: model.states_at(sequences, rows, columns))


def _pair_rates(config: StudyConfig, width: int) -> tuple[float, float]:
    """Pairs of a class and of two classes per second, with all that their vectors need before."""
    random = np.random.default_rng(0)
    classes = ("one", "other")
    states = {name: random.standard_normal((_PROBE_MARKS, width)).astype(np.float32) for name in classes}
    passages = {name: np.arange(_PROBE_MARKS) // 10 for name in classes}

    def vectors(names: Sequence[str]) -> BookVectors:
        return BookVectors({n: states[n] for n in names}, {n: passages[n] for n in names}, pair_options(config))

    within = _seconds(lambda: vectors(classes[:1]).within("one", 0, _PROBE_MARKS))
    between = _seconds(lambda: vectors(classes).between("one", "other", 0, _PROBE_MARKS))
    return PairShape(_PROBE_MARKS).total / within, PairShape(_PROBE_MARKS, _PROBE_MARKS).total / between


def _cluster_rate(width: int) -> float:
    """Marks per second among which clusters are looked for; there are two to be found, as often in real layers."""
    random = np.random.default_rng(0)
    apart = 3 * np.outer(np.arange(_PROBE_MARKS) % 2, random.standard_normal(width))
    states = (random.standard_normal((_PROBE_MARKS, width)) + apart).astype(np.float32)
    vectors = standardised(states, np.ones(states.shape, dtype=bool))
    return _PROBE_MARKS / _seconds(lambda: clusters_of(vectors, np.arange(_PROBE_MARKS) // 10))


def _sequence_length(config: StudyConfig) -> int:
    """Tokens of what the model reads at once, the beginning of a text included."""
    opening = len(beginning_of_text(config.model, config.revision, config.bos))
    return opening + (config.passage_tokens if config.context == "passage" else config.before + 1)


def _seconds(work: Callable[[], object]) -> float:
    """Seconds of the second of two calls: the first one compiles and warms up."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
