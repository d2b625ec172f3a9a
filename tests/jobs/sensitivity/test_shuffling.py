"""Shuffled words: the same words, whole, and every mark and every other token where it was."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from jobs.marks.tokens import tokenize
from jobs.sensitivity.shuffling import _words, shuffled_words


@pytest.fixture
def tokens(tokenizer, sample_text):
    return tokenize(tokenizer, sample_text[:6_000])


def marks_of(tokens) -> np.ndarray:
    wanted = [token for mark in (",", ".") for token in tokens.vocabulary.ids_of(mark)]
    return np.isin(tokens.ids, wanted)


def words(tokens, ids: np.ndarray, fixed: np.ndarray) -> Counter[tuple[int, ...]]:
    starts, lengths, _ = _words(ids, tokens.vocabulary, fixed)
    return Counter(tuple(ids[a : a + n].tolist()) for a, n in zip(starts, lengths, strict=True))


def test_the_same_words_in_another_order_and_all_else_in_place(tokens):
    marks = marks_of(tokens)
    assert marks.sum() > 50
    shuffled = shuffled_words(tokens.ids, tokens.vocabulary, marks, (0, 1))
    np.testing.assert_array_equal(shuffled[marks], tokens.ids[marks])
    assert words(tokens, shuffled, marks) == words(tokens, tokens.ids, marks)
    starts, lengths, _ = _words(tokens.ids, tokens.vocabulary, marks)
    of_words = np.zeros(len(marks), bool)
    for start, length in zip(starts, lengths, strict=True):
        of_words[start : start + length] = True
    np.testing.assert_array_equal(shuffled[~of_words], tokens.ids[~of_words])
    assert of_words.mean() > 0.6
    assert (shuffled[of_words] != tokens.ids[of_words]).mean() > 0.6


def test_a_seed_gives_one_order(tokens):
    marks = marks_of(tokens)
    one, same, other = (shuffled_words(tokens.ids, tokens.vocabulary, marks, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert (one == same).all()
    assert (one != other).any()


def test_a_word_is_what_stands_between_white_space_or_marks(tokenizers):
    tokens = tokenize(tokenizers["byte-level"], "The unbelievable Kurtz, he cried. They don't!\nYes")
    starts, lengths, _ = _words(tokens.ids, tokens.vocabulary, np.zeros(len(tokens.ids), bool))
    found = tokens.vocabulary.decode(tokens.ids[a : a + n] for a, n in zip(starts, lengths, strict=True))
    assert [word.strip() for word in found] == ["The", "unbelievable", "Kurtz", "he", "cried", "They", "don't", "Yes"]


def test_a_text_without_words_stays_as_it_is(tokenizers):
    tokens = tokenize(tokenizers["byte-level"], "... !!! ...")
    nothing = np.zeros(len(tokens.ids), bool)
    np.testing.assert_array_equal(shuffled_words(tokens.ids, tokens.vocabulary, nothing, (0,)), tokens.ids)
