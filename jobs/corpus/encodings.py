"""Which old encoding bytes are in: as the book's header states, or as charset-normalizer and a few rules find.

The detector judges scripts well and is at a loss between encodings of the Latin script, where three words of a
hundred show a difference. There the rules decide: a capital within a word (`cafŽ`), a sign between letters, two
scripts in one word are odd; of encodings without oddities the Western one is taken, unless the language is one that
another was made for. What stays uncertain is refused: no encoding is what is left when the others fail.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

from charset_normalizer import CharsetMatch, from_bytes

NAMES = {
    "latin_1": "latin-1",
    "cp1252": "windows-1252",
    "mac_roman": "mac-roman",
    "cp850": "cp850",
    "cp1250": "windows-1250",
    "iso8859_2": "iso-8859-2",
    "cp1254": "windows-1254",
    "cp1257": "windows-1257",
    "cp1251": "windows-1251",
    "koi8_r": "koi8-r",
    "cp866": "cp866",
    "iso8859_5": "iso-8859-5",
    "mac_cyrillic": "mac-cyrillic",
    "cp1253": "windows-1253",
    "iso8859_7": "iso-8859-7",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "cp932": "shift-jis",
    "euc_jp": "euc-jp",
    "gb18030": "gb18030",
    "big5": "big5",
    "cp949": "euc-kr",
}
"""Python's name of an encoding that is looked for, and the name that is stored."""

_WIDE = {"utf_16_le": "utf-16-le", "utf_16_be": "utf-16-be", "utf_32_le": "utf-32-le", "utf_32_be": "utf-32-be"}
_LATIN = ("latin_1", "cp1252", "mac_roman", "cp850", "iso8859_2", "cp1250", "cp1254", "cp1257")
"""Encodings of the Latin script, the likeliest one first where nothing else decides. Where bytes below 160 are used,
Latin-1 and ISO 8859-2 do not fit, and the Windows encodings that stand behind them do."""

_MADE_FOR = {
    "cp1250": ("Polish", "Czech", "Slovak", "Hungarian", "Slovene", "Croatian", "Romanian"),
    "iso8859_2": ("Polish", "Czech", "Slovak", "Hungarian", "Slovene", "Croatian", "Romanian"),
    "cp1254": ("Turkish",),
    "cp1257": ("Lithuanian", "Latvian", "Estonian"),
}
_SAME = {"iso8859_1": "latin_1", "shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949"}
"""Encodings that others contain, and those others."""

_MULTIBYTE = ("cp932", "euc_jp", "gb18030", "big5", "cp949")
_STATED = re.compile(rb"^character set encoding:[ \t]*([\w .:-]{2,40}?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_STATED_WITHIN = 20_000
_SAMPLE_BYTES = 32_768
_CHUNK_BYTES = 1_024
_MOST_MESS = 0.2
_MOST_BEYOND_ASCII = 0.35
_FEWEST_MULTIBYTE = 40
_LEAST_CONFIDENCE = 0.8
_LEAST_COHERENCE = 0.3
_LEAST_WIDE_COHERENCE = 0.1
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_ASCII = bytes(range(128))
_CLOSING = frozenset(".,;:?!")
_BOXES = range(0x2500, 0x25A0)


@dataclass(frozen=True)
class Recognised:
    """An encoding (Python's name), how sure it is (0 to 1; 1 where the header states it) and the language."""

    codec: str
    confidence: float
    language: str = ""
    stated: bool = False

    @property
    def name(self) -> str:
        """The name that is stored."""
        return (NAMES | _WIDE)[self.codec]


def recognise(data: bytes) -> Recognised | None:
    """The encoding of bytes that are not UTF-8; None where none is sure enough. Its result holds no C1 controls."""
    return _stated(data) or _detected(data)


def recognise_wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, from the first bytes of a text in any script."""
    if b"\0" not in head:
        return None
    sample = head[: min(_SAMPLE_BYTES, len(head)) // 4 * 4]
    match = from_bytes(sample, cp_isolation=list(_WIDE), threshold=0.1, preemptive_behaviour=False).best()
    return _WIDE[match.encoding] if match is not None and match.coherence >= _LEAST_WIDE_COHERENCE else None


def _stated(data: bytes) -> Recognised | None:
    """What a Project Gutenberg header states, where the bytes agree with it."""
    match = _STATED.search(data[:_STATED_WITHIN])
    if match is None:
        return None
    try:
        codec = codecs.lookup(match[1].decode("ascii", errors="replace").strip()).name.replace("-", "_")
    except (LookupError, ValueError):
        return None
    codec = _SAME.get(codec, codec)
    if codec == "latin_1" and not _fits(data, "latin_1"):
        codec = "cp1252"  # which many took for the same
    if codec not in NAMES or not _fits(data, codec):
        return None
    text = _sample(data).decode(codec, errors="replace")
    plausible = codec not in _LATIN or (_latin_letters(text) and _odd_share(text) <= 1.0 - _LEAST_CONFIDENCE)
    return Recognised(codec, 1.0, stated=True) if plausible else None


def _detected(data: bytes) -> Recognised | None:
    sample = _sample(data)
    matches = from_bytes(
        sample,
        steps=len(sample) // _CHUNK_BYTES + 1,
        chunk_size=_CHUNK_BYTES,
        threshold=_MOST_MESS,
        cp_isolation=list(NAMES),
        preemptive_behaviour=False,
    )
    possible = [match for match in matches if _fits(data, match.encoding)]
    if not possible:
        return None
    best = possible[0]
    if best.encoding in _MULTIBYTE:
        sure = len(sample.translate(None, _ASCII)) >= _FEWEST_MULTIBYTE
    else:
        sure = best.encoding not in _LATIN and best.coherence >= _LEAST_COHERENCE
    if sure:
        found: Recognised | None = Recognised(best.encoding, 1.0 - best.chaos, best.language)
    else:
        found = _of_latin_script(data, sample, possible)
    return found if found is not None and found.confidence >= _LEAST_CONFIDENCE else None


def _of_latin_script(data: bytes, sample: bytes, possible: list[CharsetMatch]) -> Recognised | None:
    """The Latin encoding in which the fewest characters are odd.

    None where most letters are beyond ASCII: that happens in other scripts only.
    """
    texts = {codec: sample.decode(codec, errors="replace") for codec in _LATIN if _fits(data, codec)}
    if not texts or not _latin_letters(next(iter(texts.values()))):
        return None
    odd = {codec: _odd_share(text) for codec, text in texts.items()}
    about = {codec: match for match in reversed(possible) for codec in match.could_be_from_charset}
    western = about["cp1252"].coherence if "cp1252" in about else 0.0

    def rank(codec: str) -> tuple[float, int, int]:
        match = about.get(codec)
        made_for = match is not None and match.language in _MADE_FOR.get(codec, ()) and match.coherence >= western
        return round(odd[codec], 2), 0 if made_for else 1, _LATIN.index(codec)

    codec = min(texts, key=rank)
    mess = about[codec].chaos if codec in about else _MOST_MESS
    return Recognised(codec, 1.0 - mess - odd[codec])


def _sample(data: bytes) -> bytes:
    """Lines that are not ASCII, from all over the text."""
    lines = [line for line in data.splitlines(keepends=True) if _NOT_ASCII.search(line)]
    step = max(1, sum(map(len, lines)) // _SAMPLE_BYTES)
    return b"".join(lines[::step])[: 2 * _SAMPLE_BYTES]


def _fits(data: bytes, codec: str) -> bool:
    """Whether all bytes are characters of an encoding, and none of them a C1 control."""
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        return False
    return not any(chr(code) in text for code in range(0x80, 0xA0))


def _latin_letters(text: str) -> bool:
    """Whether most letters are ASCII, as they are in every language of the Latin script."""
    return sum(character > "\x7f" for character in text) <= _MOST_BEYOND_ASCII * sum(map(str.isalpha, text))


def _odd_share(text: str) -> float:
    """Of the characters beyond ASCII, the share that stands where none would in a text that was decoded right."""
    found = [index for index, character in enumerate(text) if character > "\x7f"]
    odd = sum(_is_odd(text, index) for index in found)
    return odd / max(1, len(found))


def _is_odd(text: str, index: int) -> bool:
    character = text[index]
    before = text[index - 1] if index else " "
    after = text[index + 1] if index + 1 < len(text) else " "
    kind = unicodedata.category(character)
    if kind == "Cc" or character == "\ufffd" or ord(character) in _BOXES:
        return True
    if kind == "Lu":
        return before.islower() or before in _CLOSING or (before.isupper() and after.islower())
    if kind == "Ll":
        mixed = before.isascii() and before.isalpha() and not _is_latin(character)
        return mixed or after.isupper() or before in _CLOSING
    if kind in ("Pi", "Ps") or character in "¿¡":
        return before.isalpha()
    if kind == "Pf" and character != "\N{RIGHT SINGLE QUOTATION MARK}":
        return before.isalpha() and after.isalpha()
    return (kind[0] == "S" or kind == "No" or character == "\N{EN DASH}") and before.isalpha() and after.isalpha()


def _is_latin(character: str) -> bool:
    return "LATIN" in unicodedata.name(character, "")
