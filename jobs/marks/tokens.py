"""Tokens of a text, and what each entry of the vocabulary decodes to.

A text has hundreds of thousands of tokens and some ten thousand distinct ones, so every question about a token's
characters is asked once per vocabulary entry and answered for the text by indexing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

LONGEST_PART = 1_000_000
"""So many characters are encoded at once, where parts give the tokens of the whole."""

_CUT = re.compile(r"[A-Za-z](?=[\r\n])")
_CUT_BACKWARDS = re.compile(r"[\r\n](?=[A-Za-z])")
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"
"""How sentencepiece writes the space before a word in its vocabulary."""


def backend_of(tokenizer: Any) -> Any:
    """The tokenizers library's object: the tokenizer itself or the one underneath; None for pure Python."""
    return tokenizer if isinstance(tokenizer, Tokenizer) else getattr(tokenizer, "backend_tokenizer", None)


class Vocabulary:
    """A tokenizer's entries as text, each decoded alone and once in the life of the process.

    `tokenizer` is one of transformers, or of the tokenizers library, as `jobs.model.encoder.load_encoder` gives it.

    Three tables are indexed by token id and valid for the ids that `learn` has seen: `starts_with_digit`,
    `ends_with_digit` and `only_dots` (bool [size]).
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = backend_of(tokenizer)
        self._texts: list[str | None] = []
        self._ids_of: dict[str, list[int]] = {}
        self._exact: bool | None = None
        self._known = np.zeros(0, dtype=bool)
        self.starts_with_digit = np.zeros(0, dtype=bool)
        self.ends_with_digit = np.zeros(0, dtype=bool)
        self.only_dots = np.zeros(0, dtype=bool)
        self._grow(len(tokenizer) if self._backend is None else self._backend.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token ids of whole texts, without special tokens; int32 [T] each.

        The tokenizer library is called directly where there is one underneath: transformers' wrapper builds masks
        and offsets that nobody reads and warns about texts longer than the model's context.
        """
        if self._backend is None:
            return [
                np.asarray(self._tokenizer.encode(text, add_special_tokens=False, verbose=False), dtype=np.int32)
                for text in texts
            ]
        self._backend.no_truncation()
        self._backend.no_padding()
        if any(len(text) > LONGEST_PART for text in texts) and self._cuts_are_exact():
            return [self._encode_parts(text) for text in texts]
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def spans(self, text: str) -> NDArray[np.int64] | None:
        """First character and the one behind the last of each token of a whole text: int64 [T, 2].

        None where the tokenizer is pure Python and does not know.
        """
        if self._backend is None:
            return None
        self._backend.no_truncation()
        self._backend.no_padding()
        parts = parts_of(text) if len(text) > LONGEST_PART and self._cuts_are_exact() else [text]
        spans, start = [np.zeros((0, 2), dtype=np.int64)], 0
        for part in parts:
            offsets = self._backend.encode(part, add_special_tokens=False).offsets
            spans.append(np.array(offsets, dtype=np.int64).reshape(-1, 2) + start)
            start += len(part)
        return np.concatenate(spans)

    def _encode_parts(self, text: str) -> NDArray[np.int32]:
        """Ids of a long text, part by part: the library holds a hundred bytes and more for each character."""
        parts = (self._backend.encode_batch_fast([part], add_special_tokens=False)[0].ids for part in parts_of(text))
        return np.concatenate([np.array(ids, dtype=np.int32) for ids in parts] or [np.zeros(0, np.int32)])

    def _cuts_are_exact(self) -> bool:
        """Whether a text may be cut between a letter and a line break and still give the tokens of the whole.

        It may where the tokenizer splits texts with GPT-2's expression, and merges within the pieces alone: no piece
        holds a letter and, behind it, white space, and none looks behind its own start. That is a ByteLevel
        pre-tokenizer, alone or behind one that parts digits, without a normalizer. An added token that holds a line
        break or takes white space beside it would see across the cut.
        """
        if self._exact is None:
            self._exact = self._backend is not None and _splits_as_gpt2(json.loads(self._backend.to_str()))
        return self._exact

    def learn(self, distinct_ids: NDArray[np.int64]) -> None:
        """Decode those of the given ids that have not been seen yet."""
        if distinct_ids.size and distinct_ids[-1] >= self._known.size:
            self._grow(int(distinct_ids.max()) + 1)
        new = distinct_ids[~self._known[distinct_ids]].tolist()
        for token_id, text in zip(new, self._decode_alone(new), strict=True):
            self._texts[token_id] = text
            self._ids_of.setdefault(text.strip(), []).append(token_id)
            self.starts_with_digit[token_id] = text[:1].isdigit()
            self.ends_with_digit[token_id] = text[-1:].isdigit()
            self.only_dots[token_id] = set(text.strip()) == {"."}
        self._known[new] = True

    def learn_all(self) -> NDArray[np.int64]:
        """Decode every entry of the tokenizer, used or not; their ids, int64 [entries]."""
        ids = np.array(sorted(self._tokenizer.get_vocab().values()), dtype=np.int64)
        self.learn(ids)
        return ids

    def text(self, token_id: int) -> str:
        """One entry decoded alone, with the white space that belongs to it."""
        if token_id >= self._known.size or not self._known[token_id]:
            self.learn(np.array([token_id]))
        return self._texts[token_id] or ""

    @property
    def size(self) -> int:
        """Entries of the tables: every id that was learnt is below."""
        return self._known.size

    def ids_of(self, mark: str) -> list[int]:
        """Ids among those learnt whose text, stripped of white space, equals the mark."""
        return self._ids_of.get(mark, [])

    def decode(self, spans: Iterable[NDArray[np.int32]]) -> list[str]:
        """Each run of ids as text, all in one call: the words around a mark."""
        return self._decode([span.tolist() for span in spans])

    def _grow(self, size: int) -> None:
        added = size - self._known.size
        self._texts.extend([None] * added)
        for name in ("_known", "starts_with_digit", "ends_with_digit", "only_dots"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros(added, dtype=bool)]))

    def _decode(self, spans: list[list[int]]) -> list[str]:
        if self._backend is not None:
            return list(self._backend.decode_batch(spans, skip_special_tokens=False))
        return [self._tokenizer.decode(span, clean_up_tokenization_spaces=False) for span in spans]

    def _decode_alone(self, ids: list[int]) -> list[str]:
        """Entries as text.

        Sentencepiece drops a leading space when it decodes one token alone, so it is put back: otherwise `3` and ` 3`
        would look the same, and the full stop in `the end. 3 men` like a decimal point.
        """
        pieces = self._pieces(ids)
        return [
            " " + text if (piece or "").startswith(_WORD_START) and not text.startswith(" ") else text
            for piece, text in zip(pieces, self._decode([[token_id] for token_id in ids]), strict=True)
        ]

    def _pieces(self, ids: list[int]) -> list[str | None]:
        """Entries as the tokenizer writes them."""
        if self._backend is not None:
            return [self._backend.id_to_token(token_id) for token_id in ids]
        return list(self._tokenizer.convert_ids_to_tokens(ids))


def parts_of(text: str) -> Iterator[str]:
    """Cut a text into parts of at most `LONGEST_PART` characters, each between a letter and a line break.

    A part is longer where it has no such place.
    """
    start = 0
    while len(text) - start > LONGEST_PART:
        cut = _cut(text, start)
        if cut is None:
            break
        yield text[start:cut]
        start = cut
    yield text[start:]


def _cut(text: str, start: int) -> int | None:
    """The last place to cut within the longest part, or the first one behind it."""
    behind = start + LONGEST_PART
    last = next(_CUT_BACKWARDS.finditer(text[behind:start:-1]), None)
    if last is not None:
        return behind - last.start()
    following = _CUT.search(text, behind)
    return None if following is None else following.end()


def _splits_as_gpt2(tokenizer: dict[str, Any]) -> bool:
    splitter = tokenizer.get("pre_tokenizer") or {}
    steps = splitter.get("pretokenizers", []) if splitter.get("type") == "Sequence" else [splitter]
    kinds = [step.get("type") for step in steps]
    by_expression = bool(steps) and steps[-1].get("use_regex") is True and not steps[-1].get("add_prefix_space")
    return (
        kinds in (["ByteLevel"], ["Digits", "ByteLevel"])
        and by_expression
        and tokenizer.get("normalizer") is None
        and (tokenizer.get("model") or {}).get("type") == "BPE"
        and not (tokenizer.get("model") or {}).get("dropout")
        and not any(_sees_line_breaks(token) for token in tokenizer.get("added_tokens") or ())
    )


def _sees_line_breaks(added: dict[str, Any]) -> bool:
    return bool(added.get("lstrip") or added.get("rstrip") or set(added.get("content", "")) & {"\r", "\n"})


@dataclass(frozen=True, eq=False)
class Tokenization:
    """A text as token ids (int32 [T]), with the vocabulary that has learnt every one of them."""

    ids: NDArray[np.int32]
    vocabulary: Vocabulary
    unique: int


_VOCABULARIES: WeakKeyDictionary[Any, Vocabulary] = WeakKeyDictionary()


def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """The tokenizer's vocabulary, made once per process."""
    if tokenizer not in _VOCABULARIES:
        _VOCABULARIES[tokenizer] = Vocabulary(tokenizer)
    return _VOCABULARIES[tokenizer]


def tokenize(tokenizer: Any, text: str) -> Tokenization:
    """Encode one whole text at once, without special tokens."""
    return tokenize_all(tokenizer, [text])[0]


def tokenize_all(tokenizer: Any, texts: Sequence[str]) -> list[Tokenization]:
    """Encode several texts, each at once; on more than one core the tokenizer library takes them in parallel."""
    vocabulary = vocabulary_of(tokenizer)
    result = []
    for ids in vocabulary.encode(texts):
        distinct = np.flatnonzero(np.bincount(ids)) if ids.size else np.zeros(0, dtype=np.int64)
        vocabulary.learn(distinct)
        result.append(Tokenization(ids, vocabulary, int(distinct.size)))
    return result
