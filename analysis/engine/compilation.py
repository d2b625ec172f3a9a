"""How the kernels are compiled: for the processor they run on, once, and kept where the next process finds them."""

import contextlib
import functools
import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import platformdirs
from numba.core import caching

_njit: Any = numba.njit
_settings: Any = numba.config
_log = logging.getLogger(__name__)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a kernel: without the interpreter's lock, kept on disk, IEEE division."""
    return _kept(function, fastmath=False)


def compiled_sums(function: _Function) -> _Function:
    """The same for sums and extremes of finite numbers, which may be taken in the order that suits vector registers."""
    return _kept(function, fastmath={"reassoc", "nnan", "nsz"})


def inlined(function: _Function) -> _Function:
    """The same for the inner parts of kernels: a call that passes many arrays would cost more than their work."""
    return _kept(function, fastmath=False, forceinline=True)


def _kept(function: _Function, **options: Any) -> _Function:
    kernel = _njit(nogil=True, error_model="numpy", **options)(function)
    # What Numba's `cache=True` does, with a folder of our own.
    make_cache: Any = _KernelCache  # which Numba has not typed
    kernel._cache = make_cache(function)
    return cast(_Function, kernel)


@contextlib.contextmanager
def announced(after: float = 3.0) -> Iterator[None]:
    """Says in the log what a process waits for where loading the kernels takes longer than `after` seconds."""
    message = "compiling the pair kernels for this processor: once, under a minute; kept in %s"
    timer = threading.Timer(after, _log.warning, (message, _settings.CACHE_DIR or cache_folder()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def is_cold() -> bool:
    """Whether none has been compiled from these sources on this machine, so that the first pairs wait for it."""
    folder = Path(_settings.CACHE_DIR or cache_folder())
    return not (folder.is_dir() and any(folder.iterdir()))


@functools.cache
def cache_folder() -> Path:
    """A folder of this user for these very sources, where Numba is not told another by NUMBA_CACHE_DIR.

    Numba looks at one source file to tell whether its compiled code is stale; here kernels in one file are built from
    another, so the folder is named by the contents of all.
    """
    name = f"kernels-{_digest()}"
    folder = platformdirs.user_cache_path("interpunct") / name
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


def _digest() -> str:
    """Of all modules that hold compiled code: those of the engine and some of `analysis`."""
    engine = Path(__file__).parent
    digest = hashlib.sha256()
    outside = [engine.parent / f"{name}.py" for name in ("histograms", "measures", "summaries")]
    for module in (*sorted(engine.rglob("*.py")), *outside):
        if module.name != "plain.py":  # which has none, and changes as often as the steps
            digest.update(module.read_bytes())
    return digest.hexdigest()[:16]


class _Locator(caching.UserProvidedCacheLocator):
    """Tells Numba where compiled code is kept, for the kernels made here and for no others of the process."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        subpath: Any = self.get_suitable_cache_subpath
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno
        self._cache_path = str(Path(_settings.CACHE_DIR or cache_folder()) / subpath(file))

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Any:
        locator: Any = cls(function, file)
        locator.ensure_cache_path()
        return locator


class _Results(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012, Numba's own form


class _KernelCache(caching.FunctionCache):
    _impl_class = _Results
