"""Servers that never end, answer nonsense or lead astray: each costs its own book, in bounded time, and no other."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobs.config import RunConfig
from jobs.corpus import connections
from jobs.corpus.connections import may_be_led_to
from jobs.corpus.references import BookRef, Source
from jobs.corpus.survey import survey
from tests.raw_server import NEVER_ENDING, NONSENSE, OK, RawServer, Script, sending, silent, unanswered

BOOK = b"One, two. Three, four."


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    return RunConfig(cache=str(tmp_path / "cache"), download_seconds=1, attempts=1)


def surveyed(url: str, run: RunConfig) -> BookRef:
    (ref,) = survey(Source(url), run)
    return ref


def found(content: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(content) + content


def leading_to(location: str) -> Script:
    return sending(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize("name", NEVER_ENDING)
def test_what_never_ends_is_given_up_in_time(run, name):
    started = time.monotonic()
    with RawServer(NEVER_ENDING[name]) as server:
        ref = surveyed(f"{server.url}/a.txt", run)
    assert time.monotonic() - started < 3
    assert ref.sha256 is None
    assert ref.problem is not None
    assert list(Path(run.cache or "").glob(".part-*")) == []


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_a_reason_and_no_more(run, name):
    with RawServer(NONSENSE[name]) as server:
        ref = surveyed(f"{server.url}/a.txt", run)
    assert ref.sha256 is None
    assert f"{server.url}/a.txt" in (ref.problem or "")
    assert len(ref.problem or "") < 700


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + found(BOOK),
        b"HTTP/1.0 200 OK\r\n\r\n" + BOOK,
        b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(BOOK) + BOOK,
        OK + b"X-A: 1\r\n  more\r\nContent-Length: %d\r\n\r\n" % len(BOOK) + BOOK,
        OK + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (len(BOOK), len(BOOK)) + BOOK,
        OK + b"Transfer-Encoding: Chunked\r\n\r\n%x;a=b\r\n%b\r\n0\r\nX-A: 1\r\n\r\n" % (len(BOOK), BOOK),
        OK + b'ETag: \x01\xff"a\r\nContent-Length: %d\r\n\r\n' % len(BOOK) + BOOK,
    ],
)
def test_odd_answers_that_the_standard_allows_are_read(run, answer):
    with RawServer(sending(answer)) as server:
        for _ in range(2):  # and asked again whether they have changed
            assert surveyed(f"{server.url}/a.txt", run).bytes == len(BOOK)


def test_the_deadline_is_for_all_attempts_pauses_and_redirects_together(run):
    def slow_redirect(connection: socket.socket) -> None:
        time.sleep(0.3)
        leading_to("/next")(connection)

    started = time.monotonic()
    with RawServer(slow_redirect) as server:
        ref = surveyed(f"{server.url}/a.txt", replace(run, attempts=9))
    assert "took longer than 1 seconds; raise --download-seconds" in (ref.problem or "")
    assert time.monotonic() - started < 3


def test_the_deadline_is_for_all_mirrors_together(run):
    started = time.monotonic()
    with RawServer(silent) as server:
        ref = surveyed("gutenberg:7", replace(run, gutenberg_mirror=f"{server.url}/a,{server.url}/b", attempts=3))
    assert ref.problem is not None
    assert time.monotonic() - started < 4


def test_a_tls_handshake_that_never_ends(run):
    started = time.monotonic()
    with RawServer(silent) as server:
        ref = surveyed(server.url.replace("http", "https") + "/a.txt", run)
    assert "took longer than 1 seconds" in (ref.problem or "")
    assert time.monotonic() - started < 3


def test_a_connection_that_is_never_accepted(run):
    started = time.monotonic()
    with unanswered() as port:
        ref = surveyed(f"http://127.0.0.1:{port}/a.txt", run)
    assert ref.problem is not None
    assert time.monotonic() - started < 3


def test_a_name_that_is_looked_up_for_ever(run, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(connections.socket, "getaddrinfo", lambda *arguments, **options: over.wait(30))
    started = time.monotonic()
    ref = surveyed("http://slow.example/a.txt", run)
    over.set()
    assert "took longer than 1 seconds" in (ref.problem or "")
    assert time.monotonic() - started < 3


def test_one_hostile_server_does_not_stop_the_others(run):
    with RawServer(silent) as hostile, RawServer(sending(found(BOOK))) as good:
        refs = [surveyed(f"{server.url}/a.txt", run) for server in (hostile, good)]
    assert [ref.sha256 is None for ref in refs] == [True, False]


class Names:
    """A resolver for tests: public names stand for addresses, and every address is reached on this machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **addresses: str) -> None:
        self._addresses = {name.replace("_", "."): address for name, address in addresses.items()}
        self.connected: list[str] = []
        monkeypatch.setattr(connections.socket, "getaddrinfo", self._look_up)
        real = socket.socket.connect
        outer = self

        class Socket(socket.socket):
            def connect(self, address: tuple) -> None:
                outer.connected.append(address[0])
                real(self, ("127.0.0.1", address[1]))

        monkeypatch.setattr(connections.socket, "socket", Socket)

    def _look_up(self, host: str, port: int, **options: object) -> list:
        address = self._addresses.get(host, host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


INWARD = {
    "127.0.0.1": "this machine",
    "127.8.9.1": "this machine by another number",
    "0.0.0.0": "this machine by none",
    "169.254.169.254": "metadata",
    "100.100.100.200": "metadata in another cloud",
    "168.63.129.16": "metadata under a public address",
    "10.0.0.5": "a private network",
    "172.16.0.1": "a private network",
    "192.168.1.1": "a router",
    "100.64.0.1": "a provider's network",
    "224.0.0.1": "a group",
    "255.255.255.255": "everybody",
    "240.0.0.1": "reserved",
}


@pytest.mark.parametrize("address", INWARD)
def test_a_public_server_cannot_lead_inward(run, monkeypatch, address):
    """By the address itself, or by a name that is looked up to it: what is checked is what is connected to."""
    with RawServer(sending(found(BOOK))) as inner:
        for host in (address, "rebound.example"):
            with RawServer(leading_to(f"http://{host}:{inner.port}/latest/meta-data")) as outer:
                names = Names(monkeypatch, public_example="93.184.216.34", rebound_example=address)
                ref = surveyed(f"http://public.example:{outer.port}/a.txt", run)
            assert "--allow-private-redirects" in (ref.problem or "")
            assert names.connected == ["93.184.216.34"]
    assert inner.requests == []


def test_it_may_where_that_is_allowed(run, monkeypatch):
    lenient = replace(run, allow_private_redirects=True)
    with (
        RawServer(sending(found(BOOK))) as inner,
        RawServer(leading_to(f"http://10.0.0.5:{inner.port}/a.txt")) as outer,
    ):
        Names(monkeypatch, public_example="93.184.216.34")
        ref = surveyed(f"http://public.example:{outer.port}/a.txt", lenient)
    assert ref.problem is None


@pytest.mark.parametrize(
    ("named", "target", "allowed"),
    [
        ("93.184.216.34", "93.184.216.34", True),
        ("93.184.216.34", "1.1.1.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "10.0.0.1", False),
        ("127.0.0.1", "169.254.169.254", False),
        ("10.0.0.1", "10.0.0.2", True),
        ("10.0.0.1", "192.168.0.2", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("10.0.0.1", "169.254.169.254", False),
        ("fd12::1", "fd13::1", True),
        ("fd12::1", "fd00:ec2::254", False),
        ("2606:4700::1", "fd12::1", False),
        ("2606:4700::1", "::1", False),
        ("2606:4700::1", "fe80::1", False),
        ("2606:4700::1", "::", False),
        ("2606:4700::1", "ff02::1", False),
        ("2606:4700::1", "2606:4700::2", True),
        ("93.184.216.34", "::ffff:127.0.0.1", False),
        ("93.184.216.34", "::ffff:a9fe:a9fe", False),
        ("93.184.216.34", "::127.0.0.1", False),
        ("93.184.216.34", "2002:7f00:1::", False),
        ("93.184.216.34", "64:ff9b::7f00:1", False),
        ("93.184.216.34", "64:ff9b::a9fe:a9fe", False),
    ],
)
def test_where_a_redirect_may_lead(named, target, allowed):
    addresses = [connections._unwrapped(ipaddress.ip_address(address)) for address in (named, target)]
    assert may_be_led_to(addresses[1], frozenset(addresses[:1])) is allowed


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "LOCALHOST", "[::1]"])
def test_other_spellings_of_this_machine(run, monkeypatch, host):
    """The system's own resolver reads them; what it finds is checked."""
    real = socket.getaddrinfo

    def look_up(name: str, port: int, **options: object) -> list:
        if name == "public.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]
        return real(name, port, type=socket.SOCK_STREAM)

    with RawServer(sending(found(BOOK))) as inner, RawServer(leading_to(f"http://{host}:{inner.port}/")) as outer:
        names = Names(monkeypatch)
        monkeypatch.setattr(connections.socket, "getaddrinfo", look_up)
        ref = surveyed(f"http://public.example:{outer.port}/a.txt", run)
    assert "--allow-private-redirects" in (ref.problem or "")
    assert names.connected == ["93.184.216.34"]
    assert inner.requests == []


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "data:text/plain,x", "javascript:x", "s3://b/x"],
)
def test_redirects_to_other_schemes_are_not_followed(run, location):
    with RawServer(leading_to(location)) as server:
        ref = surveyed(f"{server.url}/a.txt", run)
    assert "only http:// and https:// are followed" in (ref.problem or "")


def test_redirects_on_the_named_server_are_followed(run):
    def answer(connection: socket.socket) -> None:
        (leading_to("/b.txt") if len(server.requests) == 1 else sending(found(BOOK)))(connection)

    with RawServer(answer) as server:
        ref = surveyed(f"{server.url}/a.txt", run)
    assert (ref.problem, ref.source) == (None, f"{server.url}/a.txt")
    assert server.requests[1].startswith(b"GET /b.txt ")


def test_user_and_password_are_sent_to_their_server_and_to_no_other(run):
    """`user:pä:ss` as it stands in an address; base64 of it in UTF-8 is what the header holds."""
    with RawServer(sending(found(BOOK))) as other, RawServer(leading_to(f"{other.url}/b.txt")) as server:
        host = urlsplit(server.url).netloc
        ref = surveyed(f"http://user:p%C3%A4%3Ass@{host}/a.txt", run)
        assert ref.problem is None
        assert b"Authorization: Basic dXNlcjpww6Q6c3M=\r\n" in server.requests[0]
        assert b"uthorization" not in other.requests[0]
        again = surveyed(f"http://user:pä%3Ass@{host}/c.txt", run)
        assert again.problem is None
        assert b"Authorization: Basic dXNlcjpww6Q6c3M=\r\n" in server.requests[1]


def test_a_password_in_a_redirect_is_not_sent(run):
    with RawServer(sending(found(BOOK))) as other:
        host = urlsplit(other.url).netloc
        with RawServer(leading_to(f"http://mine:yours@{host}/b.txt")) as server:
            assert surveyed(f"{server.url}/a.txt", run).problem is None
    assert b"uthorization" not in other.requests[0]


def test_nothing_can_be_slipped_into_a_request(run):
    with RawServer(sending(found(BOOK))) as server:
        for name in ("a\r\nX-Evil: 1\r\n.txt", "b HTTP/1.1\r\nX-Evil: 1", "c\n\nGET /d"):
            surveyed(f"{server.url}/{name}", run)
    assert len(server.requests) == 3
    assert not [head for head in server.requests if b"\r\nX-Evil" in head or b"\nGET /d" in head]


def test_a_proxy_of_the_environment_is_used_and_is_no_way_around(run, monkeypatch):
    with RawServer(leading_to("http://169.254.169.254/latest")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:secret@"))
        monkeypatch.delenv("no_proxy", raising=False)
        ref = surveyed("http://public.example/a.txt", run)
    assert "--allow-private-redirects" in (ref.problem or "")
    (head,) = proxy.requests
    assert head.startswith(b"GET http://public.example/a.txt HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in head
