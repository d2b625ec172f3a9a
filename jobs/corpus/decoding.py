"""From bytes to characters by evidence: a byte order mark, then valid UTF-8, then the old Western encodings."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from jobs.corpus.references import Problem, UnusableTextError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF-": "a PDF file",
    b"PK\x03\x04": "a zip archive (name it .zip)",
    b"\x1f\x8b": "gzip data (name it .txt.gz)",
    b"\x28\xb5\x2f\xfd": "Zstandard data (name it .txt.zst)",
    b"PAR1": "a Parquet file (name it .parquet)",
    b"\x7fELF": "a program",
    b"{\\rtf": "a Rich Text file (save it as plain text)",
    b"\xd0\xcf\x11\xe0": "an Office document (save it as plain text)",
    b"SQLite format 3": "a database",
}
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
_ASCII = bytes(range(128))
_C1_CONTROLS = frozenset(range(0x80, 0xA0))
_NOT_WINDOWS_1252 = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})
_HEAD = 65_536
_MOST_CONTROLS = 0.005


@dataclass(frozen=True)
class Decoded:
    """A text, the encoding its bytes were read with, and what is odd about them."""

    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def decode(data: bytes | str) -> Decoded:
    """The characters of a text. A string (from JSON or Parquet) is taken as it is.

    Raises UnusableTextError for bytes that are no text: an image, an archive, a program, or nothing at all.
    """
    if isinstance(data, str):
        decoded = Decoded(data, "utf-8")
    else:
        check_is_text(data[:_HEAD])
        decoded = _decode(data)
    if not decoded.text.strip():
        raise UnusableTextError("the text is empty", Problem.EMPTY)
    nul_bytes = decoded.text.count("\0")
    if nul_bytes:
        decoded = Decoded(
            decoded.text.replace("\0", ""), decoded.encoding, (*decoded.warnings, f"{nul_bytes} NUL bytes were removed")
        )
    return decoded


def check_is_text(head: bytes) -> None:
    """Raise UnusableTextError where the first bytes of a text show that it is none."""
    if not head.strip():
        raise UnusableTextError("the text is empty", Problem.EMPTY)
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise UnusableTextError(f"this is {what}, not plain text", Problem.BINARY)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise UnusableTextError("this is a web page, not plain text; name the text file itself", Problem.FORMAT)
    if _byte_order_mark(head) or _looks_like_utf16(head):
        return
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls > _MOST_CONTROLS * len(head):
        raise UnusableTextError(
            f"this is binary data, not plain text: {controls} of its first {len(head)} bytes are control characters",
            Problem.BINARY,
        )


def _decode(data: bytes) -> Decoded:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _with_replacements(data[len(mark) :], encoding)
    if utf16 := _looks_like_utf16(data[:_HEAD]):
        return _with_replacements(data, utf16)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_invalid_utf8(data)
    return Decoded(text, "ascii" if text.isascii() else "utf-8")


def _decode_invalid_utf8(data: bytes) -> Decoded:
    """Damaged UTF-8, or an old 8-bit encoding. In Latin-1 text hardly any bytes above 127 happen to form UTF-8
    sequences, so most of them would have to be replaced; in damaged UTF-8 only a few would."""
    high = data.translate(None, _ASCII)
    repaired = _with_replacements(data, "utf-8")
    if repaired.text.count("\N{REPLACEMENT CHARACTER}") < 0.5 * len(high):
        return repaired
    controls = set(high) & _C1_CONTROLS
    if controls and not controls & _NOT_WINDOWS_1252:
        return Decoded(data.decode("cp1252"), "windows-1252")
    return Decoded(data.decode("latin-1"), "latin-1")


def _with_replacements(data: bytes, encoding: str) -> Decoded:
    try:
        return Decoded(data.decode(encoding), encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
        count = text.count("\N{REPLACEMENT CHARACTER}")
        return Decoded(text, encoding, (f"{count} places are not valid {encoding} and were replaced by U+FFFD",))


def _byte_order_mark(head: bytes) -> str | None:
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if head.startswith(mark)), None)


def _looks_like_utf16(head: bytes) -> str | None:
    """UTF-16 without a mark: in European text every other byte is zero."""
    half = len(head) // 2
    if half < 16:
        return None
    for encoding, zeros, letters in (("utf-16-le", head[1::2], head[0::2]), ("utf-16-be", head[0::2], head[1::2])):
        if zeros.count(0) > 0.8 * half and letters.count(0) < 0.01 * half:
            return encoding
    return None
