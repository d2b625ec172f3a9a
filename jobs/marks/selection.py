"""Which tokens of a text are marks, which of them can be used, which are taken, and what the model reads for them.

A token belongs to a class as `jobs.classes` says, or because a labels file names it. A full stop is left out as a
decimal point where the previous token ends or the next one starts with a digit: that is the teaching notebook's rule.
`--selection strict` leaves out more. Every mark that is found is either eligible or counted in `left_out` under exactly
one reason.

With `--context passage` the model reads whole passages and marks are taken from their bodies; with `--context window`,
the notebook's way, it reads for each mark the tokens just before it, and no mark without a full window is eligible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.classes import BASELINE, MOST_CLASSES
from jobs.config import StudyConfig
from jobs.marks.abbreviations import is_abbreviation
from jobs.marks.class_table import class_table
from jobs.marks.labels import NO_LABELS, BookLabels
from jobs.marks.passages import PassageGrid, Positions, choose_passages, hashes, reach, thin
from jobs.marks.tokens import Tokenization

Mask = NDArray[np.bool_]
Rule = Callable[[Tokenization, Positions, StudyConfig], Mask]

DECIMAL_POINT = "decimal point"
ELLIPSIS = "ellipsis"
ABBREVIATION = "abbreviation or initial"
THOUSANDS = "thousands separator"
SKIPPED = "in the skipped start"
NO_WINDOW = "no full window"
WARM_UP = "in the first warm-up"
UNREADABLE = (NO_WINDOW, WARM_UP)
"""Reasons against a mark that lie in what the model reads, and not in the mark."""
NO_TOKEN = "offset without a token"
OTHER_CLASS = "token of another class"
SECOND_LABEL = "second label of a token"

MOST_PER_CLASS = 65_535
"""Ordinals of marks are stored in 16 bits."""

_LONGEST_WORD_TOKENS = 8


@dataclass(frozen=True, eq=False)
class ClassSelection:
    """One class of marks in one text. Positions are indices into the text's tokens, ascending (int64 [n]).

    `found` counts the tokens of the class, `eligible` those without a reason against them: found equals eligible plus
    the sum of `left_out`. `taken` are the positions that the sample keeps.
    """

    found: int
    eligible: int
    taken: Positions
    left_out: Mapping[str, int]

    @property
    def behind_start(self) -> int:
        """Those behind the skipped start that are marks by the study's rule, whether or not the model can read them."""
        return self.eligible + sum(self.left_out.get(reason, 0) for reason in UNREADABLE)


@dataclass(frozen=True, eq=False)
class Sequences:
    """What the model reads of a text: stretches of its tokens, all `length` long, and where the marks lie in them.

    Passages are no longer than the mark that lies farthest in any of them asks for.

    `starts`: int64 [count], ascending where they are passages. `rows`, `columns`: for each class int64 [marks]: the
    sequence that holds a mark, and the mark's place in it.
    """

    starts: Positions
    length: int
    rows: Mapping[str, Positions]
    columns: Mapping[str, Positions]

    def tokens(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """The sequences' token ids: int32 [count, length]."""
        sequences: NDArray[np.int32] = ids[self.starts[:, None] + np.arange(self.length)]
        return sequences


@dataclass(frozen=True, eq=False)
class Selection:
    """The marks of a text by class, in the study's order, and what is read for them.

    `passage_starts`: int64 [passages], where each passage that holds a mark begins, `passage_length` tokens long (the
    last may be shorter); `passage_of`: for each class int64 [marks], the passage of a mark. With windows, which are too
    short to be a unit of sampling, passages are stretches of the text that hold marks. `first_in_context`: for each
    class, whether no earlier token of it lies in what the model reads before the mark.
    """

    classes: Mapping[str, ClassSelection]
    sequences: Sequences
    passage_starts: Positions
    passage_length: int
    passage_of: Mapping[str, Positions]
    first_in_context: Mapping[str, Mask]

    @property
    def left_out(self) -> dict[str, int]:
        """Marks left out of the classes, for example {'terminal: decimal point': 12}."""
        return {
            f"{name}: {reason}": count
            for name, selected in self.classes.items()
            for reason, count in selected.left_out.items()
        }

    @property
    def problem(self) -> str | None:
        """Why the text is of no use, or None: it takes at least one pair of marks of one class."""
        named = {name: selected for name, selected in self.classes.items() if name != BASELINE}
        if any(selected.taken.size >= 2 for selected in named.values()):
            return None
        counts = "; ".join(_account(name, selected) for name, selected in named.items())
        return f"too few marks: {counts}. A pair needs 2 usable marks of a class"

    @property
    def warnings(self) -> list[str]:
        """Classes that have no pair of marks here, each in a sentence."""
        return [
            f"no pairs of class {name}: {_account(name, selected)}"
            for name, selected in self.classes.items()
            if selected.taken.size < 2
        ]


def behind_start(eligible: int, left_out: Mapping[str, int], name: str) -> int:
    """`ClassSelection.behind_start` from the counts of a class that the table `books` has."""
    return eligible + sum(left_out.get(f"{name}: {reason}", 0) for reason in UNREADABLE)


def select(tokenization: Tokenization, config: StudyConfig, labels: BookLabels = NO_LABELS) -> Selection:
    """The marks of a text under the study's rule. Depends on the text, the tokenizer and the study alone.

    `labels`: where the study's labels file names tokens of the text. Raises UsageError where two classes claim one
    token.
    """
    class_of = _class_of_tokens(tokenization, config)
    unusable = _add_labels(class_of, labels, config)
    eligible: dict[str, Positions] = {}
    left_out: dict[str, dict[str, int]] = {}
    found: dict[str, int] = {}
    for place, name in enumerate(config.named_classes):
        positions = np.flatnonzero(class_of == place)
        eligible[name], against = _without(tokenization, positions, config)
        left_out[name] = unusable.get(name, {}) | against
        found[name] = positions.size + sum(unusable.get(name, {}).values())
    if config.context == "passage":
        taken = _from_passages(tokenization.ids, eligible, class_of, config)
    else:
        taken = _from_windows(tokenization.ids, eligible, class_of, config)
    if BASELINE in taken:
        eligible[BASELINE], left_out[BASELINE] = taken[BASELINE], {}
        found[BASELINE] = taken[BASELINE].size
    classes = {name: ClassSelection(found[name], eligible[name].size, taken[name], left_out[name]) for name in taken}
    return _selection(classes, class_of, config)


def _class_of_tokens(tokenization: Tokenization, config: StudyConfig) -> NDArray[np.int8]:
    """The place of each token's class in the study, -1 for none: int8 [T]."""
    distinct = np.unique(tokenization.ids).astype(np.int64)
    return class_table(tokenization.vocabulary, distinct, config.classes)[tokenization.ids]


def _add_labels(class_of: NDArray[np.int8], labels: BookLabels, config: StudyConfig) -> dict[str, dict[str, int]]:
    """Give labelled tokens their class, in place; of each class of labels, the labels that give none, by reason.

    The first label of a token stands.
    """
    positions, first = labels.positions, np.zeros(labels.positions.size, dtype=bool)
    first[np.unique(positions, return_index=True)[1]] = True
    no_token = positions < 0
    other_class = ~no_token & (class_of[positions] >= 0 if class_of.size else no_token)
    second = ~no_token & ~other_class & ~first
    stands = ~(no_token | other_class | second)
    class_of[positions[stands]] = len(config.classes) + labels.classes[stands]
    reasons = {NO_TOKEN: no_token, OTHER_CLASS: other_class, SECOND_LABEL: second}
    counts = {reason: np.bincount(labels.classes[mask], minlength=MOST_CLASSES) for reason, mask in reasons.items()}
    return {
        name: {reason: int(count[place]) for reason, count in counts.items() if count[place]}
        for place, name in enumerate(config.label_classes)
    }


def _without(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> tuple[Positions, dict[str, int]]:
    """The positions that no rule is against, and how many each rule left out."""
    left_out: dict[str, int] = {}
    for reason, rule in _rules(config):
        against = rule(tokenization, positions, config)
        if against.any():
            left_out[reason] = int(against.sum())
            positions = positions[~against]
    return positions, left_out


def _from_passages(
    ids: NDArray[np.int32], eligible: Mapping[str, Positions], class_of: NDArray[np.int8], config: StudyConfig
) -> dict[str, Positions]:
    """The positions taken of each class, and of the baseline, from as many passages as the classes need."""
    grid = _grid(ids.size, config)
    wanted = min(MOST_PER_CLASS, config.per_class or MOST_PER_CLASS)
    salt = f"{config.seed} passages ".encode() + ids.tobytes()
    limit = None if config.per_class is None else wanted
    marks = list(eligible.values())
    chosen = choose_passages(grid, marks, limit, config.sample, salt)
    positions = np.arange(ids.size)
    read = np.isin(grid.ordinal(positions), chosen) & (grid.depth(positions) < reach(grid, marks, chosen, limit))
    taken = {
        name: thin(of_class[read[of_class]], wanted, config.sample, _salt(config, name, ids))
        for name, of_class in eligible.items()
    }
    if config.baseline:
        others = np.flatnonzero((class_of < 0) & read)
        taken[BASELINE] = _random(others, config, ids)
    return taken


def _from_windows(
    ids: NDArray[np.int32], eligible: Mapping[str, Positions], class_of: NDArray[np.int8], config: StudyConfig
) -> dict[str, Positions]:
    """The positions taken of each class; the baseline's lie between the first and the last of them."""
    wanted = min(MOST_PER_CLASS, config.per_class or MOST_PER_CLASS)
    taken = {
        name: thin(positions, wanted, config.sample, _salt(config, name, ids)) for name, positions in eligible.items()
    }
    if config.baseline:
        marks = np.concatenate([*taken.values(), np.zeros(0, dtype=np.int64)])
        first, last = (int(marks.min()), int(marks.max())) if marks.size else (0, 0)
        taken[BASELINE] = _random(first + np.flatnonzero(class_of[first:last] < 0), config, ids)
    return taken


def _random(candidates: Positions, config: StudyConfig, ids: NDArray[np.int32]) -> Positions:
    """`config.baseline` of the candidates, by a hash of text, seed and position."""
    order = np.argsort(hashes(candidates, _salt(config, BASELINE, ids)), kind="stable")
    return candidates[np.sort(order[: config.baseline])]


def _salt(config: StudyConfig, name: str, ids: NDArray[np.int32]) -> bytes:
    return f"{config.seed} {name} ".encode() + ids.tobytes()


def _grid(tokens: int, config: StudyConfig) -> PassageGrid:
    return PassageGrid.of(tokens, config.passage_tokens, config.warmup_tokens)


def _selection(classes: Mapping[str, ClassSelection], class_of: NDArray[np.int8], config: StudyConfig) -> Selection:
    """The sequences and passages of the marks that were taken."""
    taken = {name: selected.taken for name, selected in classes.items()}
    tokens = class_of.size
    if config.context == "passage":
        grid = _grid(tokens, config)
        used, passage_of = _ordinals({name: grid.ordinal(positions) for name, positions in taken.items()})
        rows, starts = passage_of, grid.starts[used]
        sequence_starts = starts
    else:
        stretch = config.passage_tokens
        used, passage_of = _ordinals({name: positions // stretch for name, positions in taken.items()})
        starts, length = used * stretch, config.before + 1
        counts = np.cumsum([0, *(positions.size for positions in taken.values())])
        rows = {name: np.arange(first, first + taken[name].size) for name, first in zip(taken, counts, strict=False)}
        sequence_starts = np.concatenate([*taken.values(), np.zeros(0, dtype=np.int64)]) - config.before
    columns = {name: positions - sequence_starts[rows[name]] for name, positions in taken.items()}
    if config.context == "passage":
        length = 1 + max((int(of_class.max()) for of_class in columns.values() if of_class.size), default=0)
    sequences = Sequences(sequence_starts, length, rows, columns)
    first = {
        name: _first_in_context(positions, sequence_starts[rows[name]], class_of, config, name)
        for name, positions in taken.items()
    }
    passage_length = length if config.context == "passage" else config.passage_tokens
    return Selection(classes, sequences, starts, passage_length, passage_of, first)


def _ordinals(by_class: Mapping[str, Positions]) -> tuple[Positions, dict[str, Positions]]:
    """The numbers that occur, ascending, and each class's numbers as places among them."""
    used = np.unique(np.concatenate([*by_class.values(), np.zeros(0, dtype=np.int64)]))
    return used, {name: np.searchsorted(used, numbers) for name, numbers in by_class.items()}


def _first_in_context(
    positions: Positions, starts: Positions, class_of: NDArray[np.int8], config: StudyConfig, name: str
) -> Mask:
    places = config.named_classes
    of_class = class_of == (places.index(name) if name in places else -1)
    before = np.concatenate([[0], np.cumsum(of_class)])
    first: Mask = before[positions] == before[starts]
    return first


def _rules(config: StudyConfig) -> list[tuple[str, Rule]]:
    """The reasons against a mark, in the order in which they are asked."""
    rules: list[tuple[str, Rule]] = [(DECIMAL_POINT, _decimal_point)]
    if config.selection == "strict":
        rules += [(ELLIPSIS, _ellipsis), (ABBREVIATION, _abbreviation), (THOUSANDS, _thousands_separator)]
    last = (WARM_UP, _in_warm_up) if config.context == "passage" else (NO_WINDOW, _no_window)
    return [*rules, (SKIPPED, _skipped), last]


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


def _in_warm_up(tokenization: Tokenization, positions: Positions, config: StudyConfig) -> Mask:
    return _grid(tokenization.ids.size, config).ordinal(positions) < 0


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


def _account(name: str, selected: ClassSelection) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in selected.left_out.items())
    return f"{selected.taken.size} {name} of {selected.found} found" + (f" ({reasons})" if reasons else "")
