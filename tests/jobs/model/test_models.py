"""A model is named exactly, and told from every other by the files that define it."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.model import loading, models
from jobs.model.files import fingerprint_of
from jobs.model.models import RecordedModel, check_model, identify_model
from jobs.model.resolve import resolve_model
from tests.jobs.model.hub import hub_snapshot

NO_TENSORS = (2).to_bytes(8, "little") + b"{}"
"""A file of weights that no test reads further."""


def test_smollm2_is_the_gguf_file_of_its_wheel():
    identity = identify_model("smollm2")
    (file,) = Path(resolve_model("smollm2").location).parent.glob("*.gguf")
    assert identity.weights == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert (identity.architecture, identity.decoder_blocks, identity.hidden_layers) == ("llama", 30, 31)
    assert identity.width == 576
    assert identity.vocabulary == 49_152


def test_a_folder_is_identified_without_loading_its_weights(tiny_gpt2, own_cache, monkeypatch):
    monkeypatch.setattr(loading, "_from_pretrained", None)
    identity = identify_model(str(tiny_gpt2))
    assert (identity.architecture, identity.decoder_blocks, identity.hidden_layers) == ("gpt2", 3, 4)
    assert identity.width == 64
    assert (identity.vocabulary, identity.context) == (2000, 64)
    assert json.loads(json.dumps(identity.to_dict())) == identity.to_dict()


def test_an_identity_is_learnt_once(tiny_gpt2, own_cache, monkeypatch):
    first = identify_model(str(tiny_gpt2))
    identify_model.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(models, "load_config", None)
        assert identify_model(str(tiny_gpt2)) == first
    (remembered,) = (own_cache / "model_shapes").iterdir()
    remembered.write_text("")
    identify_model.cache_clear()
    assert identify_model(str(tiny_gpt2)) == first


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_identity_changes_with_every_file_that_defines_the_model(tiny_gpt2, tmp_path, own_cache, part):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_gpt2, copy)
    before = identify_model(str(copy)).weights
    assert before == identify_model(str(tiny_gpt2)).weights
    path = copy / part
    body = path.read_bytes()
    changed = body.replace(b"}", b" }", 1) if part.endswith(".json") else body[:-1] + bytes([body[-1] ^ 1])
    path.write_bytes(changed)
    identify_model.cache_clear()
    assert identify_model(str(copy)).weights != before


def test_workers_load_the_commit_that_the_study_recorded_when_the_branch_has_moved_on(
    tiny_gpt2, tmp_path, own_cache, monkeypatch
):
    from huggingface_hub import constants

    hub_snapshot(tmp_path / "hub", "someone/tiny", "a" * 40, tiny_gpt2)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    recorded = RecordedModel.of(identify_model("someone/tiny"))
    assert (recorded.name, recorded.revision) == ("someone/tiny", "a" * 40)
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny_gpt2, repository / "snapshots" / ("b" * 40))
    (repository / "refs" / "main").write_text("b" * 40)
    check_model(recorded)
    assert resolve_model(recorded.name, recorded.revision).commit == "a" * 40
    shutil.rmtree(repository / "snapshots" / ("a" * 40))
    check_model.cache_clear()
    with pytest.raises(UsageError, match=rf"on host {socket.gethostname()}: model 'someone/tiny' at revision 'aaaa"):
        check_model(recorded)


def test_a_machine_with_other_files_is_named_with_both_identities(tiny_gpt2, tmp_path, own_cache):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_gpt2, copy)
    recorded = RecordedModel.of(identify_model(str(copy)))
    (copy / "tokenizer_config.json").write_text("{}")
    with pytest.raises(UsageError) as raised:
        check_model(recorded)
    message = str(raised.value)
    assert "\n" not in message
    found = fingerprint_of(resolve_model(str(copy)))
    assert f"is {found} on host {socket.gethostname()}, and {recorded.weights} in the study" in message


def test_a_relative_path_means_the_same_folder_wherever_a_worker_runs(tiny_gpt2, tmp_path, own_cache, monkeypatch):
    monkeypatch.chdir(tiny_gpt2.parent)
    recorded = RecordedModel.of(identify_model(tiny_gpt2.name))
    monkeypatch.chdir(tmp_path)
    assert recorded.name == str(tiny_gpt2)
    check_model(recorded)
    Path("smollm2").mkdir()
    assert RecordedModel.of(identify_model("smollm2")).name == "smollm2"


def test_a_folder_without_weights_or_with_unknown_ones_is_refused(tiny_gpt2, tmp_path, own_cache):
    folder = tmp_path / "config-only"
    folder.mkdir()
    shutil.copy(tiny_gpt2 / "config.json", folder)
    with pytest.raises(UsageError, match="without weights"):
        identify_model(str(folder))
    (folder / "model.safetensors").write_bytes(NO_TENSORS)
    (folder / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(UsageError, match="configuration cannot be loaded"):
        identify_model(str(folder))


def test_an_encoder_decoder_is_refused(tmp_path, own_cache):
    from transformers import T5Config

    T5Config(vocab_size=100, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=2).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(NO_TENSORS)
    with pytest.raises(UsageError, match="encoder-decoder"):
        identify_model(str(tmp_path))
