"""Small files that claim or unpack to gigabytes: each is read or refused in a child process that counts its memory."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.config import RunConfig
from jobs.corpus.parquet_pages import largest_page
from jobs.corpus.references import Problem, Source
from jobs.corpus.survey import read_books, survey
from jobs.errors import BookError

MEGABYTE = 1_000_000
CHILD = """
import json, resource, sys
from jobs.config import RunConfig
from jobs.corpus.references import Source
from jobs.corpus.survey import survey
run = RunConfig(max_book_megabytes=1)
grown = {}
for path in sys.argv[1:]:  # small files of each kind come first, so that all readers are loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kinds = {str(ref.problem_kind) for ref in survey(Source(path), run)}
    grown[path] = (sorted(kinds), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
print(json.dumps(grown))
"""


def of_size(start: bytes, piece: bytes, size: int, end: bytes = b"") -> bytes:
    """`size` bytes or more, packed into some hundred kilobytes: one packed piece of ten megabytes, again and again."""
    many = gzip.compress(piece * (10 * MEGABYTE // len(piece)))
    return gzip.compress(start) + many * (size // (10 * MEGABYTE)) + gzip.compress(end)


def parquet(**options: object) -> bytes:
    """300 rows of one text of 900 kB: 270 MB in half a kilobyte."""
    file = io.BytesIO()
    text = "x" * 900_000
    if options.get("use_dictionary", True):
        column = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), [text])
    else:
        column = pa.array([text] * 300)
    pq.write_table(pa.table({"text": column}), file, compression="zstd", **options)
    return file.getvalue()


def long_page() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["x" * 60 * MEGABYTE]}), file, compression="zstd", use_dictionary=False)
    return file.getvalue()


def many_rows() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": pa.nulls(5_000_000, pa.string())}), file, compression="zstd")
    return file.getvalue()


BOMBS = {
    "shared value.parquet": parquet,
    "shared prefix.parquet": lambda: parquet(use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"}),
    "long page.parquet": long_page,
    "many rows.parquet": many_rows,
    "containers.jsonl.gz": lambda: of_size(b'{"text": "a", "x": [', b"[],", 150 * MEGABYTE, b"0]}\n"),
    "containers.json.gz": lambda: of_size(b'{"text": "a", "x": [', b"[],", 10 * MEGABYTE, b"0]}\n"),
    "keys.jsonl.gz": lambda: of_size(b'{"text": "a"', b',"k":{}', 150 * MEGABYTE, b"}\n"),
    "string.jsonl.gz": lambda: of_size(b'{"text": "', b"a", 150 * MEGABYTE, b'"}\n'),
    "string.json.gz": lambda: of_size(b'[{"text": "', b"a", 150 * MEGABYTE, b'"}]'),
    "escapes.jsonl.gz": lambda: of_size(b'{"text": "', b"\\ud83d\\ude00", 150 * MEGABYTE, b'"}\n'),
    "number.json.gz": lambda: of_size(b"[1", b"1", 150 * MEGABYTE, b"]"),
    "depth.json.gz": lambda: of_size(b"[", b"[", 10 * MEGABYTE),
    "row.csv.gz": lambda: of_size(b"id,text\n1,", b"a", 150 * MEGABYTE),
    "fields.csv.gz": lambda: of_size(b"id,text\n1,", b"ab,", 150 * MEGABYTE),
    "multi-line row.csv.gz": lambda: of_size(b'id,text\n1,"', b'ab\n","', 150 * MEGABYTE),
    "quoted.csv.gz": lambda: of_size(b'id,text\n1,"', b"a\n", 150 * MEGABYTE),
}
READ = {"shared value.parquet", "shared prefix.parquet"}
"""What each holds is small enough, text by text."""


def small_files() -> dict[str, bytes]:
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), table)
    plain = {".jsonl": b'{"text": "a"}\n', ".json": b'[{"text": "a"}]', ".csv": b"id,text\n1,a\n"}
    return {"small.parquet": table.getvalue()} | {f"small{end}.gz": gzip.compress(data) for end, data in plain.items()}


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory) -> dict[str, tuple[list[str], int]]:
    """What became of each bomb, and by how much the peak of the child's memory grew.

    Some 20 seconds: 16 bombs are packed, and unpacked as far as the limit goes.
    """
    folder = tmp_path_factory.mktemp("bombs")
    files = small_files() | {name: make() for name, make in BOMBS.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        assert len(data) < 2 * MEGABYTE, name
    command = [sys.executable, "-c", CHILD, *(str(folder / name) for name in files)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert child.returncode == 0, child.stderr
    return {Path(path).name: tuple(found) for path, found in json.loads(child.stdout).items()}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_bounded_memory(surveyed, name):
    kinds, grown = surveyed[name]
    refused = "format" if name == "depth.json.gz" else "too large"
    assert kinds == (["None"] if name in READ else [refused])
    assert grown < 100 * MEGABYTE


def column_chunks(data: bytes) -> list[pq.ColumnChunkMetaData]:
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    return [metadata.row_group(group).column(0) for group in range(metadata.num_row_groups)]


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("statistics", [True, False])
def test_pages_are_measured_as_they_were_written(compression, version, statistics):
    """Pages of one size, each one text: what a header says is that text and its length of four bytes."""
    texts = [f"{n:03d}" + "x" * 99_997 for n in range(50)]
    file = io.BytesIO()
    options = {"data_page_version": version, "write_statistics": statistics, "write_page_checksum": statistics}
    pq.write_table(pa.table({"text": texts}), file, compression=compression, use_dictionary=False, data_page_size=1,
                   write_batch_size=1, row_group_size=20, **options)  # fmt: skip
    sizes = [largest_page(file, chunk) for chunk in column_chunks(file.getvalue())]
    assert len(sizes) == 3
    assert all(100_004 <= size < 100_100 for size in sizes)


def test_the_dictionary_is_a_page_too():
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["x" * 500_000] * 10}), file, compression="zstd")
    (chunk,) = column_chunks(file.getvalue())
    assert 500_004 <= largest_page(file, chunk) < 500_100


def test_a_page_that_lies_about_its_size_is_refused_before_it_is_unpacked(tmp_path):
    """The footer says little, the header of the page says what its buffer would be: 60 MB."""
    data = long_page()
    (chunk,) = column_chunks(data)
    assert largest_page(io.BytesIO(data), chunk) > 60 * MEGABYTE
    (tmp_path / "a.parquet").write_bytes(data)
    (ref,) = survey(Source(str(tmp_path / "a.parquet")), RunConfig(max_book_megabytes=1))
    assert ref.problem_kind is Problem.TOO_LARGE
    assert "write the file with smaller pages" in (ref.problem or "")


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(["a.parquet", "a.zip", "a.jsonl.gz", "a.txt.zst", "lzma.zip"]), data=st.data())
def test_any_damage_is_a_reason_and_never_an_error(tmp_path_factory, kind, data):
    """Some bytes of a good file are replaced or cut off; whatever a foreign reader then raises has its reference."""
    good = DAMAGED[kind]
    position = data.draw(st.integers(0, len(good) - 1))
    patch = data.draw(st.binary(max_size=8))
    length = data.draw(st.sampled_from([len(good), position]))
    path = tmp_path_factory.getbasetemp() / kind
    path.write_bytes((good[:position] + patch + good[position + len(patch) :])[:length])
    refs = list(survey(Source(str(path)), RunConfig(max_book_megabytes=1)))
    assert refs
    for _, content in read_books([ref for ref in refs if ref.problem is None], RunConfig(max_book_megabytes=1)):
        assert isinstance(content, bytes | str | BookError)


def archive(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("a.txt", "Words, words. " * 50)
        archive.writestr("Größe.txt", "More words. " * 50)
    return file.getvalue()


DAMAGED = {
    "a.parquet": small_files()["small.parquet"],
    "a.zip": archive(zipfile.ZIP_DEFLATED),
    "lzma.zip": archive(zipfile.ZIP_LZMA),
    "a.jsonl.gz": gzip.compress(b'{"text": "words"}\n' * 40),
    "a.txt.zst": zstandard.ZstdCompressor(write_checksum=True).compress(b"Words, words. " * 50),
}


def test_a_name_in_an_archive_that_is_not_utf8_and_damaged_lzma_are_reasons(tmp_path):
    name = "Größe.txt".encode()
    (tmp_path / "a.zip").write_bytes(archive(zipfile.ZIP_STORED).replace(name, name.replace(b"\xc3", b"\xff")))
    (ref,) = survey(Source(str(tmp_path / "a.zip")), RunConfig())
    assert "the zip file is damaged" in (ref.problem or "")
    packed = bytearray(archive(zipfile.ZIP_LZMA))
    packed[60:70] = b"\xff" * 10
    (tmp_path / "b.zip").write_bytes(bytes(packed))
    damaged, sound = survey(Source(str(tmp_path / "b.zip")), RunConfig())
    assert "a.txt in the archive is damaged" in (damaged.problem or "")
    assert damaged.problem_kind is Problem.UNREADABLE
    assert sound.problem is None
