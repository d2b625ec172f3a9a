"""A token's text is the same question for every family of tokenizers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.marks import tokens
from jobs.marks.tokens import tokenize, tokenize_all, vocabulary_of
from tests.jobs.model.tokenizer_families import byte_level


def test_ids_are_those_of_transformers_without_special_tokens(tokenizer, sample_text):
    text = sample_text[:5000]
    expected = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    tokenization = tokenize(tokenizer, text)
    assert tokenization.ids.dtype == np.int32
    assert tokenization.ids.tolist() == expected
    assert tokenization.unique == len(set(expected))


def test_a_batch_gives_what_single_texts_give(tokenizer, sample_text):
    texts = [sample_text[:3000], "", sample_text[3000:4000]]
    batch = tokenize_all(tokenizer, texts)
    for tokenization, text in zip(batch, texts, strict=True):
        np.testing.assert_array_equal(tokenization.ids, tokenize(tokenizer, text).ids)


def test_entries_agree_with_decoding_them_alone_up_to_the_space_before(tokenizer, sample_text):
    tokenization = tokenize(tokenizer, sample_text[:5000])
    for token_id in set(tokenization.ids.tolist()):
        alone = tokenizer.decode([token_id], clean_up_tokenization_spaces=False)
        assert tokenization.vocabulary.text(token_id) in (alone, " " + alone)


def test_sentencepiece_entries_keep_the_space_that_decoding_alone_drops(tokenizers):
    tokenizer = tokenizers["sentencepiece"]
    start, inner = tokenizer.convert_tokens_to_ids(["▁the", "the"])
    assert tokenizer.decode([start]) == "the"
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary.text(start) == " the"
    if inner != tokenizer.unk_token_id:
        assert vocabulary.text(inner) == "the"


def test_each_distinct_entry_is_decoded_once(tokenizers, sample_text, monkeypatch):
    tokenizer = byte_level(sample_text)
    vocabulary = vocabulary_of(tokenizer)
    decoded: list[int] = []
    decode = vocabulary._decode_alone
    monkeypatch.setattr(vocabulary, "_decode_alone", lambda ids: decoded.extend(ids) or decode(ids))
    first = tokenize(tokenizer, sample_text)
    assert sorted(decoded) == sorted(set(first.ids.tolist()))
    tokenize(tokenizer, sample_text)
    assert len(decoded) == first.unique


def test_parts_of_characters_are_neither_marks_nor_digits(sample_text):
    """A byte-level token may hold half a character: it decodes to U+FFFD and must not break anything."""
    tokenizer = byte_level(sample_text)
    tokenization = tokenize(tokenizer, "漢字, 漢字. \N{GRINNING FACE} end")
    texts = [tokenization.vocabulary.text(token_id) for token_id in tokenization.ids.tolist()]
    assert any("\N{REPLACEMENT CHARACTER}" in text for text in texts)
    assert texts.count(",") == 1
    vocabulary = tokenization.vocabulary
    assert not (vocabulary.starts_with_digit | vocabulary.ends_with_digit)[tokenization.ids].any()


def test_a_tokenizer_without_the_library_underneath(tokenizer, sample_text):
    class Slow:
        """What transformers' pure-Python tokenizers offer."""

        encode, decode = tokenizer.encode, tokenizer.decode
        convert_ids_to_tokens = tokenizer.convert_ids_to_tokens

        def __len__(self) -> int:
            return len(tokenizer)

    slow, fast = tokenize(Slow(), sample_text[:2000]), tokenize(tokenizer, sample_text[:2000])
    np.testing.assert_array_equal(slow.ids, fast.ids)
    assert [slow.vocabulary.text(i) for i in slow.ids] == [fast.vocabulary.text(i) for i in fast.ids]


def test_spans_are_decoded_in_one_call(tokenizers):
    tokenization = tokenize(tokenizers["byte-level"], "One, two. Three.")
    ids = tokenization.ids
    assert tokenization.vocabulary.decode([ids, ids[:0]]) == ["One, two. Three.", ""]


PIECES = ["word\n", "word\r\n", "\n\n", " \n ", "3\n", ".\n", "don't\n", "\r\n", "end", " ", "\t\n", "é\n"]
PIECES += ["it's\n'tis", "a\n  b", "漢\n", ",", "\n"]


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_parts_give_the_tokens_of_the_whole(tokenizers, monkeypatch, text):
    for name in ("byte-level", "smollm2"):
        if name in tokenizers:
            whole = tokenize(tokenizers[name], text).ids
            with monkeypatch.context() as patched:
                patched.setattr(tokens, "LONGEST_PART", 7)
                assert "".join(tokens.parts_of(text)) == text
                np.testing.assert_array_equal(tokenize(tokenizers[name], text).ids, whole)


def test_a_real_text_in_parts(tokenizer, sample_text, monkeypatch):
    whole = tokenize(tokenizer, sample_text).ids
    monkeypatch.setattr(tokens, "LONGEST_PART", 1_000)
    assert len(list(tokens.parts_of(sample_text))) > 20
    np.testing.assert_array_equal(tokenize(tokenizer, sample_text).ids, whole)


def test_only_tokenizers_that_split_as_gpt2_does_are_given_parts(tokenizers):
    exact = {name for name, made in tokenizers.items() if vocabulary_of(made)._cuts_are_exact()}
    assert exact == {"byte-level", "smollm2"} & set(tokenizers)


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFKC"}},
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}},
        {"pre_tokenizer": None},
        {"model": {"type": "Unigram"}},
        {"added_tokens": [{"content": "a\nb"}]},
        {"added_tokens": [{"content": "<x>", "lstrip": True}]},
    ],
)
def test_what_may_look_across_a_cut_is_encoded_whole(change):
    plain = {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
             "normalizer": None, "model": {"type": "BPE"}, "added_tokens": [{"content": "<end>"}]}  # fmt: skip
    assert tokens._splits_as_gpt2(plain)
    assert not tokens._splits_as_gpt2(plain | change)
