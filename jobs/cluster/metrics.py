"""The run's numbers for Prometheus, through Ray's exporter on the driver's node. Dashboards rely on the names."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge

from jobs.account.tally import Tally

COUNTERS = {
    "interpunct_pairs_total": ("pairs", "Pairs computed and published"),
    "interpunct_sequences_total": ("sequences", "Passages or windows read by the models"),
    "interpunct_written_bytes_total": ("bytes", "Bytes of pair files published"),
    "interpunct_retries_total": ("retries", "Units of work tried again"),
    "interpunct_shards_committed_total": ("shards_committed", "Shards committed"),
}
"""Metric -> (number of the tally, meaning)."""

QUEUE = "interpunct_queue_length"
"""Gauge with the tag `stage`: units of work under way."""


class Metrics:
    """Passes on what has changed since the last time."""

    def __init__(self) -> None:
        # Prometheus appends `_total` to a counter's name by itself.
        self._counters = {
            name: Counter(name.removesuffix("_total"), meaning) for name, (_, meaning) in COUNTERS.items()
        }
        self._queue = Gauge(QUEUE, "Units of work under way, by stage", tag_keys=("stage",))
        self._reported = dict.fromkeys(COUNTERS, 0)

    def update(self, tally: Tally) -> None:
        """Tell the exporter how far the run is."""
        for name, (number, _) in COUNTERS.items():
            value = getattr(tally, number)
            if value > self._reported[name]:
                self._counters[name].inc(value - self._reported[name])
                self._reported[name] = value
        for stage, length in tally.queues.items():
            self._queue.set(length, tags={"stage": stage})
