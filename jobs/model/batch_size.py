"""How much goes through the model at once: the length of a passage, and how many passages or windows make a batch.

The batch size belongs to the study, since another one may move the last bit of a state. It is therefore settled once,
when the study's store is created, and recorded there with all other settings; whoever adds to the store takes what is
recorded. A device with less memory than the first one runs parts of a batch, and the run's record says so.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from jobs.model.models import ModelIdentity
from store.study import Study

WITHOUT_GPU = {"passage": 1, "window": 64}
"""On a CPU, where larger batches gain nothing; passages one at a time are each read up to their own last mark."""

SMALLEST = {"passage": 4, "window": 64}
"""On a cluster, whose machines are not known yet, and the smallest on a GPU.

The study outlives what else may fill a GPU today, and a batch that does not fit runs in parts.
"""

LARGEST = {"passage": 32, "window": 256}
"""On a GPU: some 5,000 to 16,000 positions at once, which fill it."""

MODEL_WIDTHS = 24
"""A layer's intermediate values of one position, in multiples of the model's width: residual stream, queries, keys and
values, four to eight widths inside the feed-forward part, and what the kernels need besides."""

MARKS_APART = 8
"""Tokens of a passage for each mark whose states are kept, at the least: a comma or full stop comes every 9 or so."""

MEMORY_SHARE = 0.5
"""Of the memory that the weights leave; the rest is for the allocator's waste and the batch being copied out."""


def settle_passages(config: StudyConfig, identity: ModelIdentity) -> StudyConfig:
    """The configuration with passages that the model can read at once, and a warm-up shortened in proportion.

    Raises UsageError where a window is longer than the model's context.
    """
    context = identity.context
    if context is None:
        return config
    opening = 0 if config.bos == "no" else 1
    if config.context == "window" and config.before + 1 + opening > context:
        raise UsageError(
            f"before is {config.before}, and {identity.name!r} reads at most {context} tokens at once; "
            f"choose --before {context - 1 - opening} or less"
        )
    length = min(config.passage_tokens, context - opening)
    warmup = config.warmup_tokens * length // config.passage_tokens
    return replace(config, passage_tokens=length, warmup_tokens=warmup)


def settle_batch_size(
    config: StudyConfig, identity: ModelIdentity, run: RunConfig, existing: Study | None
) -> StudyConfig:
    """The configuration with a batch size: its own, the store's, or one that fits this machine's GPUs."""
    if config.batch_size is not None:
        return config
    if existing is not None:
        return replace(config, batch_size=existing.config["batch_size"])
    if run.address is not None and run.device != "cpu":
        return replace(config, batch_size=SMALLEST[config.context])
    free = None if run.device == "cpu" else free_gpu_bytes()
    size = WITHOUT_GPU[config.context] if free is None else fitting_batch(identity, config, free)
    return replace(config, batch_size=size)


def fitting_batch(identity: ModelIdentity, config: StudyConfig, free_bytes: int) -> int:
    """The largest power of two whose sequences fit a device with so much free memory, from SMALLEST to LARGEST.

    An estimate from the model's shape: 12 * width^2 weights a decoder block, which is usual, and the embedding.
    """
    item = 2 if config.dtype in ("bfloat16", "float16") else 4
    weights = item * (12 * identity.decoder_blocks * identity.width**2 + identity.vocabulary * identity.width)
    tokens = config.passage_tokens if config.context == "passage" else config.before + 1
    intermediate = item * MODEL_WIDTHS * (tokens + 1) * identity.width
    marks = tokens // MARKS_APART if config.context == "passage" else 1
    gathered = 4 * identity.hidden_layers * identity.width * marks
    room = MEMORY_SHARE * (free_bytes - weights)
    size = LARGEST[config.context]
    while size > SMALLEST[config.context] and size * (intermediate + gathered) > room:
        size //= 2
    return size


def free_gpu_bytes() -> int | None:
    """Free memory of the fullest NVIDIA GPU that this process may use; None where there is none.

    The driver's own tool is asked: to ask through torch would take a share of the GPU's memory for this process.
    """
    query = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        query.append(f"--id={visible}")
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
        return min(int(line) for line in answer.split()) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
