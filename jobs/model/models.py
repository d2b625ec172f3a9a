"""Says exactly which model a name means, and whether that is the one that a study has recorded.

A driver needs the identity only, which costs a configuration and a checksum; workers load the weights.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobs.errors import UsageError
from jobs.model.files import ModelFiles, fingerprint_of
from jobs.model.loading import load_config
from jobs.model.model_cache import remembered
from jobs.model.resolve import SMOLLM2, resolve_model


@dataclass(frozen=True)
class ModelIdentity:
    """Which model a study used, exactly enough to tell it from every other; `study.json` records it."""

    name: str
    """As the user wrote it."""
    weights: str
    """`commit:` and the hub's commit, or `sha256:` and the checksum of the files that define the model."""
    architecture: str
    """The model family, in the words of transformers (`gpt2`, `llama`)."""
    decoder_blocks: int
    hidden_layers: int
    """Hidden states of a position: the embedding, which is layer 0, and one for each decoder block."""
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


@lru_cache(maxsize=8)
def identify_model(name: str, revision: str | None = None) -> ModelIdentity:
    """Say which model `name` is, from its configuration and a checksum; no weights are loaded.

    Raises UsageError where the model is unknown, unreadable, or no decoder.
    """
    files = resolve_model(name, revision)
    weights = fingerprint_of(files)
    # Libraries that run models take seconds to import, which a driver can do without.
    shape = remembered("model_shapes", f"{weights}\n{version('transformers')}", lambda: json.dumps(_shape(files)))
    return ModelIdentity(name=name, weights=weights, **json.loads(shape))


def _shape(files: ModelFiles) -> dict[str, Any]:
    """The fields of a `ModelIdentity` that the configuration holds."""
    config = load_config(files)
    text_config = config.get_text_config()
    if getattr(config, "is_encoder_decoder", False):
        raise UsageError(f"model {files.name!r} is an encoder-decoder ({config.model_type}); use a decoder-only model")
    blocks, width = (getattr(text_config, key, None) for key in ("num_hidden_layers", "hidden_size"))
    if not blocks or not width:
        raise UsageError(
            f"model {files.name!r} ({config.model_type}) names no decoder blocks and width; use a language model"
        )
    return {
        "architecture": config.model_type,
        "decoder_blocks": blocks,
        "hidden_layers": hidden_layers(blocks),
        "width": width,
        "vocabulary": text_config.vocab_size,
        "context": getattr(text_config, "max_position_embeddings", None),
    }


def hidden_layers(decoder_blocks: int) -> int:
    """Count the hidden states of a position: the embedding, and one for each decoder block."""
    return decoder_blocks + 1


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
