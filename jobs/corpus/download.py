"""Downloads over HTTP: cached, limited in size and time, retried with back-off, and polite.

A body lies in the cache under the checksum of its address, beside a small JSON file with what the server said about
it. Both are written under another name first and renamed, so that tasks on one machine can share the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from jobs.config import RunConfig
from jobs.corpus.references import Problem, UnreadableSourceError

USER_AGENT = "interpunct/0.1 (text analysis; fetches single named books, cached)"
MIRRORS = ("https://aleph.gutenberg.org", "https://gutenberg.pglaf.org")
"""Mirrors of Project Gutenberg that are meant for programs; gutenberg.org itself is not."""

_SOCKET_SECONDS = 30.0
_LONGEST_PAUSE = 60.0
_SECONDS_BETWEEN_BOOKS = 0.5
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class _Entry:
    """What the cache knows of a body: where it came from and how to ask whether it has changed."""

    address: str
    url: str
    etag: str | None
    last_modified: str | None


def fetch(
    address: str, run: RunConfig, *, revalidate: bool = False, sleep: Callable[[float], None] = time.sleep
) -> Path:
    """The local copy of an `http(s)://` URL or of `gutenberg:ID`.

    A copy in the cache is used as it is, or, with `revalidate`, after asking the server whether it has changed;
    where the server cannot be reached the copy still serves. Raises UnreadableSourceError with the address, the
    server's answer and the remedy.
    """
    folder = _cache_folder(run)
    body = folder / hashlib.sha256(address.encode()).hexdigest()[:32]
    entry = _read_entry(body)
    if entry is not None and not revalidate:
        return body
    try:
        _download(address, entry, body, run, sleep)
    except UnreadableSourceError:
        if entry is None:
            raise
    return body


def _download(address: str, entry: _Entry | None, body: Path, run: RunConfig, sleep: Callable[[float], None]) -> None:
    urls = [entry.url] if entry is not None else list(_candidates(address, run))
    if address.startswith("gutenberg:"):
        sleep(_SECONDS_BETWEEN_BOOKS)  # mirrors are run by volunteers
    refusals = []
    for url in urls:
        try:
            _fetch_one(Request(url, headers=_headers(entry)), address, body, run, sleep)
            return
        except UnreadableSourceError as error:
            refusals.append(error)
    raise refusals[0] if len(refusals) == 1 else _nowhere(address, refusals)


def _nowhere(address: str, refusals: list[UnreadableSourceError]) -> UnreadableSourceError:
    missing = all(error.kind is Problem.MISSING for error in refusals)
    return UnreadableSourceError(
        f"{address} was found on no mirror; the last one said: {refusals[-1]}. "
        "Check the number, or name another mirror with --gutenberg-mirror",
        Problem.MISSING if missing else Problem.UNREADABLE,
    )


def _candidates(address: str, run: RunConfig) -> Iterator[str]:
    """Where a book may lie: on each mirror the UTF-8 file first, then the older names of the same book."""
    if not address.startswith("gutenberg:"):
        yield address
        return
    number = address.removeprefix("gutenberg:")
    folders = "/".join(number[:-1] or "0")
    named = run.gutenberg_mirror or os.environ.get("INTERPUNCT_GUTENBERG_MIRROR")
    for mirror in [part.strip() for part in named.split(",")] if named else MIRRORS:
        base = mirror.rstrip("/")
        yield f"{base}/cache/epub/{number}/pg{number}.txt"
        for ending in ("-0.txt", "-8.txt", ".txt"):
            yield f"{base}/{folders}/{number}/{number}{ending}"


def _headers(entry: _Entry | None) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if entry is not None and entry.etag:
        headers["If-None-Match"] = entry.etag
    elif entry is not None and entry.last_modified:
        headers["If-Modified-Since"] = entry.last_modified
    return headers


def _fetch_one(request: Request, address: str, body: Path, run: RunConfig, sleep: Callable[[float], None]) -> None:
    """One URL, with a bounded number of attempts. Answers that another attempt cannot change are not retried."""
    deadline = time.monotonic() + run.download_seconds
    for attempt in range(1, run.attempts + 1):
        try:
            _transfer(request, address, body, run, deadline)
            return
        except HTTPError as error:
            error.close()
            if error.code == 304:
                return
            refusal = _refusal(request.full_url, error)
            pause = _retry_after(error) if error.code in _RETRIED else None
            if error.code not in _RETRIED:
                raise refusal from None
        except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            refusal = UnreadableSourceError(f"{request.full_url} cannot be fetched: {reason}")
            pause = None
        if attempt < run.attempts:
            pause = min(_LONGEST_PAUSE, 2.0 ** (attempt - 1) if pause is None else pause)
            if time.monotonic() + pause > deadline:
                break
            sleep(pause * random.uniform(1.0, 1.25))
    raise refusal


def _refusal(url: str, error: HTTPError) -> UnreadableSourceError:
    remedy = {
        403: "the server refuses programs; for Project Gutenberg write gutenberg:ID, which asks a mirror",
        404: "check the address",
        410: "check the address",
    }.get(error.code, "try again later")
    kind = Problem.MISSING if error.code in (404, 410) else Problem.UNREADABLE
    return UnreadableSourceError(f"{url} answered {error.code} {error.reason}; {remedy}", kind)


def _retry_after(error: HTTPError) -> float | None:
    """The pause that the server asks for, in seconds or as a date."""
    value = error.headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None


def _transfer(request: Request, address: str, body: Path, run: RunConfig, deadline: float) -> None:
    with urlopen(request, timeout=min(_SOCKET_SECONDS, run.download_seconds)) as answer, _new_file(body) as file:
        expected = answer.headers.get("Content-Length")
        received = 0
        while chunk := answer.read1(1 << 16):
            received += len(chunk)
            _check_limits(request.full_url, received, deadline, run)
            file.write(chunk)
        if expected is not None and received < int(expected):
            raise ConnectionError(f"the transfer ended after {received} of {expected} bytes")
        entry = _Entry(address, request.full_url, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
    _write_entry(body, entry)


def _check_limits(url: str, received: int, deadline: float, run: RunConfig) -> None:
    if received > run.max_download_megabytes * 1_000_000:
        raise UnreadableSourceError(
            f"{url} is larger than {run.max_download_megabytes} MB; raise --max-download-megabytes if that is meant",
            Problem.TOO_LARGE,
        )
    if time.monotonic() > deadline:
        raise UnreadableSourceError(
            f"{url} took longer than {run.download_seconds} seconds; raise --download-seconds, or try again later"
        )


def _cache_folder(run: RunConfig) -> Path:
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interpunct"
    folder = Path(run.cache).expanduser() if run.cache else usual
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnreadableSourceError(
            f"the cache folder {folder} cannot be made ({error.strerror}); name another with --cache"
        ) from None
    return folder


def _entry_path(body: Path) -> Path:
    return body.with_suffix(".json")


def _read_entry(body: Path) -> _Entry | None:
    try:
        entry = _Entry(**json.loads(_entry_path(body).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return entry if body.exists() else None


def _write_entry(body: Path, entry: _Entry) -> None:
    with _new_file(_entry_path(body)) as file:
        file.write(json.dumps(asdict(entry)).encode())


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """A file that takes its name when it is complete, and is gone otherwise."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
        try:
            yield file
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
