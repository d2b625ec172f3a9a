"""The files that make a model: which they are, what tells them from all others, and what is wrong with them.

All of it is told from names, sizes and first bytes, before anything is loaded: libraries that load models take a
part for the whole, and what they do not know for nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import UsageError
from jobs.model.model_cache import file_checksum, forget_checksum, read_checksum

_DEFINITION = (
    "config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "added_tokens.json",
)
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "*.model", "vocab.*", "tokenizer_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order in which transformers looks for them; either may come in shards, which an index file names."""

_ADAPTER = "adapter_config.json"
_GIT_LFS = b"version https://git-lfs.github.com/spec/"
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_BLOB = re.compile(r"[0-9a-f]{64}")
_LONGEST_HEADER = 100_000_000
"""Bytes; what the safetensors library allows."""


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
        return Path(self.location) if self.commit is None and is_gguf(Path(self.location)) else None


def is_gguf(path: Path) -> bool:
    """Whether the name is that of a GGUF file."""
    return path.suffix.lower() == ".gguf"


def folder_model(name: str, folder: Path) -> ModelFiles:
    """The model in a folder. Raises UsageError where there is none, or not all of it."""
    if not (folder / "config.json").exists():
        if (folder / _ADAPTER).exists():
            raise UsageError(f"model {name!r} is an adapter without its model; {_merge_remedy()}")
        found = sorted(path for path in folder.iterdir() if is_gguf(path))
        remedy = f"name its file {found[0]}" if found else "name a folder that `save_pretrained` wrote"
        raise UsageError(f"model {name!r} is a folder without a config.json; {remedy}")
    if (folder / _ADAPTER).exists():
        raise UsageError(
            f"model {name!r} has an adapter beside its weights ({_ADAPTER}), which may belong to them or not; "
            f"{_merge_remedy()}, or move the adapter elsewhere to use the model without it"
        )
    for path in definition_files(name, folder):
        _refuse_pointer(name, path)
        if path.suffix == ".safetensors":
            _refuse_cut_safetensors(name, path)
    return ModelFiles(name, str(folder))


def gguf_model(name: str, path: Path) -> ModelFiles:
    """The model in a GGUF file. Raises UsageError where the file is none, or a part of one."""
    if not is_gguf(path):
        raise UsageError(f"model {name!r} is a file, but not a GGUF file; name the folder that holds the model")
    _refuse_pointer(name, path)
    part = _PART.search(path.name)
    if part and int(part[2]) > 1:
        raise UsageError(
            f"model {name!r} is part {int(part[1])} of a model in {int(part[2])} files; join them into one with "
            "`llama-gguf-split --merge FIRST_PART WHOLE.gguf`, which comes with llama.cpp, and name that"
        )
    return ModelFiles(name, str(path))


def weight_files(name: str, folder: Path) -> list[Path]:
    """The files of weights that transformers would load from a folder, sorted.

    Raises UsageError where there are none, or an index names one that is not there.
    """
    for whole in _WEIGHTS:
        if (folder / whole).is_file():
            return [folder / whole]
        index = folder / f"{whole}.index.json"
        if index.is_file():
            return [index, *_shards(name, index)]
    raise UsageError(f"model {name!r} is a folder without weights ({', '.join(_WEIGHTS)}, or shards with an index)")


def definition_files(name: str, folder: Path) -> list[Path]:
    """All files that decide what a model gives: weights, configuration and tokenizer, sorted."""
    others = (path for pattern in _DEFINITION for path in folder.glob(pattern) if path.is_file())
    return sorted({*weight_files(name, folder), *others})


def refuse_without_tokenizer(files: ModelFiles) -> None:
    """Raise UsageError where a folder has no file that a tokenizer could be read from."""
    if files.commit is None and files.gguf is None:
        folder = Path(files.location)
        if not any(True for pattern in _TOKENIZERS for _ in folder.glob(pattern)):
            raise UsageError(
                f"model {files.name!r} has no tokenizer: its folder holds none of {', '.join(_TOKENIZERS)}; "
                "save the model's own there, `AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)`"
            )


def fingerprint_of(files: ModelFiles) -> str:
    """As `ModelIdentity.weights`: tells the files that define a model from all others, its tokenizer's included."""
    return f"commit:{files.commit}" if files.commit else f"sha256:{checksum(files)}"


def checksum(files: ModelFiles, of_file: Callable[[Path], str] = file_checksum) -> str:
    """SHA-256 of a GGUF file, or over the names and checksums of a folder's weights, configuration and tokenizer."""
    if files.gguf:
        return of_file(files.gguf)
    paths = definition_files(files.name, Path(files.location))
    lines = [f"{path.name} {of_file(path)}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def refuse_changed(files: ModelFiles, fingerprint: str) -> None:
    """Read what has been loaded once more, and raise UsageError where it is not what the model was recognised by."""
    if files.commit is not None:
        _refuse_damaged_blobs(files)
        return
    if fingerprint == f"sha256:{checksum(files, read_checksum)}":
        return
    for path in [files.gguf] if files.gguf else definition_files(files.name, Path(files.location)):
        forget_checksum(path)
    raise UsageError(
        f"model {files.name!r}: its files do not hold what it was recognised by ({fingerprint}): they are being "
        "written, or the disk is at fault. Restore them, and run the command again"
    )


def _refuse_damaged_blobs(files: ModelFiles) -> None:
    """The hub's cache names each large file by its SHA-256."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(files.location, "config.json", revision=files.commit)
    folder = Path(config).parent if isinstance(config, str) else None
    for path in definition_files(files.name, folder) if folder else ():
        blob = path.resolve()
        if _BLOB.fullmatch(blob.name) and read_checksum(blob) != blob.name:
            raise UsageError(f"model {files.name!r}: {path.name} is damaged in the hub's cache; remove {blob}")


def _shards(name: str, index: Path) -> list[Path]:
    _refuse_pointer(name, index)
    try:
        named = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        paths = [index.parent / shard for shard in named]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"model {name!r}: {index.name} is damaged ({error}); copy or download it again") from error
    outside = [shard for shard in named if Path(shard).name != shard]
    if outside:
        raise UsageError(f"model {name!r}: {index.name} names files outside of its folder: {_listed(outside)}")
    absent = [path.name for path in paths if not path.is_file()]
    if absent or not paths:
        missing = f"{len(absent)} of {len(paths)} files that {index.name} names are not there: {_listed(absent)}"
        raise UsageError(f"model {name!r}: {missing}; copy or download the rest")
    return paths


def _refuse_pointer(name: str, path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_GIT_LFS)) == _GIT_LFS:
            raise UsageError(
                f"model {name!r}: {path.name} is a pointer of git-lfs, not the file itself; "
                f"run `git lfs pull` in {path.parent}"
            )


def _refuse_cut_safetensors(name: str, path: Path) -> None:
    """The header says how long the file is."""
    size = path.stat().st_size
    whole = _length_of_safetensors(path, size)
    if whole is None:
        raise UsageError(
            f"model {name!r}: {path.name} is not a safetensors file, or cut off in its header ({size:,} bytes)"
        )
    if size != whole:
        cut = "cut off" if size < whole else "longer than it says"
        raise UsageError(
            f"model {name!r}: {path.name} is {cut}: {size:,} bytes, and its header tells of {whole:,}; "
            "copy or download it again"
        )


def _length_of_safetensors(path: Path, size: int) -> int | None:
    """Bytes that the file should have; None where its header cannot be read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size, _LONGEST_HEADER):
            return None
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
            return 8 + length + int(max(ends, default=0))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return None


def _merge_remedy() -> str:
    return "merge it (`merge_and_unload()` of peft), save the whole with `save_pretrained`, and name that folder"


def _listed(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
