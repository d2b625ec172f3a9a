# ruff: noqa: N818 - the names say what happened; "error" would add nothing
"""The process's standard streams, and what it means when one of them cannot be written.

A command whose whole purpose is what it prints ends when nobody reads it, quietly, and says so when a disk is full. A
command that works goes on with its work: what it would have printed is dropped.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class ReaderGone(BrokenPipeError):
    """Nobody reads standard output any more. Only writing there raises it: other pipes break for other reasons."""


class OutputFailed(OSError):
    """Standard output cannot be written; the message is for the user."""

    exit_code = 1

    def __str__(self) -> str:
        return f"standard output cannot be written: {self.strerror}"


class OutputClosed(Exception):
    """There is no standard output for a command that only prints."""

    exit_code = 2

    def __str__(self) -> str:
        return f"standard output is closed, and `{self.args[0]}` does nothing but write there"


class _Result(io.FileIO):
    """Raises ReaderGone or OutputFailed where it cannot be written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise ReaderGone(*error.args) from None
        except OSError as error:
            raise OutputFailed(*error.args) from None


class _Account(io.FileIO):
    """Drops what cannot be written; a full disk or a slow terminal may take what comes later."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def open_closed() -> set[int]:
    """Put the null device where the caller has closed a standard stream (`2>&-`); which ones were closed.

    The next file that is opened would become that stream, and get what is printed in among its own bytes.
    """
    closed = set()
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            closed.add(number)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
            if getattr(sys, name) is None:
                setattr(sys, name, io.TextIOWrapper(open(number, mode + "b", closefd=False), "utf-8"))  # noqa: SIM115
    return closed


def guard_result() -> None:
    """Tell failures of standard output from all others, and drop what standard error does not take."""
    sys.stdout, sys.stderr = _over(sys.stdout, _Result), _over(sys.stderr, _Account)


def drop_account() -> None:
    """Go on where standard output cannot be written: the command's purpose is another."""
    sys.stdout.flush()
    sys.stdout = _over(sys.stdout, _Account)


def flush_output() -> None:
    """Write what has been printed so far. Raises ReaderGone or OutputFailed where `guard_result` has been called."""
    if sys.stdout is not None:  # a caller of `main` may have closed it
        sys.stdout.flush()


def let_go_of_output() -> None:
    """Write what is left, or send it nowhere where that fails: Python would try again at the end, and complain."""
    try:
        flush_output()
        return
    except OSError:
        pass
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _over(stream: Any, raw: type[io.FileIO]) -> io.TextIOWrapper:
    """The same stream, with another way to write its bytes."""
    buffer = io.BufferedWriter(raw(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors=stream.errors, line_buffering=stream.line_buffering
    )
