"""Reads the store's own JSON with suspicion: bounded in size and depth, no numbers or texts that JSON does not have.

Anybody may have written what stands in a store. This module checks a document when it is read, and refuses an odd one
as damaged, so that its users need not check again.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from store.errors import DocumentDamaged

MOST_BYTES = 256 << 20
"""The commit record of a generation of 300,000 books has about 60 MB."""

_MOST_LEVELS = 32
_MOST = 1 << 62

_Kind = TypeVar("_Kind")


def parse(text: bytes | str) -> dict[str, Any]:
    """The object that a JSON text holds. Raises DocumentDamaged where it is not a sound JSON object."""
    try:
        values = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise DocumentDamaged(f"it is nested more than {_MOST_LEVELS} levels deep") from None
    except ValueError as error:
        raise DocumentDamaged(f"it is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise DocumentDamaged(f"it is a JSON {type(values).__name__}, not an object")
    _check_depth(values)
    if rb"\ud" in (text.encode() if isinstance(text, str) else text).lower():
        _check_text(values)
    return values


def field(values: dict[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    """A field of exactly this type. Raises DocumentDamaged where it is missing or of another type."""
    if name not in values:
        raise DocumentDamaged(f"{name} is missing")
    value = values[name]
    if not isinstance(value, kind) or type(value) is not kind:  # True is an int, and no count
        raise DocumentDamaged(f"{name} is {shown(value)}; it must be a {kind.__name__}")
    return value


def count(values: dict[str, Any], name: str) -> int:
    """A field that is a whole number, 0 or more, of 62 bits."""
    number = field(values, name, int)
    if not 0 <= number < _MOST:
        raise DocumentDamaged(f"{name} is {shown(number)}; it must be a count")
    return number


def text_or_none(values: dict[str, Any], name: str) -> str | None:
    """A field that is a text or null."""
    return None if values.get(name, "") is None else field(values, name, str)


def items(values: dict[str, Any], name: str, kind: type[_Kind]) -> list[_Kind]:
    """A field that is a list of values of exactly this type."""
    found = field(values, name, list)
    for item in found:
        if type(item) is not kind:
            raise DocumentDamaged(f"{name} holds {shown(item)}; each must be a {kind.__name__}")
    return found


def shown(value: object) -> str:
    """A value as an error names it: short, and on one line."""
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
    return text if len(text) <= 80 else f"{text[:80]}..."


def _check_depth(values: object) -> None:
    level, depth = [values], 0
    while level:
        depth += 1
        if depth > _MOST_LEVELS:
            raise DocumentDamaged(f"it is nested more than {_MOST_LEVELS} levels deep")
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner += [item for item in value.values() if isinstance(item, dict | list)]
            elif isinstance(value, list):
                inner += [item for item in value if isinstance(item, dict | list)]
        level = inner


def _check_text(values: object) -> None:
    """Half of a surrogate pair is not text: no file can hold it and no terminal print it."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DocumentDamaged("it holds half of a surrogate pair, which is not text") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")
