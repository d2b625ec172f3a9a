"""Several hosts on one machine: network namespaces on a switch of their own, which no other process can reach.

Each host has an address and a home folder of its own, and a cable that can be pulled: its link goes down, and no
connection is closed, which is what a preempted or dead machine looks like to the others. Root and iproute2 are needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BIN = Path(sys.executable).parent


def why_not() -> str | None:
    """Why this machine cannot have network namespaces; None where it can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the program `ip` is missing; install iproute2"
    name = f"probe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"network namespaces are refused here: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return None


@dataclass(frozen=True)
class Host:
    """One host: the namespace it is, its address, and its end at the switch.

    `home` is one path on all hosts, and on each a folder of its own, which this process finds at `folder`.
    """

    namespace: str
    address: str
    switch: str
    port: str
    folder: Path
    home: Path

    def start(self, command: list[str], environment: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program on this host; its output goes to `log`."""
        # `ip netns exec` gives each program its own view of the mounts, so that this one is seen by no other.
        mount_home = ["sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', str(self.folder), str(self.home)]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *mount_home, *command],
            env={**_plain_environment(), "HOME": str(self.home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def run(self, command: list[str], environment: Mapping[str, str], timeout: float, code: int = 0) -> str:
        """Run a program on this host to its end; its output. Raises AssertionError where it ends with another code."""
        path = self.folder / "last_command.log"
        with path.open("wb") as log:
            found = self.start(command, environment, log).wait(timeout)
        output = path.read_text(encoding="utf-8", errors="replace")
        assert found == code, f"{' '.join(command)} ended with {found} on {self.address}:\n{output}"
        return output

    def pull_cable(self) -> None:
        """Cut the host off at the switch: nothing comes or goes, and no connection is closed."""
        _ip("-n", self.switch, "link", "set", self.port, "down")

    def processes(self) -> list[int]:
        """Everything that runs on this host, by process id."""
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]


@contextmanager
def network(count: int, folder: Path) -> Iterator[list[Host]]:
    """`count` hosts on one switch. At the end their processes are stopped, by id, and the network is gone."""
    switch = f"switch{os.getpid()}"
    with ExitStack() as cleanup:
        _ip("netns", "add", switch)
        cleanup.callback(_ip, "netns", "del", switch)
        # The switch has no address itself: nothing but the hosts can talk over it.
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        yield [_host(number, switch, folder, cleanup) for number in range(1, count + 1)]


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> float:
    """Wait for a condition, and say how many seconds it took. Raises AssertionError when it takes too long."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout, f"{what}: not within {timeout:.0f} s"
        time.sleep(0.2)
    return time.monotonic() - started


def _host(number: int, switch: str, folder: Path, cleanup: ExitStack) -> Host:
    name, port, address = f"host{number}-{os.getpid()}", f"port{number}", f"10.213.0.{number}"
    _ip("netns", "add", name)
    cleanup.callback(_ip, "netns", "del", name)
    _ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch)
    _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    _ip("-n", name, "link", "set", "eth0", "up")
    _ip("-n", name, "link", "set", "lo", "up")
    # Ray asks the routing table for the address that others reach it by.
    _ip("-n", name, "route", "add", "default", "dev", "eth0")
    host = Host(name, address, switch, port, folder / f"h{number}", folder / "h")
    host.folder.mkdir()
    host.home.mkdir(exist_ok=True)
    cleanup.callback(_stop, host)
    return host


def _stop(host: Host) -> None:
    """End what still runs on a host: first asked to, then made to."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for pid in host.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
        deadline = time.monotonic() + 10
        while host.processes() and time.monotonic() < deadline:
            time.sleep(0.2)


def _plain_environment() -> dict[str, str]:
    """A path that finds this project's programs, and nothing of what the tests or the user have set."""
    return {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
