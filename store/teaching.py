"""Which mark type of a class teaches the rule whose transfer to the other types is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def teaching_types(classes: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """By class, the mark type that teaches the rule whose transfer to the others is measured.

    It is the first token that a class of several tokens names, where that is not a pattern.

    >>> teaching_types([("internal", [",", ";"]), ("terminal", ["."]), ("words", ["re:[a-z]+", "A"])])
    {'internal': ','}
    """
    return {name: tokens[0] for name, tokens in classes if len(tokens) > 1 and not tokens[0].startswith("re:")}
