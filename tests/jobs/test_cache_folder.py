"""The cache folder follows XDG_CACHE_HOME and HOME, and is never a place relative to the working directory."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.cache_folder import cache_folder
from jobs.config import RunConfig
from jobs.corpus.cache import CacheUnusableError, Slot


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch) -> None:
    """A user whose home is /home/of-record in the system's records."""
    monkeypatch.setattr(pwd, "getpwuid", lambda number: SimpleNamespace(pw_dir="/home/of-record"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/interpunct"),
        ({"XDG_CACHE_HOME": "/caches", "HOME": "/home/me"}, "/caches/interpunct"),
        ({"HOME": "/home/me"}, "/home/me/.cache/interpunct"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/interpunct"),
        ({"XDG_CACHE_HOME": "here", "HOME": "/home/me"}, "/home/me/.cache/interpunct"),
        ({"HOME": "here"}, "/home/of-record/.cache/interpunct"),
        ({"HOME": ""}, "/home/of-record/.cache/interpunct"),
        ({}, "/home/of-record/.cache/interpunct"),
    ],
)
def test_odd_homes(monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def nobody(number: int) -> None:
    raise KeyError(number)


def test_without_any_home_it_is_said(monkeypatch):
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(OSError, match="set an absolute HOME or XDG variable"):
        cache_folder()


def test_without_any_home_downloads_are_not_kept_and_nothing_is_written_here(tmp_path, monkeypatch):
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.chdir(tmp_path)
    slot = Slot("https://example.org/book.txt", RunConfig())
    assert slot.find() is None
    with pytest.raises(CacheUnusableError, match="set an absolute HOME"), slot.new_body():
        pass
    assert os.listdir(tmp_path) == []
