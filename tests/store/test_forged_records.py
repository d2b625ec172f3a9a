"""What stands where a store's records should: no command hangs, ends unexpectedly or touches what is not its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import interpunct
from store import paths
from store.amendments import remove
from store.commits import load_records
from store.objects.locations import object_store
from store.upkeep.verify import verify
from tests.builders import build_store
from tests.store.upkeep.test_verify import digest

COMMANDS = (["status"], ["verify"], ["compact"], ["sql", "SELECT count(*) FROM pairs"], ["verify", "--fix"], ["verify"])
FIRST = paths.entry_path(2)


@pytest.fixture
def built(tmp_path):
    build_store(tmp_path / "store", books=2, layers=1, marks=4)
    (tmp_path / "outside.txt").write_bytes(b"years of work")
    return tmp_path / "store"


def run_all(place: Path, capsys: pytest.CaptureFixture[str]) -> list[int]:
    """Every command once; none may end in a way that nobody thought of."""
    codes = []
    for command, *more in COMMANDS:
        codes.append(interpunct.main([command, "--store", str(place), *more]))
        said = "".join(capsys.readouterr())
        assert "Traceback" not in said
        assert "unexpected" not in said
    return codes


def set_field(*where: str | int, value: object) -> Callable[[dict], None]:
    def change(record: dict) -> None:
        inner = record
        for step in where[:-1]:
            inner = inner[step]
        inner[where[-1]] = value

    return change


FORGERIES = {
    "absolute path": set_field("files", 0, "path", value="/tmp/x"),
    "path that climbs": set_field("files", 0, "path", value="../outside.txt"),
    "path that climbs back": set_field("files", 0, "path", value="pairs/../../outside.txt"),
    "null path": set_field("files", 0, "path", value=None),
    "path of the study": set_field("files", 0, "path", value="study.json"),
    "path of another run": set_field("files", 0, "path", value="books/0123456789abcdef-0123456789ab.parquet"),
    "path twice": lambda record: record["files"].append(record["files"][0]),
    "files as an object": set_field("files", value={}),
    "a file as a text": set_field("files", 0, value="pairs"),
    "negative rows": set_field("files", 0, "rows", value=-5),
    "rows as a float": set_field("files", 0, "rows", value=6.0),
    "rows as a truth": set_field("files", 0, "rows", value=True),
    "huge rows": set_field("files", 0, "rows", value=10**30),
    "not a JSON number": set_field("files", 0, "bytes", value=float("nan")),
    "infinite": set_field("files", 0, "bytes", value=float("inf")),
    "no checksum": set_field("files", 0, "sha256", value="ab"),
    "committed as a number": set_field("committed", value=5),
    "key as a number": set_field("books", 0, "key", value=5),
    "half a surrogate pair": set_field("books", 0, "key", value="\ud800"),
    "unknown status": set_field("books", 0, "status", value="lost"),
    "attempted later": set_field("books", 0, "attempted", value=99),
    "shard that climbs": set_field("shard", value="../../../../x"),
    "run that climbs": set_field("run", value="../x"),
    "number of another entry": set_field("number", value=3),
    "number as a text": set_field("number", value="2"),
    "replaces itself": set_field("replaces", value=[2]),
    "replaces what is to come": set_field("replaces", value=[3]),
    "a commit that replaces": set_field("replaces", value=[1]),
    "term that never was": set_field("term", value=77),
    "no term": set_field("term", value=0),
    "unknown kind": set_field("kind", value="spell"),
    "kind as a list": set_field("kind", value=[]),
    "without files": lambda record: record.pop("files"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_entry_is_named_refused_and_dropped(built, capsys, forge):
    record = json.loads((built / FIRST).read_text())
    forge(record)
    (built / FIRST).write_text(json.dumps(record))
    (damage,) = verify(built).damages
    assert damage.path == FIRST
    assert run_all(built, capsys) == [3, 1, 3, 3, 1, 0]
    assert (built.parent / "outside.txt").read_bytes() == b"years of work"
    assert len(load_records(object_store(built))) == 1


FORGED_REMOVALS = {
    "of what is to come": set_field("attempts", 0, "attempted", value=99),
    "of no attempt": set_field("attempts", 0, "attempted", value=0),
    "of a key that is no text": set_field("attempts", 0, "key", value=["book0"]),
    "of texts": set_field("attempts", value=["book0"]),
    "without a reason": lambda record: record.pop("reason"),
    "a reason as a number": set_field("reason", value=5),
}


@pytest.mark.parametrize("forge", FORGED_REMOVALS.values(), ids=FORGED_REMOVALS)
def test_a_forged_removal_is_named_and_dropped(built, capsys, forge):
    remove(built, ["book0"], "because")
    (path,) = sorted((built / "_commits").glob("*.json"))[-1:]
    record = json.loads(path.read_text())
    forge(record)
    path.write_text(json.dumps(record))
    (damage,) = verify(built).damages
    assert damage.path == f"_commits/{path.name}"
    assert interpunct.main(["verify", "--store", str(built), "--fix"]) == 1
    assert verify(built).damages == []


TEXTS = {
    "nested": b"[" * 200_000,
    "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many digits": b'{"number": ' + b"9" * 5000 + b"}",
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "a list": b"[1]",
    "null": b"null",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("path", [FIRST, "study.json", "_runs/run-1.json", paths.lock_path("run", 1)])
def test_what_is_no_record_at_all(built, capsys, path, text):
    file = built / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text)
    codes = run_all(built, capsys)
    expected = {FIRST: [3, 1, 3, 3, 1, 0], "study.json": [3] * 6}
    assert codes == expected.get(path, [0] * 6)


def fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def link(path: Path, kept: Path) -> None:
    path.symlink_to(kept)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, device, link])
@pytest.mark.parametrize("kind", ["entry", "study", "parquet", "run", "lock"])
def test_pipes_devices_and_links_are_neither_waited_for_nor_followed(built, tmp_path, capsys, make, kind):
    table = load_records(object_store(built))[0].files[0].path
    names = {"entry": FIRST, "study": "study.json", "parquet": table, "run": "_runs/run-1.json"}
    file = built / names.get(kind, paths.lock_path("run", 1))
    file.parent.mkdir(exist_ok=True)
    kept = tmp_path / "kept"
    kept.write_bytes(file.read_bytes() if file.exists() else b"{}")
    before = kept.read_bytes()
    file.unlink(missing_ok=True)
    make(file, kept)
    codes = run_all(built, capsys)
    assert kept.read_bytes() == before
    if kind == "entry":
        assert codes == [3, 1, 3, 3, 1, 0]
    elif kind == "study":
        assert codes == [3] * 6
    elif kind == "parquet":
        assert codes[:3] == [0, 1, 3]
        assert codes[4:] == [1, 0]
    else:  # taking the lock for the repair replaces what stands in the place of an earlier sign
        assert codes == [0, 1, 0, 0, 1 if kind == "run" else 0, 0]


def test_a_linked_folder_is_named_and_fix_changes_nothing(built, tmp_path, capsys):
    """The folder is another store's: nothing of it may be read as this one's, or removed."""
    build_store(tmp_path / "other", books=3, layers=1, marks=4)
    before = digest(tmp_path / "other")
    (built / "pairs").rename(tmp_path / "pairs-moved")
    (built / "pairs").symlink_to(tmp_path / "other" / "pairs", target_is_directory=True)
    entries = sorted(path.name for path in (built / "_commits").iterdir())
    assert any(damage.path == "pairs" and "is a link" in damage.what for damage in verify(built).damages)
    assert interpunct.main(["verify", "--store", str(built), "--fix"]) == 3
    assert "put the folder itself in its place. Nothing was changed" in capsys.readouterr().err
    assert digest(tmp_path / "other") == before
    left = sorted(path.name for path in (built / "_commits").iterdir())
    assert left == [*entries, "00000004.json"], "only the term of the repair was added"
    (built / "pairs").unlink()
    (tmp_path / "pairs-moved").rename(built / "pairs")
    assert verify(built).damages == []


def test_a_forged_entry_far_away_costs_nothing(built, capsys):
    """Its number would make a list of a billion missing ones."""
    (built / paths.entry_path(999_999_999)).write_text("{}")
    assert run_all(built, capsys) == [3, 1, 3, 3, 1, 0]
    assert len(load_records(object_store(built))) == 2


def test_an_entry_that_was_removed_is_named(built, capsys):
    (built / FIRST).unlink()
    (damage,) = verify(built).damages
    assert str(damage) == f"{FIRST}: is not a sound entry of the log: it is missing"
    assert run_all(built, capsys) == [3, 1, 3, 3, 1, 0]


def test_a_checkpoint_that_says_something_else_is_named_and_removed(built, capsys):
    assert interpunct.main(["compact", "--store", str(built), "--grace", "0"]) == 0
    (checkpoint,) = (built / "_commits").glob("checkpoint-*.json")
    before = digest(built)
    values = json.loads(checkpoint.read_text())
    values["records"] = []
    checkpoint.write_text(json.dumps(values))
    (damage,) = verify(built).damages
    assert damage.what == "is a checkpoint that does not say what the log says"
    assert interpunct.main(["verify", "--store", str(built), "--fix"]) == 1
    assert not checkpoint.exists()
    assert digest(built) == before
    assert verify(built).damages == []


def test_a_store_of_the_earlier_format_is_refused_in_one_sentence(built, capsys):
    values = json.loads((built / "study.json").read_text())
    del values["format"]
    (built / "study.json").write_text(json.dumps(values))
    for command, *more in COMMANDS:
        assert interpunct.main([command, "--store", str(built), *more]) == 3
        said = capsys.readouterr().err
        assert "is of another version of Interpunct (format None, this one has 2); run the study again" in said
