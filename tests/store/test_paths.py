from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import paths
from store.columns import TABLES
from store.keys import ChunkKey, ShardKey

classes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", fullmatch=True)
shards = st.text("0123456789abcdef", min_size=16, max_size=16).map(ShardKey)


@st.composite
def chunk_keys(draw: st.DrawFn) -> ChunkKey:
    table = draw(st.sampled_from(sorted(TABLES)))
    values = {"layer": st.integers(0, 2000), "class": classes, "other": classes}
    layer, mark_class, other = (
        draw(values[name]) if name in TABLES[table].partitioned_by else None for name in ("layer", "class", "other")
    )
    return ChunkKey(table, draw(shards), layer, mark_class, other, draw(st.integers(0, 20_000)))


@given(chunk_keys())
def test_chunk_path_and_back(key):
    path = paths.chunk_path(key, "run-1")
    assert paths.parse_chunk_path(path) == key
    assert paths.is_made_by(path, "run-1")
    assert not paths.is_made_by(path, "run-2")


@given(chunk_keys(), chunk_keys())
def test_different_keys_have_different_paths(one, other):
    assert (one == other) == (paths.chunk_path(one, "run-1") == paths.chunk_path(other, "run-1"))
    assert paths.chunk_path(one, "run-1") != paths.chunk_path(other, "run-2")


@given(
    st.from_regex(
        r"(pairs|cross_pairs|marks|mark_layers|x)/(layer=\d{1,3}/)?(class=(and|-x)/)?(other=(but|)/)?[0-9a-f]{15,17}-[0-9a-f]{11,13}(-p\d{1,6})?\.parquet(\.tmp)?",
        fullmatch=True,
    )
)
def test_what_nearly_is_a_path_parses_only_if_chunk_path_makes_it(text):
    key = paths.parse_chunk_path(text)
    assert key is None or paths._chunk_path(key, re.search("-([0-9a-f]{12})", text)[1]) == text


def test_literal_paths():
    shard = ShardKey("00c0ffee00c0ffee")
    assert paths.chunk_path(ChunkKey("pairs", shard, 3, "terminal", part=2), "run-1") == (
        "pairs/layer=03/class=terminal/00c0ffee00c0ffee-4e65d3fbe8ad-p0002.parquet"
    )
    assert paths.chunk_path(ChunkKey("cross_pairs", shard, 12, "and", "but"), "run-1") == (
        "cross_pairs/layer=12/class=and/other=but/00c0ffee00c0ffee-4e65d3fbe8ad.parquet"
    )
    assert paths.chunk_path(ChunkKey("mark_layers", shard, 0), "run-1") == (
        "mark_layers/layer=00/00c0ffee00c0ffee-4e65d3fbe8ad.parquet"
    )
    assert paths.chunk_path(ChunkKey("marks", shard), "run-1") == "marks/00c0ffee00c0ffee-4e65d3fbe8ad.parquet"
    assert paths.entry_path(7) == "_commits/00000007.json"
    assert paths.checkpoint_path(7) == "_commits/checkpoint-00000007.json"
    assert paths.run_path("2026-01-01T00.00-abc") == "_runs/2026-01-01T00.00-abc.json"
    assert paths.lock_path("run", 12) == "_lock/run-00000012.json"


@pytest.mark.parametrize(
    "alien",
    [
        "pairs/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "marks/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "tokens/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "mark_layers/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "cross_pairs/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "pairs/layer=00/class=internal/other=terminal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "pairs/layer=0/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "pairs/layer=00/class=.other/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "pairs/layer=00/class=internal/00C0FFEE00C0FFEE-4e65d3fbe8ad.parquet",
        "pairs/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad-p0000.parquet",
        "pairs/layer=00/class=internal/00c0ffee00c0ffee.parquet",
        "pairs/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet.tmp",
        "secrets/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "../pairs/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
    ],
)
def test_alien_paths_have_no_key(alien):
    assert paths.parse_chunk_path(alien) is None
    assert not paths.is_bookkeeping(alien)


@given(st.integers(1, 10**9))
def test_lock_path_and_back(term):
    assert paths.parse_lock_path(paths.lock_path("run", term)) == ("run", term)


def test_bookkeeping():
    own = ["study.json", "_commits/00000001.json", "_commits/checkpoint-00000001.json", "_runs/a-b.json"]
    assert all(paths.is_bookkeeping(path) for path in [*own, "_lock/run-00000001.json"])
    others = ["study.json.bak", "_commits/x.json", "_commits/1.json", "_runs/a/b.json", "a", "_lock/run-1.json"]
    assert not any(paths.is_bookkeeping(path) for path in others)


def test_half_written_files_of_a_store_are_known_and_nobody_elses():
    for path in (
        "study.json",
        "pairs/layer=00/class=internal/00c0ffee00c0ffee-4e65d3fbe8ad.parquet",
        "_lock/run-00000001.json",
    ):
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/{paths.temporary_name(name)}".lstrip("/")
        assert not temporary.endswith(".parquet")
        assert paths.is_temporary(temporary)
        assert paths.is_of_a_store(temporary)
    for path in ("draft.tmp", ".notes.txt.0123456789abcdef0123456789abcdef.tmp", ".study.json.0123.tmp"):
        assert not paths.is_of_a_store(path)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "sp ace"])
def test_run_names_are_plain_file_names(name):
    with pytest.raises(ValueError, match="run name"):
        paths.run_path(name)
