"""Files that are not the model that their names promise are refused before anything is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.model.loading import load_tokenizer
from jobs.model.models import identify_model
from jobs.model.resolve import resolve_model

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 548105171\n"


@pytest.fixture
def model(tiny_gpt2, tmp_path) -> Path:
    """A copy of the small model, to be spoilt."""
    return Path(shutil.copytree(tiny_gpt2, tmp_path / "model"))


def refusal(name: Path | str) -> str:
    with pytest.raises(UsageError) as raised:
        identify_model(str(name))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_files_that_are_no_model_are_refused(tmp_path, own_cache, sample_path):
    with pytest.raises(UsageError, match="not a GGUF file"):
        resolve_model(str(sample_path))
    with pytest.raises(UsageError, match=r"without a config\.json"):
        resolve_model(str(tmp_path))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(UsageError, match="cannot be loaded") as raised:
        identify_model(str(broken))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_told_as_one(model, file):
    (model / file).write_text(POINTER)
    assert f"{file} is a pointer of git-lfs, not the file itself; run `git lfs pull` in {model}" in refusal(model)


def test_a_gguf_file_that_is_a_pointer_is_told_as_one(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_text(POINTER)
    assert "model.gguf is a pointer of git-lfs" in refusal(file)


def test_an_adapter_beside_a_full_model_is_not_ignored(model):
    (model / "adapter_config.json").write_text("{}")
    assert "has an adapter beside its weights (adapter_config.json)" in refusal(model)
    assert "merge_and_unload()" in refusal(model)


def test_an_adapter_without_its_model_is_told_as_one(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "is an adapter without its model; merge it" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["big-00001-of-00003.gguf", "big-00003-of-00003.GGUF"])
def test_a_part_of_a_split_gguf_file_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"GGUF")
    number = int(name[4:9])
    told = refusal(tmp_path / name)
    assert f"is part {number} of a model in 3 files; join them into one with `llama-gguf-split" in told


def test_a_gguf_file_in_one_part_or_with_a_name_in_capitals_is_one(tmp_path):
    for name in ("model.GGUF", "model-00001-of-00001.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
        files = resolve_model(str(tmp_path / name))
        assert files.gguf == tmp_path / name
    with pytest.raises(UsageError, match=r"name its file .*model\.GGUF|name its file .*00001\.gguf"):
        resolve_model(str(tmp_path))
    with pytest.raises(UsageError, match="no such file or folder"):
        resolve_model(str(tmp_path / "other.GGUF"))


def test_an_index_that_names_absent_files_names_them(model):
    weights = model / "model.safetensors"
    weights.rename(model / "model-00001-of-00003.safetensors")
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    index = {"metadata": {}, "weight_map": {f"h.{number}.weight": shard for number, shard in enumerate(shards)}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    absent = "2 of 3 files that model.safetensors.index.json names are not there"
    assert f"{absent}: {', '.join(shards[1:])}" in refusal(model)


@pytest.mark.parametrize("shard", ["../elsewhere.safetensors", "/etc/elsewhere.safetensors", "sub/one.safetensors"])
def test_an_index_that_leads_out_of_the_folder_is_refused(model, shard):
    (model / "model.safetensors").rename(model.parent / "elsewhere.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": shard}}))
    assert f"model.safetensors.index.json names files outside of its folder: {shard}" in refusal(model)


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": {}}', '{"weight_map": {"a": 5}}'])
def test_an_index_that_is_damaged_is_refused(model, index):
    (model / "model.safetensors").unlink()
    (model / "model.safetensors.index.json").write_text(index)
    assert "model.safetensors.index.json" in refusal(model)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_weights_that_are_cut_off_are_told(model, kept):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    assert "model.safetensors is" in refusal(model)
    assert "cut off" in refusal(model)


def test_weights_with_something_behind_them_are_told(model):
    weights = model / "model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes() + b"more")
    assert f"longer than it says: {size + 4:,} bytes, and its header tells of {size:,}" in refusal(model)


@pytest.mark.parametrize("header", [b"[]", b"[" * 100_000, b'{"a": 5}', b'{"a": {"data_offsets": []}}', b"\xff\xff"])
def test_a_header_that_is_no_header_is_refused(model, header):
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "model.safetensors is not a safetensors file" in refusal(model)


def test_a_model_without_a_tokenizer_says_so_in_one_whole_line(model):
    (model / "tokenizer.json").unlink()
    (model / "tokenizer_config.json").unlink()
    with pytest.raises(UsageError) as raised:
        load_tokenizer(str(model))
    assert str(raised.value).startswith(f"model '{model}' has no tokenizer: its folder holds none of tokenizer.json, ")
    assert str(raised.value).endswith("`AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)`")
