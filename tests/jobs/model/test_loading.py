"""A model is loaded whole, from what it was recognised by, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.errors import UsageError
from jobs.model import loading, model_cache
from jobs.model.hidden_states import HiddenStates
from jobs.model.loading import load_model
from jobs.model.models import identify_model
from tests.jobs.model.hub import hub_snapshot

Weights = dict[str, torch.Tensor]


@pytest.mark.whole
def test_gguf_is_dequantised_once_to_the_same_weights(own_cache):
    """Some 20 seconds: no smaller GGUF file is at hand, and the time is what the cache is for."""
    start = time.perf_counter()
    first = load_model("smollm2")
    middle = time.perf_counter()
    second = load_model("smollm2")
    end = time.perf_counter()
    assert list(own_cache.glob("models/*/weights/model.safetensors"))
    one, two = first.state_dict(), second.state_dict()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert one["layers.0.mlp.up_proj.weight"].dtype == torch.float32
    assert 3 * (end - middle) < middle - start
    assert not list(own_cache.rglob(".new-*"))


@pytest.fixture
def change(tiny_gpt2, tmp_path, own_cache) -> Callable[[Callable[[Weights], Weights | None]], Path]:
    """Makes a copy of the small model whose tensors a function has changed, or replaced."""

    def make(spoil: Callable[[Weights], Weights | None]) -> Path:
        folder = Path(shutil.copytree(tiny_gpt2, tmp_path / "changed"))
        weights = load_file(folder / "model.safetensors")
        weights = spoil(weights) or weights
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


def refusal(folder: Path, dtype: str = "float32") -> str:
    with pytest.raises(UsageError) as raised:
        load_model(str(folder), dtype=dtype)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def compiled(weights: Weights) -> Weights:
    return {f"_orig_mod.{key}": value for key, value in weights.items()}


def without_a_bias(weights: Weights) -> None:
    del weights["h.1.mlp.c_fc.bias"]


def with_another_vocabulary(weights: Weights) -> None:
    weights["wte.weight"] = weights["wte.weight"][:-1].clone()


def with_one_block_more(weights: Weights) -> None:
    weights["h.3.ln_1.weight"] = torch.ones(64)


def with_an_adapter_in_a_block(weights: Weights) -> None:
    weights["h.0.attn.c_attn.lora_A.weight"] = torch.ones(4, 64)


def with_a_nan(weights: Weights) -> None:
    weights["h.2.ln_2.weight"][5] = torch.nan


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (compiled, "its files lack 40 of its 40 tensors: h.0.attn.c_attn.bias, h.0.attn.c_attn.weight, "),
        (compiled, "save its `_orig_mod`"),
        (without_a_bias, "its files lack 1 of its 40 tensors: h.1.mlp.c_fc.bias; it would be run with random"),
        (with_another_vocabulary, "its config.json differ in shape: wte.weight [1999, 64] where [2000, 64] fits"),
        (with_one_block_more, "decoder blocks that its config.json does not know: h.3.ln_1.weight; correct"),
        (with_an_adapter_in_a_block, "its config.json does not know: h.0.attn.c_attn.lora_A.weight; correct"),
        (with_a_nan, "its weights are not finite: 1 of 64 numbers of h.2.ln_2.weight; its files are damaged"),
    ],
)
def test_weights_that_are_not_all_the_models_own_are_refused(change, spoil, told):
    assert told in refusal(change(spoil))


def test_a_refusal_is_all_that_is_printed(change, capfd):
    refusal(change(compiled))
    assert capfd.readouterr() == ("", "")


def test_a_pickle_runs_no_code(tiny_gpt2, tmp_path, own_cache):
    folder = Path(shutil.copytree(tiny_gpt2, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode())
    assert "its weights cannot be loaded: Weights only load failed" in refusal(folder)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_is_checked_like_safetensors(change):
    folder = change(compiled)
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    assert "its files lack 40 of its 40 tensors" in refusal(folder)


def test_a_head_left_over_and_masks_of_old_checkpoints_are_no_fault(change, tiny_gpt2):
    def add(weights: Weights) -> None:
        for key in ("lm_head.weight", "score.weight", "h.0.attn.masked_bias"):
            weights[key] = torch.ones(3)

    ours, theirs = load_model(str(change(add))), load_model(str(tiny_gpt2))
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in theirs.state_dict().items())


def test_a_pooler_that_is_missing_is_no_fault_and_looking_ahead_is_told(tmp_path, own_cache):
    from transformers import BertConfig, BertForMaskedLM

    size = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(**size, intermediate_size=16, initializer_range=0.5)).save_pretrained(tmp_path)
    assert load_model(str(tmp_path)).config.model_type == "bert"
    with pytest.raises(UsageError, match="looks ahead"):
        HiddenStates(str(tmp_path))


def test_weights_beyond_float16_are_told_as_that(change):
    def grow(weights: Weights) -> None:
        weights["h.0.mlp.c_fc.weight"][0, 0] = 1e6

    folder = change(grow)
    told = refusal(folder, "float16")
    assert told.endswith("of h.0.mlp.c_fc.weight; float16 ends at 65,504: choose --dtype bfloat16 or float32")
    assert load_model(str(folder)).dtype == torch.float32


def test_states_beyond_float16_are_told_with_the_layer(change):
    def grow(weights: Weights) -> None:
        weights["h.1.mlp.c_proj.bias"][:] = 60_000
        weights["h.2.mlp.c_proj.bias"][:] = 60_000

    folder = str(change(grow))
    with pytest.raises(UsageError, match=r"not finite, from layer 3 of 3 on, in float16; .* bfloat16 or float32"):
        HiddenStates(folder, dtype="float16", device="cpu")
    HiddenStates(folder, dtype="bfloat16", device="cpu")


def write_gguf(path: Path, blocks_written: int) -> None:
    """A Llama of two blocks, of which the file holds so many."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(32)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(50)
    random = np.random.default_rng(0)
    matrix = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), (32, 32))
    shapes = {"token_embd": (50, 32), "output_norm": (32,)}
    for block in range(blocks_written):
        parts = {**matrix, "attn_norm": (32,), "ffn_norm": (32,)}
        shapes |= {f"blk.{block}.{part}": shape for part, shape in parts.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_that_lacks_tensors_is_refused_and_nothing_is_kept(tmp_path, own_cache):
    part, whole = tmp_path / "part.gguf", tmp_path / "whole.GGUF"
    write_gguf(part, 1)
    write_gguf(whole, 2)
    assert "its files lack 9 of its 20 tensors: layers.1." in refusal(part)
    assert not list(own_cache.glob("models/*/weights"))
    assert load_model(str(whole)).config.num_hidden_layers == 2
    assert len(list(own_cache.glob("models/*/weights"))) == 1


def test_numbers_changed_in_the_cache_are_noticed(tmp_path, own_cache):
    whole = tmp_path / "whole.gguf"
    write_gguf(whole, 2)
    expected = {key: value.clone() for key, value in load_model(str(whole)).state_dict().items()}
    (kept,) = own_cache.glob("models/*/weights/model.safetensors")
    before = kept.stat()
    content = bytearray(kept.read_bytes())
    content[-4000:] = bytes(4000)
    kept.write_bytes(content)
    os.utime(kept, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = load_model(str(whole)).state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_weights_that_changed_after_the_model_was_recognised_are_refused(change, monkeypatch):
    folder = change(lambda weights: None)
    load, weights = loading._from_pretrained, folder / "model.safetensors"

    def change_and_load(*arguments, **options):
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        return load(*arguments, **options)

    monkeypatch.setattr(loading, "_from_pretrained", change_and_load)
    assert "its files do not hold what it was recognised by (sha256:" in refusal(folder)


def test_a_checksum_remembered_for_other_contents_is_found_out_when_the_model_is_loaded(change, monkeypatch):
    folder = change(lambda weights: None)
    with monkeypatch.context() as patch:
        patch.setattr(model_cache, "SETTLED_SECONDS", 0.0)
        weights = folder / "model.safetensors"
        model_cache.remembered("checksums", model_cache._state_of(weights), lambda: "0" * 64)
        identity = identify_model(str(folder))
        assert f"recognised by ({identity.weights})" in refusal(folder)
        load_model(str(folder))


def test_a_blob_of_the_hub_whose_name_is_not_its_checksum_is_refused(tiny_gpt2, tmp_path, own_cache, monkeypatch):
    from huggingface_hub import constants

    hub_snapshot(tmp_path / "hub", "someone/tiny", "c" * 40, tiny_gpt2)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    weights = tmp_path / "hub/models--someone--tiny/snapshots" / ("c" * 40) / "model.safetensors"
    blob = weights.parent.parent.parent / "blobs" / hashlib.sha256(weights.read_bytes()).hexdigest()
    blob.parent.mkdir()
    weights.rename(blob)
    weights.symlink_to(blob)
    assert load_model("someone/tiny").config.n_layer == 3
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(UsageError, match=rf"model\.safetensors is damaged in the hub's cache; remove {blob}"):
        load_model("someone/tiny")
