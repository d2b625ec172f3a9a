"""Whether a model's weights are all its own: each from its files, none left over, every number finite.

transformers fills what a file lacks with random numbers, leaves aside what it does not know, and says so in a warning
that nobody reads on a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from jobs.errors import UsageError
from jobs.model.shortcuts import decoder_blocks

_MAY_BE_MISSING = re.compile(r"^pooler\.")
"""What `AutoModel` adds behind the last block, for classifiers: no hidden state passes through it."""

_MAY_BE_LEFT_OVER = re.compile(r"(attn|attention)\.(masked_)?bias$|masked_bias$|causal_mask$|inv_freq$|_extra_state$")
"""Masks and tables that old checkpoints carry in each block, and that follow from the configuration."""

_SHOWN = 3


def refuse_incomplete(name: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Raise UsageError where weights did not come from the files, or tensors of the files went nowhere.

    `info` is what transformers gives for `output_loading_info`. Heads are no part of the model here: `lm_head` may be
    missing, or left over.
    """
    errors = [*info["error_msgs"], *info.get("conversion_errors", {}).values()]
    if errors:
        raise UsageError(f"model {name!r}: its weights cannot be loaded: {_one_line(errors[0])}")
    misfits = [f"{key} {list(found)} where {list(wanted)} fits" for key, found, wanted in info["mismatched_keys"]]
    if misfits:
        raise UsageError(f"model {name!r}: its files and its config.json differ in shape: {_listed(misfits)}")
    left_over = [key for key in info["unexpected_keys"] if not _MAY_BE_LEFT_OVER.search(key)]
    missing = [key for key in info["missing_keys"] if not _MAY_BE_MISSING.search(key)]
    if missing:
        raise UsageError(
            f"model {name!r}: its files lack {len(missing):,} of its {_count(model):,} tensors: {_listed(missing)}"
            f"{_named_instead(left_over)}; it would be run with random numbers in their place"
        )
    in_blocks = [key for key in left_over if _is_in_block(model, key)]
    if in_blocks:
        raise UsageError(
            f"model {name!r}: its files hold tensors of decoder blocks that its config.json does not know: "
            f"{_listed(in_blocks)}; correct the configuration, or merge what was added to the model into its weights"
        )


def refuse_not_finite(name: str, model: PreTrainedModel) -> None:
    """Raise UsageError naming the first tensor with an infinity or NaN."""
    for key, tensor in model.named_parameters():
        # One pass without a copy; a NaN is both the smallest and the largest.
        if not tensor.numel() or bool(torch.isfinite(torch.stack(torch.aminmax(tensor))).all()):
            continue
        count = f"{int((~torch.isfinite(tensor)).sum()):,} of {tensor.numel():,} numbers"
        raise UsageError(f"model {name!r}: its weights are not finite: {count} of {key}{remedy(model.dtype)}")


def remedy(dtype: torch.dtype) -> str:
    """What to do about numbers that are not finite, as the end of a sentence."""
    if dtype == torch.float16:
        return "; float16 ends at 65,504: choose --dtype bfloat16 or float32"
    return "; its files are damaged, or it was saved after training had failed"


def _is_in_block(model: PreTrainedModel, key: str) -> bool:
    """Whether a tensor's name is that of a part of a decoder block, there or not."""
    blocks = decoder_blocks(model)
    path = next((path for path, module in model.named_modules() if module is blocks and blocks is not None), None)
    if path is None:
        return False
    prefix = f"(?:{re.escape(model.base_model_prefix)}\\.)?" if model.base_model_prefix else ""
    return re.match(rf"{prefix}{re.escape(path)}\.\d+\.", key) is not None


def _named_instead(left_over: list[str]) -> str:
    """What the files call their tensors, where that may be the reason why others are missing."""
    if not left_over:
        return ""
    compiled = " (the model was saved as `torch.compile` wraps it: save its `_orig_mod`)"
    why = compiled if all(key.startswith("_orig_mod.") for key in left_over) else ""
    return f"; in the files are others, {_listed(left_over)}{why}"


def _count(model: PreTrainedModel) -> int:
    return len(model.state_dict())


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN:,} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
