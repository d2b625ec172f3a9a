"""One forward pass that keeps chosen positions: the hidden states of all layers at the marks of some sequences.

`output_hidden_states=True` holds every position of every layer until the pass ends. Here, hooks on the decoder
blocks copy the chosen positions out as the pass goes by, and `jobs.model.shortcuts` leaves out what is not read.
Whether that gives the states that transformers would give is not assumed from a model's name: each model is probed once
when it is loaded, against the plain way, and what does not come out the same is not used.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedModel

from jobs.errors import UsageError
from jobs.model.attention import LONG
from jobs.model.models import hidden_layers
from jobs.model.shortcuts import (
    Shortcut,
    Undo,
    applicable,
    attend_in_blocks,
    can_attend_in_blocks,
    decoder_blocks,
    narrow_last_block,
)
from jobs.model.weights import remedy

logger = logging.getLogger(__name__)

PROBE_WINDOWS, PROBE_LENGTH = 2, 12
PendingStates = Callable[[], npt.NDArray[np.float32]]
"""A pass that has been started; calling it waits for the states, float32 `[hidden_layers, n, width]`."""

TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Relative difference of a layer's states that rounding may cause between two ways to run the same pass."""
TF32_TOLERANCE = 2e-2
"""The same where a GPU multiplies float32 with the 10-bit mantissas of TF32."""


class Batch(NamedTuple):
    """Sequences of one length and the positions that are kept of them.

    `tokens`: int64 `[sequences, length]`. `places`: int64 `[n]`, row * length + column of each position, ascending.
    """

    tokens: torch.Tensor
    places: torch.Tensor

    def part(self, start: int, stop: int) -> Batch:
        """The sequences from `start` to `stop` and their positions."""
        stop = min(stop, len(self.tokens))
        length = self.tokens.shape[1]
        first, last = torch.searchsorted(self.places, self.places.new_tensor([start * length, stop * length])).tolist()
        return Batch(self.tokens[start:stop], self.places[first:last] - start * length)

    def shortened(self) -> Batch:
        """The sequences up to the last position that is kept of any: no state depends on what stands behind it."""
        length = self.tokens.shape[1]
        rows, columns = self.places // length, self.places % length
        needed = int(columns.max()) + 1 if self.kept else length
        return Batch(self.tokens[:, :needed], rows * needed + columns)

    @property
    def kept(self) -> int:
        """How many positions are kept."""
        return len(self.places)

    def take(self, hidden: torch.Tensor) -> torch.Tensor:
        """The kept positions `[n, width]` of the states of all `[sequences, length, width]`."""
        return hidden.reshape(-1, hidden.shape[-1]).index_select(0, self.places)

    def put(self, kept: torch.Tensor) -> torch.Tensor:
        """States `[sequences, length, width]` with those of the kept positions, `[n, width]`, and 0 elsewhere."""
        hidden = kept.new_zeros(self.tokens.numel(), kept.shape[-1])
        return hidden.index_copy_(0, self.places, kept).view(*self.tokens.shape, -1)

    def on(self, device: torch.device) -> Batch:
        """The same on a device, by way of pinned memory: any other copy would wait for what a GPU has queued."""
        if device.type != "cuda":
            return self
        return Batch(*(part.pin_memory().to(device, non_blocking=True) for part in self))


class ForwardPass:
    """Runs a decoder over sequences of one length and keeps chosen positions of every layer.

    Raises UsageError where the model looks ahead: its state at a mark would depend on the text behind the mark; or
    where its states are not finite, here or later.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.smallest_batch: int = np.iinfo(np.int64).max
        self._too_many: int = np.iinfo(np.int64).max
        self.shortcuts: list[str] = []
        """Names of what makes the pass faster and was found to give the same states."""
        config = model.config.get_text_config()
        self._hidden_layers, self._width = hidden_layers(config.num_hidden_layers), int(config.hidden_size)
        reduced = model.device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32"
        self._tolerance = TF32_TOLERANCE if reduced and model.dtype == torch.float32 else TOLERANCE[model.dtype]
        self._kept: tuple[Batch, torch.Tensor] | None = None
        self._hooked = False
        self._refuse_look_ahead()
        self._take_shortcuts()

    def states(
        self, sequences: npt.NDArray[np.int64], batch_size: int, places: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float32]:
        """float32 `[hidden_layers, n, width]`: states of int64 `sequences` `[count, length]`, run in batches.

        `places`: which positions, int64 `[n]`, row * length + column, ascending; the last of each sequence without it.
        """
        return self.start(sequences, batch_size, places)()

    def start(
        self, sequences: npt.NDArray[np.int64], batch_size: int, places: npt.NDArray[np.int64] | None = None
    ) -> PendingStates:
        """Begin what `states` does; calling what comes back waits for it.

        On a GPU all batches are queued here, and run while the caller does something else. Elsewhere nothing is done
        before the states are asked for: the caller would wait for the same cores.
        """
        if places is None:
            places = np.arange(1, len(sequences) + 1) * sequences.shape[1] - 1
        work = Batch(torch.from_numpy(sequences), torch.from_numpy(places))
        if self.model.device.type == "cuda":
            return self._queue(work, batch_size)
        return functools.partial(self._run_batches, work, batch_size)

    @torch.inference_mode()
    def _run_batches(self, work: Batch, batch_size: int) -> npt.NDArray[np.float32]:
        result = torch.empty(self._hidden_layers, work.kept, self._width)
        filled = 0
        for batch in _batches(work, batch_size):
            result[:, filled : filled + batch.kept] = self._run_split(batch)
            filled += batch.kept
        self._refuse_not_finite(result)
        return result.numpy()

    @torch.inference_mode()
    def _queue(self, work: Batch, batch_size: int) -> PendingStates:
        """All transfers are between the GPU and pinned memory: any other would wait for the kernels queued before."""
        result = torch.empty(self._hidden_layers, work.kept, self._width, pin_memory=True)
        copies = torch.cuda.Stream()
        filled = 0
        for batch in _batches(work, batch_size):
            states = self._run_split(batch.on(self.model.device))
            _copy_out(result[:, filled : filled + batch.kept], states, copies)
            filled += batch.kept
        copied = copies.record_event()

        def wait() -> npt.NDArray[np.float32]:
            copied.synchronize()
            self._refuse_not_finite(result)
            return result.numpy()

        return wait

    def _run_split(self, batch: Batch) -> torch.Tensor:
        """Run one batch; where the device's memory does not hold it, run its halves.

        The study's batch size stands: where the batches are cut does not change, and the states are the same up to
        rounding. So a study does not come to depend on how much memory was free when it was run.
        """
        size = len(batch.tokens)
        half = size // 2
        if size < self._too_many:
            try:
                return self._run(batch)
            except torch.OutOfMemoryError:
                if size == 1:
                    raise UsageError(
                        f"the device's memory does not hold one sequence of {batch.tokens.shape[1]} tokens; "
                        "use a smaller model, or choose fewer --passage-tokens"
                    ) from None
            torch.cuda.empty_cache()
            logger.warning("%d sequences at once do not fit the device's memory; running %d at once", size, half)
            self._too_many = size
        self.smallest_batch = min(self.smallest_batch, half)
        return torch.cat([self._run_split(batch.part(0, half)), self._run_split(batch.part(half, size))], dim=1)

    def _run(self, batch: Batch) -> torch.Tensor:
        """float32 `[hidden_layers, n, width]` on the device."""
        if not self._hooked:
            return torch.stack([batch.take(layer) for layer in self._run_plainly(batch.tokens)]).float()
        kept = torch.empty(self._hidden_layers, batch.kept, self._width, device=batch.tokens.device)
        self._kept = (batch, kept)
        try:
            kept[-1] = batch.take(self.model(input_ids=batch.tokens, use_cache=False).last_hidden_state)
        finally:
            self._kept = None
        return kept

    def _run_plainly(self, tokens: torch.Tensor) -> torch.Tensor:
        """The reference: `[hidden_layers, batch, length, width]`, every position of every layer."""
        output = self.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        return torch.stack(output.hidden_states)

    @torch.inference_mode()
    def _refuse_look_ahead(self) -> None:
        """Change all later tokens, and see whether an earlier state moves."""
        tokens = self._probe_tokens()
        self._refuse_not_finite(self._run_plainly(tokens))
        changed = tokens.clone()
        middle = PROBE_LENGTH // 2
        changed[:, middle:] = tokens[:, middle:].flip(0)
        before, after = (self._run_plainly(t)[:, :, :middle].float() for t in (tokens, changed))
        if not relative_difference(after, before) <= self._tolerance:
            raise UsageError(
                f"the model ({self.model.config.model_type}) looks ahead: its state at a mark depends on the text "
                "behind it, and windows end at the mark; use a causal (decoder-only) language model"
            )

    def _refuse_not_finite(self, states: torch.Tensor) -> None:
        """Raise UsageError naming the first layer of `states` `[hidden_layers, ...]` with an infinity or NaN."""
        finite = [bool(torch.isfinite(layer).all()) for layer in states]
        if not all(finite):
            raise UsageError(
                f"the model ({self.model.config.model_type}) gives states that are not finite, from layer "
                f"{finite.index(False)} of {len(states) - 1} on, in {str(self.model.dtype).removeprefix('torch.')}"
                f"{remedy(self.model.dtype)}"
            )

    @torch.inference_mode()
    def _take_shortcuts(self) -> None:
        """Keep what gives the same states: of all positions and, where some alone are run, of these."""
        tokens = self._probe_tokens()
        everywhere = torch.arange(tokens.numel(), device=tokens.device)
        expected = self._run_plainly(tokens).float().flatten(1, 2)
        for shortcut in (self.hook_blocks, *applicable(self.model)):
            self._try(shortcut, Batch(tokens, everywhere), expected)
        some = everywhere[2::3]
        self._try(self.narrow_last_block, Batch(tokens, some), expected[:, some])
        if can_attend_in_blocks(self.model):
            long = self._probe_tokens(1, LONG)
            expected = self._run_plainly(long).float().flatten(1, 2)
            self._try(attend_in_blocks, Batch(long, torch.arange(LONG)), expected)

    def _try(self, shortcut: Shortcut, batch: Batch, expected: torch.Tensor) -> None:
        """Take a shortcut that the model has a place for and that gives the expected states."""
        undo = shortcut(self.model)
        if undo is None:
            return
        if self._gives(expected, batch):
            self.shortcuts.append(shortcut.__name__)
        else:
            undo()

    def hook_blocks(self, model: PreTrainedModel) -> Undo | None:
        """Copy the chosen positions of each block's input as the pass goes by, instead of keeping all."""
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

    def narrow_last_block(self, model: PreTrainedModel) -> Undo | None:
        """In the last block, the attention's output and the feed-forward part for the chosen positions only."""
        return narrow_last_block(model, lambda: None if self._kept is None else self._kept[0]) if self._hooked else None

    def _keep_input_of(self, layer: int) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def keep(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self._kept is not None:
                batch, kept = self._kept
                kept[layer] = batch.take(args[0] if args else kwargs["hidden_states"])

        return keep

    def _gives(self, expected: torch.Tensor, batch: Batch) -> bool:
        try:
            states = self._run(batch)
        except Exception:  # whatever a model's own code raises where a module is not what it expects
            return False
        return relative_difference(states, expected) <= self._tolerance

    def _probe_tokens(self, count: int = PROBE_WINDOWS, length: int = PROBE_LENGTH) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        vocabulary = self.model.config.get_text_config().vocab_size
        tokens = torch.randint(vocabulary, (count, length), generator=generator)
        return tokens.to(self.model.device)


def _batches(work: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(work.tokens), size):
        yield work.part(start, start + size).shortened()


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
