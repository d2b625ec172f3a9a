"""A Ray of one's own starts wherever a run may be, and is nobody else's; a cluster is joined or named as missing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from jobs.cluster import ray_start
from jobs.cluster.ray_start import CLUSTER_ENVIRONMENT, LOCAL_ENVIRONMENT, join, refuse_open_token, set_environment
from jobs.errors import JobError, UsageError

ROOT = Path(__file__).resolve().parent.parent.parent.parent
LOOK = """
import os, stat, ray
from jobs.cluster.ray_start import start_local, stop
os.umask(0)
start_local(num_cpus=1)
assert ray.get(ray.remote(lambda: 2).remote()) == 2
token = os.environ["RAY_AUTH_TOKEN_PATH"]
folder = os.path.dirname(token)
assert os.path.realpath(ray._private.worker._global_node.get_session_dir_path()).startswith(folder + "/")
print(*(oct(stat.S_IMODE(os.stat(path).st_mode)) for path in (folder, token)))
stop()
print(os.path.exists(folder), "RAY_AUTH_TOKEN_PATH" in os.environ)
"""


@pytest.fixture
def own(monkeypatch) -> None:
    """No token or folder that the session's own Ray has put into the environment."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def test_ray_starts_with_a_long_temporary_folder_and_without_a_home_and_is_closed_to_others(tmp_path, own):
    scratch, home = tmp_path / ("scratch-" * 8), tmp_path / "home"
    scratch.mkdir()
    home.touch()  # no folder can be made in it, by root neither
    environment = {**os.environ, "TMPDIR": str(scratch), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["0o700 0o600", "False False"], done.stderr[-2000:]
    assert list(scratch.iterdir()) == []


def test_the_first_folder_that_is_short_and_private_is_taken(tmp_path, own, monkeypatch):
    monkeypatch.setattr(ray_start, "LONGEST_SOCKET", 1000)
    for name, place in (("RAY_TMPDIR", tmp_path / "none"), ("TMPDIR", tmp_path)):
        monkeypatch.setenv(name, str(place))
    folder = ray_start._private_folder()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_where_no_folder_fits_the_remedy_is_told(own, monkeypatch):
    monkeypatch.setattr(ray_start, "LONGEST_SOCKET", 60)
    with pytest.raises(UsageError, match=r"tried /tmp \(too long\), .* Set TMPDIR to a local folder") as raised:
        ray_start._private_folder()
    assert "\n" not in str(raised.value)


def test_the_longest_path_still_fits(own, monkeypatch):
    base = Path(tempfile.mkdtemp(prefix="x", dir="/tmp"))
    longest = base / "0123456789"[: 20 - len(str(base)) - 1]
    longest.mkdir()
    monkeypatch.setenv("TMPDIR", str(longest))
    folder = ray_start._private_folder()
    assert folder.parent == longest
    assert len(str(folder / ray_start._SOCKET)) <= ray_start.LONGEST_SOCKET
    for path in (folder, longest, base):
        path.rmdir()


def open_folder(prefix: str, dir: Path) -> str:
    (dir / prefix).mkdir()
    (dir / prefix).chmod(0o755)
    return str(dir / prefix)


def test_a_file_system_without_permissions_is_not_taken(tmp_path, own, monkeypatch):
    monkeypatch.setattr(ray_start, "LONGEST_SOCKET", 1000)
    monkeypatch.setattr(ray_start, "_places", lambda: [tmp_path])
    monkeypatch.setattr(
        tempfile, "mkdtemp", lambda prefix, dir: (Path(dir) / prefix).mkdir() or str(Path(dir) / prefix)
    )
    with pytest.raises(UsageError, match=r"\(keeps no permissions\)"):
        ray_start._private_folder()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    old = time.time() - 2 * ray_start.JUST_MADE_SECONDS
    folders = {name: tmp_path / f"ip-0-{name}" for name in ("left", "used", "new", "open")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
    folders["open"].chmod(0o755)
    (tmp_path / "ip-0-link").symlink_to(folders["new"])
    for name in ("left", "used", "open"):
        os.utime(folders[name], (old, old))
    lock = ray_start._locked(folders["used"])
    ray_start._remove_leftovers(tmp_path, "ip-0-")
    os.close(lock)
    assert {path.name for path in tmp_path.iterdir()} == {"ip-0-used", "ip-0-new", "ip-0-open", "ip-0-link"}


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o440, False), (0o644, True), (0o602, True)])
def test_a_token_file_that_is_open_to_everybody_is_refused(tmp_path, own, monkeypatch, mode, refused):
    token = tmp_path / "token"
    token.touch()
    token.chmod(mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    if refused:
        with pytest.raises(UsageError, match=rf"open to every user of this machine \({mode:o}\); chmod 600 {token}"):
            refuse_open_token()
    else:
        refuse_open_token()


def test_a_token_file_that_is_not_there_is_named(own, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/no/token")
    with pytest.raises(UsageError, match=r"RAY_AUTH_TOKEN_PATH names cannot be read: .*/no/token"):
        join("127.0.0.1:1")


def test_the_users_own_settings_of_ray_are_kept(monkeypatch):
    name = "RAY_health_check_period_ms"
    monkeypatch.setenv(name, "1234")
    set_environment(CLUSTER_ENVIRONMENT)
    assert os.environ[name] == "1234"
    assert set(CLUSTER_ENVIRONMENT) < set(LOCAL_ENVIRONMENT)


def test_where_ray_does_not_start_the_remedy_is_told_and_its_folder_goes(tmp_path, own, monkeypatch):
    """Ray's own word for a machine that is too busy, an exception of no kind."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray_start, "_started", [])

    def too_slow(**_):
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray_start.ray, "init", too_slow)
    monkeypatch.setattr(ray_start.ray, "shutdown", lambda: None)
    with pytest.raises(JobError, match=r"does not start on this machine: The current node timed out.*--serial does"):
        ray_start.start_local()
    assert list(tmp_path.iterdir()) == []


def test_no_cluster_at_an_address_is_wrong_use():
    for address in ("127.0.0.1:1", "no-such-host.invalid:6379"):
        with pytest.raises(UsageError, match=f"no Ray cluster at '{address}': "):
            join(address)
