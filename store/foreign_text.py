"""Text that others wrote (names of files, books and folders, reasons, tokens) on its way out: one function a medium.

A stored string is kept as it came. What it may do on the way out depends on the medium: a terminal obeys escape
sequences, rich reads square brackets as markup, and a spreadsheet computes a cell that begins with `=`.
"""

from __future__ import annotations

import re

_OBEYED = (
    r"\x00-\x1f\x7f-\x9f"  # control characters, C1 too: some terminals take \x9b for ESC [
    r"\ufffe\uffff"  # no characters at all, which XML forbids
    r"\xad\u061c\u200b\u200e\u200f\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or turn the direction of writing
    r"\u2028-\u202e"  # line and paragraph separators, direction of writing
    r"\ud800-\udfff"  # halves of pairs: bytes of a file name that are not UTF-8
    r"\U000e0000-\U000e0fff"  # tags and variation selectors, which can hide a second text in the first
)
_IN_A_LINE = re.compile(f"[{_OBEYED}]")
_IN_LINES = re.compile(f"(?![\n\t])[{_OBEYED}]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_FORMULA = re.compile(r"[\s\x00]*[=+\-@\uff1d\uff0b\uff0d\uff20|%].", re.DOTALL)


def for_terminal(text: object) -> str:
    r"""One line that moves no cursor, sets no colour and hides nothing: what a terminal obeys is written as `\x1b`.

    >>> for_terminal("a\x1b[31m red\n")
    'a\\x1b[31m red\\n'
    """
    return _IN_A_LINE.sub(_visible, str(text))


def lines_for_terminal(text: object) -> str:
    """The same for a text of several lines: line breaks and tabs stay."""
    return _IN_LINES.sub(_visible, str(text))


def for_page(text: object) -> str:
    r"""Text of a page, a figure or a PDF: nothing that is invisible, turns the direction of writing, or breaks XML.

    Markup is not escaped here; what makes the page does that.

    >>> for_page("a\u202etxt.exe")
    'a\\u202etxt.exe'
    """
    return lines_for_terminal(text)


def for_spreadsheet(text: str) -> str:
    """A cell of a CSV file that spreadsheets show and do not compute: a formula gets an apostrophe before it.

    For files that people open; a file for other programs keeps its strings as they are.

    >>> for_spreadsheet("=cmd|' /C calc'!A0")
    "'=cmd|' /C calc'!A0"
    >>> for_spreadsheet("-")
    '-'
    """
    return f"'{text}" if _FORMULA.match(text) else text


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps the byte \xe9 of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
