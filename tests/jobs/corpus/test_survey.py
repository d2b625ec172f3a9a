"""Texts of every container are listed and read back; what is wrong with a file becomes a reference with a reason."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import os
import re
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from jobs.config import RunConfig
from jobs.corpus import json_values, readers
from jobs.corpus.decoding import decode
from jobs.corpus.references import BookRef, Problem, Source, UnreadableSourceError, UnusableTextError
from jobs.corpus.survey import read_book, read_books, survey
from jobs.errors import SourceError
from tests.jobs.corpus.historic_forms import FORMS

RUN = RunConfig()
SMALL = RunConfig(max_book_megabytes=1)
TEXTS = ["One, two. Drei: größer.\n", "“Zwei.”\u2028\x85", "", "Four\r\n"]


def listed(path: Path, run: RunConfig = RUN) -> list[BookRef]:
    return list(survey(Source(str(path)), run))


def only(path: Path, run: RunConfig = RUN) -> BookRef:
    (ref,) = listed(path, run)
    return ref


def lines_of_json(texts: list[str], column: str = "text") -> bytes:
    rows = ({"id": f"b/{n}", "title": f"T{n}", column: text} for n, text in enumerate(texts))
    return "".join(json.dumps(row, ensure_ascii=n % 2 == 0) + "\n" for n, row in enumerate(rows)).encode()


def write(path: Path, texts: list[str]) -> Path:
    """One file with these texts, in the container and compression that its name says."""
    if path.suffix == ".parquet":
        table = pa.table({"text": texts, "id": [f"b/{n}" for n in range(len(texts))], "title": ["T"] * len(texts)})
        pq.write_table(table, path, row_group_size=3)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("../../cover.jpg", b"\xff\xd8")
            for number, text in enumerate(texts):
                archive.writestr(f"../b{number}.txt", text.encode())
    else:
        plain = lines_of_json(texts)
        packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)(plain)
        path.write_bytes(packed)
    return path


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.jsonl.zst", "c.parquet", "c.zip"])
def test_every_text_of_a_container_is_listed_and_read_back(tmp_path, name):
    texts = [f"{text} {n}" for n, text in enumerate(TEXTS * 3)]
    path = write(tmp_path / name, texts)
    refs = listed(path)
    assert [ref.problem for ref in refs] == [None] * len(texts)
    assert [ref.number for ref in refs] == list(range(len(texts)))
    assert len({ref.source for ref in refs}) == len(texts)
    assert [ref.sha256 for ref in refs] == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert [ref.bytes for ref in refs] == [len(text.encode()) for text in texts]
    assert [ref.stem for ref in refs] == [str(n) if ".zip" not in name else f"b{n}" for n in range(len(texts))]
    for wanted in (refs, refs[4:9:2], refs[-1:], refs[::-3], [refs[2], refs[2]]):
        contents = list(read_books(wanted, RUN))
        assert [ref for ref, _ in contents] == wanted
        assert [decode(content).text for _, content in contents] == [texts[ref.number] for ref in wanted]
    assert decode(read_book(refs[7], RUN)).text == texts[7]


def test_plain_and_compressed_text_are_the_same_book(tmp_path):
    data = FORMS["2008, this, produced by"].encode()
    (tmp_path / "a.txt").write_bytes(data)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    (tmp_path / "c.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(data))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("4321.txt", data)
        archive.writestr("4321-h/images/cover.jpg", b"\xff\xd8")
    (tmp_path / "no-ending").write_bytes(gzip.compress(data))
    refs = [only(tmp_path / name) for name in ("a.txt", "b.txt.gz", "c.txt.zst", "d.zip", "no-ending")]
    assert {ref.sha256 for ref in refs} == {hashlib.sha256(data).hexdigest()}
    assert {(ref.stem, ref.ebook_id, ref.title, ref.author) for ref in refs} == {
        ("pg4321", 4321, "The Harbour Clock", "Jane Tregear")
    }
    assert all(read_book(ref, RUN) == data for ref in refs)
    assert refs[3].source == str(tmp_path / "d.zip")


def test_columns_have_the_names_the_user_gives(tmp_path):
    pq.write_table(pa.table({"body": ["Words."], "key": [17], "name": ["A title"]}), tmp_path / "c.parquet")
    (tmp_path / "c.jsonl").write_bytes(b'{"body": "Words.", "key": 17, "name": "A title"}\n')
    run = RunConfig(text_column="body", id_column="key", title_column="name")
    for name in ("c.parquet", "c.jsonl"):
        ref = only(tmp_path / name, run)
        assert (ref.stem, ref.title) == ("17", "A title")
        assert read_book(ref, run) == "Words."


def test_records_without_an_id_are_numbered(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "a"}\n\n{"text": "b"}\n')
    assert [ref.stem for ref in listed(tmp_path / "c.jsonl")] == ["c-000000", "c-000001"]


def test_a_shard_of_records_from_a_compressed_file_is_read_in_one_pass(tmp_path, monkeypatch):
    path = write(tmp_path / "c.jsonl.gz", ["text"] * 50)
    refs = listed(path)
    opened = []
    gzip_file = gzip.GzipFile
    monkeypatch.setattr(readers.gzip, "GzipFile", lambda **keys: opened.append(1) or gzip_file(**keys))
    assert len(list(read_books(refs[10:40], RUN))) == 30
    assert len(opened) == 2  # one of them for the first bytes alone


def test_a_line_of_an_uncompressed_file_is_read_without_what_stands_before_it(tmp_path, monkeypatch):
    path = write(tmp_path / "c.jsonl", ["x" * 10_000] * 100)
    last = listed(path)[-1]
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json_values.json, "loads", lambda line: parsed.append(1) or loads(line))
    read_book(last, RUN)
    assert len(parsed) == 1


def test_a_text_that_changed_after_the_survey_is_not_taken_for_the_old_one(tmp_path):
    for name in ("a.txt", "c.jsonl", "c.jsonl.gz", "c.parquet", "d.zip"):
        path = tmp_path / name
        path.write_bytes(b"One.") if name == "a.txt" else write(path, ["One.", "Two."])
        ref = listed(path)[-1]
        path.write_bytes(b"Other.") if name == "a.txt" else write(path, ["One.", "Odd."])
        with pytest.raises(SourceError, match="has changed"):
            read_book(ref, RUN)
        if name != "a.txt":
            write(path, ["One."])
            with pytest.raises((SourceError, UnusableTextError)):
                read_book(ref, RUN)


# What users really have.


def bad_files(folder: Path) -> dict[str, bytes]:
    rows = b'{"text": "good"}\nnot json\n{"other": 1}\n[1]\n{"text": 5}\n{"text": "\xff\xfe"}\n{"text": "good too"}\n'
    parquet = io.BytesIO()
    pq.write_table(pa.table({"body": ["x"]}), parquet)
    packed = gzip.compress(os.urandom(50_000))
    encrypted = io.BytesIO()
    with zipfile.ZipFile(encrypted, "w") as archive:
        archive.writestr("a.txt", "secret")
    locked = bytearray(encrypted.getvalue())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + at] |= 1
    return {
        "truncated.txt.gz": packed[:-2000],
        "damaged.txt.gz": packed[:20_000] + b"\0\0\0\0" + packed[20_004:],
        "truncated.txt.zst": zstandard.ZstdCompressor().compress(os.urandom(50_000))[:-2000],
        "no-gzip.txt.gz": b"plain text",
        "truncated.zip": encrypted.getvalue()[:-30],
        "encrypted.zip": bytes(locked),
        "empty.txt": b"",
        "blank.txt": b" \n\n\t",
        "image.txt": b"\x89PNG\r\n\x1a\n" + os.urandom(500),
        "noise.txt": os.urandom(100_000),
        "page.txt": b"<!DOCTYPE html><html><body>404</body></html>",
        "no-column.parquet": parquet.getvalue(),
        "no-parquet.parquet": b"PAR1 and then nothing",
        "no-key.jsonl": b'{"body": "x", "id": 4}\n',
        "empty.jsonl": b"\n\n",
        "mixed.jsonl": rows,
        "no-text.zip": b"PK\x05\x06" + bytes(18),
    }


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("truncated.txt.gz", Problem.UNREADABLE, "ends too early"),
        ("damaged.txt.gz", Problem.UNREADABLE, "damaged|ends too early"),
        ("truncated.txt.zst", Problem.UNREADABLE, "Truncated"),
        ("no-gzip.txt.gz", Problem.UNREADABLE, "damaged"),
        ("truncated.zip", Problem.UNREADABLE, "damaged"),
        ("encrypted.zip", Problem.FORMAT, "encrypted"),
        ("empty.txt", Problem.EMPTY, "empty"),
        ("blank.txt", Problem.EMPTY, "empty"),
        ("image.txt", Problem.BINARY, "PNG"),
        ("noise.txt", Problem.BINARY, "control characters"),
        ("page.txt", Problem.FORMAT, "web page"),
        ("no-column.parquet", Problem.FORMAT, "no column 'text'; found: body.*--text-column"),
        ("no-parquet.parquet", Problem.UNREADABLE, "damaged"),
        ("no-key.jsonl", Problem.FORMAT, "key 'text'; found: body, id.*--text-column"),
        ("empty.jsonl", Problem.EMPTY, "no text"),
        ("no-text.zip", Problem.FORMAT, "no .txt file"),
    ],
)
def test_a_bad_file_is_one_reference_with_a_reason(tmp_path, name, kind, says):
    path = tmp_path / name
    path.write_bytes(bad_files(tmp_path)[name])
    ref = only(path)
    assert ref.problem_kind is kind
    assert ref.wrong_use == (kind is not Problem.UNREADABLE)
    assert re.search(says, ref.problem or ""), ref.problem
    assert str(path) in (ref.problem or "")
    assert "\n" not in (ref.problem or "")
    # What was read and is not text has a checksum (rejected for good); what could not be read has none (tried again).
    read = name in ("empty.txt", "blank.txt", "image.txt", "noise.txt", "page.txt")
    assert (ref.sha256 is not None) == read


def test_bad_records_among_good_ones_are_named_and_the_rest_is_used(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(bad_files(tmp_path)["mixed.jsonl"])
    refs = listed(path)
    assert [ref.problem is None for ref in refs] == [True, False, False, False, False, False, True]
    assert "line 2 is not JSON" in (refs[1].problem or "")
    assert f"{path}#2" in (refs[2].problem or "")
    contents = [content for _, content in read_books(refs, RUN)]
    assert (contents[0], contents[-1]) == ("good", "good too")
    assert all(isinstance(content, UnusableTextError) for content in contents[1:-1])


def test_half_a_surrogate_pair_from_json_reaches_neither_the_tokenizer_nor_a_table(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "a \\ud83d b \\ud83d\\ude00", "title": "T \\ud83d"}\n')
    ref = only(tmp_path / "c.jsonl")
    assert read_book(ref, RUN) == "a ? b \N{GRINNING FACE}"
    assert ref.title == "T ?"


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.zip", "bomb.txt.zst", "bomb.jsonl.gz", "line.jsonl", "line.txt"])
def test_bombs_and_endless_lines_are_refused_within_bounded_memory(tmp_path, name):
    """300 MB that claim to be one book of at most 1 MB."""
    path = tmp_path / name
    size = 300_000_000
    zeros = bytes(1_000_000)
    if name.endswith(".gz"):
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(size // len(zeros)):
                file.write(zeros)
    elif name.endswith(".zip"):
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("a.txt", "w") as file,
        ):
            for _ in range(size // len(zeros)):
                file.write(zeros)
    elif name.endswith(".zst"):
        with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as file:
            for _ in range(size // len(zeros)):
                file.write(zeros)
    else:
        with path.open("wb") as file:
            file.truncate(size)
    tracemalloc.start()
    ref = only(path, SMALL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ref.problem_kind is Problem.TOO_LARGE
    assert "--max-book-megabytes" in (ref.problem or "")
    assert peak < 40_000_000


def test_a_line_after_an_endless_one_is_found(tmp_path):
    path = tmp_path / "c.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "first"}\n{"text": "' + b"x" * 20_000_000 + b'"}\n{"text": "last"}\n')
    first, endless, last = listed(path, SMALL)
    assert endless.problem_kind is Problem.TOO_LARGE
    assert [read_book(ref, SMALL) for ref in (first, last)] == ["first", "last"]
    with pytest.raises(UnusableTextError, match="larger than 1 MB"):
        read_book(endless, SMALL)


def test_too_large_a_cell(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 2_000_000, "small"]}), tmp_path / "c.parquet")
    large, small = listed(tmp_path / "c.parquet", SMALL)
    assert large.problem_kind is Problem.TOO_LARGE
    assert read_book(small, SMALL) == "small"


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "not a regular file" in (only(tmp_path / "pipe.txt").problem or "")
    assert only(tmp_path / "none.txt").problem_kind is Problem.MISSING
    (tmp_path / "self.txt").symlink_to(tmp_path / "self.txt")
    assert only(tmp_path / "self.txt").problem is not None


def test_an_unknown_compression_is_not_taken_for_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(bz2.compress(os.urandom(5000)))
    assert only(tmp_path / "a.txt").problem_kind is Problem.BINARY


def test_a_question_mark_in_a_file_name_is_no_query(tmp_path):
    path = tmp_path / "what?.jsonl"
    path.write_bytes(b'{"text": "Words."}\n')
    assert read_book(only(path), RUN) == "Words."


def test_awkward_names_come_through(tmp_path):
    path = tmp_path / "a 'b' \"c\" ü\n.txt"
    path.write_text("Words.")
    ref = only(path)
    assert ref.problem is None
    assert ref.stem == "a-b-c-ü"
    assert read_book(ref, RUN) == b"Words."


def test_a_vanished_file_is_a_source_error_in_its_place(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"Words of {name}.")
    refs = [only(tmp_path / f"{name}.txt") for name in "abc"]
    (tmp_path / "b.txt").unlink()
    contents = [content for _, content in read_books(refs, RUN)]
    assert contents[0] == b"Words of a."
    assert isinstance(contents[1], UnreadableSourceError)
    assert contents[2] == b"Words of c."


def test_a_row_group_that_is_gone(tmp_path):
    ref = listed(write(tmp_path / "c.parquet", ["a", "b"]))[1]
    with pytest.raises(SourceError, match="no longer there"):
        read_book(replace(ref, offset=9), RUN)
