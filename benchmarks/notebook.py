"""The teaching notebook's procedure, written plainly from its description: the baseline of the benchmarks.

One forward pass per mark over the whole window, language-model head and all hidden states included; then a Python
double loop over all pairs with `numpy.histogram2d`. Standard scores are computed once per vector, not once per pair,
which is in the baseline's favour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from jobs.model.resolve import resolve_model

BINS, OUTLIER_Z, MARK = 15, 5.0, 20


def load(name: str) -> Any:
    """The whole causal language model, head included."""
    files = resolve_model(name)
    if files.gguf:
        model = AutoModelForCausalLM.from_pretrained(files.gguf.parent, gguf_file=files.gguf.name, dtype="float32")
    else:
        model = AutoModelForCausalLM.from_pretrained(files.location, revision=files.commit, dtype="float32")
    return model.eval()


@torch.no_grad()
def hidden_states(model: Any, windows: NDArray[np.int64], batch_size: int = 1) -> NDArray[np.float32]:
    """float32 `[layers + 1, n, D]` at the mark of each window of `[n, 31]` tokens; the notebook's batch size is 1."""
    parts = []
    for start in range(0, len(windows), batch_size):
        tokens = torch.from_numpy(windows[start : start + batch_size]).to(model.device)
        output = model(tokens, output_hidden_states=True)
        parts.append(np.stack([layer[:, MARK].float().cpu().numpy() for layer in output.hidden_states]))
    return np.concatenate(parts, axis=1)


def pair(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Mutual information (bits) and covariance of two `[D]` vectors: all that a pair needs, from the vectors alone."""
    return _left(x, y, kept(x) & kept(y))


def pairs(states: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of all pairs of `[n, D]` vectors, in the order of the double loop; outliers once for each vector."""
    keep = [kept(x) for x in states]
    both = [
        _left(states[i], states[j], keep[i] & keep[j]) for i in range(len(states)) for j in range(i + 1, len(states))
    ]
    information, covariance = zip(*both, strict=True)
    return np.array(information), np.array(covariance)


def kept(x: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which dimensions of a vector are not outliers."""
    return np.asarray(np.abs((x - x.mean()) / x.std(ddof=1)) <= OUTLIER_Z)


def _left(x: NDArray[np.float32], y: NDArray[np.float32], both: NDArray[np.bool_]) -> tuple[float, float]:
    x, y = x[both], y[both]
    return _mutual_information(x, y), float(np.cov(x.astype(np.float64), y.astype(np.float64))[0, 1])


def _mutual_information(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    joint, _, _ = np.histogram2d(x, y, bins=BINS)
    p = joint / joint.sum()
    return _entropy(p.sum(axis=1)) + _entropy(p.sum(axis=0)) - _entropy(p)


def _entropy(p: NDArray[np.float64]) -> float:
    occupied = p[p > 0]
    return -sum(occupied * np.log2(occupied))
