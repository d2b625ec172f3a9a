"""What the text says about a mark: where it stands, which words are beside it, whether it is in a quotation.

These are what clusters of marks are explained by, and what a query can divide marks by. They are found from the
tokens' text alone: the words around a mark are read from the tokens before and behind it, never from more than
`LOOK_BACK` tokens away, so that a feature is a function of the text and the tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.marks.abbreviations import is_abbreviation
from jobs.marks.tokens import Tokenization

LOOK_BACK = 400
"""Tokens before a mark that may count: a paragraph of ordinary length."""

LOOK_AHEAD = 16
"""Tokens behind a mark that are read for the next word."""

_PARAGRAPH = re.compile(r"\r?\n[^\S\n]*\r?\n")
_WORD = re.compile(r"\w(?:[\w.'’-]*\w)?")
_CLOSERS = "\"'”’»)]}*_"
_LINE_END = re.compile(rf"[{re.escape(_CLOSERS)}]*[^\S\n]*(?:\r?\n|$)")
_SENTENCE_END = re.compile(rf"[^\w\s]*[.?!…][{re.escape(_CLOSERS)}]*")


@dataclass(frozen=True)
class MarkFeatures:
    """Features of the marks at some positions of a text, one entry a mark.

    `place`: position over the tokens of the text, 0 to 1. `sentence_tokens`: tokens of the sentence up to and including
    the mark; a sentence begins behind a token that ends in `.`, `?` or `!`, unless it is an abbreviation's or a
    decimal point, and at a blank line. `previous_word`, `next_word`: lower case, without the marks around them; empty
    where there is none within reach. `in_quotation`: a quotation that was opened in the same paragraph is still open.
    `line_end`: nothing but closing marks and white space follows on the line. `abbreviation`: a full stop that belongs
    to the word before it.
    """

    place: NDArray[np.float32]
    sentence_tokens: NDArray[np.int32]
    previous_word: list[str]
    next_word: list[str]
    in_quotation: NDArray[np.bool_]
    line_end: NDArray[np.bool_]
    abbreviation: NDArray[np.bool_]

    def columns(self) -> dict[str, list[Any]]:
        """Each feature as plain values, one a mark."""
        return {field.name: np.asarray(getattr(self, field.name)).tolist() for field in fields(self)}


def features_of(tokenization: Tokenization, positions: NDArray[np.int64]) -> MarkFeatures:
    """The features of the marks at `positions`, int64 [n], ascending."""
    befores = list(_texts_before(tokenization, positions))
    ahead = tokenization.vocabulary.decode(
        tokenization.ids[position + 1 : position + 1 + LOOK_AHEAD] for position in positions.tolist()
    )
    marks = [tokenization.vocabulary.text(int(tokenization.ids[position])).strip() for position in positions.tolist()]
    last = positions + LOOK_AHEAD >= tokenization.ids.size
    return MarkFeatures(
        place=(positions / max(1, tokenization.ids.size)).astype(np.float32),
        sentence_tokens=_sentence_tokens(tokenization, positions),
        previous_word=[_last_word(before) for before, _ in befores],
        next_word=[_first_word(text, bool(whole)) for text, whole in zip(ahead, last, strict=True)],
        in_quotation=np.array([quoted for _, quoted in befores], dtype=bool),
        line_end=np.array([bool(_LINE_END.match(text)) for text in ahead], dtype=bool),
        abbreviation=np.array(
            [
                mark == "." and _is_abbreviation(before, text)
                for mark, (before, _), text in zip(marks, befores, ahead, strict=True)
            ],
            dtype=bool,
        ),
    )


class Quotation:
    """Whether a quotation is open, as a text is read piece by piece. A blank line closes it.

    Straight double quotes open and close in turn. Of the curly single ones, an opening one opens unless white space
    follows, and a closing one closes unless a letter follows: in `don’t` and `’tis` it is an apostrophe.

    >>> quotation = Quotation()
    >>> [quotation.read(piece) for piece in ('"Well,', ' he said', '," and', ' left.')]
    [True, True, False, False]
    """

    def __init__(self) -> None:
        self._close()

    def _close(self) -> None:
        self._straight = self._double = self._single = False

    def read(self, text: str) -> bool:
        """Read on; whether a quotation is open at the end."""
        paragraphs = _PARAGRAPH.split(text)
        if len(paragraphs) > 1:
            self._close()
        for index, character in enumerate(current := paragraphs[-1]):
            if character == '"':
                self._straight = not self._straight
            elif character in "“«„":
                self._double = True
            elif character in "”»":
                self._double = False
            elif character == "‘":
                self._single = not current[index + 1 : index + 2].isspace()
            elif character == "’" and not current[index + 1 : index + 2].isalpha():
                self._single = False
        return self._straight or self._double or self._single


def _texts_before(tokenization: Tokenization, positions: NDArray[np.int64]) -> Iterator[tuple[str, bool]]:
    """For each mark the text before it (as far as the last mark, at least some words), and whether it is quoted.

    The text between one mark and the next is decoded and read once, so that marks that stand close together cost
    no more than the text they stand in.
    """
    ids = tokenization.ids
    spans, fresh = [], []
    previous = -1
    for position in positions.tolist():
        near = position - previous <= LOOK_BACK and previous >= 0
        spans.append(ids[(previous if near else max(0, position - LOOK_BACK)) : position])
        fresh.append(not near)
        previous = position
    quotation, tail = Quotation(), ""
    for text, begins in zip(tokenization.vocabulary.decode(spans), fresh, strict=True):
        if begins:
            quotation, tail = Quotation(), ""
        tail = (tail + text)[-200:]
        yield tail, quotation.read(text)


def _sentence_tokens(tokenization: Tokenization, positions: NDArray[np.int64]) -> NDArray[np.int32]:
    ends = _sentence_ends(tokenization)
    before = np.searchsorted(ends, positions) - 1
    last_end = np.where(before < 0, -1, ends[np.maximum(before, 0)] if ends.size else -1)
    return (positions - last_end).astype(np.int32)


@lru_cache(maxsize=1)
def _sentence_ends(tokenization: Tokenization) -> NDArray[np.int64]:
    """Positions of the tokens that end a sentence or complete a blank line, ascending. A text's classes share them."""
    ids, vocabulary = tokenization.ids, tokenization.vocabulary
    distinct, place = np.unique(ids, return_inverse=True)
    texts = [vocabulary.text(int(token_id)) for token_id in distinct]

    def where(test: Callable[[str], bool]) -> NDArray[np.bool_]:
        return np.array([test(text) for text in texts], dtype=bool)[place]

    candidates = np.flatnonzero(where(lambda text: bool(_SENTENCE_END.fullmatch(text.strip()))))
    words = vocabulary.decode(ids[max(0, p - 8) : p] for p in candidates.tolist())
    following = vocabulary.decode(ids[p + 1 : p + 3] for p in candidates.tolist())
    real = [
        not (texts[place[p]].strip() == "." and (_is_abbreviation(word, behind) or _is_decimal(word, behind)))
        for p, word, behind in zip(candidates.tolist(), words, following, strict=True)
    ]
    blank = where(lambda text: bool(_PARAGRAPH.search(text)))
    begins = where(lambda text: text.lstrip(" \t\r").startswith("\n"))
    ends = where(lambda text: text.rstrip(" \t").endswith("\n"))
    blank[1:] |= begins[1:] & ends[:-1]
    return np.union1d(candidates[np.array(real, dtype=bool)], np.flatnonzero(blank))


def _is_abbreviation(before: str, following: str) -> bool:
    words = before.split()
    return bool(words) and not before[-1:].isspace() and is_abbreviation(words[-1], following)


def _is_decimal(before: str, following: str) -> bool:
    return before[-1:].isdigit() and following[:1].isdigit()


def _last_word(text: str) -> str:
    words = _WORD.findall(text)
    return words[-1].lower() if words else ""


def _first_word(text: str, to_the_end: bool) -> str:
    """The first whole word; one that reaches the end of what was read may go on, unless the text ends there."""
    match = _WORD.search(text)
    if match is None:
        return ""
    return match.group().lower() if to_the_end or match.end() < len(text) else ""
