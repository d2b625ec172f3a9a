"""Pairs on a GPU: the whole of it, its parts, and the share of what the tensor cores can do.

    python -m benchmarks.pairs_gpu                          one tile of 4,096 made-up states of width 1024
    python -m benchmarks.pairs_gpu --smollm2 30 [--text F]  SmolLM2's states in layer 30 at a text's commas
    python -m benchmarks.pairs_gpu --rehearse               the same code without a GPU, interpreted; prints no figure

The best round of each row counts. GPU rows are timed by the clock on the wall, from an idle device to an idle device,
and so is the CPU's part of a GPU's work, which takes all cores; the other rows run on one core, in seconds of the
processor. The roof is the pace of torch's int8 matrix product
(cuBLAS) of large square matrices in the same run, and the share counts every multiplication the kernel makes, padding
included. Before anything is timed, the joint terms are compared with the CPU's.
"""

from __future__ import annotations

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse  # noqa: E402
import copy  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from unittest import mock  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from analysis import pairwise  # noqa: E402
from analysis.engine.binning import Vectors  # noqa: E402
from analysis.engine.joint import CpuEngine, Engine, Tile  # noqa: E402
from analysis.gpu import GpuEngine  # noqa: E402
from analysis.gpu_memory import SLICES, DeviceTile  # noqa: E402
from analysis.gpu_plan import Products  # noqa: E402
from benchmarks import machine  # noqa: E402
from benchmarks.pairs import LAYERS, by_notebook, made_up_states, smollm2_states  # noqa: E402

ROOF_SIDE = 8192
ON_DEVICE = "its joint terms on the device"
NOTEBOOK_VECTORS, CORE_VECTORS, CHECKED_VECTORS = 30, 1000, 250


class Tiles(CpuEngine):
    """Keeps the tiles it is asked for and computes nothing: what is left is the CPU's part of the work on a GPU."""

    side, threads = GpuEngine.side, GpuEngine.threads

    def __init__(self) -> None:
        self.seen: list[tuple[Tile, NDArray[np.int64]]] = []

    def joint_terms(self, tile: Tile, table: NDArray[np.int64]) -> NDArray[np.int64]:
        self.seen.append((tile, table))
        return np.zeros((len(tile.set_a), len(tile.set_b)), np.int64)

    def products(
        self, a: Vectors, rows: NDArray[np.int64], b: Vectors, columns: NDArray[np.int64], diagonal: bool
    ) -> NDArray[np.float64]:
        return np.zeros((len(rows), len(columns)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=GpuEngine.side, help="at most one tile (default %(default)s)")
    parser.add_argument("--smollm2", type=int, choices=LAYERS, metavar="LAYER", help="its states in this layer")
    parser.add_argument("--text", type=Path, help="the text that SmolLM2 reads (default: the bundled sample)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rehearse", action="store_true", help="run the code of the GPU rows without a GPU, untimed")
    options = parser.parse_args()
    if not 2 <= options.vectors <= GpuEngine.side:
        parser.error(f"--vectors is {options.vectors}; choose from 2 to {GpuEngine.side}")
    if options.rehearse:
        rehearse()
        return
    print(f"machine: {machine.describe()}; torch {torch.__version__}")
    if options.smollm2 is None:
        states = made_up_states(options.vectors, 1024)
    else:
        states = smollm2_states(options.vectors, options.text)[options.smollm2]
    report_plan(states)
    if not torch.cuda.is_available():
        print("no GPU here: only the rows of the CPU are measured")
        measure_cpu(states, options.rounds)
        return
    print(f"GPU: {torch.cuda.get_device_name()}")
    engine = GpuEngine("cuda")
    check(engine, states[:CHECKED_VECTORS])
    measure_gpu(engine, states, options.rounds, measure_cpu(states, options.rounds))


def report_plan(states: NDArray[np.float32]) -> None:
    """How many joint histograms the products make for each pair; found on the CPU, as it would be on the GPU."""
    tile, _ = tile_of(states)
    engine = GpuEngine("cpu")
    in_memory = engine.upload(tile)
    products = engine.plan(in_memory)
    made = products.columns.numel() * products.row_variants.shape[1] / pairs_of(states)
    vectors, width = states.shape
    print(f"{vectors} vectors of {width} dimensions, {len(in_memory.rows_a)} variants: {made:.3f} histograms per pair")


def measure_cpu(states: NDArray[np.float32], rounds: int) -> float:
    """Prints the rows of one core; returns the pace of the notebook's function, in pairs/s."""
    few, some = states[:NOTEBOOK_VECTORS], states[:CORE_VECTORS]
    notebook = pairs_of(few) / seconds(lambda: by_notebook(few), rounds, time.process_time)
    core = seconds(lambda: pairwise.pair_statistics(some), rounds, time.process_time)
    rest = seconds(lambda: with_engine(Tiles(), states), rounds, time.perf_counter)
    print(f"\n{'':46}{'us/pair':>10}{'pairs/s':>12}{'pairs x dims/s':>16}{'x notebook':>12}")
    show("the notebook's function", notebook, states.shape[1], notebook)
    show(f"interpunct, one core, {len(some)} vectors", pairs_of(some) / core, states.shape[1], notebook)
    show(f"the CPU's part of a GPU's work, {Tiles.threads} cores", pairs_of(states) / rest, states.shape[1], notebook)
    return notebook


def measure_gpu(engine: GpuEngine, states: NDArray[np.float32], rounds: int, notebook: float) -> None:
    tile, table = tile_of(states)
    on_device, on_device_table = engine.upload(tile), torch.tensor(table, device=engine.device)
    products = engine.plan(on_device)
    joint = torch.empty(len(tile.set_a), len(tile.set_b), dtype=torch.int64, device=engine.device)
    ways: dict[str, Callable[[], object]] = {
        "GPU, everything included": lambda: with_engine(engine, states),
        "its joint terms, with copies both ways": lambda: engine.joint_terms(tile, table),
        "its joint terms on the device, with the plan": lambda: engine.fill(
            on_device, engine.plan(on_device), on_device_table, joint
        ),
        ON_DEVICE: lambda: engine.fill(on_device, products, on_device_table, joint),
    }
    taken = {name: seconds(way, rounds, idle_clock) for name, way in ways.items()}
    for name, time_taken in taken.items():
        show(name, pairs_of(states) / time_taken, states.shape[1], notebook)
    pace = operations(on_device, products) / taken[ON_DEVICE]
    roof = int8_roof(ROOF_SIDE, rounds, engine.device)
    print(f"\n{ON_DEVICE}: {pace:.3g} int8 operations/s, {pace / roof:.0%} of the roof of {roof:.3g}/s")


def rehearse() -> None:
    """Every function of the GPU rows once, on vectors few enough for Triton's interpreter."""
    os.environ["TRITON_INTERPRET"] = "1"
    engine = GpuEngine("cpu")
    states = made_up_states(40, 130)
    check(engine, states)
    tile, _ = tile_of(states)
    on_device = engine.upload(tile)
    assert operations(on_device, engine.plan(on_device)) > 0
    assert int8_roof(64, 1, engine.device) > 0
    print("rehearsed without a GPU: the joint terms of 40 vectors equal the CPU's; nothing was timed")


def check(engine: GpuEngine, states: NDArray[np.float32]) -> None:
    found, expected = with_engine(engine, states), pairwise.pair_statistics(states)
    for field in ("mi", "n", "hx", "hy"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=field)


def with_engine(engine: Engine, states: NDArray[np.float32]) -> pairwise.PairStatistics:
    prepared = pairwise.prepare(states)
    with mock.patch.object(pairwise, "_engine", return_value=engine):
        return pairwise.row_range(prepared, 0, len(states))


def tile_of(states: NDArray[np.float32]) -> tuple[Tile, NDArray[np.int64]]:
    """All pairs of the vectors as one tile, and the table. A copy: its arrays are used again for the next tile."""
    tiles = Tiles()
    with_engine(tiles, states)
    (seen,) = tiles.seen
    return copy.deepcopy(seen)


def operations(tile: DeviceTile, products: Products) -> int:
    """Multiplications and additions that the kernel makes."""
    _, bins, row_bytes = tile.rows_a.shape
    cells = products.columns.numel() * products.row_variants.shape[1] * bins * bins
    return 2 * cells * row_bytes * SLICES


def int8_roof(side: int, rounds: int, device: torch.device) -> float:
    """Operations/s of the library's int8 product of two random square matrices."""
    generator = torch.Generator(device).manual_seed(0)
    a, b = torch.randint(-128, 128, (2, side, side), dtype=torch.int8, generator=generator, device=device)
    return 2 * side**3 / seconds(lambda: torch._int_mm(a, b.T), rounds, idle_clock)


def seconds(function: Callable[[], object], rounds: int, clock: Callable[[], float]) -> float:
    """The best of some rounds, after one that does not count."""
    function()
    best = float("inf")
    for _ in range(rounds):
        start = clock()
        function()
        best = min(best, clock() - start)
    return best


def idle_clock() -> float:
    """The time when the GPU has nothing left to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def pairs_of(states: NDArray[np.float32]) -> int:
    return len(states) * (len(states) - 1) // 2


def show(name: str, rate: float, width: int, notebook: float) -> None:
    print(f"{name:46}{1e6 / rate:>10.4f}{rate:>12.3g}{rate * width:>16.3g}{rate / notebook:>12.1f}")


if __name__ == "__main__":
    main()
