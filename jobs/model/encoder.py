"""What turns text into tokens, without the libraries that run models.

transformers knows how to read each model's tokenizer files, and takes torch with it: two seconds, and some hundred
megabytes, in every worker that reads a book. What it makes of most of them is one object of the tokenizers library,
whose whole state is a text. That text is kept, and read by itself from the second time on.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from jobs.errors import UsageError
from jobs.marks.tokens import backend_of
from jobs.model.files import fingerprint_of
from jobs.model.loading import load_tokenizer
from jobs.model.model_cache import remembered
from jobs.model.resolve import resolve_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NOT_ALONE = "transformers"
"""Kept in place of a tokenizer that transformers runs in Python, or that has a part written in Python."""


@lru_cache(maxsize=8)
def load_encoder(name: str, revision: str | None = None) -> Tokenizer | PreTrainedTokenizerBase:
    """The tokenizer of a model, for `jobs.marks.tokens.tokenize`; kept for the life of the process.

    The same tokens as `jobs.model.loading.load_tokenizer`, from an object that does not need transformers wherever
    there is one. Raises UsageError where the model has none.
    """
    fingerprint = fingerprint_of(resolve_model(name, revision))
    key = "\n".join([fingerprint, version("transformers"), version("tokenizers")])
    state = remembered("encoders", key, lambda: _state(load_tokenizer(name, revision)))
    if state != NOT_ALONE:
        with contextlib.suppress(Exception):  # the library has no error of its own; the files are still there
            return Tokenizer.from_str(state)
    return load_tokenizer(name, revision)


@lru_cache(maxsize=8)
def beginning_of_text(name: str, revision: str | None, bos: str) -> tuple[int, ...]:
    """The tokens that stand before a text: none for `bos` "no", the beginning-of-text token for "yes".

    For "auto" what the model's own tokenizer puts before a text, if anything. Raises UsageError for "yes" where the
    tokenizer has no such token.
    """
    if bos == "no":
        return ()
    if bos == "auto":
        encoder = load_encoder(name, revision)
        return _opening(encoder)
    token = load_tokenizer(name, revision).bos_token_id
    if token is None:
        raise UsageError(f"bos is 'yes', and the tokenizer of {name!r} has no beginning-of-text token; use --bos auto")
    return (int(token),)


def _opening(encoder: Tokenizer | PreTrainedTokenizerBase) -> tuple[int, ...]:
    """What the tokenizer adds before a text when it adds its special tokens."""
    if isinstance(encoder, Tokenizer):
        bare, whole = (encoder.encode("a", add_special_tokens=special).ids for special in (False, True))
    else:
        bare, whole = (encoder.encode("a", add_special_tokens=special) for special in (False, True))
    if not bare:
        return ()
    first = next((at for at in range(len(whole)) if list(whole[at : at + len(bare)]) == list(bare)), 0)
    return tuple(int(token) for token in whole[:first])


def _state(tokenizer: PreTrainedTokenizerBase) -> str:
    backend = backend_of(tokenizer)
    if not isinstance(backend, Tokenizer):
        return NOT_ALONE
    try:
        return backend.to_str()
    except Exception:  # as above; a part written in Python has no text
        return NOT_ALONE
