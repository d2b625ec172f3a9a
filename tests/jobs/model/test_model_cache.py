"""What is kept of a model is made once, never trusted, and never needed."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from jobs.errors import UsageError
from jobs.model import model_cache
from jobs.model.loading import load_tokenizer
from jobs.model.model_cache import file_checksum, forget_checksum, kept_folder, remembered
from jobs.model.models import identify_model


def test_a_checksum_is_remembered_until_the_file_changes(tmp_path, own_cache, monkeypatch):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    monkeypatch.setattr(model_cache, "SETTLED_SECONDS", 0.0)
    hashed = []
    monkeypatch.setattr(hashlib, "file_digest", lambda f, name: hashed.append(f.name) or hashlib.sha256(f.read()))
    assert file_checksum(file) == file_checksum(file) == hashlib.sha256(b"one").hexdigest()
    assert len(hashed) == 1
    file.write_bytes(b"another")
    assert file_checksum(file) == hashlib.sha256(b"another").hexdigest()
    assert len(hashed) == 2


def unwritable(tmp_path: Path, monkeypatch) -> None:
    """The cache folder is a file: as good as a disk that cannot be written, for root too."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


def homeless(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("trouble", [unwritable, pytest.param(homeless, marks=pytest.mark.whole)])
def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    own_cache, tmp_path, temporary, monkeypatch, trouble
):
    trouble(tmp_path, monkeypatch)
    assert identify_model("smollm2").decoder_blocks == 30
    assert load_tokenizer("smollm2").encode("a, b.")
    assert list(temporary.glob("interpunct-*")) == []


def test_a_cache_that_is_full_is_left_as_it_was(own_cache, temporary):
    def fill(folder: Path) -> None:
        (folder / "part").write_text("half")
        if folder.is_relative_to(own_cache):
            raise OSError(errno.ENOSPC, "No space left on device")

    with kept_folder("models/it", fill) as folder:
        assert (folder / "part").read_text() == "half"
        assert folder.is_relative_to(temporary)
    assert [path for path in (*own_cache.rglob("*"), *temporary.iterdir()) if path.name != "models"] == []


def test_what_fails_is_not_kept_and_is_told(own_cache, temporary):
    def fill(folder: Path) -> None:
        raise ValueError("not a model")

    with pytest.raises(ValueError, match="not a model"), kept_folder("models/it", fill):
        pass
    with pytest.raises(OSError, match="while it was used"), kept_folder("models/it", Path.exists):
        raise OSError("while it was used")
    assert not list(temporary.iterdir())


def test_a_file_that_has_just_changed_is_read_each_time(tmp_path, own_cache):
    file = tmp_path / "weights"
    for content in (b"one", b"two"):
        file.write_bytes(content)
        assert file_checksum(file) == hashlib.sha256(content).hexdigest()
    assert not (own_cache / "checksums").exists()


def test_times_that_were_set_back_hide_no_change(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr(model_cache, "SETTLED_SECONDS", 0.0)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    before = file.stat()
    assert file_checksum(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_checksum(file) == hashlib.sha256(b"two").hexdigest()


def test_a_forgotten_checksum_is_read_again(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr(model_cache, "SETTLED_SECONDS", 0.0)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    file_checksum(file)
    forget_checksum(file)
    assert list((own_cache / "checksums").iterdir()) == []
    forget_checksum(file)


@pytest.mark.parametrize("place", [0, 10, 65, -1])
def test_a_remembered_text_with_a_changed_byte_is_made_again(own_cache, place):
    assert remembered("shapes", "key", lambda: "12 layers") == "12 layers"
    (entry,) = (own_cache / "shapes").iterdir()
    content = bytearray(entry.read_bytes())
    content[place] ^= 1
    entry.write_bytes(content)
    assert remembered("shapes", "key", lambda: "made again") == "made again"
    assert remembered("shapes", "key", lambda: "not asked") == "made again"


def test_a_remembered_text_of_another_key_is_not_taken(own_cache):
    remembered("shapes", "key", lambda: "12 layers")
    (entry,) = (own_cache / "shapes").iterdir()
    entry.rename(model_cache._entry("shapes", "other"))
    assert remembered("shapes", "other", lambda: "24 layers") == "24 layers"


def filled(content: bytes = b"weights") -> tuple[list[Path], object]:
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        (folder / "model.safetensors").write_bytes(content)

    return calls, fill


def change_a_byte(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"Weights")


def remove_the_file(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def remove_the_list(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def add_a_file(folder: Path) -> None:
    (folder / "adapter_config.json").touch()


def replace_by_a_file(folder: Path) -> None:
    remove_the_file(folder)
    remove_the_list(folder)
    folder.rmdir()
    folder.touch()


@pytest.mark.parametrize("damage", [change_a_byte, remove_the_file, remove_the_list, add_a_file, replace_by_a_file])
def test_a_kept_folder_that_is_damaged_is_filled_again(own_cache, damage):
    calls, fill = filled()
    for _ in range(2):
        with kept_folder("models/it", fill) as folder:
            assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert len(calls) == 1
    damage(folder)
    for _ in range(2):
        with kept_folder("models/it", fill) as folder:
            assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "model.safetensors"]
            assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert len(calls) == 2
    assert [path.name for path in own_cache.glob("models/*")] == ["it"]


def test_what_is_refused_is_refused_once_and_not_kept(own_cache, temporary):
    calls = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        raise UsageError("a tensor is missing")

    with pytest.raises(UsageError, match="a tensor is missing"), kept_folder("models/it", fill):
        pass
    assert len(calls) == 1
    assert list(own_cache.glob("models/*")) == list(temporary.iterdir()) == []
