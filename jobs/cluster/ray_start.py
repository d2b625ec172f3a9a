"""How a run comes to a Ray: one of its own on this machine, which nobody else can use, or a cluster that is there.

A Ray of one's own lives in a folder that only its user can enter: Ray makes its own folders writable for everybody, and
keeps its token readable for everybody. The folder's path is short, since the sockets in it may have 107 characters.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import ray
import ray.exceptions
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from jobs.errors import JobError, UsageError

CLUSTER_ENVIRONMENT = {
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_prestart_worker_first_driver": "0",
}
"""What every process of a cluster, and the driver, must have in its environment before Ray starts.

A machine that vanishes without closing its connections (a cut link, a preempted spot instance) is found out by the
first five in some 20 seconds. With Ray's defaults, work on the healthy machines stands still for minutes, and the task
that ran on the lost one may stay pending for ever. The last lets a driver join before the first worker processes run:
with the default it waits for them, and for ever if they are killed while they start.
"""

LOCAL_ENVIRONMENT = {
    **CLUSTER_ENVIRONMENT,
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

TOKEN, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
JUST_MADE_SECONDS = 60.0
"""A folder that another run has made so lately may not be locked yet."""

LONGEST_SOCKET = 107
"""Characters of a socket's path, by the kernel."""

_SOCKET = "r/session_2026-01-31_23-59-59_999999_9999999/sockets/plasma_store"
"""What Ray adds to the folder that it is given, at its longest."""

_GIB = 1 << 30
_LOCAL_OBJECT_STORE = (_GIB // 4, 8 * _GIB)


@dataclass(frozen=True)
class _Started:
    """The folder of this process's own Ray, the lock that says that it is in use, and whether the token is in it."""

    folder: Path
    lock: int
    has_token: bool


_started: list[_Started] = []


def start_local(num_cpus: int | None = None) -> None:
    """Start Ray on this machine for this process alone: loopback only, no dashboard, quiet.

    Raises UsageError where no folder can hold it, or a token that the user named is open to others; JobError where
    Ray does not start.
    """
    set_environment(LOCAL_ENVIRONMENT)
    refuse_open_token()
    folder = _private_folder()
    _started.append(_Started(folder, _locked(folder), _set_token(folder)))
    # By itself Ray turns the loopback address into one that other machines reach, and listens on all of them. This is
    # the switch by which it stays on the loopback where a cluster of several machines is not supported.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder / "r"),
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_local_object_store(),
        )
    except Exception as error:  # Ray says with a bare Exception that a busy machine was too slow to start it
        reason = " ".join(str(error).split()) or type(error).__name__
        stop()
        raise JobError(f"Ray does not start on this machine: {reason}; --serial does without it") from error
    except BaseException:
        stop()
        raise


def join(address: str) -> None:
    """Connect to a running cluster. Raises UsageError where there is none, or its token is open to others."""
    set_environment(CLUSTER_ENVIRONMENT)
    refuse_open_token()
    try:
        _refuse_deaf(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"no Ray cluster at {address!r}: {reason}") from error


def stop() -> None:
    """Leave the cluster, or end this process's own Ray and remove its folder."""
    ray.shutdown()
    while _started:
        started = _started.pop()
        if started.has_token:
            os.environ.pop(TOKEN_FILE, None)
        shutil.rmtree(started.folder, ignore_errors=True)
        os.close(started.lock)


def set_environment(settings: Mapping[str, str]) -> None:
    """Set what the user has not set. Ray has read its settings when it was imported, and is told to read them again."""
    os.environ.update({name: os.environ.get(name, value) for name, value in settings.items()})
    # The loop tells each failure once. Ray would tell it again for every other result of the same task.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    Config.initialize("")


def refuse_open_token() -> None:
    """Raise UsageError where the token file that the user named can be read or written by every user of the machine."""
    path = os.environ.get(TOKEN_FILE)
    if path is None or TOKEN in os.environ:
        return
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise UsageError(f"the token file that {TOKEN_FILE} names cannot be read: {error}") from error
    if mode & 0o007:
        raise UsageError(f"the token file {path} is open to every user of this machine ({mode:o}); chmod 600 {path}")


def _private_folder() -> Path:
    """A new folder that only this user can enter, where the sockets' paths are not too long."""
    tried = []
    for base in _places():
        room = LONGEST_SOCKET - len(os.fsencode(base)) - len(_SOCKET) - 2
        prefix = f"ip-{os.getuid()}-"
        if room < len(prefix) + 8:
            tried.append(f"{base} (too long)")
            continue
        _remove_leftovers(base, prefix)
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        except OSError as error:
            tried.append(f"{base} ({error.strerror or error})")
            continue
        if _is_private(folder):
            return folder
        folder.rmdir()
        tried.append(f"{base} (keeps no permissions)")
    raise UsageError(
        f"Ray needs a folder for its sockets that only you can enter, with a short path; tried {', '.join(tried)}. "
        "Set TMPDIR to a local folder with a path of at most 20 characters, or use --serial"
    )


def _places() -> Iterator[Path]:
    """Folders to try, once each."""
    named = [os.environ.get(name) for name in ("RAY_TMPDIR", "TMPDIR")]
    places = [Path(place).absolute() for place in (*named, "/tmp", "/var/tmp", "/dev/shm") if place]
    yield from dict.fromkeys(places)


def _is_private(path: Path) -> bool:
    """Whether the permissions that were asked for were given: some file systems have none."""
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _remove_leftovers(base: Path, prefix: str) -> None:
    """Remove the folders of runs of this user that were killed: nobody holds their lock."""
    for folder in base.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            new = time.time() - folder.stat().st_mtime < JUST_MADE_SECONDS
            if new or folder.is_symlink() or not _is_private(folder):
                continue
            lock = _locked(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int:
    """The open lock of a folder, which ends with this process. Raises OSError where another process holds it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _set_token(folder: Path) -> bool:
    """Make a token for this Ray alone, unless the user has named one; whether it was made."""
    made = TOKEN not in os.environ and TOKEN_FILE not in os.environ
    if made:
        path = folder / "token"
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        os.environ[TOKEN_FILE] = str(path)
    AuthenticationTokenLoader.instance().reset_cache()  # it may hold that of an earlier Ray of this process
    return made


def _refuse_deaf(address: str) -> None:
    """Raise OSError where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10.0).close()


def _local_object_store() -> int:
    """An eighth of this machine's memory, within bounds: only blocks in flight live there."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    smallest, largest = _LOCAL_OBJECT_STORE
    return min(max(memory // 8, smallest), largest)
