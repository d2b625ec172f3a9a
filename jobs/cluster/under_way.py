"""What the driver holds for work that is under way: by stream of blocks and by shard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobs.cluster.extractors import Slot
from jobs.cluster.ray_adapter import BlockHeader
from jobs.stages.compute import BlockReceipt
from store.keys import BlockKey, ShardKey


@dataclass(eq=False)
class Stream:
    """A model's stream of one shard's blocks, `outstanding` of which have not come yet."""

    shard: ShardKey
    slot: Slot
    actor: Any
    outstanding: int


@dataclass(eq=False)
class ShardUnderWay:
    """All that the driver holds for a shard, from its first launch until it is committed or given up."""

    prepared: Any = None
    """Reference to the prepared shard."""
    leftovers: Any = None
    """Reference to the files of a stopped attempt; None until they have been looked for."""
    failed_on: Slot | None = None
    """The model's place where its last extraction failed."""
    blocks: dict[BlockKey, tuple[Any, BlockHeader]] = field(default_factory=dict)
    """Blocks between a model and the end of their pairs, each with its reference."""
    receipts: dict[BlockKey, BlockReceipt] = field(default_factory=dict)
