"""Runs that are killed: forks a writer again and again, kills it after a random time, and relaunches it to the end.

A process of its own, so that forking is cheap and safe: everything is imported and no thread runs. Prints how many
runs it took to kill so many before their end.

    python -m tests.store.kill_loop LOCATION KILLS SEED
"""

from __future__ import annotations

import random
import sys
import time

from store.objects import s3
from tests.forking import in_child, kill_after
from tests.store.test_faults import CHUNKS, check_whole, run
from tests.store.upkeep.test_verify import digest


def main(location: str, kills: int, seed: int) -> int:
    """Kill this many runs before they end, recover each; returns how many runs that took."""
    generator = random.Random(seed)
    assert CHUNKS, "the tables are computed before the first fork"
    in_child(lambda: run(f"{location}/warm-up"))
    started = time.monotonic()
    in_child(lambda: run(f"{location}/reference"))
    longest = time.monotonic() - started
    killed = runs = 0
    while killed < kills:
        place = f"{location}/store-{runs}"
        runs += 1
        if kill_after(generator.uniform(0, longest), lambda place=place: run(place)):
            killed += 1
        else:
            longest *= 0.8  # it had finished: the machine is faster now than when the time was taken
        in_child(lambda place=place: finish(location, place))
    return runs


def finish(location: str, place: str) -> None:
    """Everything visible is whole; relaunching completes it; the result is that of a run that was left alone."""
    check_whole(place)
    run(place)
    check_whole(place)
    assert digest(place) == digest(f"{location}/reference"), place


if __name__ == "__main__":
    assert s3.client.cache_info().currsize == 0
    print(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
