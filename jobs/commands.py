"""The commands `run`, `plan` and `pairs`. Their options are made from the fields of `jobs.config`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from jobs.config import PRESETS, RunConfig, StudyConfig, resolve, word_for_none

BOOKS_HELP = (
    "what to read: files (.txt, .gz, .zip, .jsonl, .parquet), folders, patterns, @LIST, gutenberg:ID, https://..., "
    "s3://..., or `sample`, the bundled story"
)
OTHER_BINNING = ("bins", "outlier_z")
"""Settings that `pairs` may change: all others went into the hidden states themselves."""

_RUN_EXAMPLES = """\
examples:
  interpunct run sample --store study
  interpunct run books/ gutenberg:219 --store s3://bucket/study --address auto
  interpunct run book.txt --store study --model gpt2-medium --preset notebook

Repeating a command does what is left of it: finished books are skipped, unfinished and failed ones are tried again.
Exit codes: 0 done, 1 books left undone (they are listed), 2 wrong use, 3 the store refuses, 130 interrupted."""


def add_commands(subparsers: Any) -> None:
    """Add the three commands to the front door's parser."""
    _add_books_command(subparsers, "run", _run, "read books and store the statistics of all pairs", _RUN_EXAMPLES)
    _add_books_command(subparsers, "plan", _plan, "say what a run would do; write nothing", None)
    parser = subparsers.add_parser("pairs", help="recompute pairs with other bins from stored hidden states")
    parser.add_argument("--from-store", required=True, metavar="S", help="store that kept its hidden states")
    parser.add_argument("--store", required=True, metavar="S", help="store for the new pairs")
    _add_settings(parser, "settings", (f for f in fields(StudyConfig) if f.name in OTHER_BINNING))
    parser.set_defaults(execute=_pairs)


def _run(arguments: argparse.Namespace) -> int:
    study, run = _resolved(arguments)
    from jobs.run import execute

    return execute(arguments.books, study, run, arguments.store)


def _plan(arguments: argparse.Namespace) -> int:
    study, run = _resolved(arguments)
    from jobs.estimate.report import execute
    from jobs.run import bundled

    return execute([bundled(book) for book in arguments.books], study, run, arguments.store)


def _pairs(arguments: argparse.Namespace) -> int:
    from jobs.recompute import execute

    return execute(arguments.from_store, arguments.store, _explicit(arguments, fields(StudyConfig)))


def _add_books_command(subparsers: Any, name: str, execute: Any, help: str, epilog: str | None) -> None:
    parser = subparsers.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("books", nargs="+", metavar="BOOK", help=BOOKS_HELP)
    parser.add_argument("--store", required=name == "run", metavar="S", help="folder or s3://BUCKET/PREFIX")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings from a TOML file; options win over it")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="settings that reproduce a known study")
    _add_settings(parser, "the study (stored with its results; a store holds one study)", fields(StudyConfig))
    _add_settings(parser, "the run (changes no number)", fields(RunConfig))
    parser.set_defaults(execute=execute)


def _add_settings(parser: argparse.ArgumentParser, title: str, settings: Iterable[Field[Any]]) -> None:
    """One option a field. Options that are not given leave no trace, so that only explicit ones win over a file."""
    group = parser.add_argument_group(title)
    for setting in settings:
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(setting), "dest": setting.name}
        kind = str(setting.type)
        if kind == "bool":
            options["action"] = argparse.BooleanOptionalAction
        elif kind.startswith("tuple"):
            options |= {"action": "append", "metavar": setting.metadata["metavar"]}
        else:
            choices = setting.metadata["choices"]
            options |= {"type": _parser_of(setting), "choices": choices or None}
            options["metavar"] = None if choices else setting.metadata["metavar"] or kind.split(" ")[0].upper()
        group.add_argument(f"--{setting.name.replace('_', '-')}", **options)


def _parser_of(setting: Field[Any]) -> Any:
    kind = str(setting.type).split(" ")[0]
    convert = {"int": int, "float": float, "str": str}[kind]
    word = word_for_none(setting)
    if word is None:
        return convert

    def number_or_word(text: str) -> Any:
        return text if text == word else convert(text)

    number_or_word.__name__ = f"number or `{word}`"
    return number_or_word


def _help(setting: Field[Any]) -> str:
    text = setting.metadata["help"].replace("%", "%%")
    default = setting.default
    if default is None or isinstance(default, bool):
        return text
    shown = " ".join(default) if isinstance(default, tuple) else default
    repeated = "; name every mark, each with the option" if isinstance(default, tuple) else ""
    return f"{text}{repeated} (default: {shown})"


def _resolved(arguments: argparse.Namespace) -> tuple[StudyConfig, RunConfig]:
    explicit = _explicit(arguments, (*fields(StudyConfig), *fields(RunConfig)))
    return resolve(explicit, arguments.config, arguments.preset)


def _explicit(arguments: argparse.Namespace, settings: Iterable[Field[Any]]) -> dict[str, Any]:
    given = vars(arguments)
    return {setting.name: given[setting.name] for setting in settings if setting.name in given}
