"""Does a rule learned on one type of mark of two classes tell their other types apart?

Any two tokens can be told apart by their states, since a state holds its token. What a class is beyond its tokens shows
where a rule learned on one pair of mark types, for example `,` against `.`, tells others: `;` and `:` from `?` and `!`
(cross-condition generalisation: Bernardi et al. 2020, doi:10.1016/j.cell.2020.09.031).

The rule is the direction from the mean state of one teaching type to that of the other: it has nothing to tune. It is
learned on one half of a book's passages (the odd or the even ones) and asked about marks of the other half. A pair of
test marks, one of either class, is a win where the mark of the second class lies further along the direction; the share
of wins is the AUC. Wins are summed by the passages of the two marks, which is all that leaving out passages needs
(`analysis.contrasts.PairSums`).

**Control labels** (Hewitt and Liang 2019, doi:10.18653/v1/D19-1275): the same rule, with every mark type that did not
teach it put on one of two sides at random, in several draws whose wins are added up. The share of wins is then 0.5 but
for what the draws happen to catch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 16
"""Draws of control labels."""

ROWS_AT_ONCE = 512
"""Marks of the first class whose wins are in memory at once."""


@dataclass(frozen=True, eq=False)
class TypedMarks:
    """Some marks: `x` float32 [marks, D], `passages` int [marks], and `trained` bool [marks], which teach the rule."""

    x: NDArray[np.float32]
    passages: NDArray[np.integer]
    trained: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Wins:
    """By the passages of two test marks: how many pairs int64 [P, P], and how many wins float64 [P, P]; ties half."""

    pairs: NDArray[np.int64]
    wins: NDArray[np.float64]

    @property
    def auc(self) -> float:
        """The share of wins; NaN where there are no pairs."""
        pairs = int(self.pairs.sum())
        return float(self.wins.sum()) / pairs if pairs else float("nan")


def transfer(first: TypedMarks, second: TypedMarks, passages: int) -> Wins:
    """Wins among the marks of two classes that did not teach the rule, passages held out."""
    total = _nothing(passages)
    for half, direction in _rules(first, second):
        low, high = (_scores(marks, ~marks.trained, half, direction) for marks in (first, second))
        _count(total, low, high)
    return total


def control(first: TypedMarks, second: TypedMarks, asked: TypedMarks, sides: NDArray[np.bool_], passages: int) -> Wins:
    """Wins of the rule of two classes among `asked`, marks whose side was drawn by `control_sides`, over all draws.

    `sides`: bool [draws, marks], whether a mark is on the second side.
    """
    total = _nothing(passages)
    for half, direction in _rules(first, second):
        scores, of = _scores(asked, np.ones(len(asked.x), dtype=np.bool_), half, direction)
        for side in sides[:, asked.passages % 2 == half]:
            _count(total, (scores[~side], of[~side]), (scores[side], of[side]))
    return total


def control_sides(types: NDArray[np.str_], salt: str, draws: int = DRAWS) -> NDArray[np.bool_]:
    """A side of each mark by its type alone, at random: half of the types are on the second. bool [draws, marks].

    The draws depend on the salt and the types, and are fixed for ever.
    """
    distinct = sorted({str(name) for name in types})
    sides = []
    for draw in range(draws):
        digests = {name: hashlib.sha256(f"{salt} {draw} {name}".encode()).digest() for name in distinct}
        ordered = sorted(distinct, key=digests.__getitem__)
        sides.append(np.isin(types, np.array(ordered[: len(ordered) // 2], dtype=np.str_)))
    return np.array(sides)


def _nothing(passages: int) -> Wins:
    return Wins(np.zeros((passages, passages), np.int64), np.zeros((passages, passages)))


def _rules(first: TypedMarks, second: TypedMarks) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Each half of the passages that is asked, with the direction that the other half teaches."""
    for half in (0, 1):
        direction = _direction(first, second, half)
        if direction is not None:
            yield half, direction


def _direction(first: TypedMarks, second: TypedMarks, half: int) -> NDArray[np.float64] | None:
    """From one trained mean to the other, [D], over the passages outside of `half`; None where either has no marks."""
    taught = [marks.trained & (marks.passages % 2 != half) for marks in (first, second)]
    if not all(of.any() for of in taught):
        return None
    means = [marks.x[of].mean(axis=0, dtype=np.float64) for marks, of in zip((first, second), taught, strict=True)]
    return np.asarray(means[1] - means[0])


def _scores(
    marks: TypedMarks, chosen: NDArray[np.bool_], half: int, direction: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    """How far each chosen mark of a half lies along the direction, and its passage."""
    here = chosen & (marks.passages % 2 == half)
    return marks.x[here].astype(np.float64) @ direction, marks.passages[here]


def _count(
    total: Wins,
    low: tuple[NDArray[np.float64], NDArray[np.integer]],
    high: tuple[NDArray[np.float64], NDArray[np.integer]],
) -> None:
    """Add the pairs of one half: each mark of `low` against each of `high`."""
    passages = len(total.pairs)
    member = np.zeros((len(high[0]), passages), dtype=np.float32)
    member[np.arange(len(high[0])), high[1]] = 1
    np.add(total.pairs, np.outer(*(np.bincount(of[1], minlength=passages) for of in (low, high))), out=total.pairs)
    for start in range(0, len(low[0]), ROWS_AT_ONCE):
        rows = low[0][start : start + ROWS_AT_ONCE, None]
        won = (high[0] > rows).astype(np.float32) + np.float32(0.5) * (high[0] == rows)
        np.add.at(total.wins, low[1][start : start + ROWS_AT_ONCE], won @ member)
