"""Which full stops end an abbreviation or an initial, and so need not end a sentence."""

from __future__ import annotations

import re

_WORDS = frozenset(
    """
    mr mrs ms mm messrs mme mmes mlle mlles dr drs prof rev revd hon esq sr jr snr jnr st ste
    capt col maj gen lieut lt sgt sergt corp adm cmdr com gov pres sen rep supt insp
    vol vols chap ch pp pt fig figs ed eds edn cf viz vs etc al ibid ult inst prox approx
    co ltd inc bros dept mt ft ave rd sq anon obs lat trans
    jan feb aug sept oct nov dec mon tues wed thurs fri
    e.g i.e a.m p.m a.d b.c q.v ph.d m.d d.d ll.d m.p
    """.split()  # noqa: SIM905  a block of words reads better than a list of quoted ones
)
_BEFORE_A_NUMBER = frozenset({"no", "nos", "p", "v", "c", "art", "sec", "par", "ver", "op"})
_INITIAL = re.compile(r"[^\W\d_]")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_OPENING = "\"'([{<_*“‘«„\N{EM DASH}-"


def is_abbreviation(word: str, following: str) -> bool:
    """Whether a full stop after `word` belongs to the word.

    `word` reaches back to the last white space; `following` starts right behind the full stop. A capital letter alone
    is an initial, except `I`, which ends many sentences; `no.` and its like count before a number only.

    >>> is_abbreviation("(Mr", " Bennet"), is_abbreviation("U.S", " troops"), is_abbreviation("was", " The")
    (True, True, False)
    """
    for piece in re.split("\N{EM DASH}|--", word)[-1:]:
        word = piece.lstrip(_OPENING)
    lowered = word.lower()
    if lowered in _WORDS or _DOTTED.fullmatch(word):
        return True
    if lowered in _BEFORE_A_NUMBER and following.strip()[:1].isdigit():
        return True
    return bool(_INITIAL.fullmatch(word)) and word.isupper() and word != "I"
