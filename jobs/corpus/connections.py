"""Connections that end in time and lead only where they may.

The time-outs of sockets are for single operations: a server that sends a byte every few seconds passes all of them.
A `Deadline` is for the whole: when it comes, the sockets under its watch are shut down, whatever is waiting on them.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from types import TracebackType
from typing import Any

import urllib3.connection

from jobs.corpus.border import within

_SOCKET_SECONDS = 30.0
_LENGTH = re.compile(r"[0-9]{1,15}")
_PROVISIONAL = frozenset({102, 103})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
"""Where clouds hand a machine its credentials; some of these look like public addresses, or like private networks."""

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Deadline:
    """The moment at which a download ends, however it drips; as a context manager it watches over its sockets."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True

    @property
    def left(self) -> float:
        """Seconds until the end, 0 from then on."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the end has come."""
        return self.left == 0

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            for handle in self._watched:
                handle.close()
            self._watched.clear()

    def watch(self, connected: socket.socket) -> None:
        """Shut this socket down when the end comes."""
        with self._lock:
            # A handle of our own: TLS takes the socket's descriptor away from it.
            self._watched.append(connected.dup())
        if self.passed:
            self._shut_down()

    def _shut_down(self) -> None:
        with self._lock:
            for handle in self._watched:
                try:
                    handle.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # closed by the other side


class ForbiddenAddressError(Exception):
    """A redirect leads to this machine, to a private network or to a cloud's credentials."""


class Door:
    """Opens the connections of one download: to the address that was named, and where redirects lead from there."""

    def __init__(self, deadline: Deadline, allow_private: bool) -> None:
        self._deadline = deadline
        self._allow_private = allow_private
        self._named: frozenset[IPAddress] | None = None

    def connect(self, host: str, port: int, proxied: bool = False) -> socket.socket:
        """A connected socket. The addresses that are checked are the ones that are then connected to.

        Raises ForbiddenAddressError, or OSError where none of the host's addresses answers.
        """
        found = self._look_up(host, port)
        if not proxied:
            self._check({ipaddress.ip_address(address[4][0].partition("%")[0]) for address in found})
        refusal: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in found:
            try:
                return self._open(family, kind, protocol, address)
            except OSError as error:
                refusal = error
        raise refusal

    def check_literal(self, host: str) -> None:
        """Check a host that a proxy will look up: where it is itself an address, or this machine's name."""
        try:
            self._check({ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)})
        except ValueError:
            self._named = self._named or frozenset()

    def _look_up(self, host: str, port: int) -> list[Any]:
        return within(
            self._deadline.left,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            f"the look-up of {host}",
        )

    def _check(self, addresses: set[IPAddress]) -> None:
        addresses = {_unwrapped(address) for address in addresses}
        if self._named is None:
            self._named = frozenset(addresses)
            return
        if self._allow_private:
            return
        if not all(may_be_led_to(address, self._named) for address in addresses):
            raise ForbiddenAddressError

    def _open(self, family: int, kind: int, protocol: int, address: Any) -> socket.socket:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(max(0.001, min(_SOCKET_SECONDS, self._deadline.left)))
            opened.connect(address)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._deadline.watch(opened)
        except BaseException:
            opened.close()
            raise
        return opened


def may_be_led_to(address: IPAddress, named: frozenset[IPAddress]) -> bool:
    """Whether a redirect may lead to an address.

    It may be public, or one of the server that was named, or, from one private network address, another such one.
    It is never the metadata service of a cloud.
    """
    if address in named:
        return True
    if address in _METADATA:
        return False
    return _is_public(address) or (
        _is_private_network(address) and all(map(_is_private_network, named)) and bool(named)
    )


def _is_public(address: IPAddress) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_private_network(address: IPAddress) -> bool:
    apart = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_reserved
    return address.is_private and not apart and address not in _METADATA


def _unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address within an IPv6 one that stands for it: mapped, 6to4, NAT64 or compatible."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


class _SoundResponse(http.client.HTTPResponse):
    """An answer whose head can be believed.

    http.client ignores a Content-Length that is not a number and lines that are not headers, so that it takes a body
    that was cut off for a whole one; chunks under a second encoding it takes for text.
    """

    def begin(self) -> None:
        """Read the head; HTTPException where it contradicts itself."""
        super().begin()
        while self.status in _PROVISIONAL:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self.msg.defects or self.msg.get_payload():
            raise http.client.HTTPException("the head of the answer is damaged")
        lengths = {length.strip() for line in self.msg.get_all("Content-Length", []) for length in line.split(",")}
        if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
            raise http.client.HTTPException("the answer states a Content-Length that is none")
        if self.msg.get("Transfer-Encoding", "identity").strip().lower() not in ("chunked", "identity"):
            raise http.client.HTTPException("the answer comes with a Transfer-Encoding that was not asked for")


class PlainConnection(urllib3.connection.HTTPConnection):
    """An HTTP connection through a door."""

    response_class = _SoundResponse
    door: Door
    proxied = False

    def _new_conn(self) -> socket.socket:
        return self.door.connect(self._dns_host, self.port, self.proxied)


class SecureConnection(urllib3.connection.HTTPSConnection):
    """An HTTPS connection through a door; certificates are checked against the machine's own."""

    response_class = _SoundResponse
    door: Door
    proxied = False

    def _new_conn(self) -> socket.socket:
        return self.door.connect(self._dns_host, self.port, self.proxied)


Connection = PlainConnection | SecureConnection


def open_connection(door: Door, scheme: str, host: str, port: int, proxied: bool) -> Connection:
    """A connection that opens when it is used."""
    connection: Connection
    if scheme == "https":
        connection = SecureConnection(host, port, timeout=_SOCKET_SECONDS, ssl_context=ssl.create_default_context())
    else:
        connection = PlainConnection(host, port, timeout=_SOCKET_SECONDS)
    connection.door, connection.proxied = door, proxied
    return connection
