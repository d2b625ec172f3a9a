"""The front door of Interpunct: its command line, and one import for what a notebook needs.

Each package brings its commands in a `commands.py`; this file builds the parser, calls the chosen one and turns
an error that a user can mend into one line and an exit code:

    0 done    1 finished with failures listed    2 wrong use    3 the store refuses    4 report: nothing changed

`import interpunct` gives the names of `__all__`; each is loaded from its package when it is first asked for.
"""

from __future__ import annotations

import argparse
import io
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

import jobs.commands
import reports.commands
import store.commands
from jobs.installed import OF_A_RUN, REMEDY
from store import streams
from store.errors import did_you_mean
from store.foreign_text import lines_for_terminal
from store.objects.public_names import without_secrets

if TYPE_CHECKING:
    from analysis.clusters import find_clusters
    from analysis.explanation import explain
    from analysis.pairwise import cross_statistics, pair_statistics, prepare
    from jobs.model.hidden_states import HiddenStates
    from jobs.one_text import find_marks, read_text
    from reports.data.measured import measure
    from reports.gallery import figure
    from store.query.reader import open_store

__all__ = [
    "HiddenStates", "cross_statistics", "explain", "figure", "find_clusters", "find_marks", "main", "measure",
    "open_store", "pair_statistics", "prepare", "read_text",
]  # fmt: skip

_PLACES = {
    "HiddenStates": "jobs.model.hidden_states",
    "cross_statistics": "analysis.pairwise",
    "explain": "analysis.explanation",
    "figure": "reports.gallery",
    "find_clusters": "analysis.clusters",
    "find_marks": "jobs.one_text",
    "measure": "reports.data.measured",
    "open_store": "store.query.reader",
    "pair_statistics": "analysis.pairwise",
    "prepare": "analysis.pairwise",
    "read_text": "jobs.one_text",
}
"""Where the public names are."""

_DESCRIPTION = """\
How does a language model represent punctuation that goes on (,) and punctuation that ends (.)?

Interpunct takes the hidden state at each mark from every layer, computes mutual information and covariance of all
pairs of marks, and keeps every pair in Parquet that SQL queries and reports read."""

_EXAMPLES = """\
examples:
  interpunct run sample --store study              the bundled story, on this machine
  interpunct run books/*.txt --store study         a folder of books
  interpunct sql --store study "SELECT layer, class, avg(mi) FROM pairs GROUP BY ALL ORDER BY ALL"
  interpunct report --store study --out report     the page to open: report/latest/index.html"""


_RESULTS = frozenset({"completion", "doctor", "sql", "status", "list", "plan"})
"""Commands that do nothing but print: they end when nobody reads them. All others go on with their work."""


def __getattr__(name: str) -> Any:
    """A public name, loaded when it is first asked for: `--help` and `import interpunct` need none of them."""
    if name not in _PLACES:
        raise AttributeError(f"module 'interpunct' has no attribute {name!r}; it has {', '.join(sorted(_PLACES))}")
    try:
        return getattr(import_module(_PLACES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_A_RUN:
            raise
        raise ImportError(f"interpunct.{name} needs {error.name}; {REMEDY}") from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` defaults to the process's own arguments."""
    closed = _own_streams()
    said_to = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(debug="--debug" in said_to)
    try:
        arguments = _parsed(said_to)
        if arguments.command not in _RESULTS:
            if closed is not None:
                streams.drop_account()
        elif closed and 1 in closed and not getattr(arguments, "output", None):
            raise streams.OutputClosed(arguments.command)
        exit_code: int = arguments.execute(arguments)
        streams.flush_output()
        return exit_code
    except KeyboardInterrupt:
        print("interpunct: stopped", file=sys.stderr)
        return 130
    except streams.ReaderGone:
        streams.let_go_of_output()
        return 0
    except Exception as error:
        streams.let_go_of_output()
        said = traceback.format_exc() if arguments.debug else _explained(error)
        print(lines_for_terminal(without_secrets(said.rstrip(), *said_to)), file=sys.stderr)
        exit_code = getattr(error, "exit_code", 1)
        return exit_code if isinstance(exit_code, int) else 1


def _parsed(said_to: list[str]) -> argparse.Namespace:
    try:
        return build_parser().parse_args(said_to)
    except SystemExit:  # --help, which somebody may read or not
        streams.flush_output()
        raise


def _own_streams() -> set[int] | None:
    """Make the process's streams ours, and say which were closed; None where a caller has put others in their place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What its encoding does not have is written as \\u2014, and ends nothing.
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        return None
    closed = streams.open_closed()
    streams.guard_result()
    return closed


class _Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and tells a wrong word under the usage of the command that it is in.

    The parsers of the commands are of this class too: argparse makes them like the one they are added to.
    """

    def __init__(self, **words: Any) -> None:
        super().__init__(**words, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and end with an error where anything is left over, in the parser whose command it stands behind."""
        words = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:  # a command's own; what is missing is told only after what is not known
            self._refuse_unknown(words)
        known, others = super().parse_known_args(words, namespace)
        if others:
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return known, others

    def _refuse_unknown(self, words: list[str]) -> None:
        options = words[: words.index("--")] if "--" in words else words
        for option in (word.partition("=")[0] for word in options if word.startswith("--")):
            if option not in self._option_string_actions and " " not in option:
                self.error(f"unrecognized option {option}{did_you_mean(option, self._option_string_actions)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Importing this module and building the parser loads neither torch nor ray."""
    parser: argparse.ArgumentParser = _Parser(
        prog="interpunct",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"interpunct {metadata.version('interpunct')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    jobs.commands.add_commands(subparsers)
    store.commands.add_commands(subparsers)
    reports.commands.add_commands(subparsers)
    completion = subparsers.add_parser("completion", help="print what makes a shell complete these commands")
    completion.add_argument(
        "shell", choices=("bash", "zsh", "tcsh"), help="put its output where the shell looks for it"
    )
    completion.set_defaults(execute=_print_completion)
    for subparser in subparsers.choices.values():
        # After the command too, where a user who has just seen an error adds it.
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _print_completion(arguments: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(build_parser(), shell=arguments.shell))
    return 0


def _explained(error: Exception) -> str:
    """One line for an error that the user can mend; for any other, one line and how to see more."""
    if isinstance(getattr(error, "exit_code", None), int):
        return f"interpunct: {error}"
    return f"interpunct: unexpected {type(error).__name__}: {error}. Repeat the command with --debug to see where."


if __name__ == "__main__":
    sys.exit(main())
