"""The pair engine of this checkout against that of another: all pairs of 250 vectors, timed in turn in one run.

    git worktree add ../before COMMIT
    python -m benchmarks.versions ../before

A process each has the engine compiled; they are asked in turn, each first in every other round, and tell seconds of
the processor. The ratio of a round is of two times that stand next to each other, so that other work on the machine
weighs on both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.pairs import TOKENS, made_up_states, smollm2_states

ROUNDS, REPEATS = 101, 10
HERE = Path(__file__).resolve().parent.parent
TIMED = """
import sys, time
import numpy as np
from analysis.pairwise import pair_statistics
vectors = dict(np.load(sys.argv[1]))
for x in vectors.values():
    pair_statistics(x)
for line in sys.stdin:
    name, repeats = line.split("|")
    start = time.process_time()
    for _ in range(int(repeats)):
        pair_statistics(vectors[name])
    print((time.process_time() - start) / int(repeats), flush=True)
"""


class Engine:
    """The engine of a checkout, in a process of its own."""

    def __init__(self, checkout: Path, vectors: Path) -> None:
        one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", TIMED, str(vectors)], cwd=checkout, env={**os.environ, **one, "PYTHONPATH": "."},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def seconds(self, name: str) -> float:
        """Processor time of all pairs of the vectors of this name, a mean of some repeats."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(f"{name}|{REPEATS}", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout")
    options = parser.parse_args()
    print(f"machine: {machine.describe()}; numpy {np.__version__}")
    vectors = {"made-up states": made_up_states(TOKENS, 1024)}
    vectors |= {f"SmolLM2, layer {layer}": x for layer, x in smollm2_states().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npz"
        np.savez(path, **vectors)
        engines = [Engine(options.before.resolve(), path), Engine(HERE, path)]
        for name in vectors:
            compare(name, *engines)
        for engine in engines:
            engine.close()


def compare(name: str, before: Engine, after: Engine) -> None:
    """Prints the time of a pair in both, and the ratio."""
    rounds = []
    for number in range(ROUNDS):
        first, second = (before, after) if number % 2 else (after, before)
        times = first.seconds(name), second.seconds(name)
        rounds.append(times if number % 2 else times[::-1])
    ratios = sorted(b / a for a, b in rounds)
    pairs = TOKENS * (TOKENS - 1) // 2
    was, now = (min(column) / pairs * 1e6 for column in zip(*rounds, strict=True))
    print(
        f"{name:20} before {was:.3f} us a pair, now {now:.3f}; ratio {statistics.median(ratios):.3f}"
        f" (middle half of {ROUNDS} rounds {ratios[ROUNDS // 4]:.3f} to {ratios[-1 - ROUNDS // 4]:.3f})"
    )


if __name__ == "__main__":
    main()
