"""What a run costs, from the marks it would take: pure arithmetic over counts and measured rates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.config import StudyConfig
from jobs.model.batch_size import WITHOUT_GPU
from jobs.stages.partition import pairs_of

PAIR_BYTES = 9.8
"""Bytes on disk per row of `pairs`: 15,438,000 rows of eight English novels in SmolLM2's 31 layers took 9.72 each,
1,929,750 rows of one novel 9.6 to 9.81."""

TOKEN_BYTES = 56.0
"""Bytes on disk per row of `tokens`, its two strings of context included; from the same stores."""

BLOCK_BYTES = 240.0
"""Bytes on disk per row of `summaries` (a book, a layer, a class); from the same stores."""

DIMENSION_BYTES = 7.2
"""Bytes on disk per dimension of a row of `activations`: a mean that hardly compresses and a small count."""

BOOK_BYTES = 6_300.0
"""Bytes on disk of the file of `books` of one book committed alone; less where shards hold several."""

STATE_BYTES = {"float16": 1.9, "bfloat16": 1.4}
"""Bytes on disk per dimension of a kept hidden state, by the format of the pass that gave it."""

FULL_STATE_BYTES = 3.5
"""The same for float32: its last bits are noise, and noise does not compress."""


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


def estimate_cost(
    used: Iterable[tuple[int, int]], hidden_layers: int, width: int, config: StudyConfig, rates: Rates
) -> Cost:
    """The cost of books with these numbers of marks (internal, terminal).

    `hidden_layers` counts the embedding too, `width` is D. A batch holds windows of one class of one
    book.
    """
    books = windows = pairs = passes = classes = 0
    for counts in used:
        books += 1
        for marks in counts:
            windows += marks
            pairs += pairs_of(marks) * hidden_layers
            passes += math.ceil(marks / (config.batch_size or WITHOUT_GPU))
            classes += marks > 0
    disk = pairs * PAIR_BYTES + windows * TOKEN_BYTES + books * BOOK_BYTES
    disk += classes * hidden_layers * (BLOCK_BYTES + width * DIMENSION_BYTES)
    if config.keep_hidden_states:
        disk += windows * hidden_layers * width * STATE_BYTES.get(config.dtype, FULL_STATE_BYTES)
    return Cost(
        books, windows, pairs, passes, round(disk), windows / rates.windows, pairs / (rates.pairs * rates.cores)
    )
