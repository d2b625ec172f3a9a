"""What may be shown and stored of an address: where a thing lies, and nothing that opens the door to it.

An address may carry a password before its host, or a signature or token in its query. `public_name` is the form for
tables, records, logs and messages; `without_secrets` cleans a message that someone else wrote about an address.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from urllib.parse import unquote

_START = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://|\bhttps?:[/\\]*", re.IGNORECASE)
_NEXT = re.compile(r"(::|,\s*)(?=[A-Za-z][A-Za-z0-9+.-]{0,30}://)")
"""What stands between two addresses in one argument: of fsspec's chains, and of lists of mirrors."""

_IN_TEXT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}://|\bhttps?:[/\\]+)[^\s<>\"]+", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\]@]*\]|[^:@\[\]]*)(:[0-9]+)?")
_SHOWN_QUERY = re.compile(r"\.\.\.[0-9a-f]{12}")
_RECORD = re.compile(r"#[0-9]{1,12}")

_PLACE_BEFORE_AT = frozenset({"github", "git", "abfs", "abfss", "adl", "wasb", "wasbs"})
"""Schemes in which what stands before the @ is a repository or a container, and no user."""

_SIGNING_PREFIXES = ("x-amz-", "x-goog-")
_SIGNING_SETS = (
    frozenset({"sig", "sv", "se", "st", "sp", "spr", "sr", "sip", "ss", "srt", "sdd"})
    | {"skoid", "sktid", "skt", "ske", "sks", "skv"},
    frozenset({"signature", "expires", "key-pair-id", "policy", "awsaccesskeyid", "googleaccessid"}),
)
"""Azure's and the older AWS, Google and CloudFront names. They count only where `sig` or `signature` is among them."""

_PASSWORDS = frozenset({"password", "passwd", "pwd", "pass", "secret", "client_secret"})
_LONGEST = 2_000
_ROUNDS = 8
_SHORTEST_SECRET = 6


def public_name(address: str) -> str:
    """An address as it may be shown: no user, no password, no query, no fragment.

    A query becomes `?...` and twelve digits of its checksum, so that addresses which differ in it stay distinct;
    a signature does not count, so that an address that is signed anew is still the same one. What is not an address
    (a path, `gutenberg:219`) stays as it is, and so does a public name. Never raises.

    >>> public_name("https://me:secret@example.org/a.txt?X-Amz-Signature=0a1b")
    'https://example.org/a.txt'
    >>> public_name("https://example.org/book?id=5")
    'https://example.org/book?...9aee899ad684'
    """
    shown = address
    for _ in range(_ROUNDS):  # cutting a malformed address can bring another one to light
        parts = _NEXT.split(shown)
        before, shown = shown, "".join(_public_part(part) if i % 2 == 0 else part for i, part in enumerate(parts))
        if shown == before:
            break
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST // 2]}...{_checksum(shown)}"


def server_name(address: str) -> str:
    """Scheme, host and port alone: for an address whose path is a secret too, as that of a webhook is.

    >>> server_name("https://hooks.example.org/services/T0/B0/secret")
    'https://hooks.example.org'
    """
    url = _split(address)
    if url is None:
        return "no address"
    before, place, _, _ = url
    return _START.search(before)[0] + _authority(place)  # type: ignore[index]


def identity(address: str) -> str:
    """What makes two addresses the same document: all but user, password, signature and fragment. Not to be shown."""
    url = _split(address)
    if url is None:
        return address
    before, place, query, _ = url
    query = _naming(query)
    return before + place + (f"?{query}" if query else "")


def without_secrets(text: str, *addresses: str) -> str:
    """A message of a library or a server about these addresses, with public names in it and none of their secrets."""
    for address in addresses:
        text = text.replace(address, public_name(address))
        for secret in sorted(set(_secrets(address)), key=len, reverse=True):
            text = text.replace(secret, "...")
    return _IN_TEXT.sub(_public_match, text)


def _public_match(match: re.Match[str]) -> str:
    url = match[0].rstrip("'`),.;:]}")
    return public_name(url) + match[0][len(url) :]


def _public_part(address: str) -> str:
    url = _split(address)
    if url is None:
        return address
    before, place, query, record = url
    if query and not _SHOWN_QUERY.fullmatch(query):
        naming = _naming(query)
        query = f"...{_checksum(f'{before}{place}?{naming}')}" if naming else ""
    return before + place + (f"?{query}" if query else "") + record


def _split(address: str) -> tuple[str, str, str, str] | None:
    """What comes before the host, host and path without a user, the query, and the number of a record as `#7`."""
    start = _START.search(address)
    if start is None:
        return None
    before, rest = address[: start.end()], address[start.end() :]
    scheme = start[0].partition(":")[0].lower()
    record = ""
    if scheme in ("http", "https"):
        rest, mark, fragment = rest.partition("#")
        record = mark + fragment if _RECORD.fullmatch(mark + fragment) else ""
        if "@" in fragment and not _AUTHORITY.fullmatch(_authority(rest)):
            rest += mark + fragment  # a password with # in it
    if scheme not in _PLACE_BEFORE_AT:
        rest = _without_user(rest)
    place, mark, query = rest.partition("?")
    if scheme not in ("http", "https") and "=" not in query:
        return before, place + mark + query, "", ""  # in a bucket, ? is a wildcard or part of a name
    return before, place, query, record


def _without_user(rest: str) -> str:
    """The part after `://` without user and password, also where these hold the characters / ? # or @ themselves."""
    authority = _authority(rest)
    if "@" in authority:
        place, mark, query = rest.partition("?")
        return place.rpartition("@")[2] + mark + query
    if _AUTHORITY.fullmatch(authority):
        return rest
    if "@" in rest:
        return rest.rpartition("@")[2]
    if authority.startswith("["):
        return rest
    return f"{authority.partition(':')[0]}:...{rest[len(authority) :]}"


def _authority(rest: str) -> str:
    return re.split(r"[/?#\\]", rest, maxsplit=1)[0]


def _naming(query: str) -> str:
    """The part of a query that may say which document is meant."""
    pairs = [(unquote(pair.partition("=")[0]).lower(), pair) for pair in query.split("&") if pair]
    names = {name for name, _ in pairs}
    signing = set(_PASSWORDS)
    if names & {"sig", "signature"}:
        signing.update(*(one for one in _SIGNING_SETS if names & one & {"sig", "signature"}))
    return "&".join(pair for name, pair in pairs if name not in signing and not name.startswith(_SIGNING_PREFIXES))


def _secrets(addresses: str) -> Iterator[str]:
    """Pieces of addresses that a message may quote: user and password, the query and the values in it."""
    for address in _NEXT.split(addresses)[::2]:
        yield from _pieces(address)


def _pieces(address: str) -> Iterator[str]:
    start = _START.search(address)
    if start is None:
        return
    rest = address[start.end() :]
    if start[0].partition(":")[0].lower() not in _PLACE_BEFORE_AT:
        user = _user(rest)
        password = user.partition(":")[2] or user
        for piece in (user, password, *re.split(r"[/?#@\\]", password)):
            if len(piece) > 2:
                yield from (piece, unquote(piece), base64.b64encode(unquote(piece).encode()).decode())
    query = rest.partition("?")[2].partition("#")[0]
    if _SHOWN_QUERY.fullmatch(query):
        return
    for piece in (query, *(pair.partition("=")[2] for pair in query.split("&"))):
        if len(piece) >= _SHORTEST_SECRET:
            yield from (piece, unquote(piece))


def _user(rest: str) -> str:
    """What `_without_user` takes away: user and password, or a port that is none."""
    without = _without_user(rest)
    if rest.endswith(without):
        return rest[: len(rest) - len(without)].removesuffix("@")
    return _authority(rest).partition(":")[2] or _authority(rest)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
