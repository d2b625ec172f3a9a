"""What to do next, given what is under way: the driver's decisions as a state machine without Ray, clock or disk.

Work on a shard goes through four stages. It is *prepared* (read, tokenized), *extracted* (the model yields its blocks
one by one), each block is *computed* (pairs), and it is *finished* (the remaining tables; then it is committed).

Every unit of work is tried a bounded number of times; a failure that is not the unit's own counts less. A failed
extraction is asked again only for the blocks that are still missing. A shard that goes on failing is split into its
books, so that one bad book takes no other with it, and a book that goes on failing is given up by name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from jobs.corpus.references import NamedBook
from jobs.stages.partition import Limits, ShardWork, block_keys
from store.books import BookStatus
from store.keys import BlockKey, ShardKey


class Stage(Enum):
    """The four kinds of work on a shard."""

    PREPARE = "prepare"
    EXTRACT = "extract"
    COMPUTE = "pairs"
    FINISH = "finish"


@dataclass(frozen=True)
class Unit:
    """One unit of work: a stage of a shard, or of one of its blocks. What logs, errors and retries speak of."""

    stage: Stage
    shard: ShardKey
    block: BlockKey | None = None

    def __str__(self) -> str:
        return f"{self.stage.value} of {self.block or f'shard {self.shard}'}"


@dataclass(frozen=True)
class Launch:
    """Start this unit. `books` for PREPARE; `blocks` for EXTRACT: the ones still missing, in order."""

    unit: Unit
    books: tuple[NamedBook, ...] = ()
    blocks: tuple[BlockKey, ...] = ()


class Fault(Enum):
    """Why a unit failed, as far as it matters for what happens next."""

    UNIT = "unit"
    """The function raised, or the process that ran it died: the unit itself may be at fault."""
    LOST = "lost"
    """A machine, or an object on one, went away: the unit is not at fault, and its input may have to be made again."""
    RUN = "run"
    """What all units share failed, the store or the model's files: the unit is not at fault, and may wait."""


@dataclass(frozen=True)
class GivenUp:
    """A book whose shard of its own kept failing: the status it gets in `books`, and the last reason."""

    book: NamedBook
    status: BookStatus
    reason: str


PATIENCE_FACTOR = 5
"""A unit may be lost with its machine, or find the store away, this many times as often as it may fail by itself."""


@dataclass
class _Progress:
    """One shard under way."""

    work: ShardWork
    blocks: tuple[BlockKey, ...] = ()
    missing: set[BlockKey] = field(default_factory=set)
    computing: set[BlockKey] = field(default_factory=set)
    prepared: bool = False
    busy: Stage | None = Stage.PREPARE
    """The stage in progress other than COMPUTE, which runs beside EXTRACT."""
    usable: bool = True


class Schedule:
    """Decides what to launch; is told what became of it.

    `hold_unusable` holds back shards without any usable book until a model has given a block, so that a new store is
    created only for a run that puts something in it.
    """

    def __init__(
        self,
        shards: Iterable[ShardWork],
        limits: Limits,
        *,
        hidden_layers: int,
        fingerprint: str,
        attempts: int,
        hold_unusable: bool = False,
    ) -> None:
        self.limits = limits
        self.given_up: list[GivenUp] = []
        self.retries = 0
        self.added = 0
        """Shards more than there were, made by splitting."""
        self._waiting: Iterator[ShardWork] = iter(shards)
        self._split: deque[ShardWork] = deque()
        self._again: deque[Launch] = deque()
        self._active: dict[ShardKey, _Progress] = {}
        self._failures: dict[Unit, dict[Fault, int]] = {}
        self._hidden_layers = hidden_layers
        self._fingerprint = fingerprint
        self._attempts = attempts
        self._hold_unusable = hold_unusable
        self._exhausted = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to launch or to wait for (shards held back do not count)."""
        return self._exhausted and not self._split and not self._again and not self._running()

    @property
    def active(self) -> int:
        """Shards under way."""
        return len(self._active)

    def launches(self) -> Iterator[Launch]:
        """What can start now. Each is taken for started; the caller reports its end."""
        while self._again:
            yield self._again.popleft()
        for progress in list(self._active.values()):
            if progress.busy is None:
                launch = self._continue(progress)
                if launch is not None:
                    yield launch
        while self._count(Stage.PREPARE) + self._ready() < self.limits.prepared:
            work = self._next_shard()
            if work is None:
                return
            self._active[work.key] = _Progress(work)
            yield Launch(Unit(Stage.PREPARE, work.key), books=work.books)

    def prepared(self, shard: ShardKey, usable: bool) -> bool:
        """A shard is prepared; whether any of its books is `usable`, so that there are marks to extract.

        False where it had been prepared before, and the first result was lost with a machine.
        """
        progress = self._active[shard]
        progress.busy = None
        if progress.prepared:
            return False
        progress.prepared = True
        progress.blocks = block_keys(shard, self._hidden_layers) if usable else ()
        progress.missing = set(progress.blocks)
        progress.usable = usable
        return True

    def extracted(self, block: BlockKey) -> Launch | None:
        """The model yielded a block: its pairs are to be computed. None where the shard has been given up."""
        progress = self._active.get(block.shard)
        if progress is None or block not in progress.missing:
            return None
        self._hold_unusable = False
        progress.missing.discard(block)
        progress.computing.add(block)
        return Launch(Unit(Stage.COMPUTE, block.shard, block))

    def ended(self, unit: Unit) -> None:
        """A unit ended well: an extraction (all its blocks were yielded), a block's pairs, or a shard's last stage."""
        self._failures.pop(unit, None)
        progress = self._active.get(unit.shard)
        if progress is None:
            return
        if unit.stage is Stage.COMPUTE:
            assert unit.block is not None
            progress.computing.discard(unit.block)
        else:
            progress.busy = None
        if unit.stage is Stage.FINISH:
            del self._active[unit.shard]

    def failed(self, unit: Unit, fault: Fault, reason: str, status: BookStatus = BookStatus.QUARANTINED) -> bool:
        """A unit failed. True where it is tried again, False where its shard is split or its book given up.

        `status` is the book's, should it be given up for this.
        """
        progress = self._active.get(unit.shard)
        if progress is None:
            return False
        failures = self._failures.setdefault(unit, dict.fromkeys(Fault, 0))
        failures[fault] += 1
        if failures[fault] >= self._attempts * (1 if fault is Fault.UNIT else PATIENCE_FACTOR):
            self._give_up(progress, unit, reason, status)
            return False
        self.retries += 1
        self._try_again(progress, unit, fault)
        return True

    def under_way(self, shard: ShardKey) -> bool:
        """Whether the shard has neither been committed nor given up."""
        return shard in self._active

    def wants(self, block: BlockKey) -> bool:
        """Whether a model has still to yield the block."""
        progress = self._active.get(block.shard)
        return progress is not None and block in progress.missing

    def counts(self) -> dict[str, int]:
        """Units under way by stage, and shards that wait for a model."""
        by_stage = {stage.value: self._count(stage) for stage in Stage if stage is not Stage.COMPUTE}
        computing = sum(len(progress.computing) for progress in self._active.values())
        return {**by_stage, Stage.COMPUTE.value: computing, "waiting": self._ready()}

    def _try_again(self, progress: _Progress, unit: Unit, fault: Fault) -> None:
        if unit.stage is Stage.COMPUTE:
            assert unit.block is not None
            if fault is Fault.LOST:
                progress.computing.discard(unit.block)
                progress.missing.add(unit.block)
            else:
                self._again.append(Launch(unit))
        elif unit.stage is Stage.PREPARE or self._input_is_lost(unit, fault):
            progress.busy = Stage.PREPARE
            self._again.append(Launch(Unit(Stage.PREPARE, unit.shard), books=progress.work.books))
        else:
            progress.busy = None

    def _input_is_lost(self, unit: Unit, fault: Fault) -> bool:
        """Whether what was prepared has to be made again: at every second loss, since most spare it."""
        return fault is Fault.LOST and self._failures[unit][fault] % 2 == 0

    def _give_up(self, progress: _Progress, unit: Unit, reason: str, status: BookStatus) -> None:
        del self._active[progress.work.key]
        self._again = deque(launch for launch in self._again if launch.unit.shard != progress.work.key)
        self._failures = {u: f for u, f in self._failures.items() if u.shard != progress.work.key}
        if len(progress.work.books) > 1:
            self._split.extend(progress.work.split(self._fingerprint))
            self.added += len(progress.work.books) - 1
        else:
            self.given_up.append(GivenUp(progress.work.books[0], status, f"{unit} failed again and again: {reason}"))

    def _continue(self, progress: _Progress) -> Launch | None:
        """The next stage of a shard at rest, if there is room for it."""
        if progress.missing:
            if self._count(Stage.EXTRACT) >= self.limits.extracting:
                return None
            progress.busy = Stage.EXTRACT
            blocks = tuple(block for block in progress.blocks if block in progress.missing)
            return Launch(Unit(Stage.EXTRACT, progress.work.key), blocks=blocks)
        if progress.computing or self._held(progress):
            return None
        progress.busy = Stage.FINISH
        return Launch(Unit(Stage.FINISH, progress.work.key))

    def _next_shard(self) -> ShardWork | None:
        if self._split:
            return self._split.popleft()
        work = next(self._waiting, None)
        self._exhausted = work is None
        return work

    def _held(self, progress: _Progress) -> bool:
        return self._hold_unusable and not progress.usable

    def _running(self) -> bool:
        return any(not (p.busy is None and self._held(p)) for p in self._active.values())

    def _count(self, stage: Stage) -> int:
        return sum(progress.busy is stage for progress in self._active.values())

    def _ready(self) -> int:
        """Shards prepared and waiting for a model. Those that only wait for pairs, or are held back, need no room."""
        return sum(bool(p.busy is None and p.missing) for p in self._active.values())
