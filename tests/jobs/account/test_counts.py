"""A run says of a store that has become many small files what makes few of them."""

from __future__ import annotations

from jobs.account import counts
from jobs.account.counts import told_files
from store.upkeep.compaction import compact
from tests.builders import build_store


def test_many_small_files_are_told_with_the_remedy_and_few_are_not(tmp_path, monkeypatch):
    place = str(tmp_path / "a store")
    build_store(place, books=2, layers=2, marks=5, baseline=None)
    files = sum(1 for _ in (tmp_path / "a store").glob("*/**/*.parquet"))
    assert list(told_files(place)) == []
    monkeypatch.setattr(counts, "MANY_FILES", files - 1)
    (line,) = told_files(place)
    assert f"{files} files of " in line
    assert f"interpunct compact --store '{place}'" in line
    compact(place, 128 << 20, 3600)
    assert list(told_files(place)) == []
