"""One forward pass that keeps one position: the hidden states of all layers at the end of each window.

`output_hidden_states=True` holds every position of every layer until the pass ends. Here, hooks on the decoder
blocks copy the last position out as the pass goes by, and `jobs.model.shortcuts` leaves out what is not read. Whether
that gives the states that transformers would give is not assumed from a model's name: each model is probed once when it
is loaded, against the plain way, and what does not come out the same is not used.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from jobs.errors import UsageError
from jobs.model.shortcuts import Undo, applicable, decoder_blocks

logger = logging.getLogger(__name__)

PROBE_WINDOWS, PROBE_LENGTH = 2, 12
PendingStates = Callable[[], npt.NDArray[np.float32]]
"""A pass that has been started; calling it waits for the states, float32 `[layers + 1, n, width]`."""

TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Relative difference of a layer's states that rounding may cause between two ways to run the same pass."""
TF32_TOLERANCE = 2e-2
"""The same where a GPU multiplies float32 with the 10-bit mantissas of TF32."""


class LastPositions:
    """Runs a decoder over windows of one length and keeps the last position of every layer.

    Raises UsageError where the model looks ahead: its state at a mark would depend on the text behind the mark.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.smallest_batch: int = np.iinfo(np.int64).max
        self._too_many: int = np.iinfo(np.int64).max
        self.shortcuts: list[str] = []
        """Names of what makes the pass faster and was found to give the same states."""
        config = model.config.get_text_config()
        self._layers, self._width = int(config.num_hidden_layers), int(config.hidden_size)
        reduced = model.device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32"
        self._tolerance = TF32_TOLERANCE if reduced and model.dtype == torch.float32 else TOLERANCE[model.dtype]
        self._kept: torch.Tensor | None = None
        self._hooked = False
        self._refuse_look_ahead()
        self._take_shortcuts()

    def states(self, windows: npt.NDArray[np.int64], batch_size: int) -> npt.NDArray[np.float32]:
        """float32 `[layers + 1, n, width]` for int64 `windows` `[n, length]`, run in batches of `batch_size`."""
        return self.start(windows, batch_size)()

    def start(self, windows: npt.NDArray[np.int64], batch_size: int) -> PendingStates:
        """Begin what `states` does; calling what comes back waits for it.

        On a GPU all batches are queued here, and run while the caller does something else. Elsewhere nothing is done
        before the states are asked for: the caller would wait for the same cores.
        """
        if self.model.device.type == "cuda":
            return self._queue(windows, batch_size)
        return functools.partial(self._run_batches, windows, batch_size)

    @torch.inference_mode()
    def _run_batches(self, windows: npt.NDArray[np.int64], batch_size: int) -> npt.NDArray[np.float32]:
        tokens = torch.from_numpy(windows)
        result = torch.empty(self._layers + 1, len(tokens), self._width)
        for start in range(0, len(tokens), batch_size):
            result[:, start : start + batch_size] = self._run_split(tokens[start : start + batch_size])
        return result.numpy()

    @torch.inference_mode()
    def _queue(self, windows: npt.NDArray[np.int64], batch_size: int) -> PendingStates:
        """All transfers are between the GPU and pinned memory: any other would wait for the kernels queued before."""
        tokens = torch.from_numpy(windows).pin_memory().to(self.model.device, non_blocking=True)
        result = torch.empty(self._layers + 1, len(tokens), self._width, pin_memory=True)
        copies = torch.cuda.Stream()
        for start in range(0, len(tokens), batch_size):
            batch = self._run_split(tokens[start : start + batch_size])
            _copy_out(result[:, start : start + batch_size], batch, copies)
        copied = copies.record_event()

        def wait() -> npt.NDArray[np.float32]:
            copied.synchronize()
            return result.numpy()

        return wait

    def _run_split(self, tokens: torch.Tensor) -> torch.Tensor:
        """Run one batch; where the device's memory does not hold it, run its halves.

        The study's batch size stands: where the batches are cut does not change, and the states are the same up to
        rounding. So a study does not come to depend on how much memory was free when it was run.
        """
        half = len(tokens) // 2
        if len(tokens) < self._too_many:
            try:
                return self._run(tokens)
            except torch.OutOfMemoryError:
                if len(tokens) == 1:
                    raise UsageError("the device's memory does not hold one window; use a smaller model") from None
            torch.cuda.empty_cache()
            logger.warning("%d windows at once do not fit the device's memory; running %d at once", len(tokens), half)
            self._too_many = len(tokens)
        self.smallest_batch = min(self.smallest_batch, half)
        return torch.cat([self._run_split(tokens[:half]), self._run_split(tokens[half:])], dim=1)

    def _run(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 `[layers + 1, batch, width]` on the device."""
        if not self._hooked:
            return self._run_plainly(tokens)[:, :, -1].float()
        kept = torch.empty(self._layers + 1, len(tokens), self._width, device=tokens.device)
        self._kept = kept
        try:
            kept[-1] = self.model(input_ids=tokens, use_cache=False).last_hidden_state[:, -1]
        finally:
            self._kept = None
        return kept

    def _run_plainly(self, tokens: torch.Tensor) -> torch.Tensor:
        """The reference: `[layers + 1, batch, length, width]`, every position of every layer."""
        output = self.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        return torch.stack(output.hidden_states)

    @torch.inference_mode()
    def _refuse_look_ahead(self) -> None:
        """Change all later tokens, and see whether an earlier state moves."""
        tokens = self._probe_tokens()
        changed = tokens.clone()
        middle = PROBE_LENGTH // 2
        changed[:, middle:] = tokens[:, middle:].flip(0)
        before, after = (self._run_plainly(t)[:, :, :middle].float() for t in (tokens, changed))
        if not relative_difference(after, before) <= self._tolerance:
            raise UsageError(
                f"the model ({self.model.config.model_type}) looks ahead: its state at a mark depends on the text "
                "behind it, and windows end at the mark; use a causal (decoder-only) language model"
            )

    @torch.inference_mode()
    def _take_shortcuts(self) -> None:
        tokens = self._probe_tokens()
        expected = self._run_plainly(tokens)[:, :, -1].float()
        for shortcut in (self.hook_blocks, *applicable(self.model)):
            undo = shortcut(self.model)
            if undo is None:
                continue
            if self._gives(expected, tokens):
                self.shortcuts.append(shortcut.__name__)
            else:
                undo()

    def hook_blocks(self, model: PreTrainedModel) -> Undo | None:
        """Copy the last position of each block's input as the pass goes by, instead of keeping all positions."""
        blocks = decoder_blocks(model)
        if blocks is None:
            return None
        handles = [
            block.register_forward_pre_hook(self._keep_input_of(layer), with_kwargs=True)
            for layer, block in enumerate(blocks)
        ]
        self._hooked = True

        def undo() -> None:
            self._hooked = False
            for handle in handles:
                handle.remove()

        return undo

    def _keep_input_of(self, layer: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def keep(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self._kept is not None:
                hidden = args[0] if args else kwargs["hidden_states"]
                self._kept[layer] = hidden[:, -1]

        return keep

    def _gives(self, expected: torch.Tensor, tokens: torch.Tensor) -> bool:
        try:
            states = self._run(tokens)
        except Exception:  # whatever a model's own code raises where a module is not what it expects
            return False
        return relative_difference(states, expected) <= self._tolerance

    def _probe_tokens(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        vocabulary = self.model.config.get_text_config().vocab_size
        tokens = torch.randint(vocabulary, (PROBE_WINDOWS, PROBE_LENGTH), generator=generator)
        return tokens.to(self.model.device)


def relative_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest norm of a state's difference relative to the state's norm; not a number where a value is not finite."""
    return float(((a - b).norm(dim=-1) / b.norm(dim=-1).clamp_min(1e-30)).max())


def _copy_out(target: torch.Tensor, batch: torch.Tensor, copies: torch.cuda.Stream) -> None:
    """Copy a batch to pinned memory on a stream of its own, so that the next batch's kernels run meanwhile.

    One copy per layer: each is contiguous on both sides, which is what makes it asynchronous.
    """
    copies.wait_stream(torch.cuda.current_stream())
    batch.record_stream(copies)
    with torch.cuda.stream(copies):
        for layer in range(len(batch)):
            target[layer].copy_(batch[layer], non_blocking=True)
