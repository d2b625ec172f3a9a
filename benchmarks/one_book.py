"""The whole job of one book: what all but the forward pass costs, and the notebook's procedure beside it.

    python -m benchmarks.one_book                      the defaults: passages, pairs between classes, all their measures
    python -m benchmarks.one_book --preset notebook    the notebook's study, and its procedure in full: many minutes
    python -m benchmarks.one_book --preset notebook --marks 60              the same in about a minute
    python -m benchmarks.one_book --preset notebook --job-only              without the procedure
    python -m benchmarks.one_book --ray                the job as `interpunct run` does it, Ray's start included
    python -m benchmarks.one_book --model gpt2-medium-shape                 random weights, SmolLM2's tokenizer

Before the clocks start the pair kernels are compiled and, except with --ray, the model and its tokenizer are loaded.
Shares are ratios of the processor's time, since the wall's says more of what else runs on the machine. With the
notebook's procedure, which runs on the same model and the same marks, the two sets of numbers are compared at the end.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel

from analysis.pairwise import pair_statistics
from benchmarks import machine, notebook
from jobs import run
from jobs.config import RunConfig, StudyConfig, resolve
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.batch_size import WITHOUT_GPU
from jobs.model.encoder import load_encoder
from jobs.model.hidden_states import HiddenStates
from jobs.model.loading import load_tokenizer
from jobs.stages import compute, finish
from jobs.stages.clustering import BlockClusters
from jobs.stages.extract import Block, StatesModel, extract_blocks
from jobs.stages.prepare import PreparedShard
from jobs.stages.stages import Stages
from store.keys import BlockKey
from store.query.reader import open_store

SHAPE = "gpt2-medium-shape"

Numbers = dict[tuple[int, str], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Layer and class -> mutual information (bits) and covariance of all pairs."""


class Meter:
    """Seconds of the processor that forward passes take, and that finding and explaining clusters takes.

    A forward pass ends where the first block of a shard comes.
    """

    def __init__(self) -> None:
        self.forward = self.clusters = 0.0

    @contextmanager
    def timing_clusters(self) -> Iterator[None]:
        """Time whatever a job in this process does about clusters."""
        with ExitStack() as stack:
            for owner, name in (
                (BlockClusters, "__init__"),
                (BlockClusters, "add"),
                (compute, "clusters_table"),
                (finish, "explained"),
            ):
                stack.enter_context(mock.patch.object(owner, name, self._timed(getattr(owner, name))))
            yield

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # By thread: the pairs of several layers are under way at once.
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.clusters += time.thread_time() - started

        return timed

    def extract(
        self, model: StatesModel, prepared: PreparedShard, wanted: Collection[BlockKey] | None
    ) -> Iterator[Block]:
        """`extract_blocks`, timed."""
        started = time.process_time()
        for block in extract_blocks(model, prepared, wanted):
            if block.work.sequences:
                self.forward += time.process_time() - started
            yield block


def main() -> None:
    options = parse()
    print(f"machine: {machine.describe()}")
    with tempfile.TemporaryDirectory() as folder:
        model = save_shape(Path(folder)) if options.model == SHAPE else options.model
        config, _ = resolve({"model": model, "per_class": options.marks}, preset=options.preset)
        race(Path(run.bundled(options.book)), config, options)


def race(book: Path, config: StudyConfig, options: argparse.Namespace) -> None:
    """Time the job, then the notebook's procedure where it takes the same marks, and compare what came out."""
    alone = options.preset is None or options.job_only
    ours, seconds, stages = run_job(book, config, options.ray, not alone)
    listed = ", ".join(f"{stage} {taken:.2f} s" for stage, taken in stages.items())
    print(f"the job:              {seconds:9.2f} s    {listed}")
    if alone:
        return
    theirs, forward, pairs = run_notebook(book, config)
    print(f"the notebook's way:   {forward + pairs:9.2f} s    forward {forward:.2f} s, pairs {pairs:.2f} s")
    print(f"ratio:                {(forward + pairs) / seconds:9.1f} x    forward {forward / stages['forward']:.1f} x")
    compare(ours, theirs)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_book", description=__doc__.splitlines()[0])
    parser.add_argument("--book", default="sample", help="a text file, or `sample`")
    parser.add_argument("--model", default="smollm2", help=f"what --model of a run takes, or `{SHAPE}`")
    parser.add_argument("--marks", type=int, default=250, help="marks of each class")
    parser.add_argument("--preset", choices=("notebook",), help="the study; left out, the defaults")
    parser.add_argument("--ray", action="store_true", help="spread the job with Ray, as `interpunct run` does")
    parser.add_argument("--job-only", action="store_true", help="leave out the notebook's procedure")
    return parser.parse_args()


def save_shape(folder: Path) -> str:
    """A model of GPT-2 medium's shape with random weights, in a folder."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer("smollm2")
    tokenizer.save_pretrained(folder)
    GPT2LMHeadModel(GPT2Config(n_layer=24, n_embd=1024, n_head=16, vocab_size=len(tokenizer))).save_pretrained(folder)
    return str(folder)


def run_job(book: Path, config: StudyConfig, ray: bool, read: bool) -> tuple[Numbers, float, dict[str, float]]:
    """The job's numbers as stored where they are to be read, its wall time and its seconds by stage.

    Prints the share of the processor's time that is not the forward pass's.
    """
    stages, meter = Stages(), Meter()
    pair_statistics(np.random.default_rng(0).normal(size=(9, 64)).astype(np.float32))
    if not ray:
        size = config.batch_size or WITHOUT_GPU[config.context]
        model = HiddenStates(config.model, batch_size=size)
        load_encoder(config.model, config.revision)
        stages = Stages(load=lambda context, device: model, extract=meter.extract)
    with tempfile.TemporaryDirectory() as folder:
        started, busy = time.perf_counter(), time.process_time()
        with meter.timing_clusters():
            left = run.execute([str(book)], config, RunConfig(serial=not ray), folder, stages)
        if left:
            raise SystemExit("the job left something undone")
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        if not ray:
            rest = busy - meter.forward
            print(f"processor:            {busy:9.2f} s    forward {meter.forward:.2f} s, all but the forward pass "
                  f"{rest:.2f} s: {rest / meter.forward:.1%} of it")  # fmt: skip
            print(f"                      clusters {meter.clusters:.2f} s: {meter.clusters / meter.forward:.1%} of it")
        (record,) = (Path(folder) / "_runs").glob("*.json")
        numbers = read_numbers(folder) if read else {}
        return numbers, seconds, json.loads(record.read_text(encoding="utf-8"))["seconds"]


def read_numbers(location: str) -> Numbers:
    numbers: Numbers = {}
    with open_store(location) as store:
        for layer, name in store.sql("SELECT DISTINCT layer, class FROM summaries WHERE class = other").fetchall():
            of = f"layer = {layer} AND class = '{name}'"
            rows = store.sql(f"SELECT mi, cov FROM pairs WHERE {of} ORDER BY book, i, j").fetchnumpy()
            numbers[layer, name] = rows["mi"].astype(float), rows["cov"].astype(float)
    return numbers


def run_notebook(book: Path, config: StudyConfig) -> tuple[Numbers, float, float]:
    """The notebook's numbers, and seconds of its forward passes and of its pairs."""
    model: Any = notebook.load(config.model)
    tokens = tokenize(load_encoder(config.model), book.read_text(encoding="utf-8-sig"))
    numbers: Numbers = {}
    forward = pairs = 0.0
    for mark_class, found in select(tokens, config).classes.items():
        offsets = np.arange(-config.before, config.after + 1)
        windows = tokens.ids[found.taken[:, None] + offsets].astype(np.int64)
        started = time.perf_counter()
        states = notebook.hidden_states(model, windows)
        forward += time.perf_counter() - started
        started = time.perf_counter()
        for layer, vectors in enumerate(states):
            numbers[layer, mark_class] = notebook.pairs(vectors)
        pairs += time.perf_counter() - started
    return numbers, forward, pairs


def compare(ours: Numbers, theirs: Numbers) -> None:
    """Both ways round differently in the forward pass; a dimension on a bin's edge may change bins."""
    assert ours.keys() == theirs.keys()
    pairs = sum(len(mi) for mi, _ in ours.values())
    means = max(abs(ours[key][0].mean() - theirs[key][0].mean()) for key in ours)
    near = sum(int((np.abs(ours[key][0] - theirs[key][0]) < 1e-5).sum()) for key in ours)
    covariance = max(np.abs(ours[key][1] - theirs[key][1]).max() / np.abs(theirs[key][1]).max() for key in ours)
    print(f"same numbers:         {pairs:,} pairs; {near / pairs:.2%} with MI within 1e-5 bits")
    print(f"                      largest difference of a layer's mean MI: {means:.1e} bits")
    print(f"                      largest difference of a covariance, relative to its layer: {covariance:.1e}")


if __name__ == "__main__":
    main()
