"""The cost of a run is arithmetic; it is checked against counts by hand and against real stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.config import StudyConfig
from jobs.estimate.estimate import Rates, estimate_cost

RATES = Rates(windows=100.0, pairs=1_000_000.0, cores=4, measured_on="a machine")


def test_the_notebooks_study():
    cost = estimate_cost([(250, 250)], hidden_layers=25, width=1024, config=StudyConfig(), rates=RATES)
    assert (cost.books, cost.windows) == (1, 500)
    assert cost.pairs == 31_125 * 25 * 2
    assert cost.forward_passes == 2 * 4  # 250 windows in batches of 64, each class by itself
    assert cost.forward_seconds == pytest.approx(5.0)
    assert cost.pair_seconds == pytest.approx(1_556_250 / 4e6)
    assert cost.seconds == pytest.approx(cost.forward_seconds + cost.pair_seconds)


def test_costs_add_up_over_books():
    config = StudyConfig(batch_size=10)
    counts = [(250, 250), (3, 7), (2, 100)]
    costs = [estimate_cost([count], 31, 576, config, RATES) for count in counts]
    together = estimate_cost(counts, 31, 576, config, RATES)
    assert together.pairs == sum(cost.pairs for cost in costs)
    assert together.forward_passes == sum(cost.forward_passes for cost in costs)
    assert together.disk_bytes == pytest.approx(sum(cost.disk_bytes for cost in costs), abs=3)


def test_nothing_costs_nothing():
    cost = estimate_cost([], 31, 576, StudyConfig(), RATES)
    assert (cost.pairs, cost.disk_bytes, cost.seconds) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("counts", "bytes_written"),
    [([(250, 250)], 19_250_000), ([(250, 250)] * 8, 152_480_000)],
)
def test_disk_is_within_a_tenth_of_what_real_runs_wrote(counts, bytes_written):
    """Bytes that runs over Heart of Darkness, and over it and seven other novels, left in their stores."""
    cost = estimate_cost(counts, hidden_layers=31, width=576, config=StudyConfig(), rates=RATES)
    assert cost.disk_bytes == pytest.approx(bytes_written, rel=0.1)


def test_kept_hidden_states_count():
    config = StudyConfig(keep_hidden_states=True)
    plain = estimate_cost([(250, 250)], 31, 576, replace(config, keep_hidden_states=False), RATES)
    for dtype, bytes_each in (("float32", 3.5), ("bfloat16", 1.4)):
        cost = estimate_cost([(250, 250)], 31, 576, replace(config, dtype=dtype), RATES)
        assert cost.disk_bytes - plain.disk_bytes == pytest.approx(500 * 31 * 576 * bytes_each, abs=2)
