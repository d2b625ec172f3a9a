"""The words of a text in another order, its marks where they are: what a state owes to its words' order goes.

Only words change places, and only with words of as many tokens that begin alike, with a space or without. So each mark,
line break and other token that is no word keeps its position to the token, and words stay whole and apart. A word is a
run of tokens of letters and digits that begins with white space, or behind a token that is none of a word; where tokens
hold no white space, each is a word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.marks.tokens import Vocabulary

Ids = NDArray[np.int32]


def shuffled_words(ids: Ids, vocabulary: Vocabulary, fixed: NDArray[np.bool_], seed: Sequence[int]) -> Ids:
    """One stretch of a text, int32 [T], with its words shuffled. `fixed`, bool [T]: tokens that stay, words or not."""
    starts, lengths, spaced = _words(ids, vocabulary, fixed)
    random = np.random.default_rng(seed)
    result = ids.copy()
    for length, with_space in sorted(set(zip(lengths.tolist(), spaced.tolist(), strict=True))):
        to = starts[(lengths == length) & (spaced == with_space)]
        order = random.permutation(to)
        for step in range(length):
            result[to + step] = ids[order + step]
    return result


def _words(
    ids: Ids, vocabulary: Vocabulary, fixed: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """First token of each word, its number of tokens, and whether it begins with white space: [words] each."""
    distinct, places = np.unique(ids, return_inverse=True)
    texts = [vocabulary.text(int(token)) for token in distinct]
    wordy = np.array([_is_of_a_word(text) for text in texts], dtype=bool)[places] & ~fixed
    opens = np.array([text[:1].isspace() for text in texts], dtype=bool)[places]
    before = np.concatenate([[False], wordy[:-1]])
    begins = wordy & (opens | ~before | ~opens.any())
    starts = np.flatnonzero(begins)
    word = np.cumsum(begins) - 1
    return starts, np.bincount(word[wordy], minlength=len(starts)).astype(np.int64), opens[starts]


def _is_of_a_word(text: str) -> bool:
    bare = text.strip()
    return bool(bare) and all(
        character.isalnum() or character in "'\N{RIGHT SINGLE QUOTATION MARK}" for character in bare
    )
