"""What is estimated of each book: arrays [layers] from its sums over passages, and one number a passage for its error.

A book's estimates need no other book, and no pair is read. Likeness, difference, separation and dispersion are over
pairs of marks of **different passages that do not touch** (`analysis.contrasts.counted`); AUC and R^2 over all.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis import contrasts
from analysis.contrasts import Floats, PairSums

MEASURES = ("mi", "cov", "corr", "mi_copula", "corr_centred", "mi_copula_centred", "mi_centred")
"""The measures that may be there, in the order of the results."""

RAW = ("mi", "cov", "corr", "mi_copula")
"""Those of vectors as they are.

Pairs within a class are centred on the class and pairs between two on the middle of both: the contrast of centred
measures is no separation.
"""

CENTRED = {"mi": "mi_centred", "corr": "corr_centred", "mi_copula": "mi_copula_centred"}
"""Each raw measure's counterpart for centred vectors."""

DIRECTION = "direction"
"""What stands for a measure where a rule is asked about single marks: the direction from one mean to another."""

OF_PAIRS = (
    "separation",
    "difference",
    "difference_of_means",
    "auc",
    "r2",
    "transfer",
    "transfer_control",
    "transfer_gain",
)
"""Quantities that set two classes against each other; the others are of one class, or say how alike two are."""

PLACEBOS = ("halves", "random")
"""First half of a class's passages against the second, and random halves."""

Histograms = Mapping[tuple[str, str], NDArray[np.int64]]
"""By two classes, counts of mi over pairs: [layers, bins]."""


class Key(NamedTuple):
    """What is estimated: `first` and `second` are one class where it is of pairs within it, or a placebo of it."""

    quantity: str
    measure: str
    first: str
    second: str


class Estimate(NamedTuple):
    """An estimate [layers], and its pseudo-values [passages, layers] where they are known."""

    whole: Floats
    pseudo: Floats | None


def estimates_of_book(
    parts: Mapping[tuple[str, str], PairSums],
    touching: NDArray[np.bool_],
    histograms: Histograms,
    named: Sequence[str],
    layers: int,
    seed: int,
    *,
    wins: Mapping[tuple[str, str, str], PairSums] | None = None,
    with_error: bool = True,
) -> dict[Key, Estimate]:
    """All that is estimated of one book.

    `parts`: sums by two classes, their first axis layers and then measures; `touching`: bool [passages - 1], whether a
    passage touches the next in the text; `named`: the classes that are set against
    each other. `seed` draws the random halves. `wins`: by two classes and labels, sums [layers, P, P]
    of `transfer_sums`. `with_error`: whether pseudo-values are made.
    """
    book = _Book(parts, touching, layers, with_error)
    for (first, second), sums in book.across.items():
        book.note("likeness", (first, second), sums.mean(), sums.pseudo_values)
    for name in named:
        if (name, name) in parts:
            _of_class(book, name, seed)
    for first, second in itertools.combinations(named, 2):
        if (first, first) in parts and (second, second) in parts:
            _of_two(book, first, second)
            _effects(book, first, second, histograms)
    for (first, second, labels), sums in (wins or {}).items():
        book.note_transfer("transfer_control" if labels == "control" else "transfer", (first, second), sums)
    return book.found


def pair_sums(rows: pd.DataFrame, layers: Sequence[int]) -> Iterator[tuple[tuple[str, str], PairSums]]:
    """One book's sums by two classes; their first axis is layers and then measures, [layers * measures, P, P].

    `rows` has layer, class, other, passage, other_passage, pairs and the measures.
    """
    passages = 1 + int(rows[["passage", "other_passage"]].to_numpy().max())
    index = {layer: number for number, layer in enumerate(layers)}
    for (first, second), of_classes in rows.groupby(["class", "other"], sort=True, observed=True):
        at = of_classes["layer"].map(index).to_numpy(dtype=np.int64)
        row = of_classes["passage"].to_numpy(dtype=np.int64)
        column = of_classes["other_passage"].to_numpy(dtype=np.int64)
        sums = np.zeros((len(layers), len(MEASURES), passages, passages))
        pairs = np.zeros((passages, passages), dtype=np.int64)
        pairs[row, column] = of_classes["pairs"].to_numpy(dtype=np.int64)
        sums[at, :, row, column] = of_classes[list(MEASURES)].to_numpy(dtype=np.float64)
        yield (str(first), str(second)), PairSums(pairs, sums.reshape(-1, passages, passages))


def transfer_wins(rows: pd.DataFrame, layers: Sequence[int]) -> dict[tuple[str, str, str], PairSums]:
    """One book's wins by two classes and labels; `rows` are those of the query `transfer_sums`."""
    passages = 1 + int(rows[["passage", "other_passage"]].to_numpy().max())
    index = {layer: number for number, layer in enumerate(layers)}
    found = {}
    for (first, second, labels), of in rows.groupby(["class", "other", "labels"], sort=True, observed=True):
        at = of["layer"].map(index).to_numpy(dtype=np.int64)
        row, column = (of[name].to_numpy(dtype=np.int64) for name in ("passage", "other_passage"))
        pairs, sums = np.zeros((passages, passages), np.int64), np.zeros((len(layers), passages, passages))
        pairs[row, column] = of["pairs"].to_numpy(dtype=np.int64)
        sums[at, row, column] = of["wins"].to_numpy(dtype=np.float64)
        found[str(first), str(second), str(labels)] = PairSums(pairs, sums)
    return found


def touching_passages(rows: pd.DataFrame, passages: int) -> NDArray[np.bool_]:
    """Whether each of a book's passages touches or overlaps the next: bool [passages - 1].

    `rows` has passage, start, tokens.
    """
    ordered = rows.sort_values("passage")
    start, stop = ordered["start"].to_numpy(), (ordered["start"] + ordered["tokens"]).to_numpy()
    touching: NDArray[np.bool_] = start[1:] <= stop[:-1]
    return touching[: passages - 1]


def mi_histograms(rows: pd.DataFrame, layers: Sequence[int]) -> dict[tuple[str, str], NDArray[np.int64]]:
    """One book's histograms by two classes; `rows` has layer, class, other, histogram."""
    index = {layer: number for number, layer in enumerate(layers)}
    found = {}
    for (first, second), of_classes in rows.groupby(["class", "other"], sort=True, observed=True):
        counts = np.stack(list(of_classes["histogram"]))
        spread = np.zeros((len(layers), counts.shape[1]), dtype=np.int64)
        spread[[index[int(layer)] for layer in of_classes["layer"]]] = counts
        found[str(first), str(second)] = spread
    return found


@dataclass
class _Book:
    """One book's sums, and what was found so far."""

    parts: Mapping[tuple[str, str], PairSums]
    touching: NDArray[np.bool_]
    layers: int
    with_error: bool
    found: dict[Key, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.across = contrasts.counted(self.parts, self.touching)

    def note(
        self,
        quantity: str,
        classes: tuple[str, str],
        whole: Floats,
        by_passage: Callable[[], Floats] | None = None,
        measures: Sequence[str] = MEASURES,
    ) -> None:
        """Keep an estimate [layers * measures] of those measures that have it; `by_passage` makes its pseudo-values."""
        shape = (self.layers, len(MEASURES))
        values = whole.reshape(shape)
        pseudo = by_passage().reshape(-1, *shape) if by_passage is not None and self.with_error else None
        for column, measure in enumerate(MEASURES):
            if measure in measures and np.isfinite(values[:, column]).any():
                of_passages = None if pseudo is None else pseudo[:, :, column].copy()
                self.found[Key(quantity, measure, *classes)] = Estimate(values[:, column].copy(), of_passages)

    def note_transfer(self, quantity: str, classes: tuple[str, str], sums: PairSums) -> None:
        """Keep the share of wins [layers] among test marks of different passages, and what it gains on layer 0."""
        across = sums.across()
        used = across if across.pairs.any() else sums
        whole = used.mean()
        pseudo = used.pseudo_values() if self.with_error else None
        self.found[Key(quantity, DIRECTION, *classes)] = Estimate(whole, pseudo)
        if quantity == "transfer" and self.layers > 1:
            gain = None if pseudo is None else pseudo - pseudo[:, :1]
            self.found[Key("transfer_gain", DIRECTION, *classes)] = Estimate(whole - whole[0], gain)


def _of_class(book: _Book, name: str, seed: int) -> None:
    """Dispersion of a class, and the contrast of two halves of it."""
    within = book.across[name, name]
    of_correlations = ("corr", "corr_centred")
    book.note("dispersion", (name, name), 1 - within.mean(), lambda: 1 - within.pseudo_values(), of_correlations)
    here = np.flatnonzero((within.pairs + within.pairs.T).sum(axis=1))
    for kind in PLACEBOS:
        one, other = contrasts.halves(len(here), None if kind == "halves" else seed)
        whole, pseudo = contrasts.placebo(within, here[one], here[other])
        for quantity, measures in (("difference", MEASURES), ("separation", RAW)):
            book.note(
                f"{kind}_{quantity}",
                (name, name),
                getattr(whole, quantity),
                functools.partial(getattr, pseudo, quantity),
                measures,
            )


def _of_two(book: _Book, first: str, second: str) -> None:
    """Difference of two classes, and where pairs lie between them their separation."""
    one, other = book.across[first, first], book.across[second, second]
    both = (first, second)

    def difference() -> Floats:
        return other.pseudo_values() - one.pseudo_values()

    whole = other.mean() - one.mean()
    book.note("difference", both, whole, difference)
    book.note("difference_of_means", both, _less_centred(whole), lambda: _less_centred(difference()))
    between = book.across.get(both)
    if between is not None:
        found = contrasts.contrast(one, other, between).separation
        book.note("separation", both, found, lambda: contrasts.pseudo_values(one, other, between).separation, RAW)


def _effects(book: _Book, first: str, second: str, histograms: Histograms) -> None:
    """AUC of mi and R^2 of corr, over all pairs."""
    keys = ((first, first), (second, second), (first, second))
    if all(key in histograms for key in keys):
        one, other, between = (histograms[key] for key in keys)
        auc = np.full((book.layers, len(MEASURES)), np.nan)
        auc[:, MEASURES.index("mi")] = [
            (contrasts.auc_of_histograms(low, a) + contrasts.auc_of_histograms(low, b)) / 2
            for a, b, low in zip(one, other, between, strict=True)
        ]
        book.note("auc", (first, second), auc)
    if all(key in book.parts for key in keys):
        parts = [book.parts[key] for key in keys]
        whole = contrasts.explained_share(*parts)
        book.note("r2", (first, second), whole, lambda: contrasts.pseudo_explained_shares(*parts), ("corr",))


def _less_centred(values: Floats) -> Floats:
    """What centring takes from each raw measure: its value less that of its centred counterpart; NaN for the others."""
    by_measure = values.reshape(*values.shape[:-1], -1, len(MEASURES))
    taken = np.full_like(by_measure, np.nan)
    for raw, centred in CENTRED.items():
        taken[..., MEASURES.index(raw)] = (
            by_measure[..., MEASURES.index(raw)] - by_measure[..., MEASURES.index(centred)]
        )
    return taken.reshape(values.shape)
