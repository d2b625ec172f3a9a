"""The tokenizer alone gives the tokens that it gives inside transformers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer, pre_tokenizers, processors

from interpunct import main
from jobs.cache_folder import cache_folder
from jobs.errors import UsageError
from jobs.marks.tokens import tokenize
from jobs.model import encoder
from jobs.model.encoder import NOT_ALONE, beginning_of_text, load_encoder
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


@pytest.mark.parametrize("model", [pytest.param("smollm2", marks=pytest.mark.whole), "folder"])
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


def model_with(tokenizer, tiny_gpt2, folder) -> str:
    """A folder with the small GPT-2 and another tokenizer."""
    tokenizer.save_pretrained(folder)
    for path in tiny_gpt2.iterdir():
        if not (folder / path.name).exists():
            (folder / path.name).write_bytes(path.read_bytes())
    return str(folder)


@pytest.fixture
def openers(tiny_gpt2, tmp_path, sample_text) -> dict[str, str]:
    """Models whose tokenizers begin a text with a token of their own, know such a token, or have none."""
    adds, knows = byte_level(sample_text[:2000]), byte_level(sample_text[:2000])
    for tokenizer in (adds, knows):
        tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    start = adds.convert_tokens_to_ids("<s>"), adds.convert_tokens_to_ids("</s>")
    adds.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", start[0]), ("</s>", start[1])]
    )
    made = {"adds": adds, "knows": knows, "none": byte_level(sample_text[:2000])}
    return {name: model_with(of, tiny_gpt2, tmp_path / name) for name, of in made.items()}


def test_a_text_begins_as_the_models_own_tokenizer_begins_it(openers):
    expected = load_tokenizer(openers["adds"])("Well.")["input_ids"]
    opening = beginning_of_text(openers["adds"], None, "auto")
    assert opening == tuple(expected[:1]) == (load_tokenizer(openers["adds"]).bos_token_id,)
    assert beginning_of_text(openers["knows"], None, "auto") == ()
    assert beginning_of_text(openers["none"], None, "auto") == ()


def test_a_beginning_can_be_asked_for_or_left_away(openers):
    for name in ("adds", "knows"):
        assert beginning_of_text(openers[name], None, "yes") == (load_tokenizer(openers[name]).bos_token_id,)
        assert beginning_of_text(openers[name], None, "no") == ()


def test_a_beginning_that_the_tokenizer_does_not_have_is_wrong_use(openers, tmp_path, capsys):
    with pytest.raises(UsageError, match="has no beginning-of-text token; use --bos auto"):
        beginning_of_text(openers["none"], None, "yes")
    store = tmp_path / "store"
    for command in ("run", "plan"):
        code = main([command, "sample", "--bos", "yes", "--model", openers["none"], "--store", str(store)])
        assert code == 2
        assert "has no beginning-of-text token; use --bos auto" in capsys.readouterr().err
    assert not store.exists()
