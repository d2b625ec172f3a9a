"""The command line of Interpunct: a thin front door that wires the packages' commands together.

Each package brings its commands in a `commands.py`; this file builds the parser, calls the chosen one and turns
an error that a user can mend into one line and an exit code:

    0 done    1 finished with failures listed    2 wrong use    3 the store refuses    4 report: nothing changed
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata

import jobs.commands
import reports.commands
import store.commands
from store.foreign_text import lines_for_terminal
from store.objects.public_names import without_secrets

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` defaults to the process's own arguments."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # what its encoding does not have is written as \\u2014, and ends nothing
            stream.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.execute(arguments)
    except KeyboardInterrupt:
        print("interpunct: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: that is no failure, and nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        said = traceback.format_exc() if arguments.debug else _explained(error)
        said = without_secrets(said.rstrip(), *(sys.argv[1:] if argv is None else argv))
        print(lines_for_terminal(said), file=sys.stderr)
        exit_code = getattr(error, "exit_code", 1)
        return exit_code if isinstance(exit_code, int) else 1


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Importing this module and building the parser loads neither torch nor ray."""
    parser = argparse.ArgumentParser(
        prog="interpunct",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"interpunct {metadata.version('interpunct')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    jobs.commands.add_commands(subparsers)
    store.commands.add_commands(subparsers)
    reports.commands.add_commands(subparsers)
    for subparser in subparsers.choices.values():
        # After the command too, where a user who has just seen an error adds it.
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _explained(error: Exception) -> str:
    """One line for an error that the user can mend; for any other, one line and how to see more."""
    if isinstance(getattr(error, "exit_code", None), int):
        return f"interpunct: {error}"
    return f"interpunct: unexpected {type(error).__name__}: {error}. Repeat the command with --debug to see where."


if __name__ == "__main__":
    sys.exit(main())
