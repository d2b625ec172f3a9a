"""The cost of a run is arithmetic; it is checked against counts by hand and against real stores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.config import StudyConfig, resolve
from jobs.estimate.estimate import BookMarks, Rates, estimate_cost

RATES = Rates(
    tokens=1_000.0, within=1_000_000.0, between=2_000_000.0, clusters=8_000.0, cores=4, measured_on="a machine"
)
NOTEBOOK = resolve({}, preset="notebook")[0]

WINDOWS = BookMarks((250, 250), sequences=500, length=21, passages=16, passage_rows=191)
PASSAGES = BookMarks((250, 250, 64), sequences=18, length=512, passages=18, passage_rows=1428)
FEW = BookMarks((20, 20, 64), sequences=2, length=512, passages=2, passage_rows=21)


def sixty(passages: int) -> BookMarks:
    """A book with 60 marks a class and a baseline in every one of its passages."""
    rows = 3 * (passages * (passages + 1) // 2 + passages**2)
    return BookMarks((60, 60, 64), sequences=passages, length=512, passages=passages, passage_rows=rows)


def cost_of(*books: BookMarks, config: StudyConfig | None = None, together: int = 1):
    return estimate_cost(books, 31, 576, config or StudyConfig(), RATES, together)


def test_the_notebooks_study():
    cost = estimate_cost([WINDOWS], hidden_layers=25, width=1024, config=NOTEBOOK, rates=RATES)
    assert (cost.books, cost.marks, cost.sequences, cost.tokens) == (1, (250, 250), 500, 10_500)
    assert (cost.pairs_within, cost.pairs_between) == (31_125 * 25 * 2, 0)
    assert cost.forward_passes == 8  # 500 windows in batches of 64
    assert cost.forward_seconds == pytest.approx(10.5)
    assert cost.pair_seconds == pytest.approx(1_556_250 / 4e6)
    assert cost.seconds == pytest.approx(cost.forward_seconds + cost.pair_seconds + cost.cluster_seconds)
    assert "cross_pairs" not in cost.disk


def test_the_defaults():
    cost = cost_of(PASSAGES)
    assert (cost.tokens, cost.forward_passes) == (18 * 512, 18)
    assert cost.pairs_within == 31 * (2 * 31_125 + 2_016)
    assert cost.pairs_between == 31 * (250 * 250 + 2 * 250 * 64)
    assert cost.pair_seconds == pytest.approx((cost.pairs_within / 1e6 + cost.pairs_between / 2e6) / 4)


def test_each_mark_is_clustered_within_its_class_and_among_all():
    assert cost_of(PASSAGES).cluster_seconds == pytest.approx(31 * 2 * 564 / 8_000 / 4)
    assert cost_of(PASSAGES, config=StudyConfig(clusters=False)).cluster_seconds == 0
    alone = StudyConfig(classes={"internal": [","]}, baseline=None)
    assert cost_of(BookMarks((250,), 18, 512, 18, 100), config=alone).cluster_seconds == pytest.approx(
        31 * 250 / 32_000
    )


def test_pairs_of_three_classes_and_more_are_of_each_two():
    cost = cost_of(BookMarks((3, 5, 7, 11), 1, 512, 1, 10))
    assert cost.pairs_between == 31 * (3 * 5 + 3 * 7 + 3 * 11 + 5 * 7 + 5 * 11 + 7 * 11)


def test_summaries_alone_take_the_rows_off_the_disk_and_no_pair_off_the_work():
    rows = cost_of(PASSAGES)
    summaries = cost_of(PASSAGES, config=StudyConfig(within="summaries", between="summaries"))
    assert (summaries.pairs_within, summaries.pairs_between) == (rows.pairs_within, rows.pairs_between)
    assert rows.disk.keys() - summaries.disk.keys() == {"pairs", "cross_pairs"}
    assert summaries.disk["summaries"] == rows.disk["summaries"]
    assert cost_of(PASSAGES, config=StudyConfig(between="none")).pairs_between == 0


def test_costs_add_up_over_books():
    books = [PASSAGES, FEW, sixty(5), BookMarks((2, 1, 0), 1, 512, 1, 1)]
    config = StudyConfig(batch_size=3)
    costs = [cost_of(book, config=config) for book in books]
    together = cost_of(*books, config=config)
    for name in ("pairs_within", "pairs_between", "forward_passes", "tokens", "sequences"):
        assert getattr(together, name) == sum(getattr(cost, name) for cost in costs)
    a_store_each = 3 * 3_000  # the study and the run's record, which they share
    assert together.disk_bytes == pytest.approx(sum(cost.disk_bytes for cost in costs) - a_store_each, abs=3)


def test_books_that_share_files_take_less():
    books = [FEW] * 32
    alone, shared = cost_of(*books), cost_of(*books, together=32)
    assert shared.pairs_within == alone.pairs_within
    assert shared.disk_bytes < 0.8 * alone.disk_bytes


def test_a_class_that_is_missing_has_no_files():
    both, one = (cost_of(BookMarks((250, count, 64), 18, 512, 18, 1000)) for count in (250, 0))
    assert both.disk["pairs"] > 1.9 * one.disk["pairs"]
    assert one.disk["cross_pairs"] == pytest.approx(31 * (5_000 + 250 * 64 * 19.7))


def test_nothing_costs_nothing():
    cost = cost_of()
    assert (cost.pairs_within, cost.pairs_between, cost.disk_bytes, cost.seconds) == (0, 0, 0, 0.0)


REAL = {
    "defaults": ({}, [PASSAGES], 100_159_664),
    "notebook": (None, [WINDOWS], 19_389_357),
    "20 a class": ({"per_class": 20}, [FEW], 5_027_054),
    "states kept": ({"per_class": 60, "keep_hidden_states": True, "within": "summaries"}, [sixty(5)], 20_092_585),
    "all measures": ({"per_class": 60, "measures": "all"}, [sixty(5)], 13_969_972),
    "eight books": ({"per_class": 60}, list(map(sixty, (5, 7, 10, 5, 5, 6, 5, 7))), 99_343_019),
}
"""Bytes that runs over Heart of Darkness, and over it and seven other novels, left in their stores; no clusters.

The means of `activations` were 64-bit floats then: 0.15 MB more a book of the defaults, less of the others.
"""

LAYER_MEASURES, LAYER_SKETCHES = 22_050, 143_307
"""Bytes of these tables in the store of the sample: as many for any book with 64 marks of each of three classes."""


def test_summaries_alone_of_books_that_share_a_shard_are_within_a_twentieth_too():
    config = StudyConfig(per_class=20, within="summaries", between="none", clusters=False)
    rows = [(4, 30), (3, 18), (2, 9), (2, 9), (2, 9), (2, 9), (2, 9), (3, 18)]
    books = [BookMarks((20, 20, 64), passages, 512, passages, of_layer) for passages, of_layer in rows]
    numbers = 31 * (2 * 190 + 2016)  # of the sketches of a book, which came after that run
    with_sketches = 2_634_456 + 8 * numbers * LAYER_SKETCHES / (31 * 3 * 2016)
    assert cost_of(*books, config=config, together=8).disk_bytes == pytest.approx(with_sketches, rel=0.05)


@pytest.mark.parametrize("name", REAL)
def test_disk_is_within_a_twentieth_of_what_real_runs_wrote(name):
    changes, books, written = REAL[name]
    config = replace(NOTEBOOK if changes is None else StudyConfig(**changes), clusters=False)
    assert cost_of(*books, config=config).disk_bytes == pytest.approx(written, rel=0.05)


def test_each_table_is_within_a_sixth_of_what_the_defaults_wrote():
    written = {
        "pairs": 39_818_341,
        "cross_pairs": 57_710_970,
        "marks": 40_664,
        "passages": 1_245,
        "books": 7_010,
        "mark_layers": 522_443,
        "passage_sums": 1_537_935,
        "activations": 191_604,
        "summaries": 131_795,
        "layer_measures": LAYER_MEASURES,
        "layer_sketches": LAYER_SKETCHES,
        "clusters": 195_748,
        "cluster_terms": 33_420,
        "records": 48_091 + 247 + 1_439 + 1_348,
    }
    assert cost_of(PASSAGES).disk == {table: pytest.approx(size, rel=1 / 6) for table, size in written.items()}


def test_kept_hidden_states_count():
    config = StudyConfig(keep_hidden_states=True)
    for dtype, bytes_each in (("float32", 3.5), ("bfloat16", 1.4)):
        states = cost_of(PASSAGES, config=replace(config, dtype=dtype)).disk["hidden_states"]
        assert states == pytest.approx(564 * 31 * 576 * bytes_each, rel=0.01)
