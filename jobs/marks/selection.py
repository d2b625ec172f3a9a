"""Which tokens of a text are marks, which of them can be used, and which are taken.

The rule is the teaching notebook's. A token is a mark where its own text, stripped of white space, equals one of
the class's marks; a full stop is left out as a decimal point where the previous token ends or the next one starts
with a digit; and the whole window around a mark must lie within the text. `--selection strict` leaves out more.
Every mark that is found is either eligible or counted in `left_out` under exactly one reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.config import StudyConfig
from jobs.marks.abbreviations import is_abbreviation
from jobs.marks.tokens import Tokenization
from store.keys import MARK_CLASSES

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rule = Callable[[Tokenization, Positions, StudyConfig], Mask]

DECIMAL_POINT = "decimal point"
ELLIPSIS = "ellipsis"
ABBREVIATION = "abbreviation or initial"
THOUSANDS = "thousands separator"
SKIPPED = "in the skipped start"
NO_WINDOW = "no full window"

MOST_PER_CLASS = 65_535
"""Ordinals of marks are stored in 16 bits."""

_LONGEST_WORD_TOKENS = 8


@dataclass(frozen=True, eq=False)
class ClassSelection:
    """One class of marks in one text. Positions are indices into the text's tokens, ascending (int64 [n]).

    `found` counts the tokens that look like a mark, `eligible` those without a reason against them: found equals
    eligible plus the sum of `left_out`. `taken` are the positions that the sample keeps.
    """

    found: int
    eligible: int
    taken: Positions
    left_out: dict[str, int]


@dataclass(frozen=True, eq=False)
class Selection:
    """The marks of both classes, by the name of the class."""

    classes: dict[str, ClassSelection]

    @property
    def left_out(self) -> dict[str, int]:
        """Marks left out of both classes, for example {'terminal: decimal point': 12}."""
        return {
            f"{mark_class}: {reason}": count
            for mark_class, selected in self.classes.items()
            for reason, count in selected.left_out.items()
        }

    def problem(self, config: StudyConfig) -> str | None:
        """Why the text is of no use, or None: comparing the classes takes at least one pair of marks in each."""
        short = [mark_class for mark_class in MARK_CLASSES if self.classes[mark_class].taken.size < 2]
        if not short:
            return None
        counts = "; ".join(_account(name, self.classes[name], config) for name in short)
        return f"too few marks: {counts}. A pair needs 2 usable marks of each class"


def select(tokenization: Tokenization, config: StudyConfig) -> Selection:
    """The marks of a text under the study's rule. Depends on the text, the tokenizer and the study alone."""
    return Selection({name: _select_class(tokenization, config, name) for name in MARK_CLASSES})


def windows(ids: NDArray[np.int32], positions: Positions, before: int) -> NDArray[np.int32]:
    """The tokens up to and including each mark: int32 [n, before + 1], the mark last."""
    return ids[positions[:, None] + np.arange(-before, 1)]


def _select_class(tokenization: Tokenization, config: StudyConfig, name: str) -> ClassSelection:
    found = _positions_of(tokenization, getattr(config, name))
    remaining, left_out = found, {}
    for reason, rule in _rules(config, name):
        against = rule(tokenization, remaining, config)
        if against.any():
            left_out[reason] = int(against.sum())
            remaining = remaining[~against]
    return ClassSelection(found.size, remaining.size, _sample(remaining, tokenization.ids, config, name), left_out)


def _positions_of(tokenization: Tokenization, marks: tuple[str, ...]) -> Positions:
    vocabulary = tokenization.vocabulary
    is_mark = np.zeros(vocabulary.starts_with_digit.size, dtype=bool)
    is_mark[[token_id for mark in marks for token_id in vocabulary.ids_of(mark)]] = True
    return np.flatnonzero(is_mark[tokenization.ids])


def _rules(config: StudyConfig, name: str) -> list[tuple[str, Rule]]:
    """The reasons against a mark, in the order in which they are asked."""
    rules: list[tuple[str, Rule]] = [(DECIMAL_POINT, _decimal_point)] if name == "terminal" else []
    if config.selection == "strict":
        rules += [(ELLIPSIS, _ellipsis), (ABBREVIATION, _abbreviation), (THOUSANDS, _thousands_separator)]
    return [*rules, (SKIPPED, _skipped), (NO_WINDOW, _no_window)]


def _decimal_point(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    digit_before, digit_after = _digits_around(tokenization, positions)
    return (digit_before | digit_after) & _is(tokenization, positions, ".")


def _thousands_separator(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    digit_before, digit_after = _digits_around(tokenization, positions)
    return digit_before & digit_after & _is(tokenization, positions, ",")


def _ellipsis(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    dots = tokenization.vocabulary.only_dots
    beside = _at(dots, tokenization.ids, positions - 1) | _at(dots, tokenization.ids, positions + 1)
    return beside & _is(tokenization, positions, ".")


def _abbreviation(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    against = np.zeros(positions.size, dtype=bool)
    full_stops = np.flatnonzero(_is(tokenization, positions, "."))
    at = positions[full_stops].tolist()
    words = _words_before(tokenization, at)
    following = (_token_text(tokenization, position + 1) + _token_text(tokenization, position + 2) for position in at)
    against[full_stops] = [is_abbreviation(*texts) for texts in zip(words, following, strict=True)]
    return against


def _words_before(tokenization: Tokenization, at: list[int]) -> list[str]:
    """The characters before each position, back to the last white space: `Mr` or `(U.S` however they were cut up.

    A token that starts with a space is the word; several tokens are decoded together, in the tokenizer's own way.
    """
    ids = tokenization.ids
    words = [_token_text(tokenization, position - 1) for position in at]
    pieces = [index for index, word in enumerate(words) if word.split() != [word[1:]]]
    spans = (ids[max(0, at[index] - _LONGEST_WORD_TOKENS) : at[index]] for index in pieces)
    for index, text in zip(pieces, tokenization.vocabulary.decode(spans), strict=True):
        words[index] = text.split()[-1] if text and not text[-1].isspace() else ""
    return [word.strip() for word in words]


def _token_text(tokenization: Tokenization, position: int) -> str:
    if not 0 <= position < tokenization.ids.size:
        return ""
    return tokenization.vocabulary.text(int(tokenization.ids[position]))


def _skipped(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    return positions < config.skip_tokens


def _no_window(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    return (positions < config.before) | (positions + config.after >= tokenization.ids.size)


def _digits_around(tokenization: Tokenization, positions: Positions) -> tuple[Mask, Mask]:
    vocabulary, ids = tokenization.vocabulary, tokenization.ids
    return _at(vocabulary.ends_with_digit, ids, positions - 1), _at(vocabulary.starts_with_digit, ids, positions + 1)


def _at(table: Mask, ids: NDArray[np.int32], positions: Positions) -> Mask:
    """The table's entry for the token at each position; False beyond either end of the text."""
    inside = (positions >= 0) & (positions < ids.size)
    result = np.zeros(positions.size, dtype=bool)
    result[inside] = table[ids[positions[inside]]]
    return result


def _is(tokenization: Tokenization, positions: Positions, mark: str) -> Mask:
    return np.isin(tokenization.ids[positions], tokenization.vocabulary.ids_of(mark))


def _sample(eligible: Positions, ids: NDArray[np.int32], config: StudyConfig, name: str) -> Positions:
    """Which of the eligible marks are taken, in the order of the text.

    `random` ranks every position by a hash and takes the lowest ranks: a sample without replacement that depends
    on the text's tokens, the seed and the class, never on the machine, and that grows by adding to itself.
    `spread` takes the middles of equal stretches of the list of marks.
    """
    wanted = config.per_class
    if wanted is None or eligible.size <= wanted:
        return eligible[:MOST_PER_CLASS]
    if config.sample == "first":
        return eligible[:wanted]
    if config.sample == "spread":
        return eligible[((2 * np.arange(wanted) + 1) * eligible.size) // (2 * wanted)]
    ranks = _hashes(eligible, f"{config.seed} {name} ".encode() + ids.tobytes())
    return eligible[np.sort(np.argsort(ranks, kind="stable")[:wanted])]


def _hashes(positions: Positions, salt: bytes) -> NDArray[np.uint64]:
    """The splitmix64 hash of each position, started from the salt's checksum (Steele, Lea and Flood 2014,
    doi:10.1145/2660193.2660195): fixed for ever, unlike the streams of a library's random generator."""
    start = np.frombuffer(hashlib.sha256(salt).digest()[:8], dtype="<u8")
    state = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _account(name: str, selected: ClassSelection, config: StudyConfig) -> str:
    marks = " ".join(getattr(config, name))
    reasons = ", ".join(f"{count} {reason}" for reason, count in selected.left_out.items())
    return f"{selected.taken.size} {name} ({marks}) of {selected.found} found" + (f" ({reasons})" if reasons else "")
