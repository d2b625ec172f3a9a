"""The forward pass against the notebook's way and against the machine's own matrix product, in one run.

    python -m benchmarks.extract                          the shape of GPT-2 medium, random weights
    python -m benchmarks.extract --model smollm2
    python -m benchmarks.extract --device cuda --dtype float32 tf32 bfloat16 --windows 2048 --batch-sizes 64 256

The roofline is measured: the products of one pass, with their real weights and shapes and nothing between them, by
the faster of what torch has here (`torch.mm`, that is MKL or cuBLAS; oneDNN with packed weights). All ways are timed
in turn, round after round, and the best round of each counts. Windows alone are timed here; `benchmarks.passages` sets
passages against them.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from benchmarks import machine, notebook
from jobs.model.forward import ForwardPass
from jobs.model.hidden_states import set_product_precision
from jobs.model.shortcuts import PackedLinear

LENGTH, BATCH = 31, 64


@dataclass(frozen=True)
class Product:
    """One matrix product of a pass: `[rows, inner] x [inner, outer]`."""

    left: torch.Tensor
    weight: torch.Tensor
    packed: torch.Tensor | None
    """The same weight in oneDNN's layout, where the pass uses it."""

    @property
    def operations(self) -> int:
        return 2 * len(self.left) * self.weight.numel()


def main() -> None:
    options = parse()
    torch.manual_seed(0)
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"machine: {machine.describe()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    if options.device == "cuda":
        print(f"GPU: {torch.cuda.get_device_name()}")
    model = load(options.model).to(options.device)
    windows = np.random.default_rng(0).integers(0, model.config.vocab_size, (options.windows, LENGTH))
    for dtype in options.dtype:
        compare(model, windows, dtype, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extract", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gpt2-medium-shape", help="what --model of a run takes, or this shape")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=("float32", "tf32", "bfloat16", "float16"))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one batch size, fewer windows and rounds")
    options = parser.parse_args()
    if options.quick:
        options.batch_sizes, options.windows, options.rounds = [32], 32, 2
    return options


def load(name: str) -> Any:
    if name == "gpt2-medium-shape":
        return GPT2LMHeadModel(GPT2Config(n_layer=24, n_embd=1024, n_head=16)).eval()
    return notebook.load(name)


def compare(model: Any, windows: NDArray[np.int64], dtype: str, options: argparse.Namespace) -> None:
    """Time the notebook's way (always float32), the pass and the roofline at each batch size, and print ratios."""
    decoder = copy.deepcopy(model.base_model).to(getattr(torch, "float32" if dtype == "tf32" else dtype))
    forward = ForwardPass(decoder)
    short = np.ascontiguousarray(windows[:, : notebook.MARK + 1])
    few = windows[: len(windows) // 4]
    ways: dict[str, Callable[[], object]] = {
        "notebook, one window at a time": lambda: notebook.hidden_states(model, few),
        f"notebook, {BATCH} windows at a time": lambda: notebook.hidden_states(model, windows, BATCH),
    }
    products = {size: products_of_a_pass(forward, short[:size]) for size in options.batch_sizes}
    for size in options.batch_sizes:
        ways[f"pass, batches of {size}"] = lambda size=size: forward.states(short, size)
        ways[f"products by torch.mm, {size}"] = lambda size=size: multiply(products[size])
        if products[size][0].packed is not None:
            ways[f"products by oneDNN, {size}"] = lambda size=size: multiply_packed(products[size])
    seconds = best_of(ways, dtype, options)
    report(seconds, dtype, forward, products, len(few), options)


def report(
    seconds: dict[str, float],
    dtype: str,
    forward: ForwardPass,
    products: dict[int, list[Product]],
    few: int,
    options: argparse.Namespace,
) -> None:
    one, batched = (seconds.pop(way) for way in list(seconds)[:2])
    single, batched = one / few, batched / options.windows
    print(f"\n{dtype}; shortcuts: {', '.join(forward.shortcuts)}")
    print(f"{'ms a window':>44}  vs one  vs batched   products alone, GFLOP/s    share of roofline")
    print(f"{'notebook, one window at a time':32}{1e3 * single:12.2f}{1:8.2f}")
    print(f"{f'notebook, {BATCH} windows at a time':32}{1e3 * batched:12.2f}{single / batched:8.2f}{1:12.2f}")
    for size in options.batch_sizes:
        window = seconds[f"pass, batches of {size}"] / options.windows
        ways = {way: seconds[key] for way in ("torch.mm", "oneDNN") if (key := f"products by {way}, {size}") in seconds}
        operations = sum(product.operations for product in products[size])
        rates = ", ".join(f"{way} {operations / taken / 1e9:.0f}" for way, taken in ways.items())
        share = min(ways.values()) / size / window
        name = f"pass, batches of {size}"
        print(f"{name:32}{1e3 * window:12.2f}{single / window:8.2f}{batched / window:12.2f}   {rates:26}{share:14.0%}")


def best_of(ways: dict[str, Callable[[], object]], dtype: str, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of each way's best round; the rounds alternate, so that a slow moment of the machine hits all."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(options.rounds + 1):
        for name, way in ways.items():
            set_product_precision("float32" if name.startswith("notebook") else dtype)
            start = time.perf_counter()
            way()
            if options.device == "cuda":
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def products_of_a_pass(forward: ForwardPass, windows: NDArray[np.int64]) -> list[Product]:
    """The products that one pass over these windows makes, in order."""
    found: list[Product] = []
    matrices: dict[tuple[int, int], torch.Tensor] = {}

    def note(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        shape = (args[0].numel() // args[0].shape[-1], args[0].shape[-1])
        left = matrices.setdefault(shape, torch.randn(shape, dtype=args[0].dtype, device=args[0].device))
        if isinstance(module, PackedLinear):
            found.append(Product(left, module.weight.to_dense().t(), module.weight))
        else:
            weight: Any = module.weight
            found.append(Product(left, weight if isinstance(module, Conv1D) else weight.t(), None))

    layers = [m for m in forward.model.modules() if isinstance(m, nn.Linear | Conv1D | PackedLinear)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    forward.states(windows, len(windows))
    for handle in handles:
        handle.remove()
    return found


@torch.inference_mode()
def multiply(products: list[Product]) -> None:
    for product in products:
        torch.mm(product.left, product.weight)


@torch.inference_mode()
def multiply_packed(products: list[Product]) -> None:
    for product in products:
        torch.ops.mkldnn._linear_pointwise(product.left, product.packed, None, "none", [], "")


if __name__ == "__main__":
    main()
