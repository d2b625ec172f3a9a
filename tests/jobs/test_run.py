"""A run leaves nothing behind for wrong use, and knows a study by what its numbers depend on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.errors import JobError, UsageError
from jobs.stages.stages import Stages
from store.objects.locations import object_store
from store.study import study_of
from tests.jobs.injection import Calls, run, stages, study, write_books


@pytest.fixture
def books(tmp_path, sample_text) -> list[str]:
    """One with marks, and one without any, which a run settles before the other."""
    few = tmp_path / "few.txt"
    few.write_text("Nothing here that a class of marks would take")
    return [str(few), *write_books(tmp_path / "books", sample_text, 1)]


def compiled(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"_orig_mod.{key}": value for key, value in weights.items()}


def infinite_at_marks(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Finite weights whose states are not, at every token but the few that the check at loading draws."""
    drawn = torch.randint(2000, (2, 12), generator=torch.Generator().manual_seed(0))
    others = torch.ones(2000, dtype=torch.bool)
    others[drawn.flatten()] = False
    weights["wte.weight"][others] *= 1e25  # its variance is beyond float32
    return weights


@pytest.mark.parametrize("serial", [True, False], ids=["serial", "ray"])
@pytest.mark.parametrize(
    ("spoil", "told"), [(compiled, "its files lack"), (infinite_at_marks, "not finite, from layer 1")]
)
@pytest.mark.usefixtures("ray_cluster")
def test_a_model_that_is_refused_leaves_no_store(tmp_path, tiny_gpt2, books, serial, spoil, told):
    model, store = Path(shutil.copytree(tiny_gpt2, tmp_path / "model")), tmp_path / "store"
    save_file(spoil(load_file(model / "model.safetensors")), model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(JobError, match=told) as raised:
        run(books, study(model), store, Stages(), serial=serial, attempts=1)
    assert raised.value.exit_code == UsageError.exit_code
    assert "\n" not in str(raised.value)
    assert not store.exists()
    assert run(books, study(tiny_gpt2), store, Stages(), serial=True) == 1
    assert study_of(store).config["model"] == str(tiny_gpt2)


def test_the_same_weights_under_another_spelling_are_the_same_study(tmp_path, tiny_gpt2, books, monkeypatch, capsys):
    store, calls = tmp_path / "store", Calls(tmp_path / "calls")
    (tmp_path / "link").symlink_to(tiny_gpt2)
    copy = shutil.copytree(tiny_gpt2, tmp_path / "copy")
    monkeypatch.setenv("HOME", str(tiny_gpt2.parent))
    monkeypatch.chdir(tiny_gpt2.parent)
    assert run(books, study(tiny_gpt2), store, stages(calls), serial=True) == 1
    recorded = object_store(store).read("study.json")
    for spelling in (tiny_gpt2.name, f"./{tiny_gpt2.name}/", f"~/{tiny_gpt2.name}", tmp_path / "link", copy):
        assert run(books, study(spelling), store, stages(calls), serial=True) == 0
        assert "nothing to do: 2 books are in the store" in capsys.readouterr().err
    assert object_store(store).read("study.json") == recorded
    assert calls.count("prepare") == 2
