"""A run on one machine listens on the loopback only: nobody else in the network can reach it."""

from __future__ import annotations

import ipaddress
import os

import psutil
import pytest


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address. IPv4 in the dress of IPv6 counts as what it is."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def listeners(process: psutil.Process) -> dict[str, set[str]]:
    """Process name -> addresses it listens on, for a process and all below it."""
    found: dict[str, set[str]] = {}
    for one in (process, *process.children(recursive=True)):
        try:
            addresses = {c.laddr.ip for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
        if addresses:
            found.setdefault(one.name(), set()).update(addresses)
    return found


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_counts_as_loopback(address, expected):
    assert is_loopback(address) is expected


@pytest.mark.usefixtures("ray_cluster")
def test_a_local_ray_listens_on_the_loopback_only():
    import ray

    @ray.remote
    def worker() -> set[str]:
        return set().union(*listeners(psutil.Process()).values())

    assert ray.get(worker.remote()), "a worker that listens nowhere would prove nothing"
    found = listeners(psutil.Process(os.getpid()))
    assert {"gcs_server", "raylet"} <= set(found)
    exposed = {
        name: open_ for name, addresses in found.items() if (open_ := {a for a in addresses if not is_loopback(a)})
    }
    assert not exposed
