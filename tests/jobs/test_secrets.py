"""Passwords, signatures and tokens in addresses reach their server and nothing else: no store, cache, log or page."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import interpunct
from jobs import run as run_module
from tests.raw_server import NONSENSE, RawServer

SECRET = "5ecretW0rd"


@pytest.fixture
def server(sample_text) -> Iterator[RawServer]:
    """Books for whoever has the password or the signature; some addresses answer nonsense."""

    def answer(connection: socket.socket) -> None:
        head = running.requests[-1].decode("latin-1")
        path = head.split(" ")[1].partition("?")[0]
        if path == "/nonsense.txt":
            NONSENSE["a header that is not a header"](connection)
        elif path == "/bounce.txt":
            connection.sendall(
                f"HTTP/1.1 302 Found\r\nLocation: /x?token={SECRET}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        elif path not in books:
            connection.sendall(f"HTTP/1.1 404 not {SECRET}\r\nContent-Length: 0\r\n\r\n".encode())
        elif SECRET not in head and "dXNlcjo1ZWNyZXRXMHJk" not in head:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(books[path]) + books[path])

    text = sample_text[:6_000].encode()
    books = {
        "/a.txt": text,
        "/b.txt": text[500:],
        "/again.txt": text,
        "/c.txt": text[900:],
        "/d.txt": b"\x89PNG\r\n\x1a\n\0",
    }
    with RawServer(answer) as running:
        yield running


def addresses(server: RawServer) -> list[str]:
    host = server.url.removeprefix("http://")
    signed = f"X-Amz-Credential=AK%2F{SECRET}&X-Amz-Security-Token={SECRET}&X-Amz-Signature={SECRET}"
    return [
        f"http://user:{SECRET}@{host}/a.txt",
        f"http://{host}/b.txt?{signed}",
        f"http://{host}/again.txt?sv=2024&sig={SECRET}",
        f"http://{host}/d.txt?password={SECRET}",
        f"http://user:{SECRET}@{host}/gone.txt?token={SECRET}#{SECRET}",
        f"http://{host}/nonsense.txt?key={SECRET}",
        f"http://{host}/bounce.txt?key={SECRET}",
        f"http://user:{SECRET}@127.0.0.1:9/nobody.txt",
        f"http://user:{SECRET}@[::1/x.txt",
        f"http://user:{SECRET}/x@host/x.txt",
        f"http://user:{SECRET}",
        f"http:/user:{SECRET}@host/x.txt",
        f"s3://AK:{SECRET}@bucket/x.txt",
        f"ftp://user:{SECRET}@127.0.0.1:9/x.txt",
        f"nosuchscheme://user:{SECRET}@host/x",
        f"zip://x.txt::http://user:{SECRET}@127.0.0.1:9/x.zip",
        f"file://user:{SECRET}@host/x.txt",
        "gutenberg:7",
    ]


def everything_in(folder: Path) -> str:
    """The names and contents of all files; rows of Parquet files, which are compressed, as text too."""
    found = []
    for path in sorted(folder.rglob("*")):
        found.append(str(path))
        if path.is_file():
            found.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet" and path.is_file():
            found.append(str(pq.read_table(path, partitioning=None).to_pylist()))
    return "\n".join(found)


@pytest.mark.whole
def test_no_secret_is_stored_or_shown(server, tiny_gpt2, tmp_path, monkeypatch, capfd, caplog):
    """Some 20 seconds: every command that meets an address, from the plan to the report with its figures."""
    store, cache, out = (str(tmp_path / name) for name in ("store", "cache", "out"))
    host = server.url.removeprefix("http://")
    (tmp_path / "list").write_text(f"http://{host}/c.txt?access_token={SECRET}\nhttp://user:{SECRET}@{host}/gone.txt\n")
    model = ["--model", str(tiny_gpt2), "--before", "5", "--after", "2"]
    settings = [*model, "--cache", cache, "--attempts", "1", "--download-seconds", "5"]
    settings += ["--gutenberg-mirror", f"http://user:{SECRET}@{host}/pg"]
    books = [*addresses(server), f"@{tmp_path}/list"]

    def command(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["interpunct", *arguments])
        return interpunct.main(arguments)

    assert command("plan", *books, "--store", store, *settings) == 1
    assert command("run", *books, "--store", store, "--serial", *settings) == 1
    assert command("run", *books, "--store", store, "--serial", *settings, "--debug") == 1
    for book in books[8:17]:
        code = command("run", book, "--store", str(tmp_path / "none"), "--serial", *settings, "--debug")
        assert code == (1 if book.startswith("ftp") else 2)
    assert command("status", "--store", store) == 0
    assert command("verify", "--store", store) == 0
    assert command("sql", "--store", store, "SELECT book, status, reason, source FROM books", "--format", "json") == 0
    assert command("report", "--store", store, "--out", out) == 0

    shown = capfd.readouterr()
    assert SECRET not in shown.out
    assert SECRET not in shown.err
    assert SECRET not in caplog.text
    for folder in (store, cache, out):
        assert SECRET not in everything_in(Path(folder))
    assert "put back the user, the password or the query" in shown.err
    assert f"http://{host}/a.txt" in shown.out
    # And the secrets were used: three books with them, of which one is there twice.
    statuses = {row["status"] for row in pq.read_table(Path(store) / "books", partitioning=None).to_pylist()}
    assert statuses == {"used", "duplicate", "rejected", "failed"}


def test_the_hint_on_the_console_names_what_was_given_without_its_secrets(monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["x", "run", f"http://u:{SECRET}@h/a b.txt", f"--gutenberg-mirror=http://u:{SECRET}@m"]
    )
    said = run_module._command_line()
    assert said.startswith("interpunct run 'http://h/a b.txt' --gutenberg-mirror=http://m (put back ")
    monkeypatch.setattr("sys.argv", ["x", "run", "a.txt"])
    assert run_module._command_line() == "interpunct run a.txt"
