"""A server that speaks bytes, not HTTP: for the answers that no HTTP server gives."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

Script = Callable[[socket.socket], None]
"""What is done with a connection, once its request has been read."""


class RawServer:
    """Answers each connection by a script; keeps the requests, head and body."""

    def __init__(self, script: Script, host: str = "127.0.0.1") -> None:
        self._script = script
        self.requests: list[bytes] = []
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *arguments: object) -> None:
        self._over.set()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while not self._over.is_set():
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.requests.append(_request(connection))
            self._script(connection)


def _request(connection: socket.socket) -> bytes:
    """The head of a request, and its body where one is announced and comes unasked."""
    request = b""
    while b"\r\n\r\n" not in request and (more := connection.recv(65_536)):
        request += more
    head, end, _ = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    if length is None or re.search(rb"(?i)^expect:", head, re.MULTILINE):
        return request
    whole = len(head) + len(end) + int(length[1])
    while len(request) < whole and (more := connection.recv(65_536)):
        request += more
    return request


def sending(*pieces: bytes) -> Script:
    """Send these bytes and close."""

    def script(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return script


def dripping(start: bytes, *pieces: bytes, every: float = 0.02) -> Script:
    """Send a start, then these pieces over and over, slowly and for as long as somebody listens."""

    def script(connection: socket.socket) -> None:
        connection.sendall(start)
        for piece in itertools.cycle(pieces):
            time.sleep(every)
            connection.sendall(piece)

    return script


def silent(connection: socket.socket) -> None:
    """Never answer."""
    while connection.recv(65_536):
        pass


OK = b"HTTP/1.1 200 OK\r\n"
NEVER_ENDING: dict[str, Script] = {
    "silence": silent,
    "a dripped status line": dripping(b"HTTP/1.1 200 ", b"O"),
    "dripped headers": dripping(OK, b"X-A: 1\r\n", every=0.2),
    "one endless header": dripping(OK + b"X-A: ", b"1"),
    "endless 100 Continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue at full speed": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, every=0),
    "a dripped body of known length": dripping(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "a dripped body of unknown length": dripping(OK + b"\r\n", b"x"),
    "dripped chunks": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n", b"x\r\n"),
    "an endless chunk size": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "an endless chunk extension": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a=b;", every=0),
    "gzip of nothing, for ever": dripping(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 100, every=0),
    "endless 103 Early Hints": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "endless trailers": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-A: 1\r\n"),
    "an endless gzip header": dripping(OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3", b"x"),
}
NONSENSE: dict[str, Script] = {
    "nothing": sending(),
    "binary": sending(bytes(range(256)) * 40),
    "no status": sending(b"HTTP/1.1\r\n\r\n"),
    "a status of letters": sending(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a status of 5,000 digits": sending(b"HTTP/1.1 " + b"9" * 5_000 + b" OK\r\n\r\n"),
    "a negative status": sending(b"HTTP/1.1 -1 OK\r\n\r\n"),
    "a status line without end": sending(b"HTTP/1.1 200 " + b"O" * 200_000),
    "10,000 headers": sending(OK, b"X-A: 1\r\n" * 10_000, b"\r\n"),
    "a header without end": sending(OK + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n"),
    "a header that is not a header": sending(OK + b"\0\xff\r\n: \r\n\r\n"),
    "a length of letters": sending(OK + b"Content-Length: many\r\n\r\nx"),
    "two lengths": sending(OK + b"Content-Length: 1\r\nContent-Length: 5\r\n\r\nx"),
    "a negative length": sending(OK + b"Content-Length: -5\r\n\r\nx"),
    "a length of 5,000 digits": sending(OK + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\nx"),
    "a body cut off": sending(OK + b"Content-Length: 50\r\n\r\nx"),
    "a chunk size of letters": sending(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n"),
    "a negative chunk size": sending(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nx\r\n"),
    "a chunk size of 70,000 digits": sending(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"9" * 70_000 + b"\r\n"),
    "chunks cut off": sending(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "a gzip that is none": sending(OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde"),
    "chunks within gzip": sending(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"),
    "HTTP/0.9": sending(b"One, two. Three, four."),
    "another protocol": sending(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "garbage behind gzip": sending(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"One, two.") + b"garbage"),
    "two encodings": sending(OK + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x")),
    "a pause of 5,000 digits": sending(b"HTTP/1.1 503 No\r\nRetry-After: " + b"9" * 5_000 + b"\r\n\r\n"),
    "a pause in the year 99999": sending(b"HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 99999 23:59:59 GMT\r\n\r\n"),
    "a reason of 60,000 letters": sending(b"HTTP/1.1 404 " + b"r" * 60_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    "a redirect of NUL": sending(b"HTTP/1.1 302 Found\r\nLocation: http://a\0b/\r\nContent-Length: 0\r\n\r\n"),
    "a redirect to no place": sending(b"HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 0\r\n\r\n"),
    "TLS": sending(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
    "a redirect to nowhere": sending(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n"),
    "a redirect to itself": sending(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
    "a redirect to a file": sending(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "304 to a first request": sending(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "101 Switching Protocols": sending(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "206 unasked": sending(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx"),
    "204 No Content": sending(b"HTTP/1.1 204 No Content\r\n\r\n"),
}


@contextlib.contextmanager
def unanswered() -> Iterator[int]:
    """The port of a listener that accepts nothing: connections to it stay half open once its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()
