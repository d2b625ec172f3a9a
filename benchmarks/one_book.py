"""The whole job of one book against the notebook's procedure, both run in full on the same machine.

    python -m benchmarks.one_book                      the bundled story, SmolLM2, 250 marks a class: many minutes
    python -m benchmarks.one_book --marks 60           the same in about a minute
    python -m benchmarks.one_book --ray                the job as `interpunct run` does it, Ray's start included
    python -m benchmarks.one_book --job-only --model gpt2-medium-shape      random weights, SmolLM2's tokenizer

Same model, same marks. Before the clocks start the pair kernels are compiled and, except with --ray, the model and its
tokenizer are loaded. At the end the two sets of numbers are compared, and the time that passes outside the forward
pass is set against it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPT2Config, GPT2LMHeadModel

from analysis.pairwise import pair_statistics
from benchmarks import machine, notebook
from jobs import run
from jobs.config import RunConfig, StudyConfig
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.encoder import load_encoder
from jobs.model.hidden_states import HiddenStates
from jobs.model.loading import load_tokenizer
from jobs.stages.stages import Stages
from store.keys import MARK_CLASSES
from store.query.reader import open_store

SHAPE = "gpt2-medium-shape"

Numbers = dict[tuple[int, str], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Layer and class -> mutual information (bits) and covariance of all pairs."""


def main() -> None:
    options = parse()
    print(f"machine: {machine.describe()}")
    with tempfile.TemporaryDirectory() as folder:
        model = save_shape(Path(folder)) if options.model == SHAPE else options.model
        config = StudyConfig(model=model, text="raw", per_class=options.marks)
        race(Path(run.bundled(options.book)), config, options)


def race(book: Path, config: StudyConfig, options: argparse.Namespace) -> None:
    """Time the job, then the notebook's procedure, and compare what came out."""
    ours, seconds, stages = run_job(book, config, options.ray)
    print(f"the job:              {seconds:9.2f} s    {describe_stages(seconds, stages)}")
    if options.job_only:
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


def run_job(book: Path, config: StudyConfig, ray: bool) -> tuple[Numbers, float, dict[str, float]]:
    """The job's numbers as stored, its wall time, and its seconds by stage."""
    stages = Stages()
    pair_statistics(np.random.default_rng(0).normal(size=(9, 64)).astype(np.float32))
    if not ray:
        model = HiddenStates(config.model)
        load_encoder(config.model, config.revision)
        stages = Stages(load=lambda context, device: model)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        if run.execute([str(book)], config, RunConfig(serial=not ray), folder, stages) != 0:
            raise SystemExit("the job left something undone")
        seconds = time.perf_counter() - started
        (record,) = (Path(folder) / "_runs").glob("*.json")
        return read_numbers(folder), seconds, json.loads(record.read_text(encoding="utf-8"))["seconds"]


def read_numbers(location: str) -> Numbers:
    numbers: Numbers = {}
    with open_store(location) as store:
        rows = store.sql("SELECT layer, class, mi, cov FROM pairs ORDER BY layer, class, book, i, j").fetchnumpy()
        layers = int(rows["layer"].max()) + 1
    for layer in range(layers):
        for mark_class in MARK_CLASSES:
            chosen = (rows["layer"] == layer) & (rows["class"] == mark_class)
            numbers[layer, mark_class] = rows["mi"][chosen].astype(float), rows["cov"][chosen].astype(float)
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


def describe_stages(wall: float, stages: dict[str, float]) -> str:
    """All but the forward pass, by the clock on the wall: the other stages may run side by side."""
    listed = ", ".join(f"{stage} {value:.2f} s" for stage, value in stages.items())
    return f"{listed}; all but the forward pass took {(wall - stages['forward']) / stages['forward']:.1%} of its time"


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
