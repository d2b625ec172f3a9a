"""What a run costs, from the marks it would take: pure arithmetic over counts and measured rates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.config import StudyConfig
from jobs.plan import pairs_of

PAIR_BYTES = 15.0
"""Bytes on disk per row of `pairs`, measured on SmolLM2's states of English novels (`python -m benchmarks.corpus`)."""

TOKEN_BYTES = 120.0
"""Bytes on disk per row of `tokens`, its two strings of context included; measured in the same way."""

BLOCK_BYTES = 1_600.0
"""Bytes on disk per row of `summaries` and `activations` together, without the means; measured in the same way."""

MEAN_BYTES = 8.0
"""Bytes on disk per dimension of a mean activation: random digits do not compress."""

STATE_BYTES = {"float32": 3.7, "float16": 2.1, "bfloat16": 2.1}
"""Bytes on disk per dimension of a kept hidden state, by the format of the forward pass that gave it."""


@dataclass(frozen=True)
class Rates:
    """How fast one machine is, and how that is known.

    `windows` are windows through the model per second, `pairs` are pairs per second and CPU core.
    """

    windows: float
    pairs: float
    cores: int
    measured_on: str


@dataclass(frozen=True)
class Cost:
    """What a run makes and takes. `pairs` is also the number of rows of the table `pairs`, over all layers."""

    books: int
    windows: int
    pairs: int
    forward_passes: int
    disk_bytes: int
    forward_seconds: float
    pair_seconds: float

    @property
    def seconds(self) -> float:
        """Time from the first window to the last row where model and pairs share the machine's cores."""
        return self.forward_seconds + self.pair_seconds


def estimate_cost(used: Iterable[tuple[int, int]], layers: int, width: int, config: StudyConfig, rates: Rates) -> Cost:
    """The cost of books with these numbers of marks (internal, terminal).

    `layers` counts hidden states (decoder blocks and the embedding), `width` is D. A batch holds windows of one
    class of one book.
    """
    books = windows = pairs = passes = classes = 0
    for counts in used:
        books += 1
        for marks in counts:
            windows += marks
            pairs += pairs_of(marks) * layers
            passes += math.ceil(marks / config.batch_size)
            classes += marks > 0
    disk = pairs * PAIR_BYTES + windows * TOKEN_BYTES + classes * layers * (BLOCK_BYTES + width * MEAN_BYTES)
    if config.keep_hidden_states:
        disk += windows * layers * width * STATE_BYTES[config.dtype]
    return Cost(
        books, windows, pairs, passes, round(disk), windows / rates.windows, pairs / (rates.pairs * rates.cores)
    )
