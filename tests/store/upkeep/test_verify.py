"""Every kind of damage is found, named and mended by dropping what can be recomputed."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from store import paths
from store.columns import TABLES
from store.commits import live_records, load_records
from store.encoding import encode
from store.entries import entry_to_json
from store.errors import NoStore, StoreLocked
from store.keys import ChunkKey, ShardKey
from store.lock import MAINTENANCE, StoreLock
from store.log import CommitLog
from store.objects.locations import object_store
from store.query.reader import open_store
from store.upkeep import compaction
from store.upkeep import verify as verify_module
from store.upkeep.compaction import compact
from store.upkeep.verify import fix, verify
from store.writer import StudyWriter, publish_chunk
from tests.builders import RUN, book_chunks, build_store, publish_book, record_of, shard_of, synthetic_study

BOOKS, LAYERS, MARKS = 2, 2, 5
STUDY = synthetic_study(LAYERS, MARKS)
FILES = (3 + 3 + 3) * LAYERS + 8
"""Of a book: each layer's pairs of and between three classes and two tables of its own; five tables without layers."""
PAIRS_KEY = ChunkKey("pairs", shard_of(STUDY, 0), 1, "internal")
PAIRS = paths.chunk_path(PAIRS_KEY, RUN)


@pytest.fixture
def built(any_location):
    build_store(any_location, BOOKS, LAYERS, MARKS)
    return any_location


def digest(location, *tables):
    """The rows of some tables, or of all, in two numbers each."""
    with open_store(location) as store:
        return [
            store.sql(f"SELECT count(*), sum(hash(t)) FROM {name} t").fetchall()
            for name in tables or [name for name in store.tables() if name != "study"]
        ]


def recompute(location):
    """What a run does: commit every shard that is not committed."""
    writer, run = StudyWriter.open(location, STUDY), f"run-{uuid.uuid4().hex}"
    with writer.lock():
        for number in range(BOOKS):
            if shard_of(STUDY, number).name not in writer.committed().shards:
                writer.commit(publish_book(location, STUDY, number, run))


def recommit(location, key, change, study=STUDY):
    """Replace one table of a committed shard by a changed one, with a record that vouches for it."""
    objects = object_store(location)
    (record,) = [r for r in load_records(objects) if r.shard == key.shard]
    table = dict(book_chunks(study, 0))[key]
    objects.delete(paths.chunk_path(key, RUN))
    receipt = publish_chunk(location, key, change(table), RUN)
    files = tuple(receipt if file.path == receipt.path else file for file in record.files)
    objects.put(record.path, entry_to_json(replace(record, files=files)))


def record_path(location, shard):
    """The entry that committed a shard."""
    (record,) = [r for r in load_records(object_store(location)) if r.shard == shard]
    return record.path


def test_a_sound_store_has_no_damage(built):
    findings = verify(built)
    assert findings.damages == []
    assert findings.uncommitted == []
    assert (findings.records, findings.files) == (BOOKS, BOOKS * FILES)
    assert findings.rows == sum(table.num_rows for number in range(BOOKS) for _, table in book_chunks(STUDY, number))


DAMAGES = {
    "missing": (lambda objects, path: objects.delete(path), "is missing"),
    "truncated": (
        lambda objects, path: objects.put(path, objects.read(path)[:-9]),
        r"has \d+ bytes; its commit says \d+",
    ),
    "empty": (lambda objects, path: objects.put(path, b""), "has 0 bytes"),
    "one bit": (lambda objects, path: flip_bit(objects, path), "sha256 differs"),
}


def flip_bit(objects, path):
    data = bytearray(objects.read(path))
    data[len(data) // 2] ^= 1
    objects.put(path, bytes(data))


def test_a_harmed_file_is_named_and_its_shard_recomputed(built):
    before, pairs, objects = digest(built), digest(built, "pairs"), object_store(built)
    for harm, said in DAMAGES.values():
        path = file_of(built, PAIRS_KEY)
        harm(objects, path)
        (damage,) = verify(built).damages
        assert damage.path == path
        assert re.search(said, damage.what)
        assert fix(built).dropped_shards == [shard_of(STUDY, 0).name]
        assert verify(built).damages == []
        with open_store(built) as store:
            assert store.sql("SELECT DISTINCT book FROM pairs").fetchall() == [("book1",)]
        recompute(built)
        assert digest(built, "pairs") == pairs
    assert digest(built) == before


def file_of(location, key):
    """The file that a sound store has of a chunk."""
    files = [file.path for record in live_records(load_records(object_store(location))) for file in record.files]
    (path,) = [path for path in files if paths.parse_chunk_path(path) == key]
    return path


FOREIGN = [
    "pairs/layer=00/class=internal/mine.parquet",
    "notes.txt",
    "_commits/x.json",
    "x/y",
    "draft.tmp",
    ".notes.tmp",
]


def test_files_that_no_store_makes_are_named_and_left_alone(built):
    before, objects = digest(built), object_store(built)
    for path in FOREIGN:
        objects.put(path, b"somebody's")
    findings = verify(built)
    assert (findings.damages, findings.uncommitted, findings.foreign) == ([], [], sorted(FOREIGN))
    assert digest(built) == before, "readers never saw them"
    flip_bit(objects, PAIRS)
    assert sorted(fix(built).removed) == sorted(shard_files(0)), "with a damage to mend, too"
    assert {path: objects.read(path) for path in FOREIGN} == dict.fromkeys(FOREIGN, b"somebody's")


def shard_files(number):
    return [paths.chunk_path(key, RUN) for key, _ in book_chunks(STUDY, number)]


def test_a_record_cannot_make_fix_remove_a_file_that_no_store_makes(built):
    objects = object_store(built)
    objects.put("thesis.txt", b"years of work")
    (record,) = [r for r in load_records(objects) if r.shard == shard_of(STUDY, 0)]
    thesis = replace(record.files[0], path="thesis.txt")
    objects.put(record.path, entry_to_json(replace(record, files=(*record.files, thesis))))
    (damage,) = verify(built).damages
    assert str(damage).startswith(f"{record.path}: is not a sound entry of the log: it lists 'thesis.txt'")
    fix(built)
    assert objects.read("thesis.txt") == b"years of work"


def test_a_damaged_record_is_dropped(built):
    before = digest(built)
    objects = object_store(built)
    record = record_path(built, SHARD)
    objects.put(record, objects.read(record)[:50])
    (damage,) = verify(built).damages
    assert str(damage).startswith(f"{record}: is not a sound entry of the log: it is not JSON")
    fix(built)
    recompute(built)
    assert digest(built) == before


def test_uncommitted_files_are_no_damage_and_fix_removes_them(built):
    publish_book(built, STUDY, 5)
    findings = verify(built)
    assert findings.damages == []
    assert len(findings.uncommitted) == FILES
    assert len(fix(built).removed) == FILES
    assert verify(built).uncommitted == []


def test_a_leftover_temporary_file_is_removed(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    path = Path(PAIRS)
    temporary = str(path.parent / paths.temporary_name(path.name))
    (tmp_path / temporary).write_bytes(b"half")
    assert verify(tmp_path).uncommitted == [temporary]
    fix(tmp_path)
    assert not (tmp_path / temporary).exists()


def without_last_row(table):
    return table.slice(0, table.num_rows - 1)


def shifted(name):
    def change(table):
        values = pc.add(table.column(name), pa.scalar(1, table.schema.field(name).type))
        return table.set_column(table.column_names.index(name), table.schema.field(name), values)

    return change


def without(name):
    def change(table):
        field = table.schema.field(name)
        return table.set_column(table.column_names.index(name), field, pa.nulls(len(table), field.type))

    return change


def only_within(table):
    return table.filter(pc.equal(table.column("class").cast(pa.string()), table.column("other").cast(pa.string())))


SHARD = shard_of(STUDY, 0)
CROSS, SUMS = ChunkKey("cross_pairs", SHARD, 1, "internal", "terminal"), ChunkKey("passage_sums", SHARD, 1)
INCOMPLETE = {
    "pairs": (ChunkKey("pairs", SHARD, 1, "internal"), without_last_row, "has 9 pairs; 5 marks make 10"),
    "other mi": (ChunkKey("pairs", SHARD, 1, "internal"), shifted("mi"), "its pairs give"),
    "cross pairs": (CROSS, without_last_row, "class internal other terminal has 24 pairs; 5 marks and 5 make 25"),
    "other copula": (CROSS, shifted("mi_copula"), "has mi_copula mean"),
    "cross ordinals": (CROSS, shifted("i"), "has 25 pairs; 5 marks and 5 make 25"),
    "ordinals": (ChunkKey("pairs", SHARD, 0, "terminal"), shifted("j"), "has 10 pairs; 5 marks make 10"),
    "marks": (ChunkKey("marks", SHARD), without_last_row, "has 4 terminal marks; its books row says 5"),
    "passages": (ChunkKey("passages", SHARD), without_last_row, "book book0 has 3 passages; its marks lie in 4"),
    "mark layers": (ChunkKey("mark_layers", SHARD, 1), without_last_row, "has 4 marks in mark_layers; it has 5"),
    "sums": (SUMS, without_last_row, "by passages; there are"),
    "sums of other passages": (SUMS, shifted("other_passage"), "of pairs of other passages than its marks lie in"),
    "sums of other values": (SUMS, shifted("corr"), "its sums by passages give"),
    "sums without a measure": (SUMS, without("mi_copula"), "has mi_copula in its sums by passages or its summaries"),
    "activations": (ChunkKey("activations", SHARD), without_last_row, "has 0 marks in activations; it has 5"),
    "summaries": (
        ChunkKey("summaries", SHARD),
        without_last_row,
        "has mi_copula_centred in its pairs or its summaries",
    ),
    "summaries of two classes": (ChunkKey("summaries", SHARD), only_within, "other terminal has no summary"),
    "summary's mean": (ChunkKey("summaries", SHARD), shifted("mean"), "has cov mean"),
    "summary's count": (ChunkKey("summaries", SHARD), shifted("pairs"), "has mi pairs 11; its pairs give 10"),
    "layer sketches": (ChunkKey("layer_sketches", SHARD), without_last_row, "has 0 marks in layer_sketches"),
    "layer measures": (ChunkKey("layer_measures", SHARD), without_last_row, "has 0 marks in layer_measures"),
    "books": (ChunkKey("books", SHARD), without_last_row, "and not in both"),
}


@pytest.mark.parametrize(("key", "change", "said"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_what_does_not_fit_together_is_found(tmp_path, key, change, said):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    recommit(tmp_path, key, change)
    damages = verify(tmp_path).damages
    assert any(said in damage.what for damage in damages), damages
    assert {damage.record for damage in damages} == {record_path(tmp_path, SHARD)}
    fix(tmp_path)
    assert verify(tmp_path).damages == []


MAY_BE_MISSING = {"hidden_states", "sensitivity", "transfer_sums"}
"""Not kept, of commits of its own, and of classes with several tokens alone."""


@pytest.mark.parametrize("table", sorted(set(TABLES) - MAY_BE_MISSING))
def test_a_table_that_is_missing_from_a_record_is_found(tmp_path, table):
    build_store(tmp_path, 1, LAYERS, MARKS)
    objects = object_store(tmp_path)
    (record,) = load_records(objects)
    files = tuple(file for file in record.files if not file.path.startswith(f"{table}/"))
    objects.put(record.path, entry_to_json(replace(record, files=files)))
    damages = verify(tmp_path).damages
    assert damages
    assert {damage.path for damage in damages} == {record.path}


SUMMED_UP = {
    "sums": (SUMS, without_last_row, "by passages; there are"),
    "mark layers": (ChunkKey("mark_layers", SHARD, 0), without_last_row, "has 4 marks in mark_layers; it has 5"),
    "a measure": (
        ChunkKey("summaries", SHARD),
        without_last_row,
        "has mi_copula_centred in its sums by passages or its summaries, and not in both",
    ),
    "a count": (ChunkKey("summaries", SHARD), shifted("pairs"), "summarises mi of 11 pairs; there are 10"),
    "a mean": (ChunkKey("summaries", SHARD), shifted("mean"), "its sums by passages give"),
}


@pytest.mark.parametrize(("key", "change", "said"), SUMMED_UP.values(), ids=SUMMED_UP)
def test_in_a_study_without_rows_of_pairs_summaries_and_sums_vouch_for_each_other(tmp_path, key, change, said):
    study = build_store(tmp_path, BOOKS, LAYERS, MARKS, within="summaries", between="summaries")
    assert verify(tmp_path).damages == []
    assert not list(object_store(tmp_path).walk("pairs/")) + list(object_store(tmp_path).walk("cross_pairs/"))
    recommit(tmp_path, replace(key, shard=shard_of(study, 0)), change, study)
    assert any(said in damage.what for damage in verify(tmp_path).damages), verify(tmp_path).damages


SHAPES = {
    "one class": {"classes": [["and", ["and"]]], "baseline": None},
    "three": {"classes": [["a", ["a"]], ["b", ["b"]], ["c", ["c"]]]},
    "none between": {"between": "none"},
    "summaries between": {"between": "summaries"},
    "the notebook's": {"measures": "notebook", "baseline": None},
    "with states": {"keep_hidden_states": True, "measures": "all"},
}


@pytest.mark.parametrize("settings", SHAPES.values(), ids=SHAPES)
def test_a_sound_store_of_any_study_stays_sound_when_it_is_compacted(tmp_path, settings, monkeypatch):
    """Compacted into files so small that the rows of a book are in several, of every table."""
    build_store(tmp_path, BOOKS, LAYERS, 9, **settings)
    assert verify(tmp_path).damages == []
    before = digest(tmp_path)
    monkeypatch.setattr(compaction, "plan_groups", lambda live, target: [live])
    compact(tmp_path, target_bytes=800, grace_s=0)
    (record,) = load_records(object_store(tmp_path))
    cut = {key.table for file in record.files if (key := paths.parse_chunk_path(file.path)) and key.part}
    assert cut >= {"marks", "mark_layers", "passage_sums", "summaries", "activations"}
    assert verify(tmp_path).damages == []
    assert digest(tmp_path) == before


def test_a_layer_that_is_missing_everywhere_is_found(tmp_path):
    build_store(tmp_path, 1, LAYERS, MARKS)
    objects = object_store(tmp_path)
    (record,) = load_records(objects)
    files = [file for file in record.files if "layer=01" not in file.path]
    objects.put(record.path, entry_to_json(replace(record, files=files)))
    found = [damage.what for damage in verify(tmp_path).damages]
    assert "book book0 layer 1 class internal has 0 pairs; 5 marks make 10" in found


def test_a_record_that_claims_a_file_of_another_shard(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    objects = object_store(tmp_path)
    first, second = load_records(objects)
    objects.put(first.path, entry_to_json(replace(first, files=(*first.files, second.files[0]))))
    (damage,) = verify(tmp_path).damages
    assert "which is not a path of its shard and run" in damage.what


def test_a_sound_file_that_is_no_table_of_its_folder(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    key, table = ChunkKey("summaries", SHARD), dict(book_chunks(STUDY, 0))[ChunkKey("marks", SHARD)]
    objects = object_store(tmp_path)
    data = encode(TABLES["marks"], table, "")
    objects.put(paths.chunk_path(key, RUN), data)
    record = json.loads(objects.read(record_path(tmp_path, SHARD)))
    import hashlib

    for file in record["files"]:
        if file["path"] == paths.chunk_path(key, RUN):
            file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "rows": table.num_rows}
    objects.put(record_path(tmp_path, SHARD), json.dumps(record).encode())
    (damage,) = verify(tmp_path).damages
    assert damage.path == paths.chunk_path(key, RUN)
    assert "columns are" in damage.what


def test_a_damaged_generation_gives_way_to_the_shards_it_replaced(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    before = digest(tmp_path)
    compact(tmp_path)
    objects = object_store(tmp_path)
    (generation,) = live_records(load_records(objects))
    objects.delete(generation.files[0].path)
    fix(tmp_path)
    assert len(live_records(load_records(objects))) == BOOKS, "within the grace period nothing is lost"
    assert digest(tmp_path) == before


def test_a_damaged_generation_whose_sources_are_gone_is_recomputed(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    before = digest(tmp_path)
    compact(tmp_path, grace_s=0)
    (generation,) = live_records(load_records(object_store(tmp_path)))
    flip_bit(object_store(tmp_path), generation.files[0].path)
    assert sorted(fix(tmp_path).dropped_shards) == sorted(generation.shards)
    recompute(tmp_path)
    assert digest(tmp_path) == before


def test_shards_in_two_live_records_are_found(tmp_path):
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    compact(tmp_path)
    objects = object_store(tmp_path)
    for entry in objects.walk(paths.COMMITS):
        if paths.parse_checkpoint_path(entry.path):
            objects.delete(entry.path)
    (generation,) = [record for record in load_records(objects) if record.is_generation]
    objects.put(generation.path, entry_to_json(replace(generation, replaces=generation.replaces[1:])))
    (damage,) = verify(tmp_path).damages
    assert damage.path == generation.path
    assert re.fullmatch(r"holds shard [0-9a-f]{16}, which _commits/00000002.json holds too", damage.what)
    fix(tmp_path)
    assert verify(tmp_path).damages == []


def test_a_used_book_in_two_shards_is_found_and_the_later_one_dropped(tmp_path):
    """No driver can do this; a copy made by hand can."""
    build_store(tmp_path, BOOKS, LAYERS, MARKS)
    before = digest(tmp_path)
    chunks = [(replace(key, shard=ShardKey("f" * 16)), table) for key, table in book_chunks(STUDY, 0)]
    files = tuple(publish_chunk(tmp_path, key, table, RUN) for key, table in chunks)
    forged = replace(record_of(STUDY, 0, []), shard=ShardKey("f" * 16), files=files)
    again = CommitLog.read(object_store(tmp_path)).append(lambda _: forged, term=1)
    (damage,) = verify(tmp_path).damages
    assert str(damage) == f"{again.path}: holds book book0, which {record_path(tmp_path, SHARD)} holds too"
    assert fix(tmp_path).dropped_shards == ["f" * 16]
    assert digest(tmp_path) == before


@pytest.mark.parametrize("purpose", ["run", MAINTENANCE])
def test_fix_waits_for_nobody_and_disturbs_nobody(built, purpose):
    with StoreLock(object_store(built), purpose), pytest.raises(StoreLocked):
        fix(built)


def test_verify_works_beside_a_run(built):
    with StudyWriter.open(built, STUDY).lock():
        assert verify(built).damages == []


@pytest.mark.parametrize("moment", ["walk", "_double_claims"])
def test_a_shard_committed_meanwhile_is_no_damage(built, monkeypatch, moment):
    """Committed right after a folder was listed, or the records were checked, for the first time."""
    where = type(object_store(built)) if moment == "walk" else verify_module
    look, seen = getattr(where, moment), []

    def look_then_commit(*arguments):
        found = list(look(*arguments))
        if not seen:
            seen.append(moment)
            writer = StudyWriter.open(built, STUDY)
            with writer.lock():
                writer.commit(publish_book(built, STUDY, BOOKS))
        return found

    monkeypatch.setattr(where, moment, look_then_commit)
    findings = verify(built)
    assert seen
    assert (findings.damages, findings.uncommitted, findings.foreign) == ([], [], [])


def test_shards_that_a_compaction_replaces_and_removes_meanwhile_are_no_damage(built, monkeypatch):
    layers, compacted = verify_module._layers, []

    def compact_first(study):
        compacted.append(compact(built, grace_s=0))
        return layers(study)

    monkeypatch.setattr(verify_module, "_layers", compact_first)
    findings = verify(built)
    assert compacted[0].removed
    assert (findings.damages, findings.uncommitted, findings.foreign) == ([], [], [])


def test_a_place_without_a_store(location):
    with pytest.raises(NoStore):
        verify(location)
