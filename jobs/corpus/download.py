"""Downloads over HTTP: cached, limited in size and time, retried with back-off, and polite."""

from __future__ import annotations

import contextlib
import os
import random
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import BinaryIO

import urllib3.exceptions

from jobs.config import RunConfig
from jobs.corpus.addresses import web_address
from jobs.corpus.cache import Body, CacheUnusableError, Note, Slot, passing_body, warn_of
from jobs.corpus.connections import Deadline
from jobs.corpus.references import Problem, UnreadableSourceError
from jobs.corpus.transfer import Answer, get
from store.objects.public_names import public_name, without_secrets

USER_AGENT = "interpunct/0.1 (text analysis; fetches single named books, cached)"
MIRRORS = ("https://aleph.gutenberg.org", "https://gutenberg.pglaf.org")
"""Mirrors of Project Gutenberg that are meant for programs; gutenberg.org itself is not."""

_LONGEST_PAUSE = 60.0
_SECONDS_BETWEEN_BOOKS = 0.5
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRANSFER_ERRORS = (urllib3.exceptions.HTTPError, HTTPException, OSError, EOFError, zlib.error)


class _RefusedError(Exception):
    """An answer that may be another one next time, and the pause that the server asks for."""

    def __init__(self, refusal: UnreadableSourceError, pause: float | None = None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.pause = pause


def fetch(
    address: str, run: RunConfig, *, revalidate: bool = False, sleep: Callable[[float], None] = time.sleep
) -> BinaryIO:
    """The bytes of an `http(s)://` URL or of `gutenberg:ID`, as an open file.

    A copy in the cache is used as it is, or, with `revalidate`, after asking the server whether it has changed;
    where the server cannot be reached the copy still serves. All of it, with every attempt, pause, redirect and mirror,
    takes `download_seconds` at most. Raises UnreadableSourceError with the address, the server's answer and the
    remedy, and UnusableTextError for what is not an address.
    """
    if not address.startswith("gutenberg:"):
        address = web_address(address)
    slot = Slot(address, run)
    found = slot.find()
    if found is not None and not revalidate:
        return found[0]
    note = None if found is None else found[1]
    try:
        with Deadline(run.download_seconds) as deadline:
            new = _Download(address, slot, note, run, deadline, sleep).run()
    except UnreadableSourceError:
        if found is None:
            raise
        return found[0]
    if new is None and found is not None:
        return found[0]
    if found is not None:
        found[0].close()
    if new is None:
        raise UnreadableSourceError(f"{public_name(address)} answered 304 to a first request; try again later")
    return new


class _Download:
    """One address, from wherever it may lie, in bounded time."""

    def __init__(
        self,
        address: str,
        slot: Slot,
        note: Note | None,
        run: RunConfig,
        deadline: Deadline,
        sleep: Callable[[float], None],
    ) -> None:
        self._address = address
        self._slot: Slot | None = slot
        self._note = note
        self._settings = run
        self._deadline = deadline
        self._sleep = sleep

    def run(self) -> BinaryIO | None:
        """The new body; None where the copy in the cache is still the newest."""
        urls = list(_candidates(self._address, self._settings))
        known = [url for url in urls if self._note is not None and public_name(url) == self._note.url]
        if self._address.startswith("gutenberg:"):
            self._sleep(_SECONDS_BETWEEN_BOOKS)  # mirrors are run by volunteers
        refusals = []
        for url in known or urls:
            try:
                return self._from(url, _headers(self._note if known else None))
            except UnreadableSourceError as error:
                refusals.append(error)
            if self._deadline.passed:
                break
        raise refusals[0] if len(refusals) == 1 else _on_no_mirror(self._address, refusals)

    def _from(self, url: str, headers: Mapping[str, str]) -> BinaryIO | None:
        """One URL, in a bounded number of attempts. Answers that another attempt cannot change are not retried."""
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return self._attempt(url, headers)
            except _RefusedError as error:
                refusal = error.refusal
                pause = min(_LONGEST_PAUSE, 2.0 ** (attempt - 1) if error.pause is None else error.pause)
            if attempt < self._settings.attempts:
                if pause > self._deadline.left:
                    break
                self._sleep(pause * random.uniform(1.0, 1.25))
        raise refusal

    def _attempt(self, url: str, headers: Mapping[str, str]) -> BinaryIO | None:
        if self._slot is not None:
            try:
                with self._slot.new_body() as body:
                    return self._transfer(url, headers, body)
            except CacheUnusableError as error:
                warn_of(error)
                self._slot = None
        with passing_body() as body:
            return self._transfer(url, headers, body)

    def _transfer(self, url: str, headers: Mapping[str, str], body: Body) -> BinaryIO | None:
        try:
            with get(url, headers, self._deadline, self._settings.allow_private_redirects) as answer:
                if answer.status == 304:
                    return None
                if answer.status != 200:
                    raise _refused(url, answer)
                self._receive(url, answer, body)
                return body.keep(url, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        except _TRANSFER_ERRORS as error:
            if self._deadline.passed:
                raise self._too_slow(url) from None
            reason = without_secrets(_cause(error), url)
            raise _RefusedError(UnreadableSourceError(f"{public_name(url)} cannot be fetched: {reason}")) from None

    def _receive(self, url: str, answer: Answer, body: Body) -> None:
        received = 0
        while chunk := answer.body.read(1 << 16):
            received += len(chunk)
            if received > self._settings.max_download_megabytes * 1_000_000:
                raise UnreadableSourceError(
                    f"{public_name(url)} is larger than {self._settings.max_download_megabytes} MB; raise "
                    "--max-download-megabytes if that is meant",
                    Problem.TOO_LARGE,
                )
            body.write(chunk)
        if self._deadline.passed:  # a connection that is shut down can look like the end of a body
            raise self._too_slow(url)

    def _too_slow(self, url: str) -> UnreadableSourceError:
        return UnreadableSourceError(
            f"{public_name(url)} took longer than {self._settings.download_seconds} seconds; raise --download-seconds, "
            "or try again later"
        )


def _on_no_mirror(address: str, refusals: list[UnreadableSourceError]) -> UnreadableSourceError:
    missing = all(error.kind is Problem.MISSING for error in refusals)
    return UnreadableSourceError(
        f"{public_name(address)} was found on no mirror; the last one said: {refusals[-1]}. "
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
        yield web_address(f"{base}/cache/epub/{number}/pg{number}.txt")
        for ending in ("-0.txt", "-8.txt", ".txt"):
            yield web_address(f"{base}/{folders}/{number}/{number}{ending}")


def _headers(note: Note | None) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if note is not None and note.etag:
        headers["If-None-Match"] = note.etag
    elif note is not None and note.last_modified:
        headers["If-Modified-Since"] = note.last_modified
    return headers


def _refused(url: str, answer: Answer) -> Exception:
    remedy = {
        401: "put USER:PASSWORD@ before the host",
        403: "the server refuses programs; for Project Gutenberg write gutenberg:ID, which asks a mirror",
        404: "check the address",
        410: "check the address",
    }.get(answer.status, "try again later")
    kind = Problem.MISSING if answer.status in (404, 410) else Problem.UNREADABLE
    said = without_secrets(f"{answer.status} {answer.reason[:200]}", url)
    refusal = UnreadableSourceError(f"{public_name(url)} answered {said}; {remedy}", kind)
    return _RefusedError(refusal, _retry_after(answer)) if answer.status in _RETRIED else refusal


def _retry_after(answer: Answer) -> float | None:
    """The pause that the server asks for, in seconds or as a date."""
    value = answer.headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None


def _cause(error: Exception) -> str:
    """What happened, in the words of the innermost error that has some."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    reason = getattr(error, "reason", None)
    return str(reason or error or type(error).__name__)[:300] or type(error).__name__
