"""Tokens of a text, and what each entry of the vocabulary decodes to.

A text has hundreds of thousands of tokens and some ten thousand distinct ones, so every question about a token's
characters is asked once per vocabulary entry and answered for the text by indexing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

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
        offsets = self._backend.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int64).reshape(-1, 2)

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
            return self._backend.decode_batch(spans, skip_special_tokens=False)
        return [self._tokenizer.decode(span, clean_up_tokenization_spaces=False) for span in spans]

    def _decode_alone(self, ids: list[int]) -> list[str]:
        """Entries as text. Sentencepiece drops a leading space when it decodes one token alone, so it is put back:
        otherwise `3` and ` 3` would look the same, and the full stop in `the end. 3 men` like a decimal point."""
        pieces = self._pieces(ids)
        return [
            " " + text if (piece or "").startswith(_WORD_START) and not text.startswith(" ") else text
            for piece, text in zip(pieces, self._decode([[token_id] for token_id in ids]), strict=True)
        ]

    def _pieces(self, ids: list[int]) -> list[str | None]:
        """Entries as the tokenizer writes them."""
        if self._backend is not None:
            return [self._backend.id_to_token(token_id) for token_id in ids]
        return self._tokenizer.convert_ids_to_tokens(ids)


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
