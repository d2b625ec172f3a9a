"""The hidden states of every layer at the last position of token windows, and nothing else.

A causal model's state at a mark depends on nothing behind it, so windows end at the mark. The language-model head is
never loaded. Windows have one length, so batches need no padding. Consecutive marks of a book share text, but at
other positions and with other left context, so no state of one window can be reused exactly in another.

Batches are cut from the windows in their order: with the same windows and batch size, the numbers are the same on
every run of a machine, however the work is spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.errors import UsageError
from jobs.model.loading import load_model, load_untrained
from jobs.model.models import ModelIdentity, identify_model

if TYPE_CHECKING:
    import torch

    from jobs.model.forward import PendingStates


class HiddenStates:
    """A loaded model that gives hidden states.

    `model` is what `--model` takes: `smollm2`, a hub name, a folder or a GGUF file. `dtype` is float32, bfloat16,
    float16, or `tf32`: float32 weights whose products a GPU makes in TF32. `device` is `auto` (a GPU where there is
    one), `cpu` or `cuda`. With a seed for `untrained` the model's architecture has random weights, as at the beginning
    of its training, in place of its own. Raises UsageError where the model cannot be loaded or looks ahead.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "float32",
        device: str = "auto",
        batch_size: int = 64,
        untrained: int | None = None,
    ) -> None:
        from jobs.model.forward import ForwardPass

        self.identity: ModelIdentity = identify_model(model, revision)
        self.device: torch.device = _device(device)
        self.batch_size = batch_size
        if dtype == "tf32" and self.device.type != "cuda":
            raise UsageError("dtype is 'tf32', which only a GPU has; use float32 or bfloat16 on this machine")
        set_product_precision(dtype)
        weights = "float32" if dtype == "tf32" else dtype
        loaded: Any
        if untrained is None:
            loaded = load_model(model, revision, weights)
        else:
            loaded = load_untrained(model, revision, weights, untrained)
        self._forward = ForwardPass(loaded.to(self.device))

    @property
    def hidden_layers(self) -> int:
        """Layers that `states` gives: the embedding, and one for each decoder block."""
        return self.identity.hidden_layers

    @property
    def width(self) -> int:
        """Dimensions of a hidden state."""
        return self.identity.width

    @property
    def smallest_batch(self) -> int:
        """The batch size, or the smallest part of a batch that had to be run alone for lack of device memory."""
        return min(self.batch_size, self._forward.smallest_batch)

    def states(self, windows: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Hidden states of all layers at the last position of each window.

        `windows`: token ids, int `[n, length]`. Returns float32 `[hidden_layers, n, width]` in the order of
        transformers' `output_hidden_states`: the embedding first, the last block's state after the final norm.
        Raises UsageError where a window is longer than the model's context or a token is not in its vocabulary.
        """
        return self.start(windows)()

    def states_at(
        self, sequences: npt.NDArray[np.integer], rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float32]:
        """Hidden states of all layers at chosen positions of some sequences, from one pass over each.

        `sequences`: token ids, int `[count, length]`, run whole; `rows`, `columns`: int `[n]`, in the order of the
        sequences and of the positions within each. Returns and raises what `states` does, `[hidden_layers, n, width]`.
        """
        return self.start(sequences, np.asarray(rows) * sequences.shape[1] + np.asarray(columns))()

    def start(self, windows: npt.NDArray[np.integer], places: npt.NDArray[np.integer] | None = None) -> PendingStates:
        """Begin what `states` does; calling what comes back waits for it and returns the states.

        `places`: instead of the last position of each window, row * length + column of those to keep, ascending.

        A GPU works meanwhile; start the next windows before asking for these, and it never waits for the caller. On a
        CPU the pass runs when the states are asked for. Raises what `states` raises.
        """
        tokens: npt.NDArray[np.int64] = np.ascontiguousarray(windows, dtype=np.int64)
        if tokens.ndim != 2:
            raise ValueError(f"windows has shape {tokens.shape}; expected [n, length]")
        self._check(tokens)
        if places is None:
            return self._forward.start(tokens, self.batch_size)
        chosen: npt.NDArray[np.int64] = np.ascontiguousarray(places, dtype=np.int64)
        if chosen.size and (chosen[0] < 0 or chosen[-1] >= tokens.size or (np.diff(chosen) < 0).any()):
            raise ValueError(f"places do not ascend within the {tokens.size} positions of the sequences")
        return self._forward.start(tokens, self.batch_size, chosen)

    def _check(self, windows: npt.NDArray[np.int64]) -> None:
        identity = self.identity
        if identity.context is not None and windows.shape[1] > identity.context:
            raise UsageError(
                f"windows are {windows.shape[1]} tokens long and the context of {identity.name!r} is "
                f"{identity.context}; set --before to {identity.context - 1} or less"
            )
        if windows.size and not 0 <= windows.min() <= windows.max() < identity.vocabulary:
            raise UsageError(
                f"token {windows.max()} is not in the vocabulary of {identity.name!r} ({identity.vocabulary} entries); "
                "does its folder hold another model's tokenizer?"
            )


def set_product_precision(dtype: str) -> None:
    """How a GPU multiplies float32 in this process: in full, or for dtype `tf32` with 10-bit mantissas."""
    import torch

    torch.backends.cuda.matmul.fp32_precision = "tf32" if dtype == "tf32" else "ieee"


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is 'cuda', but torch sees no GPU here; use --device cpu, or a torch built for CUDA")
    return torch.device(name)
