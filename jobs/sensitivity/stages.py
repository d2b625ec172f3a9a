"""The stages of a trial, for the loops that run them: as a study's, but for what is computed of a block and stored.

Prepare, extract, compute, finish: a shard is one trial of one book. Nothing is published before the end, since a
trial's numbers are few; its one file of the table `sensitivity` is committed like any shard, once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analysis.contrasts import PairSums
from analysis.specifications import Contrasted, Measuring, contrasted
from analysis.specifications import Trial as Vectors
from jobs.model.batch_size import WITHOUT_GPU
from jobs.model.models import check_model
from jobs.sensitivity.grid import FIRST_HALF, UNTRAINED, WHOLE, Specification, Trial
from jobs.sensitivity.kept import extract_kept
from jobs.sensitivity.reading import TrialLayout, prepare_trial
from jobs.sensitivity.table import SpecificationRows, sensitivity_table
from jobs.stages.compute import BlockReceipt
from jobs.stages.extract import Block, StatesModel, extract_blocks
from jobs.stages.prepare import PreparedShard, RunContext
from jobs.stages.stages import Stages
from store.commits import CommitRecord, Tried
from store.keys import BlockKey, ChunkKey
from store.writer import publish_chunk

UNTRAINED_SEED = 0
"""Of the weights that are drawn for the control: a study has one such model."""


@dataclass(frozen=True)
class Estimated:
    """One specification in one layer: what was estimated, from how many marks of each class and passages."""

    contrasted: Contrasted
    marks: tuple[int, int]
    passages: int


@dataclass(frozen=True)
class TrialReceipt(BlockReceipt):
    """What computing a block of a trial gave: `estimated`, by the names of specifications."""

    estimated: Mapping[str, Estimated] = field(default_factory=dict)


def trial_stages(trials: Mapping[str, Trial]) -> Stages:
    """The stages of a run over trials, which are found by the names of shards."""
    return Stages(
        prepare=functools.partial(prepare_trial, trials),
        load=ModelOfTrials,
        extract=functools.partial(extract_trial, trials),
        compute=functools.partial(compute_trial, trials),
        finish=functools.partial(finish_trial, trials),
    )


class ModelOfTrials:
    """The study's model with its own weights or with untrained ones: one at a time, loaded when it is asked for."""

    def __init__(self, context: RunContext, device: str) -> None:
        self._context, self._device = context, device
        self._loaded: tuple[str, StatesModel] | None = None

    def kept(
        self, prepared: PreparedShard, ordinals: Sequence[NDArray[np.int64]], wanted: Collection[BlockKey] | None
    ) -> Iterator[Block]:
        """The blocks of marks whose states the study keeps; no model is loaded."""
        return extract_kept(self._context.location, self._context.run_id, prepared, ordinals, wanted)

    def with_weights(self, weights: str, context: str) -> StatesModel:
        """The model, ready for passages or windows."""
        if self._loaded is None or self._loaded[0] != weights:
            self._loaded = None  # let go of the other one first
            self._loaded = (weights, self._load(weights))
        model = self._loaded[1]
        own = self._context.config
        model.batch_size = (own.batch_size if own.context == context else None) or WITHOUT_GPU[context]
        return model

    def _load(self, weights: str) -> StatesModel:
        from jobs.model.hidden_states import HiddenStates

        model = self._context.model
        check_model(model)
        return HiddenStates(
            model.name,
            revision=model.revision,
            dtype=self._context.config.dtype,
            device=self._device,
            untrained=UNTRAINED_SEED if weights == UNTRAINED else None,
        )


def extract_trial(
    trials: Mapping[str, Trial],
    models: ModelOfTrials,
    prepared: PreparedShard,
    wanted: Collection[BlockKey] | None = None,
) -> Iterator[Block]:
    """Yield the blocks of a trial from the model that it asks for, or from the store that keeps its states."""
    trial, layout = trials[prepared.outline.shard.name], prepared.layout
    if trial.kept:
        assert isinstance(layout, TrialLayout)
        return models.kept(prepared, layout.ordinals, wanted)
    condition = trial.condition
    model = models.with_weights(condition.weights, "passage" if condition.before is None else "window")
    return extract_blocks(model, prepared, wanted)


def compute_trial(
    trials: Mapping[str, Trial], context: RunContext, block: Block, leftovers: Mapping[ChunkKey, str] | None = None
) -> TrialReceipt:
    """Estimate every specification of a trial in one layer. Nothing is published.

    Raises ValueError where a hidden state is not finite.
    """
    started = time.perf_counter()
    layout = block.layout
    assert isinstance(layout, TrialLayout)
    specifications = trials[block.key.shard.name].specifications
    by_selection = {name: _Selected.of(block, layout, name) for name in {s.selection for s in specifications}}
    estimated = {s.name: by_selection[s.selection].estimated(s) for s in specifications}
    pairs = sum(by_selection[s.selection].pairs for s in specifications)
    seconds = {"pairs": time.perf_counter() - started}
    return TrialReceipt(block.key, (), {}, {}, pairs, seconds=seconds, estimated=estimated)


class _Selected:
    """The marks of a block that one selection takes, and the sums of their pairs by way of measuring."""

    def __init__(
        self,
        states: Sequence[NDArray[np.float32]],
        passages: Sequence[NDArray[np.int32]],
        touching: NDArray[np.bool_],
    ) -> None:
        self._vectors = Vectors(states[0], states[1], (passages[0], passages[1]))
        self._passages = passages
        self._touching = touching
        self._sums: dict[Measuring, tuple[PairSums, PairSums, PairSums] | None] = {}
        first, second = map(len, states)
        self.pairs = first * (first - 1) // 2 + second * (second - 1) // 2 + first * second

    @classmethod
    def of(cls, block: Block, layout: TrialLayout, selection: str) -> _Selected:
        rows = [layout.rows(0, place) for place in (0, 1)]
        taken = layout.selections[selection]
        states = [np.ascontiguousarray(block.states[of][mask]) for of, mask in zip(rows, taken, strict=True)]
        passages = [layout.passages[of][mask] for of, mask in zip(rows, taken, strict=True)]
        return cls(states, passages, layout.touching)

    def estimated(self, specification: Specification) -> Estimated:
        measuring = specification.measuring
        if measuring not in self._sums:
            self._sums[measuring] = self._vectors.sums(measuring)
        sums = self._sums[measuring]
        kept = _half(specification.half, 1 + max(int(of.max()) for of in self._passages))
        marks = tuple(int(np.isin(of, kept).sum()) for of in self._passages)
        passages = len(np.intersect1d(np.concatenate(self._passages), kept))
        if sums is None:
            nothing = Contrasted(np.full(2, np.nan), np.full((len(kept), 2), np.nan))
            return Estimated(nothing, (marks[0], marks[1]), passages)
        first, second, between = (part.within(kept) for part in sums)
        touching = self._touching[kept[:-1]]
        return Estimated(contrasted((first, second, between), measuring, touching), (marks[0], marks[1]), passages)


def _half(half: str, passages: int) -> NDArray[np.int64]:
    """The passages of the whole sample, or of one half of it."""
    if half == WHOLE:
        return np.arange(passages)
    return np.arange(passages // 2) if half == FIRST_HALF else np.arange(passages // 2, passages)


def finish_trial(
    trials: Mapping[str, Trial], context: RunContext, prepared: PreparedShard, receipts: Sequence[BlockReceipt]
) -> CommitRecord:
    """Publish a trial's rows; the record that commits them, and says what was tried of which text.

    It names no book: those are committed with their pairs.
    """
    layout = prepared.layout
    assert isinstance(layout, TrialLayout)
    shard = prepared.outline.shard
    trial, found = trials[shard.name], sorted(_of_trial(receipts), key=lambda receipt: receipt.key)
    rows = [
        SpecificationRows(
            s,
            trial.condition,
            layout.book[0],
            layout.classes,
            tuple(receipt.key.layer for receipt in found),
            [receipt.estimated[s.name].contrasted for receipt in found],
            found[0].estimated[s.name].marks,
            found[0].estimated[s.name].passages,
        )
        for s in trial.specifications
        if found
    ]
    table = sensitivity_table(rows, context.config.model, context.config.per_class or 0)
    receipt = publish_chunk(context.location, ChunkKey("sensitivity", shard), table, context.run_id)
    tried = Tried(*layout.book, tuple(s.name for s in trial.specifications), len(found))
    return CommitRecord(shard, (receipt,), (), context.run_id, tried=(tried,))


def _of_trial(receipts: Sequence[BlockReceipt]) -> Iterator[TrialReceipt]:
    for receipt in receipts:
        assert isinstance(receipt, TrialReceipt)
        yield receipt
