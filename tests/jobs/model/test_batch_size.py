"""The batch size that a study gets where its user names none, and what a run says of smaller ones."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from jobs.account.tally import Tally
from jobs.config import RunConfig, StudyConfig, resolve
from jobs.errors import UsageError
from jobs.model import batch_size
from jobs.model.batch_size import fitting_batch, free_gpu_bytes, settle_batch_size
from jobs.model.models import ModelIdentity
from jobs.stages.extract import ModelWork
from jobs.stages.prepare import PreparedOutline
from store.keys import ShardKey
from store.study import Study

GPT2_MEDIUM = ModelIdentity("gpt2-medium", "commit:0", "gpt2", 24, 25, 1024, 50_257, 1024)
GIB = 1 << 30


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Puts a program in the place of the driver's tool: it reports GPUs with so many free MiB, all or the one asked."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def report(*free: str) -> None:
        tool = tmp_path / "nvidia-smi"
        chosen = "".join(f"--id={gpu}) echo '{line}'; exit;;" for gpu, line in enumerate(free))
        lines = "".join(f"echo '{line}'\n" for line in free)
        tool.write_text(f'#!/bin/sh\nfor o; do case "$o" in {chosen} --id=*) exit 6;; esac; done\n{lines}')
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return report


def test_the_fullest_gpu_counts(gpus):
    gpus("40960", "1024")
    assert free_gpu_bytes() == GIB


def test_gpus_that_this_process_may_not_use_do_not_count(gpus, monkeypatch):
    gpus("40960", "1024")
    for visible, free in (("0", 40 * GIB), ("1", GIB), ("", None), ("7", None)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert free_gpu_bytes() == free


def test_a_tool_that_knows_no_gpu_is_no_gpu(gpus):
    gpus("No devices were found")
    assert free_gpu_bytes() is None


def test_a_machine_without_the_tool_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_gpu_bytes() is None


def test_a_batch_fits_what_the_weights_leave():
    config = StudyConfig()
    assert fitting_batch(GPT2_MEDIUM, config, 80 * GIB) == batch_size.LARGEST
    assert fitting_batch(GPT2_MEDIUM, config, 2 * GIB) == 128
    assert fitting_batch(GPT2_MEDIUM, replace(config, dtype="bfloat16"), 2 * GIB) == batch_size.LARGEST
    assert fitting_batch(GPT2_MEDIUM, config, GIB) == batch_size.WITHOUT_GPU


def test_a_study_settles_once(gpus):
    gpus("81920")
    settled = settle_batch_size(StudyConfig(), GPT2_MEDIUM, RunConfig(), None)
    assert settled.batch_size == batch_size.LARGEST
    recorded = Study(replace(settled, batch_size=32).to_dict(), GPT2_MEDIUM.to_dict())
    assert settle_batch_size(StudyConfig(), GPT2_MEDIUM, RunConfig(), recorded).batch_size == 32
    assert settle_batch_size(StudyConfig(batch_size=7), GPT2_MEDIUM, RunConfig(), recorded).batch_size == 7


@pytest.mark.parametrize("run", [RunConfig(device="cpu"), RunConfig(address="head:6379")])
def test_gpus_that_the_model_will_not_use_do_not_count(gpus, run):
    gpus("81920")
    assert settle_batch_size(StudyConfig(), GPT2_MEDIUM, run, None).batch_size == batch_size.WITHOUT_GPU


def test_auto_is_a_word_for_it():
    assert resolve({"batch_size": "auto"})[0].batch_size is None
    with pytest.raises(UsageError, match="'batch_size' is 'many'; expected int"):
        resolve({"batch_size": "many"})
    with pytest.raises(UsageError, match="batch_size is 0; the smallest is 1"):
        StudyConfig(batch_size=0)


def test_a_run_records_the_smallest_batch_it_had_to_run():
    tally = Tally()
    assert "smallest_batch" not in tally.to_dict()
    shard = ShardKey("a" * 16)
    tally.prepared(PreparedOutline(shard, {"internal": 40}, 780, 1, {}, 0.0))
    for size in (64, 16, None, 32):
        tally.extracted(shard, ModelWork(10, 0.5, size))
    assert tally.to_dict()["smallest_batch"] == 16
    assert tally.windows == 40
