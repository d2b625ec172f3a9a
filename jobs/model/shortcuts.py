"""Ways to make a forward pass faster that change nothing but rounding. Each is a function that can be undone.

A shortcut changes modules of a loaded transformers model in place and returns the function that puts them back. None
of them is tied to a model by name: `jobs.model.forward` tries each on the model at hand, and keeps it only where the
states come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from jobs.model import attention

Undo = Callable[[], None]
Shortcut = Callable[[PreTrainedModel], Undo | None]
"""Changes a model; None where the model has nothing that it would change."""

PLAIN_ATTENTION = "sdpa"
"""What transformers calls torch's own attention."""

_GELU_TANH = ("gelu", "tanh")
_GELU_ERF = ("gelu", "none")
_FUSED_ACTIVATIONS = {
    "NewGELUActivation": _GELU_TANH,
    "FastGELUActivation": _GELU_TANH,
    "GELUTanh": _GELU_TANH,
    "GELUActivation": _GELU_ERF,
    "SiLUActivation": ("swish", ""),
    "SiLU": ("swish", ""),
    "ReLU": ("relu", ""),
}
"""Activation class -> what oneDNN calls the same function."""

_FEEDS = (
    ("c_fc", "act"),
    ("dense_h_to_4h", "act"),
    ("fc1", "activation_fn"),
    ("fc_in", "act"),
    ("gate_proj", "act_fn"),
)
"""Attributes of a feed-forward module: a linear layer, and the activation that takes its output and nothing else."""

_ATTENTION_OUTPUTS = ("attn.c_proj", "self_attn.o_proj", "self_attn.out_proj", "self_attn.dense", "attention.dense")
_FEED_FORWARD = "mlp"


class KeptPositions(Protocol):
    """The positions of a batch whose states are kept; `jobs.model.forward.Batch` is one."""

    def take(self, hidden: torch.Tensor) -> torch.Tensor:
        """Their states `[n, width]`, of `[sequences, length, width]`."""

    def put(self, kept: torch.Tensor) -> torch.Tensor:
        """Their states `[n, width]` back in their places, and 0 elsewhere."""


class PackedLinear(nn.Module):
    """A linear layer whose weight lies in oneDNN's own blocked layout, with the activation behind it fused in.

    torch hands float32 products to MKL, which runs no AVX-512 on processors that are not Intel's, and lays out the
    weight anew for each call. oneDNN has kernels for the processor's real instructions; packing the weight once
    spares the layout, and the activation is applied while the result is still in cache. Same sum of the same
    products: only the order, and with it the rounding, differs.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, activation: tuple[str, str] | None) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)
        self.bias = None if bias is None else bias.detach()
        self.activation, self.algorithm = activation or ("none", "")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output and its activation, [..., out features]."""
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.algorithm
        )
        return y


def pack_linear_layers(model: PreTrainedModel) -> Undo | None:
    """CPU: every linear layer in oneDNN's layout, fused with its activation where that is its only reader."""
    replaced = []
    for parent in list(model.modules()):
        fused = dict(_fusible(parent))
        for name, module in list(parent.named_children()):
            if name in fused:
                _, activation = fused[name]
                replaced.append(_replace(parent, name, _packed(module, activation)))
            elif type(module) in (nn.Linear, Conv1D):
                replaced.append(_replace(parent, name, _packed(module, None)))
        for activation_name, _ in fused.values():
            replaced.append(_replace(parent, activation_name, nn.Identity()))
    return _undoing(replaced)


def can_attend_in_blocks(model: PreTrainedModel) -> bool:
    """Whether the model lies on a CPU, attends as torch does, and reads sequences of more than one block."""
    config = model.config.get_text_config()
    context = getattr(config, "max_position_embeddings", None) or attention.BLOCK
    on_cpu = model.device.type == "cpu"
    return on_cpu and config._attn_implementation == PLAIN_ATTENTION and context >= attention.LONG


def attend_in_blocks(model: PreTrainedModel) -> Undo | None:
    """CPU: causal attention of long sequences by blocks of queries, in place of torch's kernel."""
    model.set_attn_implementation(attention.NAME)
    return lambda: model.set_attn_implementation(PLAIN_ATTENTION)


def fuse_tanh_gelu(model: PreTrainedModel) -> Undo | None:
    """One kernel for the tanh form of GELU, where transformers writes it out in eight."""
    replaced = []
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if _FUSED_ACTIVATIONS.get(type(module).__name__) == _GELU_TANH:
                replaced.append(_replace(parent, name, nn.GELU(approximate="tanh")))
    return _undoing(replaced)


def narrow_last_block(model: PreTrainedModel, batch: Callable[[], KeptPositions | None]) -> Undo | None:
    """In the last block, the attention's output and the feed-forward part for the positions that are kept only.

    No block follows that would read the others. These get 0 from either part, and keep what came into the block; they
    are not read. Saves about two thirds of one block. `batch`: what runs at the moment; None for all positions.
    """
    blocks = decoder_blocks(model)
    if blocks is None:
        return None
    parts = [part for name in (*_ATTENTION_OUTPUTS, _FEED_FORWARD) if (part := _descendant(blocks[-1], name))]

    def take(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        kept = batch()
        return None if kept is None else (kept.take(args[0])[None], *args[1:])

    def put(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
        kept = batch()
        return None if kept is None else kept.put(output[0])

    before = [part.register_forward_pre_hook(take) for part in parts]
    behind = [part.register_forward_hook(put) for part in parts]
    return _undoing([handle.remove for handle in (*before, *behind)])


def decoder_blocks(model: PreTrainedModel) -> nn.ModuleList | None:
    """The outermost list of as many modules of one class as the model has layers; None where there is none."""
    layers = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers and len({type(block) for block in module}) == 1:
            return module
    return None


def applicable(model: PreTrainedModel) -> tuple[Shortcut, ...]:
    """The shortcuts worth trying on this model where it lies, for all positions of a sequence."""
    on_cpu = model.device.type == "cpu"
    packed = (pack_linear_layers,) if on_cpu and onednn_packs(model.dtype) else ()
    return (*packed, fuse_tanh_gelu)


def onednn_packs(dtype: torch.dtype) -> bool:
    """Whether torch's oneDNN can multiply numbers of this format by a packed weight on this processor."""
    identity = torch.eye(16, dtype=dtype)
    try:
        return torch.equal(PackedLinear(identity, None, None)(identity), identity)
    except (RuntimeError, AttributeError):
        return False


def _fusible(parent: nn.Module) -> Iterator[tuple[str, tuple[str, tuple[str, str]]]]:
    """(linear layer's name, (activation's name, oneDNN's name for it)) of a feed-forward module."""
    for linear_name, activation_name in _FEEDS:
        linear, activation = getattr(parent, linear_name, None), getattr(parent, activation_name, None)
        known = _FUSED_ACTIVATIONS.get(type(activation).__name__)
        if type(linear) in (nn.Linear, Conv1D) and isinstance(activation, nn.Module) and known:
            yield linear_name, (activation_name, known)


def _packed(module: nn.Module, activation: tuple[str, str] | None) -> PackedLinear:
    weight: torch.Tensor = module.weight.t() if isinstance(module, Conv1D) else module.weight  # type: ignore[assignment]
    return PackedLinear(weight, module.bias, activation)  # type: ignore[arg-type]


def _replace(parent: nn.Module, name: str, new: nn.Module) -> Undo:
    old = getattr(parent, name)
    setattr(parent, name, new)
    return lambda: setattr(parent, name, old)


def _undoing(undos: list[Undo]) -> Undo | None:
    def undo_all() -> None:
        for undo in reversed(undos):
            undo()

    return undo_all if undos else None


def _descendant(module: nn.Module, path: str) -> nn.Module | None:
    for name in path.split("."):
        found = getattr(module, name, None)
        if not isinstance(found, nn.Module):
            return None
        module = found
    return module
