"""What a report costs: seconds and peak memory of `interpunct report` as its own process, and the size of its page.

    python -m benchmarks.report demo/store             the demo's store: under 15 s
    python -m benchmarks.report demo/store LARGE       and a store of 10^8 rows (benchmarks/store.py makes one)

A report over many books should cost about what one over a single book costs, since it reads summaries and a few books'
pairs: the last column is the ratio of the seconds to those of the first store.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine
from store.query.reader import open_store

LIMIT_BYTES = 10_000_000
"""A page that is to be mailed stays below this."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.splitlines()[0])
    parser.add_argument("stores", nargs="+", metavar="STORE")
    print(f"machine: {machine.describe()}")
    print(
        f"{'store':30} {'rows':>13} {'books':>6} {'seconds':>8} {'CPU s':>6} {'peak MB':>8} {'page MB':>8} {'ratio':>6}"
    )
    first = None
    for location in parser.parse_args().stores:
        with open_store(location) as store:
            ((rows, books),) = store.sql("SELECT sum(pairs), count(DISTINCT book) FROM summaries").fetchall()
        seconds, busy, peak, page = measure(location)
        first = first or seconds
        print(
            f"{location[-30:]:30} {rows:13,} {books:6,} {seconds:8.1f} {busy:6.1f} {peak / 1e6:8.0f} {page / 1e6:8.1f} "
            f"{seconds / first:5.1f}x"
        )
        assert page < LIMIT_BYTES, f"the page of {location} has {page:,} bytes"


def measure(location: str) -> tuple[float, float, int, int]:
    """Seconds, CPU seconds, peak resident bytes of the process and bytes of the page of one report, made from nothing.

    The peak is that of the largest child so far, so the stores are named from the smallest to the largest.
    """
    with tempfile.TemporaryDirectory() as out:
        command = "import sys, interpunct; sys.exit(interpunct.main(sys.argv[1:]))"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", command, "report", "--store", location, "--out", out],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return seconds, busy, after.ru_maxrss * 1024, (Path(out) / "latest" / "index.html").stat().st_size


if __name__ == "__main__":
    main()
