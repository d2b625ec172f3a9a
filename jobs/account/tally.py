"""What a run has done so far, in numbers: the one source of its progress display, its record and its metrics."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from jobs.stages.compute import BlockReceipt
from jobs.stages.extract import ModelWork
from jobs.stages.prepare import PreparedOutline
from store.books import BookStatus
from store.keys import ShardKey


@dataclass
class _ShardUnderWay:
    """A shard that is prepared and neither committed nor given up: its outline, and what is done of it."""

    outline: PreparedOutline
    sequences: int = 0
    pairs: int = 0
    blocks: int = 0


@dataclass
class Tally:
    """Counts and seconds of one run; the loops report what happens, and listeners read.

    `seconds` are summed over processes, so that they may exceed the run's own time. `queues` holds how many units of
    each stage are under way. `hidden_layers` counts the embedding. Books used and marks are those of committed shards;
    what is expected is what shards under way and committed ones hold, and what was done for shards that were given up.
    """

    hidden_layers: int = 0
    books: int = 0
    books_done_before: int = 0
    shards: int = 0
    shards_prepared: int = 0
    shards_committed: int = 0
    books_used: int = 0
    marks: int = 0
    marks_by_class: Counter[str] = field(default_factory=Counter)
    sequences_expected: int = 0
    sequences: int = 0
    pairs_expected: int = 0
    pairs: int = 0
    pairs_reused: int = 0
    blocks_expected: int = 0
    blocks: int = 0
    bytes: int = 0
    retries: int = 0
    smallest_batch: int | None = None
    """The fewest sequences that a model had to run at once, of a full batch: less than the study's batch size where a
    device's memory did not hold one."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    not_used: dict[str, tuple[BookStatus, str]] = field(default_factory=dict)
    """Book -> (status, reason), for books that this run did not use."""
    queues: dict[str, int] = field(default_factory=dict)
    models: int = 1
    pair_tasks: int = 1
    """How many models, and how many tasks that compute pairs, work at the same time."""
    side_by_side: bool = False
    """Whether models go on with the next shard while pairs of the last one are computed."""
    started: float = field(default_factory=time.time)
    _under_way: dict[ShardKey, _ShardUnderWay] = field(default_factory=dict, repr=False)

    @property
    def pair_stages(self) -> tuple[str, ...]:
        """The stages whose seconds pair tasks report."""
        return tuple(stage for stage in self.seconds if stage not in ("prepare", "forward", "commit"))

    @property
    def elapsed(self) -> float:
        """Seconds since the run started."""
        return time.time() - self.started

    @property
    def undone(self) -> dict[str, tuple[BookStatus, str]]:
        """Books that the next run tries again: their source failed, or they were given up."""
        return {book: why for book, why in self.not_used.items() if why[0].retried}

    @property
    def failures(self) -> dict[str, tuple[BookStatus, str]]:
        """Books that this run was to use and could not: undone, or rejected for their content."""
        return {book: why for book, why in self.not_used.items() if why[0] is not BookStatus.DUPLICATE}

    def prepared(self, outline: PreparedOutline) -> None:
        """A shard is prepared."""
        self.seconds["prepare"] += outline.seconds
        self.shards_prepared += 1
        self.sequences_expected += outline.sequences
        self.pairs_expected += outline.pairs * self.hidden_layers
        self.blocks_expected += bool(outline.used) * self.hidden_layers
        self.not_used |= {book: (BookStatus.REJECTED, reason) for book, reason in outline.rejected.items()}
        self._under_way[outline.shard] = _ShardUnderWay(outline)

    def extracted(self, shard: ShardKey, work: ModelWork) -> None:
        """A model has done some work. What it still does for a shard that was given up does not count."""
        if shard not in self._under_way:
            return
        self._under_way[shard].sequences += work.sequences
        self.sequences += work.sequences
        self.seconds["forward"] += work.seconds
        if work.smallest_batch is not None:
            self.smallest_batch = min(self.smallest_batch or work.smallest_batch, work.smallest_batch)

    def computed(self, receipt: BlockReceipt) -> None:
        """The pairs of a block are published."""
        shard = self._under_way[receipt.key.shard]
        shard.blocks += 1
        shard.pairs += receipt.pairs
        self.blocks += 1
        self.pairs += receipt.pairs
        self.pairs_reused += receipt.reused
        self.bytes += sum(file.bytes for file in receipt.files)
        for stage, seconds in receipt.seconds.items():
            self.seconds[stage] += seconds

    def committed(self, shard: ShardKey, seconds: float) -> None:
        """A shard is committed."""
        outline = self._under_way.pop(shard).outline
        self.books_used += outline.used
        self.marks += sum(outline.marks.values())
        self.marks_by_class.update(outline.marks)
        self.shards_committed += 1
        self.seconds["commit"] += seconds

    def given_up(self, shard: ShardKey) -> None:
        """A shard is split, or its book given up: the rest of it is not expected any more."""
        left = self._under_way.pop(shard, None)
        if left is None:
            return
        outline = left.outline
        self.shards_prepared -= 1
        self.sequences_expected -= max(0, outline.sequences - left.sequences)
        self.pairs_expected -= max(0, outline.pairs * self.hidden_layers - left.pairs)
        self.blocks_expected -= max(0, bool(outline.used) * self.hidden_layers - left.blocks)
        self.not_used = {book: why for book, why in self.not_used.items() if book not in outline.rejected}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        numbers = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return {
            **numbers,
            "elapsed_seconds": round(self.elapsed, 3),
            "marks_by_class": dict(self.marks_by_class),
            "seconds": {stage: round(seconds, 3) for stage, seconds in sorted(self.seconds.items())},
            "queues": dict(self.queues),
            "not_used": {book: {"status": s, "reason": r} for book, (s, r) in sorted(self.not_used.items())},
        }
