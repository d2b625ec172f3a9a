"""The commands of this package: `run`, `plan`, `pairs`, `sensitivity` and `doctor`.

Options are made from the fields of `jobs.config`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jobs.config import PRESETS, RunConfig, StudyConfig, resolve
from jobs.installed import need_for_a_run
from jobs.settings import Setting, settings_of, typed_settings_of

BOOKS_HELP = (
    "what to read: files (.txt, .gz, .zip, .jsonl, .parquet), folders, patterns, @LIST, gutenberg:ID, https://..., "
    "s3://..., or `sample`, the bundled story"
)
OTHER_BINNING = ("bins", "outlier_z")
"""Settings that `pairs` may change: all others went into the hidden states themselves."""

OF_STORED_STATES = (
    *("books_per_shard", "address", "extractors", "attempts", "memory_fraction"),
    *("retake", "log_format", "serial"),
)
"""Settings of a run that mean something where neither books nor a model are read."""

MOST_NEEDED = ("model", "classes", "per_class", "labels", "keep_hidden_states", "address", "device")
"""Settings that the help shows first, behind --store, --config and --preset."""

GROUPS = {
    "texts and marks (of the study)": ("text", "skip_tokens", "baseline", "sample", "seed", "selection"),
    "what the model reads (of the study)": (
        "revision", "dtype", "batch_size", "context", "passage_tokens", "warmup_tokens", "bos", "before", "after",
    ),
    "what is computed (of the study)": ("bins", "outlier_z", "measures", "within", "between", "clusters"),
    "where books come from": (
        "text_column", "id_column", "title_column", "max_book_megabytes", "cache", "max_download_megabytes",
        "download_seconds", "allow_private_redirects", "gutenberg_mirror",
    ),
}  # fmt: skip
"""The other settings as the help groups them; those that are in no group change no number and come last."""

_RUN_EXAMPLES = """\
examples:
  interpunct run sample --store study
  interpunct run books/ gutenberg:219 --store s3://bucket/study --address auto
  interpunct run book.txt --store study --model gpt2-medium --preset notebook
  interpunct run more/ --store study               more books, with the settings that the store has

Repeating a command does what is left of it: finished books are skipped, unfinished and failed ones are tried again.
Exit codes: 0 done, 1 books left undone (they are listed), 2 wrong use, 3 the store refuses, 130 interrupted."""


def add_commands(subparsers: Any) -> None:
    """Add the commands to the front door's parser."""
    _add_books_command(subparsers, "run", _run, "read books and store the statistics of all pairs", _RUN_EXAMPLES)
    _add_books_command(subparsers, "plan", _plan, "say what a run would do; write nothing", None)
    parser = subparsers.add_parser("doctor", help="look whether this machine has what a run needs; say what to do")
    parser.add_argument("--store", metavar="S", help="a store's place to try too: folder or s3://BUCKET/PREFIX")
    parser.add_argument("--address", metavar="HOST:PORT", help="a Ray cluster to try too")
    parser.set_defaults(execute=_doctor)
    parser = subparsers.add_parser("pairs", help="recompute pairs with other bins from stored hidden states")
    parser.add_argument("--from-store", required=True, metavar="S", help="store that kept its hidden states")
    parser.add_argument("--store", required=True, metavar="S", help="store for the new pairs")
    study, run = settings_of(StudyConfig), settings_of(RunConfig)
    _add_settings(parser, "the study", (study[name] for name in OTHER_BINNING))
    _add_settings(parser, "the run (changes no number)", (run[name] for name in OF_STORED_STATES))
    parser.set_defaults(execute=_pairs)
    _add_sensitivity(subparsers)


def _add_sensitivity(subparsers: Any) -> None:
    help = "try a study under other choices and under controls: what survives"
    parser = subparsers.add_parser("sensitivity", help=help, description=help[0].upper() + help[1:] + ".")
    parser.add_argument(
        "books", nargs="*", metavar="BOOK", help="where the books are now; default: where they were read"
    )
    parser.add_argument("--store", required=True, metavar="S", help="the study; its table `sensitivity` is added to")
    parser.add_argument("--plan", action="store_true", help="say what would be done and what it costs; write nothing")
    parser.add_argument(
        "--quick", action="store_true", help="one change at a time, and the controls: no combinations and contexts"
    )
    parser.add_argument(
        "--per-class", type=_at_least_two, default=100, metavar="N", help="marks of a class and book (default: 100)"
    )
    parser.add_argument(
        "--tried-books", type=_count_or_all, default=8, metavar="N|all", help="books to try, by a seed (default: 8)"
    )
    parser.add_argument(
        "--other-model", action="append", default=[], metavar="NAME", help="a model to compare with; may be repeated"
    )
    run = settings_of(RunConfig)
    _add_settings(parser, "the run (changes no number)", (run[name] for name in run if name != "books_per_shard"))
    parser.set_defaults(execute=_sensitivity)


def _at_least_two(text: str) -> int:
    number = int(text)
    if not 2 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not between 2 and 65,535")
    return number


def _count_or_all(text: str) -> int | None:
    if text == "all":
        return None
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is neither a number of books nor `all`")
    return number


def _doctor(arguments: argparse.Namespace) -> int:
    from jobs.account.console import log
    from jobs.doctor import Verdict, examine

    problems = 0
    for check in examine(arguments.store, arguments.address):
        problems += check.verdict is Verdict.PROBLEM
        log(sys.stdout, f"{check.verdict:<8} {check.name:<17} {check.found}")
        if check.verdict is not Verdict.WELL and check.remedy:
            log(sys.stdout, f"{'':<26} -> {check.remedy}")
    return 1 if problems else 0


def _run(arguments: argparse.Namespace) -> int:
    need_for_a_run("run")
    study, run = _resolved(arguments)
    from jobs.run import execute

    return execute(arguments.books, study, run, arguments.store)


def _plan(arguments: argparse.Namespace) -> int:
    need_for_a_run("plan")
    study, run = _resolved(arguments)
    from jobs.estimate.report import execute
    from jobs.run import bundled

    return execute([bundled(book) for book in arguments.books], study, run, arguments.store)


def _pairs(arguments: argparse.Namespace) -> int:
    need_for_a_run("pairs")
    from jobs.recompute import execute

    run = RunConfig(device="cpu", **_explicit(arguments, OF_STORED_STATES))
    return execute(arguments.from_store, arguments.store, _explicit(arguments, OTHER_BINNING), run)


def _sensitivity(arguments: argparse.Namespace) -> int:
    from jobs.sensitivity.run import Asked, execute

    asked = Asked(
        arguments.per_class,
        arguments.tried_books,
        arguments.quick,
        tuple(arguments.books),
        tuple(arguments.other_model),
    )
    run = RunConfig(**_explicit(arguments, [name for name in settings_of(RunConfig) if name != "books_per_shard"]))
    return execute(arguments.store, asked, run, plan_only=arguments.plan)


def _add_books_command(subparsers: Any, name: str, execute: Any, help: str, epilog: str | None) -> None:
    parser = subparsers.add_parser(
        name,
        help=help,
        usage=f"interpunct {name} BOOK [BOOK ...] {'--store S' if name == 'run' else '[--store S]'} [options]",
        description=f"{help[0].upper() + help[1:]}.\n\nSettings of the study change the numbers: they are stored with "
        "them, and taken from a store that is\nthere. All others change no number.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    first = parser.add_argument_group("most needed")
    parser.add_argument("books", nargs="+", metavar="BOOK", help=BOOKS_HELP)
    first.add_argument("--store", required=name == "run", metavar="S", help="folder or s3://BUCKET/PREFIX")
    first.add_argument("--config", type=Path, metavar="FILE", help="settings from a TOML file; options win over it")
    first.add_argument("--preset", choices=sorted(PRESETS), help="settings that reproduce a known study")
    settings = typed_settings_of(StudyConfig) | settings_of(RunConfig)
    _add_options(first, (settings.pop(each) for each in MOST_NEEDED))
    for title, names in GROUPS.items():
        _add_settings(parser, title, (settings.pop(each) for each in names))
    _add_settings(parser, "the run", settings.values())
    parser.set_defaults(execute=execute)


def _add_settings(parser: argparse.ArgumentParser, title: str, settings: Iterable[Setting]) -> None:
    """Add a group of options, one a setting."""
    _add_options(parser.add_argument_group(title), settings)


def _add_options(group: argparse._ArgumentGroup, settings: Iterable[Setting]) -> None:
    """Add one option a setting. One that is not given leaves no trace, so that only explicit ones win over a file."""
    for setting in settings:
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(setting), "dest": setting.name}
        if setting.type is bool and setting.default:  # what is on is given a word to turn it off with
            options |= {"type": _yes_or_no, "metavar": "yes|no"}
        elif setting.type is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif setting.type is tuple:
            options |= {"action": "append", "nargs": "+", "metavar": tuple((setting.metavar or "").split())}
        else:
            options |= {"type": _parser_of(setting), "choices": setting.choices or None}
            options["metavar"] = None if setting.choices else setting.metavar or setting.type.__name__.upper()
        group.add_argument(setting.option, **options)


def _yes_or_no(text: str) -> bool:
    """True for yes and False for no."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _parser_of(setting: Setting) -> Callable[[str], Any]:
    word = setting.word_for_none
    if word is None:
        return setting.type

    def number_or_word(text: str) -> Any:
        return text if text == word else setting.type(text)

    number_or_word.__name__ = f"number or `{word}`"
    return number_or_word


def _help(setting: Setting) -> str:
    text = setting.help.replace("%", "%%")
    default = setting.default
    if default is None or default is False:
        return text
    if default is True:
        return f"{text} (default: yes)"
    return text if isinstance(default, tuple) else f"{text} (default: {default})"


def _resolved(arguments: argparse.Namespace) -> tuple[StudyConfig, RunConfig]:
    """The settings: those given, and for the rest those of the store's study, or the defaults where there is none."""
    from store.study import study_of

    existing = None if arguments.store is None else study_of(arguments.store)
    explicit = _explicit(arguments, (*typed_settings_of(StudyConfig), *typed_settings_of(RunConfig)))
    return resolve(explicit, arguments.config, arguments.preset, None if existing is None else existing.config)


def _explicit(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    given = vars(arguments)
    return {name: given[name] for name in names if name in given}
