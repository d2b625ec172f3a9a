"""Downloads against a real HTTP server on this machine, which fails as servers do."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobs.config import RunConfig
from jobs.corpus import cache, download
from jobs.corpus.download import fetch
from jobs.corpus.references import Problem, Source, UnreadableSourceError
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_book, survey
from tests.jobs.corpus.historic_forms import FORMS

BOOK = FORMS["2008, this, produced by"].encode()
Answer = Callable[[BaseHTTPRequestHandler, int], None]


class Server:
    """A server whose answers a test writes, by path; it counts requests and keeps their headers."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests[self.path] += 1
                outer.headers.append(dict(self.headers))
                answer = outer.answers.get(self.path, status(404))
                answer(self, outer.requests[self.path])

            def log_message(self, *arguments: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def body(content: bytes, **headers: str) -> Answer:
    """Answer 200; or 304 where the client has this version."""

    def answer(handler: BaseHTTPRequestHandler, count: int) -> None:
        if headers.get("ETag") and handler.headers.get("If-None-Match") == headers["ETag"]:
            handler.send_response(304)
            handler.end_headers()
            return
        handler.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, count: int) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def after(failures: int, failure: Answer, success: Answer) -> Answer:
    return lambda handler, count: (failure if count <= failures else success)(handler, count)


def read(address: str, run: RunConfig, **options: Any) -> bytes:
    with fetch(address, run, **options) as file:
        return file.read()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def nothing_said_before() -> None:
    cache._WARNED.clear()


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=str(tmp_path / "cache"), download_seconds=20)


@pytest.fixture
def pauses() -> list[float]:
    return []


def test_a_url_is_fetched_once_and_asked_again_only_whether_it_changed(server, run):
    server.answers["/a.txt"] = body(BOOK, ETag='"one"')
    url = f"{server.url}/a.txt"
    (ref,) = survey(Source(url), run)
    assert (ref.problem, ref.stem, ref.title) == (None, "pg4321", "The Harbour Clock")
    assert read_book(ref, run) == BOOK
    assert server.requests["/a.txt"] == 1
    assert list(survey(Source(url), run)) == [ref]
    assert server.requests["/a.txt"] == 2
    assert server.headers[-1]["If-None-Match"] == '"one"'
    server.answers["/a.txt"] = body(b"New words.", ETag='"two"')
    (changed,) = survey(Source(url), run)
    assert changed.sha256 != ref.sha256
    assert read_book(changed, run) == b"New words."


def test_we_say_who_we_are(server, run):
    server.answers["/a.txt"] = body(BOOK)
    read(f"{server.url}/a.txt", run)
    assert server.headers[0]["User-Agent"] == download.USER_AGENT


def test_a_copy_serves_while_the_server_is_down(server, run):
    server.answers["/a.txt"] = body(BOOK)
    url = f"{server.url}/a.txt"
    first = list(survey(Source(url), run))
    server.answers["/a.txt"] = status(404)
    assert list(survey(Source(url), run)) == first


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_failures_are_retried_with_growing_pauses(server, run, pauses, code):
    server.answers["/a.txt"] = after(2, status(code), body(BOOK))
    path = read(f"{server.url}/a.txt", run, sleep=pauses.append)
    assert path == BOOK
    assert server.requests["/a.txt"] == 3
    assert 1.0 <= pauses[0] <= 1.25
    assert 2.0 <= pauses[1] <= 2.5


def test_the_server_may_ask_for_a_pause(server, run, pauses):
    server.answers["/a.txt"] = after(1, status(429, Retry_After="7"), body(BOOK))
    read(f"{server.url}/a.txt", run, sleep=pauses.append)
    assert 7.0 <= pauses[0] <= 8.75


def test_attempts_are_bounded(server, run, pauses):
    server.answers["/a.txt"] = status(503)
    with pytest.raises(UnreadableSourceError, match=r"503.*try again later") as refusal:
        read(f"{server.url}/a.txt", replace(run, attempts=4), sleep=pauses.append)
    assert refusal.value.kind is Problem.UNREADABLE
    assert server.requests["/a.txt"] == 4
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (404, Problem.MISSING, "check the address"),
        (403, Problem.UNREADABLE, "gutenberg:ID"),
        (401, Problem.UNREADABLE, "401"),
    ],
)
def test_answers_that_will_not_change_are_not_retried(server, run, pauses, code, kind, says):
    server.answers["/a.txt"] = status(code)
    with pytest.raises(UnreadableSourceError, match=says) as refusal:
        read(f"{server.url}/a.txt", run, sleep=pauses.append)
    assert refusal.value.kind is kind
    assert server.requests["/a.txt"] == 1
    assert pauses == []


def test_a_transfer_that_breaks_off_is_retried_and_never_kept(server, run, pauses, tmp_path):
    def broken(handler: BaseHTTPRequestHandler, count: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BOOK)))
        handler.end_headers()
        handler.wfile.write(BOOK[:500])
        handler.wfile.flush()
        handler.connection.close()

    server.answers["/a.txt"] = after(1, broken, body(BOOK))
    assert read(f"{server.url}/a.txt", run, sleep=pauses.append) == BOOK
    server.answers["/b.txt"] = broken
    with pytest.raises(UnreadableSourceError, match="cannot be fetched"):
        fetch(f"{server.url}/b.txt", run, sleep=pauses.append)
    assert len(list((tmp_path / "cache").iterdir())) == 2  # one body and what is known of it; nothing half done


def test_nobody_listens(run, pauses):
    with pytest.raises(UnreadableSourceError, match=r"cannot be fetched.*refused"):
        fetch("http://127.0.0.1:9/a.txt", run, sleep=pauses.append)
    assert len(pauses) == 2


def test_size_is_limited_whatever_the_server_claims(server, run, tmp_path):
    def endless(handler: BaseHTTPRequestHandler, count: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            try:
                handler.wfile.write(bytes(100_000))
            except OSError:
                return

    server.answers["/a.txt"] = endless
    with pytest.raises(UnreadableSourceError, match=r"larger than 1 MB.*--max-download-megabytes") as refusal:
        read(f"{server.url}/a.txt", replace(run, max_download_megabytes=1))
    assert refusal.value.kind is Problem.TOO_LARGE
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_server_that_drips_is_given_up_in_time(server, run):
    def dripping(handler: BaseHTTPRequestHandler, count: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(200):
            try:
                handler.wfile.write(b"x")
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    server.answers["/a.txt"] = dripping
    started = time.monotonic()
    with pytest.raises(UnreadableSourceError, match="took longer than 1 seconds"):
        read(f"{server.url}/a.txt", replace(run, download_seconds=1))
    assert time.monotonic() - started < 5


def test_one_failing_source_does_not_stop_the_others(server, run):
    server.answers["/good.txt"] = body(BOOK)
    quick = replace(run, attempts=1)
    names = ("gone.txt", "good.txt", "also-gone.txt")
    refs = [ref for name in names for ref in survey(Source(f"{server.url}/{name}"), quick)]
    assert [ref.problem is None for ref in refs] == [False, True, False]


def test_formats_of_urls(server, run):
    server.answers["/books/4321.txt.utf-8"] = body(BOOK)
    server.answers["/4321.txt.gz?mirror=1"] = body(gzip.compress(BOOK))
    server.answers["/page"] = body(b"<html><body>Not a book</body></html>")
    refs = [next(survey(Source(f"{server.url}{path}"), run)) for path in server.answers]
    assert refs[0].sha256 == refs[1].sha256
    assert refs[2].problem_kind is Problem.FORMAT


def test_gutenberg_numbers_go_to_the_mirror_and_to_older_names_of_the_same_book(server, run, monkeypatch):
    mirrored = replace(run, gutenberg_mirror=f"{server.url}/pg/")
    server.answers["/pg/4/3/2/4321/4321-8.txt"] = body(BOOK)
    (ref,) = survey(Source("gutenberg:4321"), mirrored)
    assert (ref.problem, ref.stem, ref.source) == (None, "pg4321", "gutenberg:4321")
    assert list(server.requests) == [
        "/pg/cache/epub/4321/pg4321.txt",
        "/pg/4/3/2/4321/4321-0.txt",
        "/pg/4/3/2/4321/4321-8.txt",
    ]
    assert read_book(ref, mirrored) == BOOK
    server.answers["/pg/0/5/5.txt"] = body(BOOK)
    monkeypatch.setenv("INTERPUNCT_GUTENBERG_MIRROR", f"{server.url}/nothing, {server.url}/pg")
    (single_digit,) = survey(Source("gutenberg:5"), run)
    assert single_digit.problem is None


def test_an_unknown_gutenberg_number(server, run):
    (ref,) = survey(Source("gutenberg:99999999"), replace(run, gutenberg_mirror=server.url))
    assert ref.problem_kind is Problem.MISSING
    assert ref.stem == "pg99999999"
    assert "found on no mirror" in (ref.problem or "")
    assert "--gutenberg-mirror" in (ref.problem or "")


def test_two_tasks_may_fetch_the_same_book_at_once(server, run):
    server.answers["/a.txt"] = body(BOOK)
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(read(f"{server.url}/a.txt", run))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [BOOK] * 8


def test_without_a_cache_books_are_still_read_and_the_remedy_is_said_once(server, run, tmp_path, caplog):
    (tmp_path / "file").touch()
    server.answers["/a.txt"] = body(BOOK)
    without = replace(run, cache=str(tmp_path / "file" / "cache"))
    for _ in range(2):
        (ref,) = survey(Source(f"{server.url}/a.txt"), without)
        assert read_book(ref, without) == BOOK
    (warning,) = caplog.messages
    assert f"{tmp_path}/file/cache cannot be written: Not a directory" in warning
    assert "--cache" in warning


@pytest.fixture
def full_disk(tmp_path) -> Iterator[Path]:
    """A folder on a file system of its own that holds 64 kB."""
    place = tmp_path / "full"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root; the test of write errors covers the same code")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_cache_disk_costs_the_cache_and_no_book(server, run, full_disk, caplog):
    server.answers["/a.txt"] = body(BOOK * 100)
    assert read(f"{server.url}/a.txt", replace(run, cache=str(full_disk))) == BOOK * 100
    assert list(full_disk.iterdir()) == []
    assert "No space left on device" in caplog.text


def test_a_cache_that_fills_while_a_body_is_written_costs_no_book(server, run, monkeypatch, caplog):
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.answers["/a.txt"] = body(BOOK)
    monkeypatch.setattr(cache.os, "replace", full)
    assert read(f"{server.url}/a.txt", run) == BOOK
    assert "No space left on device" in caplog.text
    assert list(Path(run.cache or "").iterdir()) == []


def test_no_room_anywhere_is_one_sentence_with_the_remedy(server, run, tmp_path, monkeypatch):
    class FullFile(io.BytesIO):
        def write(self, chunk: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.answers["/a.txt"] = body(BOOK)
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache.tempfile, "SpooledTemporaryFile", lambda **options: FullFile())
    with pytest.raises(UnreadableSourceError, match=r"no room .*No space left on device.*--cache"):
        read(f"{server.url}/a.txt", replace(run, cache=str(tmp_path / "file" / "cache")))


def test_the_cache_is_for_its_owner_alone(server, run):
    server.answers["/a.txt"] = body(BOOK)
    read(f"{server.url}/a.txt", run)
    folder = Path(run.cache or "")
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"address": 5}', b"[" * 200_000, b"\xff"])
def test_a_damaged_note_is_no_note(server, run, note):
    server.answers["/a.txt"] = body(BOOK)
    read(f"{server.url}/a.txt", run)
    (path,) = Path(run.cache or "").glob("*.json")
    path.write_bytes(note)
    assert read(f"{server.url}/a.txt", run, revalidate=True) == BOOK
    assert server.requests["/a.txt"] == 2


def test_a_body_that_comes_encoded_is_decoded(server, run):
    packed = gzip.compress(BOOK)
    for name, encoding in [("a.txt", "gzip"), ("b.txt", "X-GZIP"), ("c", "gzip"), ("d.txt.gz", "gzip")]:
        server.answers[f"/{name}"] = body(packed, Content_Encoding=encoding)
    refs = [next(survey(Source(f"{server.url}{path}"), run)) for path in server.answers]
    assert [ref.problem for ref in refs] == [None] * 4
    assert {read_book(ref, run) for ref in refs} == {BOOK}


@pytest.mark.parametrize(
    ("content", "encoding", "says"),
    [
        (gzip.compress(BOOK)[:-20], "gzip", "cannot be fetched"),
        (BOOK, "gzip", "cannot be fetched"),
        (BOOK, "br", "Content-Encoding 'br', unasked"),
        (BOOK, "gzip, gzip", "Content-Encoding 'gzip, gzip', unasked"),
        (gzip.compress(bytes(3_000_000)), "gzip", "larger than 1 MB"),
    ],
)
def test_an_encoding_that_fails_or_unpacks_to_too_much_is_refused(server, run, content, encoding, says):
    server.answers["/a.txt"] = body(content, Content_Encoding=encoding)
    quick = replace(run, attempts=1, max_download_megabytes=1)
    (ref,) = survey(Source(f"{server.url}/a.txt"), quick)
    assert says in (ref.problem or "")
    assert ref.sha256 is None


def test_letters_of_any_case_and_any_language(server, run):
    server.answers["/caf%C3%A9%201.txt"] = body(BOOK)
    (source,) = expand_sources([server.url.replace("http", "HTTP") + "/café 1.txt#top"], run)
    (ref,) = survey(source, run)
    assert (ref.problem, ref.source) == (None, f"{server.url}/caf%C3%A9%201.txt")
