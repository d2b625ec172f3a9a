"""The tokenizer alone gives the tokens that it gives inside transformers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer, pre_tokenizers

from jobs.cache_folder import cache_folder
from jobs.marks.tokens import tokenize
from jobs.model import encoder
from jobs.model.encoder import NOT_ALONE, load_encoder
from jobs.model.loading import load_tokenizer
from tests.jobs.model.tokenizer_families import byte_level

pytestmark = pytest.mark.usefixtures("own_cache")


def assert_same_tokens(ours, theirs, text):
    one, other = tokenize(ours, text), tokenize(theirs, text)
    np.testing.assert_array_equal(one.ids, other.ids)
    assert [one.vocabulary.text(i) for i in one.ids] == [other.vocabulary.text(i) for i in other.ids]
    assert one.vocabulary.only_dots.size == len(theirs)


def test_every_family_alone_gives_the_tokens_of_transformers(tokenizer, sample_text):
    """Where a family has no form of its own, that is said, and transformers goes on reading it."""
    state = encoder._state(tokenizer)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        assert state == NOT_ALONE
    else:
        assert_same_tokens(Tokenizer.from_str(state), tokenizer, sample_text[:20_000] + "漢字, <file_sep> 3.14. ,,,")


@pytest.mark.parametrize("model", ["smollm2", "folder"])
def test_the_second_process_loads_no_library_that_runs_models(model, tiny_gpt2, sample_text):
    name = "smollm2" if model == "smollm2" else str(tiny_gpt2)
    first = load_encoder(name)
    assert isinstance(first, Tokenizer)
    assert_same_tokens(first, load_tokenizer(name), sample_text)
    code = (
        "import sys; from jobs.model.encoder import load_encoder; from jobs.marks.tokens import tokenize\n"
        f"print(tokenize(load_encoder({name!r}), 'Well, well. No.').ids.tolist())\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ids, loaded = done.stdout.splitlines()
    assert ids == str(tokenize(first, "Well, well. No.").ids.tolist())
    assert loaded == "[]"


def test_a_tokenizer_whose_files_change_is_another_one(tiny_gpt2, tmp_path, sample_text):
    folder = tmp_path / "model"
    load_tokenizer(str(tiny_gpt2)).save_pretrained(folder)
    for path in tiny_gpt2.iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).write_bytes(path.read_bytes())
    before = tokenize(load_encoder(str(folder)), sample_text[:2000]).ids
    byte_level(sample_text[:400]).save_pretrained(folder)
    load_encoder.cache_clear()
    load_tokenizer.cache_clear()
    after = tokenize(load_encoder(str(folder)), sample_text[:2000]).ids
    assert after.tolist() == tokenize(load_tokenizer(str(folder)), sample_text[:2000]).ids.tolist()
    assert after.tolist() != before.tolist()


@pytest.mark.parametrize("damaged", ["{", "not json"])
def test_what_is_kept_may_be_damaged(damaged, tiny_gpt2, sample_text):
    expected = tokenize(load_encoder(str(tiny_gpt2)), sample_text[:2000]).ids
    (kept,) = (cache_folder() / "encoders").iterdir()
    kept.write_text(damaged)
    load_encoder.cache_clear()
    np.testing.assert_array_equal(tokenize(load_encoder(str(tiny_gpt2)), sample_text[:2000]).ids, expected)


def test_a_part_written_in_python_stays_with_transformers(sample_text):
    class Words:
        def pre_tokenize(self, text) -> None:
            text.split(lambda index, part: [part])

    tokenizer = byte_level(sample_text)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(Words())
    assert encoder._state(tokenizer) == NOT_ALONE
