"""Small tokenizers of the families that language models use, trained on a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sentencepiece as sentencepiece_library
from tokenizers import ByteLevelBPETokenizer, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, SentencePieceBackend


def byte_level(text: str) -> Any:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([text], vocab_size=1500, show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer)


def sentencepiece(text: str) -> Any:
    """Unigram pieces with the word-start sign, bytes as a last resort: the form of Llama and Gemma."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trained.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.UnigramTrainer(vocab_size=1500, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"])
    trained.train_from_iterator(text.split("\n"), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, unk_token="<unk>")


def wordpiece(text: str) -> Any:
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=1500, show_progress=False, special_tokens=["[UNK]"])
    trained.train_from_iterator([text], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, unk_token="[UNK]")


def sentencepiece_model(text: str, folder: Path) -> Any:
    """A model of the sentencepiece library itself, run by it: transformers has no fast tokenizer underneath."""
    sentencepiece_library.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=1500,
        byte_fallback=True,
        split_digits=True,
        minloglevel=2,
    )
    return SentencePieceBackend(vocab_file=str(folder / "tokenizer.model"), unk_token="<unk>")
