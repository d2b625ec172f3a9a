"""Loads a model's configuration, tokenizer and weights, and takes no part of them for the whole.

transformers fills what a file lacks with random numbers and a warning. Here that is an error, which names what is
missing; so is a weight that is not finite.

A GGUF file holds quantised weights. Turning them into float32 takes many times longer than reading float32 from
disk, so the first load leaves them as safetensors in the user's cache folder, and later loads map that file. Where
there is no such folder, each load makes a temporary one.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import UsageError
from jobs.model.files import ModelFiles, checksum, fingerprint_of, refuse_changed, refuse_without_tokenizer
from jobs.model.model_cache import kept_folder
from jobs.model.resolve import resolve_model

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

LONGEST_REASON = 1000
"""Characters of another library's error; some go on for pages."""


@lru_cache(maxsize=8)
def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model as transformers reads it, kept for the life of the process.

    Slow, the more so from a GGUF file; `jobs.model.encoder.load_encoder` keeps what a worker needs of it.

    Raises UsageError where the model has none.
    """
    from transformers import AutoTokenizer

    files = resolve_model(name, revision)
    refuse_without_tokenizer(files)
    with _readable(files, "tokenizer"):
        if files.gguf is None:
            return AutoTokenizer.from_pretrained(files.location, revision=files.commit, trust_remote_code=False)
        return AutoTokenizer.from_pretrained(files.gguf.parent, gguf_file=files.gguf.name)


def load_config(files: ModelFiles) -> PretrainedConfig:
    """The model's configuration."""
    from transformers import AutoConfig

    config: PretrainedConfig
    with _readable(files, "configuration"):
        if files.gguf is None:
            config = AutoConfig.from_pretrained(files.location, revision=files.commit, trust_remote_code=False)
            return config
        gguf = files.gguf

        def convert(folder: Path) -> None:
            AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)

        with kept_folder(_kept_name(files, "config"), convert) as folder:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        return config


def load_model(name: str, revision: str | None = None, dtype: str = "float32") -> PreTrainedModel:
    """The model without its language-model head, in evaluation mode, on the CPU.

    Raises UsageError where it cannot be loaded, a weight is missing or not finite, or the files have changed since the
    model was recognised.
    """
    files = resolve_model(name, revision)
    fingerprint = fingerprint_of(files)
    with _readable(files, "weights"):
        if files.gguf is None:
            model = _from_pretrained(files, files.location, revision=files.commit, dtype=dtype)
            refuse_changed(files, fingerprint)
        else:
            with kept_folder(_kept_name(files, "weights"), lambda folder: _dequantise(files, folder)) as folder:
                model = _from_pretrained(files, folder, dtype=dtype)
    model.eval()
    return model


def load_untrained(name: str, revision: str | None = None, dtype: str = "float32", seed: int = 0) -> PreTrainedModel:
    """A model of the same architecture whose weights are drawn anew, as transformers draws them before training.

    The same seed gives the same weights; the process's own random numbers are left as they are.
    """
    import torch
    from transformers import AutoModel

    files = resolve_model(name, revision)
    with _readable(files, "configuration"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModel.from_config(load_config(files), dtype=getattr(torch, dtype))
    model.eval()
    return model


@contextlib.contextmanager
def _readable(files: ModelFiles, part: str) -> Iterator[None]:
    """Turn what transformers raises for a broken or missing part into one line, and let it print none."""
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            yield
    except UsageError:
        raise
    except Exception as error:  # the readers of damaged files raise errors of every kind
        reason = " ".join(str(error).split()) or type(error).__name__
        cut = f"{reason[:LONGEST_REASON]}..." if len(reason) > LONGEST_REASON else reason
        raise UsageError(f"model {files.name!r}: its {part} cannot be loaded: {cut}") from error


def _from_pretrained(files: ModelFiles, location: str | Path, **options: Any) -> PreTrainedModel:
    """Load weights, and check that they are all there and finite."""
    from transformers import AutoModel

    from jobs.model.weights import refuse_incomplete, refuse_not_finite

    model: PreTrainedModel
    model, info = AutoModel.from_pretrained(
        location, trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    refuse_incomplete(files.name, model, info)
    refuse_not_finite(files.name, model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from showing bars, and a table of what we turn into errors."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the GGUF reader's bar heeds no setting
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _dequantise(files: ModelFiles, folder: Path) -> None:
    """Write a GGUF file's weights into a folder, as float32 safetensors."""
    from safetensors.torch import save_file

    assert files.gguf is not None
    fingerprint = fingerprint_of(files)
    model = _from_pretrained(files, files.gguf.parent, gguf_file=files.gguf.name, dtype="float32")
    refuse_changed(files, fingerprint)
    load_config(files).save_pretrained(folder)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _kept_name(files: ModelFiles, part: str) -> str:
    """The version of transformers is in the name, since it is what turns a GGUF file into a model."""
    return f"models/{checksum(files)[:32]}-transformers-{version('transformers')}/{part}"
