"""The border to everything that others wrote: whatever is raised while a source is read becomes a reason.

Readers of files, HTTP clients and the file systems of fsspec raise errors of their own, and no list of them is ever
complete. None of them may end a run in which other books are good.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from jobs.corpus.references import Problem, UnreadableSourceError
from jobs.errors import BookError
from store.objects.public_names import public_name, without_secrets

_Result = TypeVar("_Result")

_LONGEST_REASON = 400


@contextmanager
def border(uri: str) -> Iterator[None]:
    """Let nothing but BookErrors out: any other error becomes an UnreadableSourceError that says where and why."""
    try:
        yield
    except BookError:
        raise
    except Exception as error:
        raise _reason(uri, error) from None  # the error's own text may hold a password


def _reason(uri: str, error: Exception) -> UnreadableSourceError:
    name = public_name(uri)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UnreadableSourceError(f"{name} does not exist; check the spelling", Problem.MISSING)
    if isinstance(error, PermissionError):
        return UnreadableSourceError(f"{name} may not be read; check its permissions or the credentials")
    if isinstance(error, MemoryError):
        return UnreadableSourceError(f"{name} cannot be read: it takes more memory than there is", Problem.TOO_LARGE)
    if isinstance(error, ImportError):
        return UnreadableSourceError(
            f"{name} needs a package that is not installed: {_text(uri, error)}", Problem.FORMAT
        )
    if isinstance(error, OSError):
        return UnreadableSourceError(f"{name} cannot be read: {error.strerror or _text(uri, error)}")
    return UnreadableSourceError(f"{name} cannot be read: {type(error).__name__}: {_text(uri, error)}")


def _text(uri: str, error: Exception) -> str:
    """What an error says, in one line of bounded length and without secrets."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error of others may even fail to say what it is
        text = "no text"
    return without_secrets(text[: 4 * _LONGEST_REASON], uri)[:_LONGEST_REASON]


def within(seconds: float, function: Callable[[], _Result], what: str) -> _Result:
    """The result of a call that cannot be interrupted, such as a look-up of a name; TimeoutError after so long.

    The call runs in a thread of its own, which is left behind when the time is up.
    """
    results: queue.SimpleQueue[tuple[_Result | None, Exception | None]] = queue.SimpleQueue()

    def call() -> None:
        try:
            results.put((function(), None))
        except Exception as error:
            results.put((None, error))

    threading.Thread(target=call, daemon=True).start()
    try:
        result, error = results.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError(f"{what} took longer than {seconds:.0f} seconds") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
