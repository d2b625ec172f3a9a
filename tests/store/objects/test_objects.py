from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from store.errors import ObjectMissing, StoreError, StoreFull, StoreUnavailable
from store.objects import local_folder
from store.objects import s3 as s3_module
from store.objects.local_folder import LocalFolder
from store.objects.locations import is_remote, object_store
from tests.store.s3_faults import Fault


def test_put_new_publishes_once(location):
    objects = object_store(location)
    assert objects.put_new("a/b/one.json", b"first")
    assert not objects.put_new("a/b/one.json", b"second")
    assert objects.read("a/b/one.json") == b"first"


def test_put_replaces(location):
    objects = object_store(location)
    objects.put("one.json", b"first")
    objects.put("one.json", b"second")
    assert objects.read("one.json") == b"second"


def test_walk_names_objects_below_a_folder_and_all(location):
    objects = object_store(location)
    for path in ("top.json", "a/one", "a/b/two", "ab/three"):
        objects.put(path, path.encode())
    assert {entry.path: entry.bytes for entry in objects.walk("a/")} == {"a/one": 5, "a/b/two": 7}
    assert {entry.path for entry in objects.walk()} == {"top.json", "a/one", "a/b/two", "ab/three"}
    assert list(objects.walk("none/")) == []


def test_delete_may_be_repeated(location):
    objects = object_store(location)
    objects.put("one", b"")
    objects.delete("one")
    objects.delete("one")
    with pytest.raises(ObjectMissing, match=r"one is missing"):
        objects.read("one")


def test_of_many_writers_one_wins_and_all_read_its_object(location):
    objects = object_store(location)
    barrier = threading.Barrier(8)

    def publish(number: int) -> bool:
        barrier.wait()
        return objects.put_new("contested", str(number).encode() * 1000)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(publish, range(8)))
    assert won.count(True) == 1
    assert objects.read("contested") == str(won.index(True)).encode() * 1000
    assert [entry.path for entry in objects.walk()] == ["contested"]


def test_a_file_system_without_links_says_so_and_still_publishes_once(tmp_path, monkeypatch, caplog):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(local_folder.os, "link", no_links)
    objects = LocalFolder(str(tmp_path))
    barrier = threading.Barrier(6)

    def publish(number: int) -> bool:
        barrier.wait()
        return objects.put_new("contested", str(number).encode() * 1000)

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(publish, range(6)))
    assert won.count(True) == 1
    assert objects.read("contested") == str(won.index(True)).encode() * 1000
    assert "has no hard links" in caplog.text
    assert os.listdir(tmp_path) == ["contested"]


def test_a_link_whose_answer_was_lost_is_ours(tmp_path, monkeypatch):
    link = os.link

    def repeated(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(local_folder.os, "link", repeated)
    assert LocalFolder(str(tmp_path)).put_new("one", b"data")
    assert not LocalFolder(str(tmp_path)).put_new("one", b"data")


def test_an_abandoned_claim_expires(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Not supported")

    monkeypatch.setattr(local_folder.os, "link", no_links)
    claim = tmp_path / ".one.claim"
    claim.mkdir()
    os.utime(claim, (0, 0))
    assert LocalFolder(str(tmp_path)).put_new("one", b"data")
    assert os.listdir(tmp_path) == ["one"]


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreUnavailable)]
)
def test_a_failing_disk_leaves_nothing_behind_and_is_an_oserror(tmp_path, monkeypatch, code, error):
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(local_folder.os, "fsync", fail)
    with pytest.raises(error, match=r"tables/one") as raised:
        LocalFolder(str(tmp_path)).put_new("tables/one", b"data")
    assert isinstance(raised.value, OSError)
    assert raised.value.exit_code == 3
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("place", "said"),
    [("gs://bucket/x", "only a local folder or s3"), ("data/[1]", "patterns"), ("s3:///x", "names no bucket")],
)
def test_places_that_cannot_hold_a_store(place, said):
    with pytest.raises(StoreError, match=said):
        object_store(place)


def test_a_place_is_looked_at_without_writing(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    LocalFolder(str(tmp_path / "a" / "b")).check_place()
    for place in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(StoreUnavailable, match="file is not a folder"):
            LocalFolder(str(place)).check_place()
    monkeypatch.setattr(local_folder.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(StoreUnavailable, match=f"no permission to write in {tmp_path}"):
        LocalFolder(str(tmp_path / "a")).check_place()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_place_with_other_files_is_refused_and_nothing_is_written(location):
    objects = object_store(location)
    objects.put("src/main.py", b"print()")
    with pytest.raises(StoreError, match=r"holds other files, src/main.py for one, .*; name one that is empty"):
        objects.check_place()
    assert [entry.path for entry in objects.walk()] == ["src/main.py"]


def test_what_a_run_that_was_stopped_at_once_leaves_is_no_other_file(location):
    objects = object_store(location)
    for path in (
        ".study.json.0123456789abcdef0123456789abcdef.tmp",
        "books/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        ".DS_Store",
    ):
        objects.put(path, b"")
    objects.check_place()


def test_books_in_a_folder_with_a_tables_name_are_other_files(tmp_path):
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / os.fsdecode(b"caf\xe9.txt")).touch()
    with pytest.raises(StoreError, match=r"books/caf\\xe9.txt for one"):
        LocalFolder(str(tmp_path)).check_place()


def test_a_folder_of_the_file_system_itself_is_not_looked_into(tmp_path, monkeypatch):
    (tmp_path / "lost+found").mkdir()
    scandir = os.scandir

    def denied(folder):
        if str(folder).endswith("lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(local_folder.os, "scandir", denied)
    LocalFolder(str(tmp_path)).check_place()


def test_markers_that_consoles_make_for_folders_are_no_objects(s3_location):
    objects = object_store(s3_location)
    for marker in ("", "books/"):
        s3_module.client(os.getpid(), s3_module.endpoint()).put_object(
            Bucket=objects.bucket, Key=objects.prefix + marker, Body=b""
        )
    objects.check_place()
    assert list(objects.walk()) == []


def test_is_remote():
    assert is_remote("s3://bucket/x")
    assert not is_remote("bucket/x")


def test_a_bucket_that_does_not_exist(s3_environment):
    with pytest.raises(StoreError, match=r"the bucket no-such-bucket does not exist; create it first"):
        object_store("s3://no-such-bucket/x").put_new("one", b"")


def test_no_credentials(s3_location, monkeypatch):
    s3_module.client.cache_clear()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StoreError, match="credentials") as raised:
        object_store(f"{s3_location}-anonymous").put_new("one", b"")
    assert not isinstance(raised.value, OSError), "trying again does not help"
    s3_module.client.cache_clear()


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "ServiceUnavailable"), (503, "SlowDown")])
def test_s3_errors_are_tried_again(s3, s3_location, quick_retries, status, code):
    fault = Fault("PUT", "/one", status, code, times=3)
    s3.inject(fault)
    assert object_store(s3_location).put_new("one", b"data")
    assert fault.seen == 3
    assert object_store(s3_location).read("one") == b"data"


def test_an_s3_that_keeps_failing_is_given_up(s3, s3_location, quick_retries):
    fault = Fault("PUT", "/one", 503, "SlowDown", times=1000)
    s3.inject(fault)
    with pytest.raises(StoreUnavailable, match="S3 answered SlowDown 8 times; run the same command again"):
        object_store(s3_location).put_new("one", b"data")
    assert fault.seen == 8


@pytest.mark.parametrize("status", [500, 503])
def test_a_put_whose_answer_was_lost_is_ours(s3, s3_location, quick_retries, status):
    fault = Fault("PUT", "/one", status, applied=True)
    s3.inject(fault)
    assert object_store(s3_location).put_new("one", b"data"), "the name is taken by our own first attempt"
    assert fault.seen == 1


def test_a_name_that_another_took_while_our_answer_was_lost_is_not_ours(s3, s3_location, quick_retries):
    objects = object_store(s3_location)
    objects.put("one", b"other")
    s3.inject(Fault("PUT", "/one", 500))
    assert not objects.put_new("one", b"data")


def test_an_answer_that_never_comes_is_asked_again(s3, s3_location, quick_retries, monkeypatch):
    s3_module.client.cache_clear()
    monkeypatch.setattr(s3_module, "READ_TIMEOUT_S", 0.3)
    fault = Fault("PUT", "/one", applied=True, delay_s=1.0)
    s3.inject(fault)
    assert object_store(f"{s3_location}-timeouts").put_new("one", b"data")
    assert fault.seen == 1
    s3_module.client.cache_clear()
