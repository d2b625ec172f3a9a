"""The one place where whatever the reader of a format raises (pyarrow, zipfile, zlib, ijson, ...) becomes a reason.

These libraries read bytes that anyone may have made, and each has errors of its own, documented or not. `border`
does the same for what lies around a file: paths, networks, buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.corpus.references import UnreadableSourceError
from jobs.errors import BookError

_LONGEST_CAUSE = 300


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn any error of a foreign reader into UnreadableSourceError that says `what` is damaged and why.

    Refusals of our own pass, and so do errors of the system (a full disk, a broken connection), which say more where
    the path is known.
    """
    try:
        yield
    except BookError:
        raise
    except EOFError:
        raise UnreadableSourceError(f"{what} ends too early; it was cut off on its way here") from None
    except MemoryError:
        raise UnreadableSourceError(f"{what} needs more memory than there is") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnreadableSourceError(f"{what} is damaged: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    words = " ".join(str(error).split())
    cause = f"{type(error).__name__}: {words}" if len(words) < 12 else words
    return cause if len(cause) <= _LONGEST_CAUSE else f"{cause[:_LONGEST_CAUSE]}..."
