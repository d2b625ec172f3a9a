"""Encodings are recognised by evidence, and what is not text is refused by name."""

from __future__ import annotations

import struct
import zlib

import pytest

from jobs.corpus.decoding import decode
from jobs.corpus.references import Problem, UnusableTextError

PROSE = "Zoë said: “Don’t—it’s naïve, Señor Müller; the café is closed.” — 5 £\n" * 40
WESTERN = "Zoë said: Don't, it's naïve, Señor Müller; the café is closed. 5 £\n" * 40


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (PROSE.encode("utf-8"), PROSE, "utf-8"),
        (PROSE.encode("utf-8-sig"), "\ufeff" + PROSE, "utf-8"),
        (PROSE.encode("utf-16"), PROSE, "utf-16-le"),
        (PROSE.encode("utf-16-be"), PROSE, "utf-16-be"),
        (PROSE.encode("utf-32"), PROSE, "utf-32-le"),
        (b"plain words\r\n", "plain words\r\n", "ascii"),
    ],
)
def test_encodings(data, text, encoding):
    decoded = decode(data)
    assert (decoded.text, decoded.encoding, decoded.warnings) == (text, encoding, ())


def test_text_from_a_column_is_taken_as_it_is():
    assert decode(PROSE).text == PROSE


def test_invalid_utf8_in_the_middle_is_replaced_counted_and_not_taken_for_latin_1():
    data = PROSE.encode()
    middle = len(data) // 2
    decoded = decode(data[:middle] + b"\xff\xfe\xff" + data[middle:])
    assert decoded.encoding == "utf-8"
    assert decoded.text.count("\N{REPLACEMENT CHARACTER}") == 3
    assert "Müller" in decoded.text
    assert decoded.warnings == ("3 places are not valid utf-8 and were replaced by U+FFFD",)


def test_nul_bytes_are_removed_and_counted():
    decoded = decode((WESTERN[:500] + "\0" + WESTERN[500:]).encode())
    assert decoded.text == WESTERN
    assert decoded.warnings == ("1 NUL bytes were removed",)


def png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(72))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"", Problem.EMPTY, "empty"),
        (b" \r\n\t ", Problem.EMPTY, "empty"),
        (b"\xef\xbb\xbf\n", Problem.EMPTY, "empty"),
        (png(), Problem.BINARY, "PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", Problem.BINARY, "JPEG"),
        (b"%PDF-1.4 words words", Problem.BINARY, "PDF"),
        (b"\x1f\x8b\x08\x00words", Problem.BINARY, "txt.gz"),
        (bytes(range(256)) * 30, Problem.BINARY, "control characters"),
        (b"<!DOCTYPE html>\n<html><p>Words.", Problem.FORMAT, "web page"),
    ],
)
def test_what_is_no_text_is_refused_by_name(data, kind, says):
    with pytest.raises(UnusableTextError, match=says) as refusal:
        decode(data)
    assert refusal.value.kind is kind
    assert refusal.value.exit_code == 1


def test_real_files_are_decoded_as_their_headers_say(gutenberg_books):
    encodings = {path.stem: decode(path.read_bytes()).encoding for path in gutenberg_books}
    stated = {"pg345": "latin-1", "pg174": "ascii"}
    assert encodings == {stem: stated.get(stem, "utf-8") for stem in encodings}
