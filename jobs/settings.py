"""Settings: fields of a frozen dataclass that know their type, bounds, choices and help.

One `Setting` serves every reader: it checks values of a TOML file, of `study.json`, of the command line and of Python
alike, and the options of the command line are made from it. Types are those of the annotations themselves.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from jobs.errors import UsageError

LARGEST_INT = (1 << 63) - 1
"""What a TOML file, JSON and a column of a store can hold."""


_SETTINGS: dict[type, dict[str, Setting]] = {}
"""Settings by class: annotations are evaluated once."""


@dataclass(frozen=True)
class Setting:
    """One setting: `type` is bool, int, float, str or tuple; `optional` says that None is a value too.

    A tuple is one of texts, unless a `reader` makes its items from what is given; `plain` is then its JSON form. One
    that is not `typed` is settled by a run and recorded: no option and no key of a TOML file sets it.
    """

    name: str
    type: type
    optional: bool
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    smallest: float | None = None
    largest: float | None = None
    above: float | None = None
    reader: Callable[[Any], Any] | None = None
    plain: Callable[[Any], Any] | None = None
    written: str | None = None
    typed: bool = True

    @property
    def option(self) -> str:
        """The option of the command line."""
        return self.written or f"--{self.name.replace('_', '-')}"

    @property
    def word_for_none(self) -> str | None:
        """What a user writes for None: the second of the metavar `N|all`."""
        _, _, word = (self.metavar or "").partition("|")
        return word or None

    def read(self, value: Any) -> Any:
        """Bring a value of TOML, JSON or Python to the setting's type.

        Raises UsageError, naming the setting, the value and what is wanted, where the value is of another type,
        out of bounds, or none of the choices.
        """
        if self.optional and (value is None or (self.word_for_none is not None and value == self.word_for_none)):
            return None
        if self.reader is not None:
            return self.reader(value)
        read = self._of_type(value)
        self._check(read)
        return read

    def as_json(self, value: Any) -> Any:
        """A value of the setting as a plain JSON value."""
        if self.plain is not None:
            return self.plain(value)
        return list(value) if isinstance(value, tuple) else value

    def _of_type(self, value: Any) -> Any:
        if self.type is tuple:
            values = (value,) if isinstance(value, str) else value
            if isinstance(values, list | tuple) and all(isinstance(text, str) for text in values):
                return tuple(values)
        elif self.type is float and type(value) in (int, float):
            if math.isfinite(value):
                return float(value)
        elif type(value) is self.type:
            return value
        raise UsageError(f"{self.name} is {value!r}; expected {self._wanted()}")

    def _wanted(self) -> str:
        names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}
        wanted = names.get(self.type, "a text or a list of texts")
        return f"{wanted} or {self.word_for_none!r}" if self.word_for_none else wanted

    def _check(self, value: Any) -> None:
        if self.choices and value not in self.choices:
            raise UsageError(f"{self.name} is {value!r}; it is one of {', '.join(self.choices)}")
        largest = LARGEST_INT if self.type is int and self.largest is None else self.largest
        if self.smallest is not None and value < self.smallest:
            raise UsageError(f"{self.name} is {value}; the smallest is {self.smallest}")
        if self.above is not None and not value > self.above:
            other = f", or {self.word_for_none!r}" if self.word_for_none else ""
            raise UsageError(f"{self.name} is {value}; it must be above {self.above}{other}")
        if largest is not None and value > largest:
            raise UsageError(f"{self.name} is {value}; the largest is {largest}")


def setting(
    default: Any,
    help: str,
    choices: tuple[str, ...] = (),
    metavar: str | None = None,
    *,
    smallest: float | None = None,
    largest: float | None = None,
    above: float | None = None,
    reader: Callable[[Any], Any] | None = None,
    plain: Callable[[Any], Any] | None = None,
    written: str | None = None,
    typed: bool = True,
) -> Any:
    """Declare a field of a settings class; a whole number is at least 0 unless `smallest` says otherwise.

    `reader` and `plain`: see `Setting`. `written`: the option of the command line, where it is not the field's name.
    `typed`: whether users set it.
    """
    bounds = {"smallest": smallest, "largest": largest, "above": above}
    forms = {"reader": reader, "plain": plain, "written": written, "typed": typed}
    return field(default=default, metadata={"help": help, "choices": choices, "metavar": metavar, **bounds, **forms})


def typed_settings_of(config: type) -> dict[str, Setting]:
    """Those settings of a class that users set."""
    return {name: declared for name, declared in settings_of(config).items() if declared.typed}


def settings_of(config: type) -> dict[str, Setting]:
    """The settings of a class by name, in the order of its fields."""
    if config not in _SETTINGS:
        hints = get_type_hints(config)
        _SETTINGS[config] = {f.name: _declared(f.name, hints[f.name], f.default, f.metadata) for f in fields(config)}
    return _SETTINGS[config]


def read_all(config: Any) -> None:
    """Check every field of a new settings object and bring it to its type. Raises UsageError at the first wrong one."""
    for name, declared in settings_of(type(config)).items():
        object.__setattr__(config, name, declared.read(getattr(config, name)))


def as_json(config: Any) -> dict[str, Any]:
    """The settings as plain JSON values."""
    return {name: declared.as_json(getattr(config, name)) for name, declared in settings_of(type(config)).items()}


def _declared(name: str, hint: Any, default: Any, metadata: Any) -> Setting:
    members = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    (kind,) = (get_origin(member) or member for member in members if member is not type(None))
    declared = Setting(name, kind, type(None) in members, default, **metadata)
    if declared.type is int and declared.smallest is None:
        return Setting(name, kind, declared.optional, default, **{**metadata, "smallest": 0})
    return declared
