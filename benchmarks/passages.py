"""The forward pass over passages against windows: 250 marks of each of two classes, and of six.

    python -m benchmarks.passages                               the bundled story
    python -m benchmarks.passages --book BOOK --marks 60        of a file, with fewer marks
    python -m benchmarks.passages --model gpt2-medium-shape     random weights, SmolLM2's tokenizer

Windows are the notebook's, up to their marks: 21 tokens. Of the six classes, each is about as frequent as the full
stop. Seconds are the processor's, of one pass over all that is read; the ways take turns piece by piece, so that a slow
moment of the machine hits all of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.one_book import SHAPE, save_shape
from jobs import run
from jobs.config import StudyConfig, resolve
from jobs.corpus.cleaning import text_of_book
from jobs.marks.selection import select
from jobs.marks.tokens import Tokenization, tokenize
from jobs.model.batch_size import WITHOUT_GPU
from jobs.model.encoder import load_encoder
from jobs.model.hidden_states import HiddenStates

TWO = {"internal": [","], "terminal": ["."]}
SIX = TWO | {
    "article": ["the", "The"],
    "preposition": ["of", "in", "from", "on"],
    "conjunction": ["and", "or", "but", "that"],
    "other": ["to", "a", "an", "was"],
}

Piece = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Sequences of a batch, and row * length + column of the marks in them, ascending."""


def main() -> None:
    options = parse()
    print(f"machine: {machine.describe()}")
    with tempfile.TemporaryDirectory() as folder:
        model = HiddenStates(save_shape(Path(folder)) if options.model == SHAPE else options.model)
    text = text_of_book(Path(run.bundled(options.book)).read_text(encoding="utf-8-sig"), "clean").text
    tokenization = tokenize(load_encoder("smollm2"), text)
    windows, _ = resolve({"per_class": options.marks, "skip_tokens": 0}, preset="notebook")
    passages = StudyConfig(per_class=options.marks, baseline=None)
    ways = {
        "windows, two classes": pieces(tokenization, windows),
        "passages, two classes": pieces(tokenization, passages),
        "passages, six classes": pieces(tokenization, with_classes(passages, SIX)),
    }
    report(ways, seconds_of(ways, model))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.passages", description=__doc__.splitlines()[0])
    parser.add_argument("--book", default="sample", help="a text file, or `sample`")
    parser.add_argument("--model", default="smollm2", help=f"what --model of a run takes, or `{SHAPE}`")
    parser.add_argument("--marks", type=int, default=250, help="marks of each class")
    return parser.parse_args()


def with_classes(config: StudyConfig, classes: dict[str, list[str]]) -> StudyConfig:
    """The study with other classes, read as from a TOML file."""
    return replace(config, classes=resolve({"classes": classes})[0].classes)


def pieces(tokenization: Tokenization, config: StudyConfig) -> list[Piece]:
    """What a run reads of the text, batch by batch as on a machine without a GPU."""
    sequences = select(tokenization, config).sequences
    tokens, size = sequences.tokens(tokenization.ids), WITHOUT_GPU[config.context]
    rows = np.concatenate(list(sequences.rows.values()))
    columns = np.concatenate(list(sequences.columns.values()))
    return [
        (tokens[start : start + size], np.sort((rows[inside] - start) * tokens.shape[1] + columns[inside]))
        for start in range(0, len(tokens), size)
        if (inside := (rows >= start) & (rows < start + size)).any()
    ]


def seconds_of(ways: dict[str, list[Piece]], model: HiddenStates) -> dict[str, float]:
    """Seconds of the processor that each way's pieces take, all ways in step."""
    seconds = dict.fromkeys(ways, 0.0)
    for name, (sequences, places) in in_step(ways):
        model.batch_size = len(sequences)
        started = time.process_time()
        model.start(sequences, places)()
        seconds[name] += time.process_time() - started
    return seconds


def in_step(ways: dict[str, list[Piece]]) -> Iterator[tuple[str, Piece]]:
    """All pieces, each at its share of its own way."""
    order = [
        ((number + 0.5) / len(parts), name, part) for name, parts in ways.items() for number, part in enumerate(parts)
    ]
    for _, name, part in sorted(order, key=lambda entry: entry[:2]):
        yield name, part


def report(ways: dict[str, list[Piece]], seconds: dict[str, float]) -> None:
    first = next(iter(ways))
    print(f"{'':24}{'sequences':>10}{'tokens run':>12}{'marks':>8}{'seconds':>9}{'of ' + first.split(',')[0]:>12}")
    for name, parts in ways.items():
        sequences = sum(len(tokens) for tokens, _ in parts)
        run_of = sum(len(tokens) * (1 + int((places % tokens.shape[1]).max())) for tokens, places in parts)
        marks = sum(places.size for _, places in parts)
        share = seconds[name] / seconds[first]
        print(f"{name:24}{sequences:10,}{run_of:12,}{marks:8,}{seconds[name]:9.1f}{share:12.2f}")


if __name__ == "__main__":
    main()
