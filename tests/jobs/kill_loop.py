"""Whole runs that are killed: starts a run, kills it at a random moment, relaunches the same command, again and again.

A process of its own that has everything imported and no thread, so that a run is a fork away. Every run is the real
job (`jobs.run.execute`, the plain loop, a real model) on the same command. Prints how many runs were killed.

    python -m tests.jobs.kill_loop LOCATION MODEL KILLS SEED BOOK...
"""

from __future__ import annotations

import random
import sys
import time

import transformers.models.gpt2.modeling_gpt2  # noqa: F401  imported before the first fork

import jobs.serial  # noqa: F401
from jobs.config import RunConfig
from jobs.run import execute
from store.query.reader import open_store
from store.study import study_of
from tests.forking import in_child, kill_after
from tests.jobs import injection

LAYERS = 4
KEYS = {
    "pairs": "layer, class, i, j",
    "cross_pairs": "layer, class, other, i, j",
    "mark_layers": "layer, class, i",
    "clusters": "layer, among, class, i",
    "summaries": "layer, class, other, measure",
    "activations": "layer, class",
}
EXPECTED = {
    "pairs": LAYERS * injection.PAIRS,
    "cross_pairs": LAYERS * injection.CROSS_PAIRS,
    "mark_layers": LAYERS * sum(injection.MARKS.values()),
    "clusters": 2 * LAYERS * sum(count for name, count in injection.MARKS.items() if name != "baseline"),
    "summaries": LAYERS * 6 * 6,
    "activations": LAYERS * 3,
}
"""Rows of a book in each table, and what tells them apart."""


def main(location: str, model: str, kills: int, seed: int, books: list[str]) -> int:
    """Kill this many runs; after each, what is visible is whole, and the last run ends with all rows."""
    generator = random.Random(seed)
    config = injection.study(model)

    def run(store: str) -> None:
        code = execute(books, config, RunConfig(serial=True), store)
        assert code == 0, code

    started = time.monotonic()
    in_child(lambda: run(f"{location}/undisturbed"))
    longest = time.monotonic() - started
    killed = stores = 0
    while killed < kills:
        place = f"{location}/store-{stores}"
        stores += 1
        while killed < kills and kill_after(generator.uniform(0, longest), lambda: run(place)):  # noqa: B023
            killed += 1
            in_child(lambda: check_visible(place))  # noqa: B023
        in_child(lambda: run(place))  # noqa: B023
        in_child(lambda: compare(place, f"{location}/undisturbed"))  # noqa: B023
    return killed


def check_visible(place: str) -> None:
    """Readers see whole books only, each with all of its pairs."""
    if study_of(place) is None:
        return
    with open_store(place) as store:
        found = store.sql("SELECT book, class, count(*) FROM marks GROUP BY ALL").fetchall()
        books = {book for book, _, _ in found}
        assert sorted(found) == sorted((book, name, count) for book in books for name, count in injection.MARKS.items())
        for table, expected in EXPECTED.items():
            query = f"SELECT book, count(*), count(DISTINCT ({KEYS[table]})) FROM {table} GROUP BY ALL"
            assert sorted(store.sql(query).fetchall()) == [(book, expected, expected) for book in sorted(books)], table


def compare(place: str, undisturbed: str) -> None:
    assert injection.rows(place) == injection.rows(undisturbed), place


if __name__ == "__main__":
    location, model, kills, seed, *books = sys.argv[1:]
    print(main(location, model, int(kills), int(seed), books))
