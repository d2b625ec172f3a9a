"""Studies with known answers: how often an interval errs where there is nothing, and how often it finds what is there.

    python -m benchmarks.trials              the tables of docs/statistics.md: 300 studies a row, half an hour
    python -m benchmarks.trials --studies 50

A made-up mark is a vector: its class's mean and noise that follows the noise of the mark before it (lag-1 correlation).
Passages follow each other without a gap, which is harder than the passages of a study, which are spread over a book.
A pair's measure is the mean product of its vectors: a correlation without its scale, and a U-statistic of order two
like every measure of pairs. Where two classes have one distribution, their separation is a degenerate one, for which
little is known in theory; so it is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from analysis import contrasts
from analysis.contrasts import Contrast, Floats, PairSums
from analysis.inference import BOOKS_TO_SPEAK_OF_OTHERS, Evidence, infer

PASSAGES, MARKS, LAYERS, WIDTH = 15, 16, 12, 16
"""A book's passages, marks of each class in one, layers and dimensions: 240 marks, as the defaults take."""
STUDIES = 300
NOMINAL = 0.05


@dataclass(frozen=True)
class World:
    """What a study is drawn from. `books`, `lag` (correlation of neighbouring marks), and the true effects.

    `difference` and `separation` are the true ones, in units of the mean likeness within the first class, which is 1; a
    mark's noise is as large as its class's mean. `between_books`: standard deviation of the difference over books.
    """

    books: int = 1
    lag: float = 0.0
    difference: float = 0.0
    separation: float = 0.0
    between_books: float = 0.0
    passages: int = PASSAGES


class Sums(NamedTuple):
    """One book's sums within the first class, within the second, and between them: pairs of different passages."""

    first: PairSums
    second: PairSums
    between: PairSums


def draw_book(world: World, generator: np.random.Generator) -> Sums:
    """One made-up book."""
    common = np.ones((LAYERS, WIDTH))
    away = np.tile(np.where(np.arange(WIDTH) % 2, 1.0, -1.0), (LAYERS, 1)) * np.sqrt(world.separation / 2)
    spread = world.between_books * generator.normal(size=LAYERS)
    length = np.sqrt(np.maximum(1 + world.difference + spread, 0))
    # At right angles and equally far to either side: the classes are apart and equally like themselves.
    a = _passage_sums(world, generator, common - away)
    b = _passage_sums(world, generator, length[:, None] * common + away)
    return Sums(_pair_sums(a, a, within=True), _pair_sums(b, b, within=True), _pair_sums(a, b, within=False))


def contrasts_of(books: list[Sums]) -> tuple[list[Contrast], list[Contrast]]:
    """Each book's contrast and its pseudo-values."""
    return [contrasts.contrast(*book) for book in books], [contrasts.pseudo_values(*book) for book in books]


def placebos_of(books: list[Sums], seed: int | None) -> tuple[list[Contrast], list[Contrast]]:
    """The same of the first class against itself: its first half of passages against the second, or random halves."""
    made = [
        contrasts.placebo(book.first, *contrasts.halves(len(book.first.pairs), None if seed is None else seed + k))
        for k, book in enumerate(books)
    ]
    return [whole for whole, _ in made], [pseudo for _, pseudo in made]


def evidence(estimates: list[Contrast], pseudo: list[Contrast], quantity: str) -> Evidence:
    """What a report would say of one quantity of a contrast."""
    return infer(
        np.stack([getattr(each, quantity) for each in estimates]), [getattr(each, quantity) for each in pseudo]
    )


def flagged_share(world: World, studies: int) -> dict[str, float]:
    """The share of studies in which any layer is flagged, by statistic: of the classes and of the two placebos."""
    generator = np.random.default_rng([world.books, round(10 * world.lag)])
    found: dict[str, int] = dict.fromkeys(FLAGS, 0)
    for study in range(studies):
        books = [draw_book(world, generator) for _ in range(world.books)]
        real, halves, random = contrasts_of(books), placebos_of(books, None), placebos_of(books, study)
        alike = real
        if world.between_books:  # classes whose means differ in length are apart: no world without a difference
            same = replace(world, between_books=0)
            alike = contrasts_of([draw_book(same, generator) for _ in range(world.books)])
        for name, (made, quantity) in {
            "difference": (real, "difference"),
            "separation": (alike, "separation"),
            "halves, difference": (halves, "difference"),
            "halves, separation": (halves, "separation"),
            "random halves, difference": (random, "difference"),
            "random halves, separation": (random, "separation"),
        }.items():
            found[name] += _found(evidence(*made, quantity), quantity)
        if world.books >= BOOKS_TO_SPEAK_OF_OTHERS:
            p = evidence(*real, "difference").p
            found["difference, sign flips"] += bool((p <= NOMINAL).any())
    return {name: count / studies for name, count in found.items()}


FLAGS = (
    "difference",
    "difference, sign flips",
    "separation",
    "halves, difference",
    "halves, separation",
    "random halves, difference",
    "random halves, separation",
)

NOTHING = [World(books=books, lag=lag) for books in (1, 3) for lag in (0.0, 0.2, 0.5)] + [
    World(books=books, lag=lag, between_books=0.2) for books in (8, 30) for lag in (0.0, 0.2, 0.5)
]
"""Worlds without a difference. Over books, the books' own differences have a mean of 0 and spread."""


def print_false_alarms(studies: int, books: Sequence[int]) -> None:
    """Worlds with nothing to find."""
    print(f"\nNothing to find: studies of {studies} with any of {LAYERS} layers flagged at {NOMINAL:.0%}")
    print("(a difference of either sign; a separation above zero)")
    print("| books | lag-1 | " + " | ".join(FLAGS) + " |")
    print("|---|---|" + "---|" * len(FLAGS))
    for world in (world for world in NOTHING if world.books in books):
        shares = flagged_share(world, studies)
        cells = [
            "" if name == "difference, sign flips" and world.books < BOOKS_TO_SPEAK_OF_OTHERS else f"{share:.1%}"
            for name, share in shares.items()
        ]
        print(f"| {world.books} | {world.lag} | " + " | ".join(cells) + " |", flush=True)


def found_share(world: World, quantity: str, studies: int, seed: int = 0) -> float:
    """The share of layers that are flagged, over studies: the power in one layer, with intervals for all at once."""
    generator = np.random.default_rng(seed)
    shares = []
    for _ in range(studies):
        made = contrasts_of([draw_book(world, generator) for _ in range(world.books)])
        result = evidence(*made, quantity)
        shares.append((result.above if quantity == "separation" else result.flagged).mean())
    return float(np.mean(shares))


def print_power(studies: int, of_books: Sequence[int]) -> None:
    """Worlds with an effect, at the worst dependence."""
    print("\nSomething to find, lag-1 0.5: share of layers flagged (effects in units of the likeness within a class)")
    effects = [("difference", size) for size in (0.1, 0.2, 0.4)] + [("separation", size) for size in (0.01, 0.03, 0.1)]
    print("| books | " + " | ".join(f"{name} {size}" for name, size in effects) + " |")
    print("|---|" + "---|" * len(effects))
    for books in of_books:
        world = World(books=books, lag=0.5, between_books=0.2 if books >= BOOKS_TO_SPEAK_OF_OTHERS else 0)
        cells = [f"{found_share(replace(world, **{name: size}), name, studies):.0%}" for name, size in effects]
        print(f"| {books} | " + " | ".join(cells) + " |", flush=True)


def skewed_effects(books: int, shared: float, generator: np.random.Generator) -> Floats:
    """Books' effects [books, layers] of mean 0 with a long tail; `shared`: their correlation between two layers."""
    own, common = generator.exponential(size=(books, LAYERS)), generator.exponential(size=(books, 1))
    return np.asarray(np.sqrt(1 - shared) * (own - 1) + np.sqrt(shared) * (common - 1))


def print_skewed(studies: int) -> None:
    """Books whose effects have a mean of 0 and a long tail to one side."""
    print("\nSkewed books (exponential effects of mean 0): studies with any layer flagged")
    print("| books | layers' correlation | interval | sign flips | median skewness found |")
    print("|---|---|---|---|---|")
    for books in (5, 8, 12, 30, 100):
        for shared in (0.0, 0.9):
            generator = np.random.default_rng([books, round(10 * shared)])
            found = [infer(skewed_effects(books, shared, generator)) for _ in range(studies)]
            by_interval = np.mean([each.flagged.any() for each in found])
            by_flips = np.mean([(each.p <= NOMINAL).any() for each in found])
            skewed = np.median([np.median(each.skewness) for each in found])
            print(f"| {books} | {shared} | {by_interval:.1%} | {by_flips:.1%} | {skewed:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trials", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--books", type=int, nargs="*", default=(1, 3, 8, 30), help="studies of so many books")
    parser.add_argument("--only", choices=("nothing", "power", "skewed"), help="one table of the three")
    options = parser.parse_args()
    if options.only in (None, "nothing"):
        print_false_alarms(options.studies, options.books)
    if options.only in (None, "power"):
        print_power(options.studies // 3, options.books)
    if options.only in (None, "skewed"):
        print_skewed(options.studies)


def _found(result: Evidence, quantity: str) -> bool:
    """Whether a report would claim something: a difference of either sign, or a separation above 0."""
    return bool((result.above if quantity == "separation" else result.flagged).any())


def _passage_sums(world: World, generator: np.random.Generator, mean: Floats) -> Floats:
    """Sums of a class's vectors by passage: [passages, layers, width]."""
    noise = generator.normal(size=(world.passages * MARKS, LAYERS, WIDTH))
    if world.lag:
        scale = np.sqrt(1 - world.lag**2)
        noise[0] /= scale
        noise = lfilter([scale], [1, -world.lag], noise, axis=0)
    return noise.reshape(world.passages, MARKS, LAYERS, WIDTH).sum(axis=1) + MARKS * mean


def _pair_sums(a: Floats, b: Floats, *, within: bool) -> PairSums:
    """Sums of the mean products over the pairs of two passages; within a class each pair stands once."""
    passages = len(a)
    there = np.tri(passages, k=-2, dtype=np.bool_).T
    there = there if within else there | there.T
    products = np.matmul(a.transpose(1, 0, 2), b.transpose(1, 2, 0)) / WIDTH
    return PairSums(np.where(there, MARKS * MARKS, 0), np.where(there, products, 0.0))


if __name__ == "__main__":
    main()
