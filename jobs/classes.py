"""The classes of tokens that a study asks about: their names and their tokens.

A class is a name and a list of tokens. A token of a text belongs to a class where its own text, decoded alone and
stripped of white space, equals one of the class's tokens, or matches one that is written `re:PATTERN` from its first
character to its last. That text is the token's **mark type**.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import UsageError
from store.keys import BASELINE as BASELINE

MOST_CLASSES = 16
PATTERN = "re:"
NO_CLASS = f"0 classes are named; a study has 1 to {MOST_CLASSES}: see --class and --labels"

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
        check_name(self.name)
        if not self.tokens:
            raise UsageError(f"class {self.name!r} has no tokens; write --class {self.name} TOKEN [TOKEN ...]")
        object.__setattr__(self, "_patterns", tuple(self._compiled()))

    def matches(self, mark_type: str) -> bool:
        """Whether a token with this text, stripped of white space, belongs to the class."""
        if mark_type in self.tokens and not mark_type.startswith(PATTERN):
            return True
        return any(pattern.fullmatch(mark_type) for pattern in self._patterns)

    @property
    def has_pattern(self) -> bool:
        """Whether one of its tokens is a pattern, so that only a vocabulary tells what belongs to it."""
        return bool(self._patterns)

    @property
    def literals(self) -> frozenset[str]:
        """Its tokens that are not patterns."""
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
                        f"class {self.name!r} has the pattern {token!r}, which is not a regular expression: {error}"
                    ) from None


def check_name(name: str) -> None:
    """Raise UsageError for a class's name that cannot be part of a path, or is the baseline's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"class name {name!r} is not possible: a name has 1 to 32 letters (a to z, A to Z), digits, "
            "_ and -, and begins with a letter or digit"
        )
    if name.lower() == BASELINE:
        raise UsageError(f"class name {name!r} is taken: {BASELINE} are random tokens, see --baseline")


def check_names(names: Sequence[str]) -> None:
    """Raise UsageError for more than 16 names of classes, and for one that is used twice.

    Names are compared without case, since some file systems do.
    """
    if len(names) > MOST_CLASSES:
        raise UsageError(f"{len(names)} classes are named; a study has 1 to {MOST_CLASSES}")
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise UsageError(f"two classes are called {name!r}; give each a name of its own")
        seen.add(name.lower())


def check_tokens(classes: Sequence[TokenClass]) -> None:
    """Raise UsageError for a token that two classes name.

    One that a class's pattern and another class both claim is found by `jobs.marks.class_table`, which has the
    vocabulary.
    """
    owner: dict[str, str] = {}
    for token_class in classes:
        for token in sorted(token_class.literals):
            if token in owner:
                raise UsageError(
                    f"{token!r} is named in class {owner[token]!r} and in class {token_class.name!r}; "
                    "a token belongs to one class"
                )
            owner[token] = token_class.name


def parse_classes(value: Any) -> tuple[TokenClass, ...]:
    """Classes from any form in which they are given. Raises UsageError as above, and for what is no such form.

    TOML: a table of names and tokens. `study.json`: a list of [name, [tokens]], which keeps their order; it is empty
    where all classes come from a labels file. The command line: a list of [name, token, ...].
    """
    if isinstance(value, Mapping) and not value:
        raise UsageError(NO_CLASS)
    named = value.items() if isinstance(value, Mapping) else value
    if not isinstance(named, Iterable) or isinstance(named, str):
        raise UsageError(f"classes is {value!r}; expected a table of names and their tokens")
    classes = tuple(_class(entry) for entry in named)
    check_names([token_class.name for token_class in classes])
    check_tokens(classes)
    return classes


def plain_classes(classes: Sequence[TokenClass]) -> list[list[Any]]:
    """The classes as `study.json` holds them: [name, [tokens]] each."""
    return [[token_class.name, list(token_class.tokens)] for token_class in classes]


def _class(entry: Any) -> TokenClass:
    if isinstance(entry, TokenClass):
        return entry
    if isinstance(entry, list | tuple) and entry and isinstance(entry[0], str):
        name, *rest = entry
        tokens = rest[0] if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest
        if isinstance(tokens, list | tuple) and all(isinstance(token, str) for token in tokens):
            return TokenClass(name, tuple(tokens))
    raise UsageError(f"classes has the entry {entry!r}; expected a name and its tokens, all of them texts")
