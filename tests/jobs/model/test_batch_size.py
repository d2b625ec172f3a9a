"""The batch size that a study gets where its user names none, and what a run says of smaller ones."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from jobs.account.tally import Tally
from jobs.config import RunConfig, StudyConfig, resolve
from jobs.errors import UsageError
from jobs.model import batch_size
from jobs.model.batch_size import fitting_batch, free_gpu_bytes, settle_batch_size, settle_passages
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


WINDOWS = StudyConfig(context="window")


def test_a_batch_of_windows_fits_what_the_weights_leave():
    assert fitting_batch(GPT2_MEDIUM, WINDOWS, 80 * GIB) == 256
    assert fitting_batch(GPT2_MEDIUM, WINDOWS, 2 * GIB) == 128
    assert fitting_batch(GPT2_MEDIUM, replace(WINDOWS, dtype="bfloat16"), 2 * GIB) == 256
    assert fitting_batch(GPT2_MEDIUM, WINDOWS, GIB) == 64


def test_a_batch_of_passages_fits_what_the_weights_leave():
    """A passage of 512 tokens takes 50 MB of GPT-2 medium's intermediate values and 6.5 MB of states."""
    config = StudyConfig()
    assert [fitting_batch(GPT2_MEDIUM, config, free * GIB) for free in (80, 4, 3, 2, 1)] == [32, 16, 8, 4, 4]
    assert fitting_batch(GPT2_MEDIUM, replace(config, dtype="bfloat16"), 4 * GIB) == 32
    longer = replace(config, passage_tokens=1024)
    assert fitting_batch(GPT2_MEDIUM, longer, 4 * GIB) == 8


@pytest.mark.parametrize(
    ("context", "bos", "settled"),
    [(None, "auto", (512, 128)), (1024, "auto", (512, 128)), (64, "no", (64, 16)), (64, "yes", (63, 15))],
)
def test_passages_are_no_longer_than_the_models_context(context, bos, settled):
    config = settle_passages(StudyConfig(bos=bos), replace(GPT2_MEDIUM, context=context))
    assert (config.passage_tokens, config.warmup_tokens) == settled


def test_what_is_settled_stays():
    short = replace(GPT2_MEDIUM, context=100)
    once = settle_passages(StudyConfig(), short)
    assert settle_passages(once, short) == once


@pytest.mark.parametrize(("bos", "longest"), [("no", 63), ("yes", 62)])
def test_windows_longer_than_the_context_are_wrong_use(bos, longest):
    identity = replace(GPT2_MEDIUM, context=64)
    settle_passages(replace(WINDOWS, before=longest, bos=bos), identity)
    with pytest.raises(UsageError, match=f"choose --before {longest} or less"):
        settle_passages(replace(WINDOWS, before=longest + 1, bos=bos), identity)


@pytest.mark.parametrize("context", ["passage", "window"])
def test_a_study_settles_once(gpus, context):
    gpus("81920")
    settled = settle_batch_size(StudyConfig(context=context), GPT2_MEDIUM, RunConfig(), None)
    assert settled.batch_size == batch_size.LARGEST[context]
    recorded = Study(replace(settled, batch_size=32).to_dict(), GPT2_MEDIUM.to_dict())
    assert settle_batch_size(StudyConfig(), GPT2_MEDIUM, RunConfig(), recorded).batch_size == 32
    assert settle_batch_size(StudyConfig(batch_size=7), GPT2_MEDIUM, RunConfig(), recorded).batch_size == 7


@pytest.mark.parametrize(
    ("run", "passages"),
    [
        (RunConfig(device="cpu"), 1),
        (RunConfig(address="head:6379"), 4),
        (RunConfig(address="head:6379", device="cpu"), 1),
    ],
)
def test_gpus_that_the_model_will_not_use_do_not_count(gpus, run, passages):
    gpus("81920")
    assert settle_batch_size(StudyConfig(), GPT2_MEDIUM, run, None).batch_size == passages
    assert settle_batch_size(WINDOWS, GPT2_MEDIUM, run, None).batch_size == 64


def test_auto_is_a_word_for_it():
    assert resolve({"batch_size": "auto"})[0].batch_size is None
    with pytest.raises(UsageError, match="batch_size is 'many'; expected a whole number or 'auto'"):
        resolve({"batch_size": "many"})
    with pytest.raises(UsageError, match="batch_size is 0; the smallest is 1"):
        StudyConfig(batch_size=0)


def test_a_run_records_the_smallest_batch_it_had_to_run():
    tally = Tally()
    assert "smallest_batch" not in tally.to_dict()
    shard = ShardKey("a" * 16)
    tally.prepared(PreparedOutline(shard, {"internal": 40}, 40, 780, 1, {}, 0.0))
    for size in (64, 16, None, 32):
        tally.extracted(shard, ModelWork(10, 0.5, size))
    assert tally.to_dict()["smallest_batch"] == 16
    assert tally.sequences == 40
