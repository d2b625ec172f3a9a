"""From bytes to characters by evidence: a byte order mark, then valid UTF-8, then what `encodings` recognises."""

from __future__ import annotations

import codecs
import contextlib
import re
import string
from dataclasses import dataclass

from jobs.corpus.encodings import Recognised, recognise, recognise_wide
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
    b"SQLite format 3": "an SQLite database (export the texts as .jsonl or .csv)",
    b"\xfd7zXZ\x00": "xz data (unpack it, or pack it as .gz or .zst)",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive (unpack it)",
    b"Rar!\x1a\x07": "a RAR archive (unpack it)",
    b"ARROW1\0\0": "an Arrow file (save it as .parquet)",
    b"Obj\x01": "an Avro file (save it as .parquet or .jsonl)",
    b"\x89HDF\r\n": "an HDF5 file",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"%!PS-": "a PostScript file",
    b"\x1aE\xdf\xa3": "a Matroska film",
    b"AT&TFORM": "a DjVu file",
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer (fetch the file with `git lfs pull`)",
    b"<?xml": "an XML file (save it as plain text)",
}
_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|meta|div|p)\b", re.IGNORECASE)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
_ASCII = bytes(range(128))
_JAPANESE_ESCAPE = "\x1b$B"
_HEAD = 65_536
_MOST_CONTROLS = 0.005
_MOST_REPLACED = 0.2


class UnknownEncodingError(UnusableTextError):
    """Bytes that may be a text, in an encoding that cannot be told."""


@dataclass(frozen=True)
class Decoded:
    """A text, the encoding its bytes were read with, and what is odd about them."""

    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def decode(data: bytes | str) -> Decoded:
    """The characters of a text. A string (from JSON or Parquet) is taken as it is.

    Raises UnusableTextError for bytes that are not text: an image, an archive, a program, or nothing at all; the kind
    UnknownEncodingError where no encoding is sure enough.
    """
    if isinstance(data, str):
        decoded = Decoded(data, "utf-8")
    else:
        check_is_text(data[:_HEAD])
        decoded = _decode(data)
    if not decoded.text.strip("\ufeff" + string.whitespace).strip():
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
    check_signature(head)
    if _WEB_PAGE.match(head):
        raise UnusableTextError("this is a web page, not plain text; name the text file itself", Problem.FORMAT)
    if _byte_order_mark(head) or _looks_like_utf16(head):
        return
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls > _MOST_CONTROLS * len(head) and recognise_wide(head) is None:
        raise UnusableTextError(
            f"this is binary data, not plain text: {controls} of its first {len(head)} bytes are control characters",
            Problem.BINARY,
        )


def check_signature(head: bytes) -> None:
    """Raise UnusableTextError where the first bytes are those of a kind of file that is not text, by its name."""
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise UnusableTextError(f"this is {what}, not plain text", Problem.BINARY)
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        raise UnusableTextError("this is bzip2 data; unpack it, or pack it as .gz or .zst", Problem.BINARY)
    if head[257:262] == b"ustar":
        raise UnusableTextError("this is a tar archive; unpack it and name the files or their folder", Problem.BINARY)
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        raise UnusableTextError("this is an image, sound or film, not plain text", Problem.BINARY)


def _decode(data: bytes) -> Decoded:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            # In UTF-8 the mark is a character like any other, and `--text raw` keeps it; in UTF-16 and UTF-32 it
            # belongs to the encoding.
            return _with_replacements(data if encoding == "utf-8" else data[len(mark) :], encoding)
    if wide := _looks_like_utf16(data[:_HEAD]) or recognise_wide(data[:_HEAD]):
        return _with_replacements(data, wide)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_invalid_utf8(data)
    if not text.isascii():
        return Decoded(text, "utf-8")
    if _JAPANESE_ESCAPE in text:
        with contextlib.suppress(UnicodeDecodeError):
            return Decoded(data.decode("iso2022_jp"), "iso-2022-jp")
    return Decoded(text, "ascii")


def _decode_invalid_utf8(data: bytes) -> Decoded:
    """Decode damaged UTF-8 or an old encoding.

    In text of an old encoding hardly any bytes above 127 happen to form UTF-8 sequences, so most of them would have
    to be replaced; in damaged UTF-8 only a few would.

    Raises UnusableTextError where no encoding is sure enough: wrong letters would be wrong tokens.
    """
    high = data.translate(None, _ASCII)
    repaired = _with_replacements(data, "utf-8")
    if repaired.text.count("\N{REPLACEMENT CHARACTER}") < _MOST_REPLACED * len(high):
        return repaired
    found = recognise(data)
    if found is None:
        raise UnknownEncodingError(
            "the encoding cannot be told from the bytes with enough confidence; save the text as UTF-8", Problem.FORMAT
        )
    return Decoded(data.decode(found.codec), found.name, () if found.stated else (_recognised(found),))


def _recognised(found: Recognised) -> str:
    language = f", {found.language}" if found.language else ""
    return f"read as {found.name}, recognised with {found.confidence:.0%} confidence{language}; UTF-8 would be certain"


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
