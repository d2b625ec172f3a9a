"""Addresses of the web: brought into the form that goes over the wire, and taken apart for a request."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urljoin

from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

from jobs.corpus.references import Problem, UnusableTextError
from store.objects.public_names import public_name


def is_web(address: str) -> bool:
    """Whether an address begins with `http://` or `https://`, in whatever case."""
    return address[:8].lower().startswith(("http://", "https://"))


def web_address(address: str) -> str:
    """An address in ASCII: scheme and host in small letters, the host in IDNA, the rest percent-encoded, no fragment.

    Raises UnusableTextError for what is not an address.

    >>> web_address("HTTP://Bücher.example/Café 1.txt#top")
    'http://xn--bcher-kva.example/Caf%C3%A9%201.txt'
    """
    try:
        url = parse_url(address)
    except (HTTPError, ValueError):  # what they say quotes pieces of it
        raise _no_address(address, "its host or port is malformed") from None
    if not url.host:
        raise _no_address(address, "it names no host")
    if url.auth and "@" in (url.path or ""):
        raise _no_address(address, "write @ / ? # in a user, password or path as %40 %2F %3F %23")
    return url._replace(fragment=None).url


def redirected(address: str, location: str) -> str:
    """Where an answer from `address` sends its reader. Raises UnusableTextError where that is not an address."""
    # Headers arrive as Latin-1; servers that send other letters mean UTF-8.
    text = location.encode("latin-1", errors="replace").decode(errors="replace")
    target = urljoin(address, text)
    if not is_web(target):
        raise UnusableTextError(
            f"it leads to {public_name(target)}, and only http:// and https:// are followed", Problem.FORMAT
        )
    return parse_url(web_address(target))._replace(auth=None).url


@dataclass(frozen=True)
class Place:
    """A server and what is asked of it; `authorization` is the header for the user in the address, or None."""

    scheme: str
    host: str
    port: int
    target: str
    authorization: str | None = field(repr=False)

    @classmethod
    def of(cls, address: str) -> Place:
        """The parts of an address that `web_address` made."""
        url = parse_url(address)
        scheme = url.scheme or "http"
        port = url.port or (443 if scheme == "https" else 80)
        host = (url.host or "").removeprefix("[").removesuffix("]")
        return cls(scheme, host, port, _target(url), None if url.auth is None else _basic(url.auth))

    def may_have_secrets_of(self, other: Place) -> bool:
        """Whether this is the same server, or the same host with encryption where the other had none."""
        same = (self.scheme, self.port) == (other.scheme, other.port)
        secured = (other.scheme, other.port, self.scheme, self.port) == ("http", 80, "https", 443)
        return self.host == other.host and (same or secured)


def _target(url: Url) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(unquote_to_bytes(user)).decode()


def _no_address(address: str, why: str) -> UnusableTextError:
    return UnusableTextError(f"{public_name(address)} is not an address: {why}", Problem.FORMAT)
