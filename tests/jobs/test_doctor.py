"""Each check says what is wrong where it is wrong for real, and nothing where it is not."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import interpunct
from jobs import doctor
from jobs.doctor import Verdict
from tests.builders import build_store

NOTE, PROBLEM, WELL = Verdict.NOTE, Verdict.PROBLEM, Verdict.WELL


class Forgetful(BaseHTTPRequestHandler):
    """A server that takes every PUT, whatever its condition says, and has nothing to show."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")

    def do_DELETE(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def forgetful() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_python():
    assert doctor.check_python((3, 11)).verdict is WELL
    old = doctor.check_python((3, 10))
    assert (old.verdict, old.remedy) == (PROBLEM, "install Python 3.11 or newer, and Interpunct with it")


def test_packages():
    assert doctor.check_packages().verdict is WELL
    absent = doctor.check_packages(("torch", "no_such_package"))
    assert (absent.verdict, absent.found.split()[0]) == (NOTE, "no_such_package")


def test_a_gpu_that_torch_does_not_see(tmp_path):
    assert doctor.without_gpu(tmp_path, None).verdict is NOTE
    (tmp_path / "nvidia0").touch()
    assert "built without CUDA" in doctor.without_gpu(tmp_path, None).found
    assert "does not see it" in doctor.without_gpu(tmp_path, "12.8").found
    assert doctor.without_gpu(tmp_path, "12.8").verdict is PROBLEM


def test_shared_memory_that_is_small_or_absent(tmp_path):
    assert doctor.check_shared_memory(tmp_path, wanted=1).verdict is WELL
    small = doctor.check_shared_memory(tmp_path, wanted=1 << 60)
    assert (small.verdict, "--shm-size" in small.remedy) == (PROBLEM, True)
    assert doctor.check_shared_memory(tmp_path / "none").verdict is NOTE


def test_a_disk_that_is_nearly_full(tmp_path):
    place = tmp_path / "not" / "made" / "yet"
    assert doctor.check_disk("disk", place, little=1, very_little=1).verdict is WELL
    assert doctor.check_disk("disk", place, little=1 << 60, very_little=1).verdict is NOTE
    assert doctor.check_disk("disk", place, little=1 << 60, very_little=1 << 60).verdict is PROBLEM


def test_a_cluster_that_does_not_answer(closed_port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert doctor.check_address(f"127.0.0.1:{server.getsockname()[1]}").verdict is WELL
    away = doctor.check_address(f"ray://127.0.0.1:{closed_port}")
    assert (away.verdict, "refused" in away.found) == (PROBLEM, True)
    assert doctor.check_address("auto").verdict is NOTE


def test_a_hub_that_is_away_or_switched_off(monkeypatch, forgetful, closed_port):
    for name in ("HTTP_PROXY", "http_proxy", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert doctor.check_hub(forgetful).verdict is WELL
    away = doctor.check_hub(f"http://127.0.0.1:{closed_port}")
    assert (away.verdict, "refused" in away.found) == (NOTE, True)
    assert doctor.check_hub("no address").verdict is NOTE
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in doctor.check_hub(forgetful).found


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [check.name for check in doctor.check_cache()] == ["cache folder", "cache's disk"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (check,) = doctor.check_cache()
    assert (check.verdict, "XDG_CACHE_HOME" in check.remedy) == (NOTE, True)


def test_a_store_keeps_a_name_that_is_taken(tmp_path):
    location = str(tmp_path / "store")
    build_store(location, books=1, layers=1, marks=4)
    assert doctor.check_store(location).verdict is WELL
    assert doctor.check_store(location).found.endswith("keeps names that are taken")


def test_a_store_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    assert "is not a folder" in doctor.check_store(str(tmp_path / "file" / "store")).found
    assert doctor.check_store(str(tmp_path / "store")).found.endswith("can be made")
    assert not (tmp_path / "store").exists()


def test_a_server_that_gives_a_name_twice(monkeypatch, forgetful):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", forgetful)
    check = doctor.check_store("s3://bucket/another-store")
    assert (check.verdict, "If-None-Match" in check.remedy) == (PROBLEM, True)


def test_the_command_lists_all_and_fails_for_a_problem(monkeypatch, tmp_path, capsys, closed_port):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert interpunct.main(["doctor", "--store", str(tmp_path / "store")]) in (0, 1)
    said = capsys.readouterr().out
    for name in ("Python", "packages", "GPU", "Ray's memory", "hub", "cache folder", "temporary folder", "store"):
        assert f" {name}" in said
    assert not Path(tmp_path / "store").exists()
    assert interpunct.main(["doctor", "--address", f"127.0.0.1:{closed_port}"]) == 1
    said = capsys.readouterr().out
    assert "problem  cluster" in said
    assert "-> start the cluster" in said
    assert os.environ["HF_HUB_OFFLINE"] == "1"
