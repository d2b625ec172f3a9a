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


def _state(tokenizer: PreTrainedTokenizerBase) -> str:
    backend = backend_of(tokenizer)
    if not isinstance(backend, Tokenizer):
        return NOT_ALONE
    try:
        return backend.to_str()
    except Exception:  # as above; a part written in Python has no text
        return NOT_ALONE
