"""One forward pass that keeps one position: the hidden states of all layers at the end of each window.

`output_hidden_states=True` keeps every layer's state at every position until the pass ends. Here, hooks on the
decoder blocks copy the last position out as the pass goes by. Whether that gives the very states that transformers
would is not assumed from a model's name: each model is probed once when it is loaded, against the plain way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from jobs.errors import UsageError

PROBE_WINDOWS, PROBE_LENGTH = 2, 12
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""Largest relative difference that rounding may cause between two ways to run the same pass."""


class LastPositions:
    """Runs a decoder over windows of one length and keeps the last position of every layer.

    Raises UsageError where the model looks ahead: its state at a mark would depend on the text behind the mark.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.smallest_batch: int = np.iinfo(np.int64).max
        self._probe_causality()
        self._blocks = _decoder_blocks(model)
        self._buffer: torch.Tensor | None = None
        if self._blocks is not None:
            self._handles = [
                block.register_forward_pre_hook(self._keep_input_of(layer), with_kwargs=True)
                for layer, block in enumerate(self._blocks)
            ]
            self._probe_hooks()

    @property
    def layers(self) -> int:
        """Decoder blocks."""
        return int(self.model.config.get_text_config().num_hidden_layers)

    @torch.inference_mode()
    def states(self, windows: npt.NDArray[np.int64], batch_size: int) -> npt.NDArray[np.float32]:
        """float32 `[layers + 1, n, width]` for int64 `windows` `[n, length]`, run in batches of `batch_size`."""
        tokens = torch.from_numpy(windows)
        width = int(self.model.config.get_text_config().hidden_size)
        on_gpu = self.model.device.type == "cuda"
        result = torch.empty(self.layers + 1, len(tokens), width, pin_memory=on_gpu)
        copies = torch.cuda.Stream() if on_gpu else None
        for start in range(0, len(tokens), batch_size):
            stop = min(start + batch_size, len(tokens))
            batch = self._run_split(tokens[start:stop].to(self.model.device, non_blocking=True))
            if copies is None:
                result[:, start:stop] = batch
            else:
                _copy_out(result[:, start:stop], batch, copies)
        if copies is not None:
            copies.synchronize()
        return result.numpy()

    def _run_split(self, tokens: torch.Tensor) -> torch.Tensor:
        """Run one batch; where the device's memory does not hold it, run its halves."""
        try:
            return self._run(tokens)
        except torch.OutOfMemoryError:
            if len(tokens) == 1:
                raise UsageError("the device's memory does not hold one window; use a smaller model") from None
        torch.cuda.empty_cache()
        half = len(tokens) // 2
        self.smallest_batch = min(self.smallest_batch, half)
        return torch.cat([self._run_split(tokens[:half]), self._run_split(tokens[half:])], dim=1)

    def _run(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 `[layers + 1, batch, width]` on the device."""
        if self._blocks is None:
            return self._run_plainly(tokens)[:, :, -1].float()
        config = self.model.config.get_text_config()
        self._buffer = torch.empty(self.layers + 1, len(tokens), config.hidden_size, device=tokens.device)
        output = self.model(input_ids=tokens, use_cache=False)
        self._buffer[-1] = output.last_hidden_state[:, -1]
        return self._buffer

    def _run_plainly(self, tokens: torch.Tensor) -> torch.Tensor:
        """The reference: `[layers + 1, batch, length, width]`, every position of every layer."""
        output = self.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        return torch.stack(output.hidden_states)

    def _keep_input_of(self, layer: int) -> Any:
        def keep(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self._buffer is not None:
                hidden = args[0] if args else kwargs["hidden_states"]
                self._buffer[layer] = hidden[:, -1]

        return keep

    @torch.inference_mode()
    def _probe_causality(self) -> None:
        """Change all later tokens, and see whether an earlier state moves."""
        tokens = self._probe_tokens()
        changed = tokens.clone()
        middle = PROBE_LENGTH // 2
        changed[:, middle:] = tokens[:, middle:].flip(0)
        before, after = (self._run_plainly(t)[:, :, :middle].float() for t in (tokens, changed))
        if _relative_difference(before, after) > TOLERANCE[self.model.dtype]:
            raise UsageError(
                f"the model ({self.model.config.model_type}) looks ahead: its state at a mark depends on the text "
                "behind it, and windows end at the mark; use a causal (decoder-only) language model"
            )

    @torch.inference_mode()
    def _probe_hooks(self) -> None:
        """Keep the hooks only where they give what transformers gives."""
        tokens = self._probe_tokens()
        expected = self._run_plainly(tokens)[:, :, -1].float()
        kept = self._run(tokens)
        self._buffer = None
        if kept.shape != expected.shape or _relative_difference(kept, expected) > TOLERANCE[self.model.dtype]:
            for handle in self._handles:
                handle.remove()
            self._blocks = None

    def _probe_tokens(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        vocabulary = self.model.config.get_text_config().vocab_size
        tokens = torch.randint(vocabulary, (PROBE_WINDOWS, PROBE_LENGTH), generator=generator)
        return tokens.to(self.model.device)


def _decoder_blocks(model: PreTrainedModel) -> nn.ModuleList | None:
    """The list of decoder blocks: the outermost list of as many modules of one class as the model has layers."""
    layers = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == layers and len({type(block) for block in module}) == 1:
            return module
    return None


def _relative_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference of a layer, relative to the largest value of that layer."""
    difference = (a - b).abs().flatten(1).amax(1)
    return float((difference / b.abs().flatten(1).amax(1).clamp_min(1e-30)).max())


def _copy_out(target: torch.Tensor, batch: torch.Tensor, copies: torch.cuda.Stream) -> None:
    """Copy a batch to pinned memory on a stream of its own, so that the next batch's kernels run meanwhile.

    One copy per layer: each is contiguous on both sides, which is what makes it asynchronous.
    """
    copies.wait_stream(torch.cuda.current_stream())
    batch.record_stream(copies)
    with torch.cuda.stream(copies):
        for layer in range(len(batch)):
            target[layer].copy_(batch[layer], non_blocking=True)
