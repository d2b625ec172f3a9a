"""How the kernels are compiled: for the processor they run on, once, and kept where the next process finds them."""

import contextlib
import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numba

KERNELS = (
    "binning", "compilation", "covariance", "finish", "joint", "marginals", "outliers", "sparse",
    "simd/binning", "simd/counting", "simd/llvm", "simd/products", "../histograms",
)  # fmt: skip
"""The modules that hold compiled code, as paths from this one."""

_njit: Any = numba.njit
_settings: Any = numba.config
_log = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a kernel: without the interpreter's lock, kept on disk, IEEE division."""
    return _njit(nogil=True, cache=True, error_model="numpy", fastmath=False)(function)


def compiled_sums(function: _Function) -> _Function:
    """The same for sums and extremes of finite numbers, which may be taken in the order that suits vector registers."""
    return _njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nnan", "nsz"})(function)


def inlined(function: _Function) -> _Function:
    """The same for the inner parts of kernels: a call that passes many arrays would cost more than their work."""
    return _njit(nogil=True, cache=True, error_model="numpy", fastmath=False, forceinline=True)(function)


@contextlib.contextmanager
def announced(after: float = 3.0) -> Iterator[None]:
    """Says in the log what a process waits for where loading the kernels takes longer than `after` seconds."""
    message = "compiling the pair kernels for this processor: once, under a minute; kept in %s"
    timer = threading.Timer(after, _log.warning, (message, _settings.CACHE_DIR))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cache_folder() -> Path:
    """A folder of this user for these very sources.

    Numba looks at one source file to tell whether its compiled code is stale; here kernels in one file are built from
    another, so the folder is named by the contents of all.
    """
    digest = hashlib.sha256()
    for module in KERNELS:
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache")
    folder = base / "interpunct" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    # Compiled code is loaded from here: a folder in a place open to all must be this user's alone.
    base = Path(tempfile.gettempdir()) / f"interpunct-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.stat().st_uid != os.getuid():
        base = Path(tempfile.mkdtemp(prefix="interpunct-"))
    folder = base / name
    folder.mkdir(exist_ok=True)
    return folder


if not _settings.CACHE_DIR:
    _settings.CACHE_DIR = str(_cache_folder())
