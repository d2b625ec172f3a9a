"""All pairs of 250 vectors: the engine against what its users could pick instead, in one run on one machine.

    python -m benchmarks.pairs            made-up states of width 1024, and SmolLM2's in layers 1, 20 and 30
    python -m benchmarks.pairs --quick    the made-up states only

Every way is timed in turn, round after round, and the best round of each counts. All but the rows that say so run on
one core, in seconds of the processor, so that other work on the machine weighs little; two processes together are
timed by the clock on the wall, against one process timed the same way.

The notebook's function takes two vectors and does all for that pair: standard scores, `numpy.histogram2d`, entropies,
covariance; the row below it has found the outliers of each vector before. The other baselines have it easy: they start
from bins of the whole vectors, so they take no notice of bins that move with the pair, and compute no covariance.
"""

from __future__ import annotations

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse  # noqa: E402
import multiprocessing  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from multiprocessing.synchronize import Barrier  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sklearn.metrics import mutual_info_score  # noqa: E402

from analysis.pairwise import pair_statistics  # noqa: E402
from benchmarks import machine, notebook  # noqa: E402

BINS, OUTLIER_Z, TOKENS, LAYERS = 15, 5.0, 250, (1, 20, 30)
ENGINE, PRODUCT = "interpunct, one core", "one-hot float32 product, torch"


@dataclass(frozen=True)
class Way:
    """One way to compute pairs of `tokens` vectors; slow ones get fewer vectors."""

    name: str
    tokens: int
    function: Callable[[NDArray[np.float32]], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="made-up states and fewer rounds")
    parser.add_argument("--rounds", type=int, help="rounds (default 7, quick 3)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = options.rounds or (3 if options.quick else 7)
    print(f"machine: {machine.describe()}; numpy {np.__version__}, torch {torch.__version__}")
    measure("made-up states", made_up_states(TOKENS, 1024), rounds)
    if not options.quick:
        for layer, states in smollm2_states().items():
            measure(f"SmolLM2, layer {layer}", states, rounds)


def measure(title: str, states: NDArray[np.float32], rounds: int) -> None:
    """Times every way on `states` and prints one table."""
    ways = [
        Way("the notebook's function", 30, by_notebook),
        Way("the same, outliers once a vector", 30, notebook.pairs),
        Way("np.bincount on joint codes", 30, by_bincount),
        Way("scikit-learn mutual_info_score", 12, by_scikit_learn),
        Way(PRODUCT, len(states), by_one_hot_product),
        Way("the same, upper triangle in blocks", len(states), by_one_hot_blocks),
        Way(ENGINE, len(states), pair_statistics),
    ]
    pace = dict.fromkeys((way.name for way in ways), 0.0)
    for way in ways:
        way.function(states[: way.tokens])
    for _ in range(rounds):
        for way in ways:
            repeats = 20 if way.name.startswith("interpunct") else 1
            start = time.process_time()
            for _ in range(repeats):
                way.function(states[: way.tokens])
            pairs = repeats * way.tokens * (way.tokens - 1) // 2
            pace[way.name] = max(pace[way.name], pairs / (time.process_time() - start))
    one, two = (max(pace_of_processes(states, count) for _ in range(rounds)) for count in (1, 2))
    pace["interpunct, two processes"] = pace[ENGINE] * two / one
    show(title, states, pace)


def show(title: str, states: NDArray[np.float32], pace: dict[str, float]) -> None:
    width = states.shape[1]
    print(f"\n{title}: {len(states)} vectors of {width} dimensions; {moving_share(states):.0%} of the pairs move bins")
    print(f"{'':36}{'us/pair':>10}{'pairs/s':>12}{'pairs x dims/s':>16}{'x notebook':>12}{'x product':>11}")
    notebook_pace, product_pace = pace["the notebook's function"], pace[PRODUCT]
    for name, rate in pace.items():
        ratios = f"{rate / notebook_pace:>12.1f}{rate / product_pace:>11.2f}"
        print(f"{name:36}{1e6 / rate:>10.3f}{rate:>12.3g}{rate * width:>16.3g}{ratios}")


def by_notebook(x: NDArray[np.float32]) -> list[tuple[float, float]]:
    return [notebook.pair(x[i], x[j]) for i in range(len(x)) for j in range(i + 1, len(x))]


def by_bincount(x: NDArray[np.float32]) -> list[float]:
    codes = own_bins(x)
    return [_information(_joint(codes[i], codes[j])) for i in range(len(x)) for j in range(i + 1, len(x))]


def by_scikit_learn(x: NDArray[np.float32]) -> list[float]:
    codes = own_bins(x)
    return [mutual_info_score(codes[i], codes[j]) for i in range(len(x)) for j in range(i + 1, len(x))]


def by_one_hot_product(x: NDArray[np.float32]) -> list[torch.Tensor]:
    """Joint counts of all pairs as one matrix product of one-hot codes, both triangles; entropies in torch."""
    return by_one_hot_blocks(x, block=len(x))


def by_one_hot_blocks(x: NDArray[np.float32], block: int = 25) -> list[torch.Tensor]:
    """The same in blocks of vectors, each with the vectors from the block's first on: half of the products."""
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(own_bins(x)), BINS).float()
    rows = one_hot.permute(0, 2, 1).reshape(len(x) * BINS, -1)
    information = []
    for start in range(0, len(x), block):
        counts = rows[start * BINS : (start + block) * BINS] @ rows[start * BINS :].T
        joint = counts.view(-1, BINS, len(x) - start, BINS).permute(0, 2, 1, 3) / x.shape[1]
        entropies = [torch.special.entr(p).sum(-1) for p in (joint.sum(3), joint.sum(2), joint.flatten(2))]
        information.append((entropies[0] + entropies[1] - entropies[2]) / np.log(2))
    return information


def own_bins(x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Bin of every dimension between the vector's own extremes."""
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    return np.minimum((x - low) / (high - low) * BINS, BINS - 1).astype(np.int64)


def _joint(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(a * BINS + b, minlength=BINS * BINS).reshape(BINS, BINS) / len(a)


def _information(p: NDArray[np.float64]) -> float:
    sides = p.sum(axis=1), p.sum(axis=0), p.ravel()
    h = [-np.sum(side[side > 0] * np.log2(side[side > 0])) for side in sides]
    return float(h[0] + h[1] - h[2])


def pace_of_processes(states: NDArray[np.float32], count: int, seconds: float = 1.0) -> float:
    """Pairs per second of `count` processes together, each over its own copy of the vectors."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(states, seconds, barrier, results)) for _ in range(count)]
    for worker in workers:
        worker.start()
    rate = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return rate


def _work(states: NDArray[np.float32], seconds: float, barrier: Barrier, results: multiprocessing.SimpleQueue) -> None:
    pair_statistics(states)
    barrier.wait()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        pair_statistics(states)
        done += len(states) * (len(states) - 1) // 2
    results.put(done / (time.perf_counter() - start))


def made_up_states(tokens: int, width: int) -> NDArray[np.float32]:
    """Vectors with a shared heavy-tailed mean and six dimensions near or beyond the outlier limit, as models have."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(tokens, width)) + 0.8 * rng.standard_t(4, size=width)
    special = rng.choice(width, 6, replace=False)
    sizes = np.sign(rng.normal(size=6)) * np.linspace(5, 9, 6) * x.std()
    x[:, special] = sizes * (1 + 0.1 * rng.normal(size=(tokens, 6)))
    return x.astype(np.float32)


def smollm2_states(tokens: int = TOKENS, text: Path | None = None) -> dict[int, NDArray[np.float32]]:
    """States at the first commas of a text, or of the bundled sample."""
    import jobs
    from jobs.config import resolve
    from jobs.corpus.decoding import decode
    from jobs.marks.selection import select
    from jobs.marks.tokens import tokenize
    from jobs.model.encoder import load_encoder
    from jobs.model.hidden_states import HiddenStates

    (sample,) = (Path(jobs.__file__).parent / "data").glob("*.txt")
    config, _ = resolve({"per_class": tokens, "skip_tokens": 0}, preset="notebook")
    tokenization = tokenize(load_encoder("smollm2"), decode((text or sample).read_bytes()).text)
    sequences = select(tokenization, config).sequences
    commas = sequences.rows["internal"]
    states = HiddenStates("smollm2").states(sequences.tokens(tokenization.ids)[commas])
    return {layer: np.ascontiguousarray(states[layer]) for layer in LAYERS}


def moving_share(x: NDArray[np.float32]) -> float:
    """Share of pairs in which the partner's outliers take away an extreme of either vector."""
    mean, deviation = x.mean(axis=1, keepdims=True), x.std(axis=1, ddof=1, keepdims=True)
    keep = np.abs((x - mean) / deviation) <= OUTLIER_Z
    low = np.where(keep, x, np.inf).min(axis=1)
    high = np.where(keep, x, -np.inf).max(axis=1)
    moved = np.zeros((len(x), len(x)), bool)
    for j, kept in enumerate(keep):
        both = keep & kept
        moved[:, j] = (np.where(both, x, np.inf).min(axis=1) != low) | (np.where(both, x, -np.inf).max(axis=1) != high)
    return float((moved | moved.T)[np.triu_indices(len(x), 1)].mean())


if __name__ == "__main__":
    main()
