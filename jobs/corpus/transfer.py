"""One GET over HTTP: redirects followed with care, the body decoded, everything within one deadline."""

from __future__ import annotations

import gzip
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from urllib3.response import BaseHTTPResponse
from urllib3.util import parse_url

from jobs.corpus.addresses import Place, redirected
from jobs.corpus.connections import Connection, Deadline, Door, ForbiddenAddressError, open_connection
from jobs.corpus.formats import file_name, format_of_name
from jobs.corpus.references import UnreadableSourceError, UnusableTextError
from store.objects.public_names import public_name

_MOST_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Body(Protocol):
    """The bytes of an answer, decoded."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True)
class Answer:
    """What a server said, and the body to be read while the answer is open."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: Body


@contextmanager
def get(url: str, headers: Mapping[str, str], deadline: Deadline, allow_private_redirects: bool) -> Iterator[Answer]:
    """The answer to a GET. `url` is as `web_address` made it; a user in it is sent to that server and no other.

    Raises UnreadableSourceError for a redirect that is not followed, and the errors of sockets, HTTP and urllib3.
    """
    door, first, address = Door(deadline, allow_private_redirects), Place.of(url), url
    for _ in range(_MOST_REDIRECTS + 1):
        place = Place.of(address)
        sent = dict(headers)
        if first.authorization and place.may_have_secrets_of(first):
            sent["Authorization"] = first.authorization
        connection, response = _ask(door, place, address, sent, url)
        try:
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                yield Answer(response.status, response.reason or "", response.headers, _decoded(url, response))
                return
        finally:
            response.close()  # it holds the socket too
            connection.close()
        try:
            address = redirected(address, location)
        except UnusableTextError as error:
            raise UnreadableSourceError(f"{public_name(url)} redirects where it is not followed: {error}") from None
    raise UnreadableSourceError(f"{public_name(url)} redirects more than {_MOST_REDIRECTS} times")


def _ask(
    door: Door, place: Place, address: str, headers: Mapping[str, str], named: str
) -> tuple[Connection, BaseHTTPResponse]:
    connection, target, for_proxy = _reach(door, place, address, named)
    try:
        sent = {**headers, **for_proxy}
        connection.request("GET", target, headers=sent, preload_content=False, decode_content=False)
        return connection, connection.getresponse()
    except ForbiddenAddressError:
        connection.close()
        raise _forbidden(named, address) from None
    except BaseException:
        connection.close()
        raise


def _reach(door: Door, place: Place, address: str, named: str) -> tuple[Connection, str, dict[str, str]]:
    """Connect to a place, through the proxy that the environment names.

    Returns the connection, what to ask for there, and the headers for the proxy.
    """
    proxy = urllib.request.getproxies().get(place.scheme)
    if not proxy or urllib.request.proxy_bypass(place.host):
        return open_connection(door, place.scheme, place.host, place.port, False), place.target, {}
    try:
        door.check_literal(place.host)
    except ForbiddenAddressError:
        raise _forbidden(named, address) from None
    through = Place.of(proxy if "://" in proxy else f"http://{proxy}")
    authorization = {"Proxy-Authorization": through.authorization} if through.authorization else {}
    connection = open_connection(door, place.scheme, through.host, through.port, True)
    if place.scheme == "https":
        connection.set_tunnel(place.host, place.port, headers=authorization)
        return connection, place.target, {}
    return connection, parse_url(address)._replace(auth=None).url, authorization


def _forbidden(named: str, address: str) -> UnreadableSourceError:
    return UnreadableSourceError(
        f"{public_name(named)} redirects to {public_name(address)}, which is this machine, a private network or a "
        "cloud's own address; allow it with --allow-private-redirects"
    )


def _decoded(url: str, response: BaseHTTPResponse) -> Body:
    """The body without the encoding that some servers apply unasked.

    A file that is itself compressed is left as it is: servers label `book.txt.gz` as encoded with gzip.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return response
    if encoding not in ("gzip", "x-gzip"):
        raise UnreadableSourceError(f"{public_name(url)} comes with the Content-Encoding {encoding[:40]!r}, unasked")
    layout = format_of_name(file_name(public_name(url)))
    if layout is not None and layout.compression == "gzip":
        return response
    return gzip.GzipFile(fileobj=response)
