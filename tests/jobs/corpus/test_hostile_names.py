"""Names of sources that are hostile or unlucky: each becomes a row with its reason, and the good ones stay."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from jobs.config import RunConfig
from jobs.corpus import sources
from jobs.corpus.border import border, within
from jobs.corpus.names import name_books
from jobs.corpus.references import BookRef, Source, UnreadableSourceError
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_books, survey

RUN = RunConfig(download_seconds=2, attempts=1)

NAMES = {
    "an IPv6 address without its end": "http://[2001:db8::1/b.txt",
    "an address of nothing": "http://",
    "a host of nothing": "http:///b.txt",
    "a port of letters": "http://host:port/b.txt",
    "a port of 5,000 digits": "http://host:" + "9" * 5_000 + "/b.txt",
    "a port beyond the last": "http://host:70000/b.txt",
    "a host of spaces": "http://a b/c.txt",
    "a host that IDNA forbids": "http://" + "é" * 200 + ".example/c.txt",
    "a host of half a character": "http://\udcff.example/c.txt",
    "NUL in a path": "a\0b.txt",
    "NUL in an address": "http://127.0.0.1:9/a\0b.txt",
    "NUL in a pattern": "a\0*.txt",
    "NUL in a list": "@a\0b",
    "NUL in a file URL": "file:///a%00b.txt",
    "a name of 5,000 characters": "n" * 5_000 + ".txt",
    "a path of 100,000 characters": "/n" * 50_000,
    "an address of a million characters": "http://127.0.0.1:9/" + "n" * 1_000_000,
    "a name that is not UTF-8": os.fsdecode(b"caf\xe9.txt"),
    "an ebook of 5,000 digits": "gutenberg:" + "9" * 5_000,
    "an ebook of letters": "gutenberg:abc",
    "an ebook of nothing": "gutenberg:",
    "ebook 0": "gutenberg:0",
    "a negative ebook": "gutenberg:-1",
    "an ebook in other digits": "gutenberg:\u0662\u0661\u0669",
    "an ebook and more": "gutenberg:219/../../etc",
    "a list without end": "@/dev/zero",
    "a list that is a folder": "@/tmp",
    "a list of nothing": "@",
    "a list of a list": "@@",
    "a device": "/dev/zero",
    "a terminal": "/dev/tty",
    "the whole file system": "file:///",
    "the whole file system, again": "/../..",
    "a file of another machine": "file://elsewhere/a.txt",
    "a broken file URL": "file://[::1/a.txt",
    "a bucket of nothing": "s3://",
    "a bucket of slashes": "s3:///",
    "a bucket with credentials": "s3://AKIA:secret@bucket/a.txt",
    "a bucket of bad letters": "s3://a b\n/c.txt",
    "a hub of nothing": "hf://",
    "a hub's nonsense": "hf://non/sense/at/all@@@",
    "a scheme that nobody knows": "nosuchscheme://host/x",
    "a scheme alone": "nosuchscheme://",
    "a chain of nothing": "zip://::http://",
    "a reference to a reference": "reference://x::reference://y",
    "an address in a file": "zip://a.txt::file:///nowhere.zip",
    "an ftp server that is none": "ftp://127.0.0.1:9/a.txt",
    "an ssh server that is none": "sftp://127.0.0.1:9/a.txt",
    "nothing": "",
    "a blank": " ",
    "a pattern without an end": "[",
    "a pattern that is expensive": "*a" * 500 + "b",
    "a range that is none": "[z-a]*.txt",
    "a home of nobody": "~nobody-at-all/a.txt",
    "a line break": "a\nb.txt",
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.txt"
    path.write_text("One, two. Three, four.")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_a_row_and_the_others_stay(good, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    started = time.monotonic()
    refs = surveyed([NAMES[name], str(good)])
    assert [ref.problem is None for ref in refs] == [False, True]
    bad = refs[0]
    shown = f"{bad.problem} {bad.source} {bad.stem}"
    assert bad.sha256 is None
    assert len(bad.problem or "") < 1_500
    assert len(bad.source) < 6_000
    assert len(bad.stem) <= 80
    assert "secret" not in shown
    assert shown == shown.encode().decode()
    assert time.monotonic() - started < 5
    assert len({book.key for book in name_books(refs, {})}) == 2


def surveyed(arguments: list[str]) -> list[BookRef]:
    found = list(expand_sources(arguments, RUN))
    return [ref for one in found for ref in (survey(one, RUN) if isinstance(one, Source) else [one])]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("make", [fifo, unix_socket, broken_link, link_to_itself, link_to_a_device, empty])
@pytest.mark.parametrize(
    "how", ["{folder}", "{folder}/*.txt", "{folder}/**", "{bad}", "@{folder}/list", "file://{bad}"]
)
def test_what_is_no_book_costs_itself_alone(good, tmp_path, make: Callable[[Path], None], how):
    bad = tmp_path / "bad.txt"
    make(bad)
    (tmp_path / "list").write_text("bad.txt\ngood.txt\n")
    refs = surveyed([how.format(folder=tmp_path, bad=bad), str(good)])
    fit = {ref.uri.removeprefix("file://"): ref.problem is None for ref in refs}
    assert fit == {str(bad): False, str(good): True}


@pytest.mark.parametrize("make", [fifo, unix_socket, broken_link, link_to_itself, link_to_a_device, folder])
def test_a_list_that_is_no_file(good, tmp_path, make):
    make(tmp_path / "list")
    refs = surveyed([f"@{tmp_path}/list", str(good)])
    assert [ref.problem is None for ref in refs] == [False, True]


def test_a_folder_that_may_not_be_listed_and_a_file_that_may_not_be_read(good, tmp_path, monkeypatch):
    """As root everything may be read, so the system calls say no."""
    real_scandir, real_open = os.scandir, os.open

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    def open_(path: str, *arguments: object) -> int:
        if str(path).endswith("secret.txt"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *arguments)

    (tmp_path / "closed").mkdir()
    (tmp_path / "secret.txt").write_text("x")
    monkeypatch.setattr(sources.os, "scandir", scandir)
    monkeypatch.setattr(os, "open", open_)
    refs = surveyed([str(tmp_path)])
    assert [ref.problem is None for ref in refs] == [False, True, False]
    assert "cannot be listed: Permission denied" in (refs[0].problem or "")
    assert "may not be read" in (refs[2].problem or "")


def test_a_pattern_that_raises_costs_itself_alone(good, monkeypatch):
    def broken(*arguments: object, **options: object) -> object:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(sources.glob, "iglob", broken)
    refs = surveyed(["*.txt", str(good)])
    assert [ref.problem is None for ref in refs] == [False, True]
    assert "RecursionError" in (refs[0].problem or "")


def test_lists_of_lists_end(good, tmp_path):
    """Ten lists that each name the next one ten times are ten lists, not ten thousand million."""
    for number in range(10):
        (tmp_path / f"list{number}").write_text(f"@list{number + 1}\n" * 10)
    (tmp_path / "list10").write_text("good.txt\n")
    assert [ref.uri for ref in surveyed([f"@{tmp_path}/list0"])] == [str(good)]
    for number in range(30):
        (tmp_path / f"deep{number}").write_text(f"@deep{number + 1}\ngood.txt\n")
    refs = surveyed([f"@{tmp_path}/deep0"])
    assert {ref.uri for ref in refs if ref.problem is None} == {str(good)}
    assert "within another" in next(ref.problem for ref in refs if ref.problem)


def test_a_bad_line_of_a_list_costs_itself_alone(good, tmp_path):
    (tmp_path / "list").write_bytes(b"caf\xe9.txt\nhttp://[::1/x\n\0\ngutenberg:" + b"9" * 5_000 + b"\ngood.txt\n")
    refs = surveyed([f"@{tmp_path}/list"])
    assert [ref.problem is None for ref in refs] == [False] * 4 + [True]
    assert "line 1 of the list file" in (refs[0].problem or "")


def test_a_list_larger_than_any_is_refused_unread(good, tmp_path):
    with open(tmp_path / "list", "wb") as file:
        file.truncate(1 << 40)
    refs = surveyed([f"@{tmp_path}/list", str(good)])
    assert "larger than 64 MiB" in (refs[0].problem or "")
    assert refs[1].problem is None


ERRORS = [
    ValueError("bad"),
    KeyError("bad"),
    RecursionError(),
    MemoryError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    OverflowError("bad"),
    AssertionError(),
    NotImplementedError(),
    StopIteration(),
    SystemError("bad"),
    EOFError(),
    ImportError("no module named x"),
    TimeoutError("bad"),
    OSError(5, "Input/output error"),
    type("OddError", (Exception,), {"__str__": lambda self: 1 / 0})(),
    type("LongError", (Exception,), {"__str__": lambda self: "x" * 10_000_000})(),
    type("LinesError", (Exception,), {"__str__": lambda self: "one\ntwo\x00"})(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_a_foreign_reader_raises_becomes_a_reason(monkeypatch, good, error):
    def broken(*arguments: object, **options: object) -> object:
        raise error

    memory = fsspec.filesystem("memory")
    memory.pipe("/odd/a.txt", b"One, two.")
    monkeypatch.setattr(type(memory), "open", broken)
    refs = [ref for uri in ("memory://odd/a.txt", str(good)) for ref in survey(Source(uri), RUN)]
    assert [ref.problem is None for ref in refs] == [False, True]
    assert "memory://odd/a.txt" in (refs[0].problem or "")
    assert len(refs[0].problem or "") < 700


def test_a_reader_that_fails_between_two_texts_keeps_the_first(monkeypatch, good):
    refs = [BookRef("a", str(good)), BookRef("b", "memory://nowhere/b.txt")]
    (_, first), (_, second) = read_books(refs, RUN)
    assert first == good.read_bytes()
    assert isinstance(second, UnreadableSourceError)


def test_a_file_system_that_never_answers_is_given_up(monkeypatch, good):
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(type(memory), "isfile", lambda *arguments: time.sleep(20))
    started = time.monotonic()
    refs = surveyed(["memory://slow/a.txt", str(good)])
    assert time.monotonic() - started < 5
    assert [ref.problem is None for ref in refs] == [False, True]
    assert "took longer than 2 seconds" in (refs[0].problem or "")


def test_a_stop_passes_the_border():
    with pytest.raises(KeyboardInterrupt), border("x"):
        raise KeyboardInterrupt


def test_within_hands_on_what_is_raised():
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0, "it")
    assert within(5, lambda: 7, "it") == 7
