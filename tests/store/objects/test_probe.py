"""A place that keeps names is told from one that cannot be written; what was tried leaves nothing behind."""

from __future__ import annotations

import pytest

from store.errors import StoreError
from store.objects.locations import object_store
from store.objects.probe import keeps_taken_names
from store.upkeep.verify import verify
from tests.builders import build_store


def test_a_store_keeps_names_and_is_left_as_it_was(location):
    build_store(location, books=1, layers=1, marks=4)
    before = sorted(entry.path for entry in object_store(location).walk())
    assert keeps_taken_names(location) is True
    assert sorted(entry.path for entry in object_store(location).walk()) == before
    assert verify(location).damages == []


def test_nothing_is_made_where_nothing_is(tmp_path):
    assert keeps_taken_names(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_a_bucket_that_is_not_there(s3_environment):
    with pytest.raises(StoreError):
        keeps_taken_names("s3://no-such-bucket/store")
