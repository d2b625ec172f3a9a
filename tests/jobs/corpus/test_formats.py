"""What a file is shows in its first bytes, whatever its name: it is read as that, or refused by name."""

from __future__ import annotations

import gzip
import io
import json
import re
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from jobs.config import RunConfig
from jobs.corpus.decoding import decode
from jobs.corpus.references import BookRef, Problem, Source
from jobs.corpus.survey import read_book, read_books, survey

RUN = RunConfig()
TEXTS = ["One, two.\nThree; four.", "“Five”, six, seven.", "Eight. " * 30]
ROWS = [{"id": f"b{n}", "title": f"T{n}", "text": text} for n, text in enumerate(TEXTS)]
CSV = "id,text,title\r\n" + "".join(f'{row["id"]},"{row["text"]}",{row["title"]}\r\n' for row in ROWS)
PROSE = "It rained, and then, as ever, it stopped.\nHe said, she said; they went. "


def listed(path: Path, data: bytes, run: RunConfig = RUN) -> list[BookRef]:
    path.write_bytes(data)
    return list(survey(Source(str(path)), run))


def texts(refs: list[BookRef], run: RunConfig = RUN) -> list[str]:
    return [decode(content).text for _, content in read_books(refs, run)]


def parquet_bytes() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file.getvalue()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_bytes() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return file.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ARRAY = json.dumps(ROWS, indent=1).encode()
PRETTY = "\n".join(json.dumps(row, indent=2) for row in ROWS).encode()


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("lines.json", LINES),
        ("lines.txt", LINES),
        ("lines", LINES),
        ("array.jsonl", ARRAY),
        ("array.json", ARRAY),
        ("array.txt", json.dumps(ROWS).encode()),
        ("marked.json", b"\xef\xbb\xbf" + ARRAY),
        ("marked.jsonl", b"\xef\xbb\xbf" + LINES),
        ("pretty.json", PRETTY),
        ("table.csv", CSV.encode()),
        ("table.txt", CSV.encode()),
        ("marked.csv", CSV.encode("utf-8-sig")),
        ("semicolons.csv", CSV.replace("four.", "four").replace(",", ";").encode()),
        ("table.tsv", CSV.replace(",", "\t").encode()),
        ("excel.tsv", CSV.replace(",", "\t").encode("utf-16")),
    ],
)
def test_records_are_read_whatever_the_ending_and_found_again(tmp_path, name, data, packed):
    refs = listed(tmp_path / name, packed(data))
    assert [ref.problem for ref in refs] == [None] * 3
    assert [(ref.stem, ref.title, ref.number) for ref in refs] == [(f"b{n}", f"T{n}", n) for n in range(3)]
    separator = {"semicolons.csv": ";", "table.tsv": "\t", "excel.tsv": "\t"}.get(name, ",")
    wanted = [text.replace(",", separator) for text in TEXTS]
    if name == "semicolons.csv":
        wanted[0] = wanted[0].replace("four.", "four")
    assert texts(refs) == wanted
    assert texts([refs[2], refs[0]]) == [wanted[2], wanted[0]]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt"])
def test_an_array_of_strings_is_one_text_each(tmp_path, name):
    refs = listed(tmp_path / name, json.dumps(TEXTS).encode())
    assert texts(refs) == TEXTS
    assert [ref.stem for ref in refs] == ["a-000000", "a-000001", "a-000002"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("corpus.txt", parquet_bytes()),
        ("corpus.csv", parquet_bytes()),
        ("corpus.txt", zip_bytes({f"{row['id']}.txt": row["text"].encode() for row in ROWS})),
        ("corpus.parquet", zip_bytes({f"{row['id']}.txt": row["text"].encode() for row in ROWS})),
    ],
)
def test_binary_containers_in_disguise_are_read_as_what_they_are(tmp_path, name, data):
    refs = listed(tmp_path / name, data)
    assert [ref.stem for ref in refs] == ["b0", "b1", "b2"]
    assert texts(refs) == TEXTS


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("name", ["book.txt", "book.zip", "book"])
def test_compressed_text_in_disguise_is_unpacked(tmp_path, name, packed):
    (ref,) = listed(tmp_path / name, packed(PROSE.encode()))
    assert read_book(ref, RUN) == PROSE.encode()


@pytest.mark.parametrize(
    "prose",
    [
        PROSE * 20,
        "[Enter Hamlet, reading.] Words, words, words.\n",
        '["Hello," she said, and went.]\n',
        '{"Why," he asked, "are there braces?"}\n',
        "text, she thought, was a word.\nA text, he thought, was two.\n",
        "The text, the whole text,\nand nothing but the text, or so.\n",
        "1,000 men came.\n2,000 went.\n",
        "BM, ORC and Obj, PARIS and GGUF.\n",
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_prose_that_resembles_a_format_stays_prose(tmp_path, name, prose):
    (ref,) = listed(tmp_path / name, prose.encode())
    assert ref.problem is None
    assert ref.number is None
    assert read_book(ref, RUN) == prose.encode()


def sqlite_bytes(folder: Path) -> bytes:
    path = folder / "made.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE books (text)")
    database.close()
    return path.read_bytes()


REFUSED = {
    "tar archive": tar_bytes(),
    "EPUB": zip_bytes({"mimetype": b"application/epub+zip", "META-INF/container.xml": b"<x/>", "note.txt": b"x"}),
    "Word document": zip_bytes({"word/document.xml": b"<x/>"}),
    "Excel workbook": zip_bytes({"xl/workbook.xml": b"<x/>"}),
    "OpenDocument": zip_bytes({"content.xml": b"<x/>"}),
    "PDF": b"%PDF-1.7\n" + PROSE.encode(),
    "Rich Text": b"{\\rtf1\\ansi " + PROSE.encode(),
    "xz data": b"\xfd7zXZ\x00" + bytes(50),
    "bzip2": b"BZh91AY&SY" + bytes(50),
    "7-Zip": b"7z\xbc\xaf\x27\x1c" + bytes(50),
    "web page": b"  <!DOCTYPE HTML>\n<title>x</title>",
    "web page ": b"<p>A paragraph.</p>",
    "XML": b"<?xml version='1.0'?><TEI>words</TEI>",
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "image, sound or film": b"RIFF\x00\x00\x00\x00WEBP" + bytes(50),
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}


NAMES = ["a.txt", "a", "a.jsonl", "a.csv"]


@pytest.mark.parametrize(
    ("name", "what"),
    # A web page is text, as .jsonl and .csv are; their readers say that it has no rows.
    [(name, what) for what in REFUSED for name in (NAMES[:2] if what.strip() in ("web page", "XML") else NAMES)],
)
def test_what_is_not_read_is_refused_by_its_name_whatever_the_ending(tmp_path, name, what):
    (ref,) = listed(tmp_path / name, REFUSED[what])
    assert what.strip() in (ref.problem or "")
    assert ref.problem_kind in (Problem.BINARY, Problem.FORMAT)


def test_a_database_and_a_tar_within_gzip_are_refused_by_name(tmp_path):
    (ref,) = listed(tmp_path / "a.txt", sqlite_bytes(tmp_path))
    assert "SQLite database (export the texts" in (ref.problem or "")
    (ref,) = listed(tmp_path / "a.tar.gz", gzip.compress(tar_bytes()))
    assert "tar archive; unpack it" in (ref.problem or "")
    (ref,) = listed(tmp_path / "b.gz", gzip.compress(zip_bytes({"a.txt": b"x"})))
    assert "zip within gzip data; unpack it first" in (ref.problem or "")


@pytest.mark.parametrize(
    ("name", "data"),
    [("c.jsonl", LINES), ("c.jsonl.gz", gzip.compress(LINES)), ("c.json", ARRAY), ("c.csv", CSV.encode()),
     ("c.parquet", parquet_bytes())],
)  # fmt: skip
@pytest.mark.parametrize("option", ["text_column", "id_column", "title_column"])
def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path, name, data, option):
    (ref,) = listed(tmp_path / name, data, RunConfig(**{option: "nosuch"}))
    assert ref.problem_kind is Problem.FORMAT
    pattern = rf"'nosuch'; found: id, text, title\. Name the (key|column) with --{option.replace('_', '-')}"
    assert re.search(pattern, ref.problem or ""), ref.problem


def test_a_key_that_only_later_lines_have_is_there(tmp_path):
    data = b'{"text": "a"}\n{"other": 1}\n{"text": "b", "name": "B"}\n'
    first, none, last = listed(tmp_path / "c.jsonl", data, RunConfig(id_column="name"))
    assert (first.stem, first.problem) == ("c-000000", None)
    assert "no text under the key 'text'; found: other" in (none.problem or "")
    assert last.stem == "B"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.json", b"not json, no", "not JSON"),
        ("a.json", b'[{"text": "a"}, {"text": ', "not JSON"),
        ("a.json", b"[[1], [2]]", "no text under the key 'text'; found: list"),
        ("a.json", b"[" * 5_000, "nested deeper than 1000 levels"),
        ("a.csv", b"a,b\n1,2\n", "no column 'text'; found: a, b"),
        ("a.csv", "text,b\nдом,2\n".encode("cp1251"), "not UTF-8; save it as CSV in UTF-8"),
        ("a.csv", b"text,b\na,b\nc,d,e\n", "line 3 ends a row of 3 fields; the header has 2"),
        ("a.csv", b"", "no column 'text'; found: none"),
        ("a.parquet", b"PAR1 and no more", "the Parquet file is damaged"),
    ],
)
def test_what_breaks_says_where(tmp_path, name, data, says):
    refs = listed(tmp_path / name, data)
    assert re.search(says, refs[-1].problem or ""), refs


def test_a_column_that_holds_no_text_is_named(tmp_path):
    pq.write_table(pa.table({"text": [[1, 2], [3]], "n": [1, 2]}), tmp_path / "c.parquet")
    (ref,) = survey(Source(str(tmp_path / "c.parquet")), RUN)
    assert "the column 'text' holds list<" in (ref.problem or "")


def test_parquet_strings_that_are_not_utf8_are_decoded_by_evidence(tmp_path):
    latin = pa.array([b"Caf\xe9, caf\xe9. " * 20, "Größe".encode()])
    table = pa.table({"text": latin, "title": pa.array([b"\xff", b"T"])})
    schema = pa.schema([("text", pa.string()), ("title", pa.string())])
    columns = [pa.Array.from_buffers(pa.string(), 2, column.chunk(0).buffers()) for column in table]
    broken = pa.Table.from_arrays(columns, schema=schema)
    pq.write_table(broken, tmp_path / "c.parquet")
    first, second = survey(Source(str(tmp_path / "c.parquet")), RUN)
    assert first.problem is None
    assert decode(read_book(first, RUN)).text.startswith("Café, café. ")
    assert read_book(second, RUN) == "Größe"
    assert second.title == "T"


def test_what_file_managers_leave_in_archives_is_passed_over(tmp_path):
    members = {
        "a.txt": b"One.",
        "b.txt": b"Two.",
        "__MACOSX/._b.txt": b"\0\5\x16\7",
        ".DS_Store": b"\0",
        "x/._a.txt": b"x",
    }
    refs = listed(tmp_path / "c.zip", zip_bytes(members))
    assert [ref.stem for ref in refs] == ["a", "b"]
    assert texts(refs) == ["One.", "Two."]


def test_an_archive_without_texts_says_what_it_holds(tmp_path):
    (ref,) = listed(tmp_path / "c.zip", zip_bytes({"a.jsonl": b"x", "b.csv": b"y"}))
    assert "no .txt file; it holds a.jsonl, b.csv" in (ref.problem or "")
