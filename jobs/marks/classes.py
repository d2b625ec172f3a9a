"""The classes of tokens that a study asks about: their names, and which entries of a vocabulary belong to each.

A class is a name and a list of tokens. A token of a text belongs to a class where its own text, decoded alone and
stripped of white space, equals one of the class's tokens, or matches one that is written `re:PATTERN` from its first
character to its last. That text is the token's **mark type**.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UsageError
from jobs.marks.tokens import Vocabulary

BASELINE = "baseline"
"""The name of the class of random tokens that belong to no other; no class of a study may have it."""

MOST_CLASSES = 16
PATTERN = "re:"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True)
class TokenClass:
    """One class of tokens: its name, and its tokens as the user wrote them.

    Raises UsageError for a name that cannot be part of a path, no tokens, a token with white space around it, and a
    pattern that does not compile.
    """

    name: str
    tokens: tuple[str, ...]
    _patterns: tuple[re.Pattern[str], ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"class name {self.name!r} is not possible: a name has 1 to 32 letters (a to z, A to Z), digits, "
                "_ and -, and begins with a letter or digit"
            )
        if self.name.lower() == BASELINE:
            raise UsageError(f"class name {self.name!r} is taken: {BASELINE} are random tokens, see --baseline")
        if not self.tokens:
            raise UsageError(f"class {self.name!r} has no tokens; write --class {self.name} TOKEN [TOKEN ...]")
        object.__setattr__(self, "_patterns", tuple(self._compiled()))

    def matches(self, mark_type: str) -> bool:
        """Whether a token with this text, stripped of white space, belongs to the class."""
        if mark_type in self.tokens and not mark_type.startswith(PATTERN):
            return True
        return any(pattern.fullmatch(mark_type) for pattern in self._patterns)

    @property
    def literals(self) -> frozenset[str]:
        """Its tokens that are no patterns."""
        return frozenset(token for token in self.tokens if not token.startswith(PATTERN))

    def _compiled(self) -> Iterable[re.Pattern[str]]:
        for token in self.tokens:
            if not token or token != token.strip():
                raise UsageError(
                    f"class {self.name!r} has the token {token!r}; give tokens without white space around them"
                )
            if token.startswith(PATTERN):
                try:
                    yield re.compile(token.removeprefix(PATTERN))
                except re.error as error:
                    raise UsageError(
                        f"class {self.name!r} has the pattern {token!r}, which is no regular expression: {error}"
                    ) from None


def check_classes(classes: Sequence[TokenClass]) -> None:
    """Raise UsageError for no class, more than 16, a name used twice, and a token that two classes name.

    Names are compared without case, since some file systems do. A token that a class's pattern and another class both
    claim is found by `class_table`, which has the vocabulary.
    """
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise UsageError(f"{len(classes)} classes are named; a study has 1 to {MOST_CLASSES}")
    names: dict[str, str] = {}
    owner: dict[str, str] = {}
    for token_class in classes:
        if token_class.name.lower() in names:
            raise UsageError(f"two classes are called {token_class.name!r}; give each a name of its own")
        names[token_class.name.lower()] = token_class.name
        for token in sorted(token_class.literals):
            if token in owner:
                raise UsageError(
                    f"{token!r} is named in class {owner[token]!r} and in class {token_class.name!r}; "
                    "a token belongs to one class"
                )
            owner[token] = token_class.name


def class_table(vocabulary: Vocabulary, distinct_ids: NDArray[np.int64], classes: Sequence[TokenClass]) -> Table:
    """The class of each vocabulary entry: int8 [size], the class's place in `classes`, -1 for none.

    Valid for `distinct_ids`, which the vocabulary has learnt. Raises UsageError where two classes claim one token.
    """
    table = np.full(vocabulary.size, -1, dtype=np.int8)
    claimed: dict[str, int] = {}
    for token_id in distinct_ids.tolist():
        mark_type = vocabulary.text(token_id).strip()
        if mark_type not in claimed:
            claimed[mark_type] = _claimant(mark_type, classes)
        table[token_id] = claimed[mark_type]
    return table


Table = NDArray[np.int8]


def parse_classes(values: Mapping[str, Iterable[str]]) -> tuple[TokenClass, ...]:
    """Classes from a table of names and tokens, as TOML and `study.json` hold them. Raises UsageError as above."""
    classes = tuple(TokenClass(name, tuple(tokens)) for name, tokens in values.items())
    check_classes(classes)
    return classes


def _claimant(mark_type: str, classes: Sequence[TokenClass]) -> int:
    if not mark_type:
        return -1
    claimants = [place for place, token_class in enumerate(classes) if token_class.matches(mark_type)]
    if len(claimants) > 1:
        names = " and ".join(repr(classes[place].name) for place in claimants)
        raise UsageError(f"the token {mark_type!r} belongs to the classes {names}; a token belongs to one class")
    return claimants[0] if claimants else -1
