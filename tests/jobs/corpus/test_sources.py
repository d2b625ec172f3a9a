"""Whatever the user names becomes single sources in a stable order; what is not a book is said."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.config import RunConfig
from jobs.corpus.formats import Container, Format, format_of_name, stem_of
from jobs.corpus.references import BookRef, Problem, Source
from jobs.corpus.sources import expand_sources

RUN = RunConfig()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Books in a folder with subfolders, awkward names, and things that are not books."""
    for name in ("b.txt", "a.TXT", "sub/c.txt.gz", "sub/deep/d.jsonl.zst", "sub/e.parquet", "z 'quoted' \"é\".zip"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for name in ("cover.jpg", "README.md", ".hidden.txt", "sub/f.docx"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def uris(arguments: list[str]) -> list[str]:
    return [source.uri for source in expand_sources(arguments, RUN)]


def test_a_folder_is_taken_with_its_subfolders_by_name(library):
    found = [os.path.relpath(uri, library) for uri in uris([str(library)])]
    assert found == ["a.TXT", "b.txt", "sub/c.txt.gz", "sub/deep/d.jsonl.zst", "sub/e.parquet", "z 'quoted' \"é\".zip"]


def test_relative_paths_become_absolute_so_that_a_book_has_one_address(library, monkeypatch):
    monkeypatch.chdir(library)
    assert uris(["b.txt", "./sub/../b.txt"]) == [str(library / "b.txt")] * 2


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["b.txt"]),
        ("**/*.gz", ["sub/c.txt.gz"]),
        ("sub*", ["sub/c.txt.gz", "sub/deep/d.jsonl.zst", "sub/e.parquet"]),
        ("[ab].*", ["a.TXT", "b.txt"]),
    ],
)
def test_patterns(library, pattern, expected):
    assert [os.path.relpath(uri, library) for uri in uris([str(library / pattern)])] == expected


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    path = tmp_path / "volume [1].txt"
    path.write_text("x")
    assert uris([str(path)]) == [str(path)]


def test_a_list_file_names_more_arguments(library):
    listing = library / "books.lst"
    listing.write_text(
        f"\ufeff# a comment\n\nb.txt\n{library}/sub/*.gz\ngutenberg:0219\nhttps://example.net/a.txt\nno.txt\n"
    )
    found = list(expand_sources([f"@{listing}"], RUN))
    assert [source.uri for source in found[:4]] == [
        str(library / "b.txt"),
        str(library / "sub/c.txt.gz"),
        "gutenberg:219",
        "https://example.net/a.txt",
    ]
    assert isinstance(found[4], BookRef)
    assert found[4].problem_kind is Problem.MISSING


def test_a_list_file_that_names_itself_ends(tmp_path):
    listing = tmp_path / "books.lst"
    listing.write_text("@books.lst\n")
    (ref,) = expand_sources([f"@{listing}"], RUN)
    assert isinstance(ref, BookRef)
    assert "names itself" in (ref.problem or "")


def test_a_link_that_leads_back_up_ends(library):
    (library / "sub" / "loop").symlink_to(library, target_is_directory=True)
    (library / "self.txt").symlink_to(library / "self.txt")
    found = [os.path.relpath(uri, library) for uri in uris([str(library)])]
    assert found.count("b.txt") == 1
    assert "self.txt" in found  # the survey says that it leads nowhere


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("no/such/book.txt", "does not exist"),
        ("*.nothing", "no file matches"),
        ("gutenberg:heart-of-darkness", "write gutenberg:219"),
        ("@no-list", "the list file .* does not exist"),
        ("nosuchscheme://host/x", "nosuchscheme"),
    ],
)
def test_what_gives_nothing_is_a_reference_with_a_reason(argument, says):
    (ref,) = expand_sources([argument], RUN)
    assert isinstance(ref, BookRef)
    assert ref.sha256 is None
    assert ref.wrong_use
    assert re.search(says, ref.problem or "")


def test_a_folder_without_books_and_a_broken_link(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    empty, gone = expand_sources([str(tmp_path / "photos"), str(tmp_path / "gone.txt")], RUN)
    assert isinstance(empty, BookRef)
    assert "holds no book" in (empty.problem or "")
    assert isinstance(gone, BookRef)
    assert "leads nowhere" in (gone.problem or "")


def test_a_name_that_is_not_utf8_is_refused_under_a_name_that_can_be_written(tmp_path):
    latin1 = [os.fsdecode(name) for name in (b"caf\xe9.txt", b"caf\xe8.txt", b"caf\xe9/one.txt")]
    for name in latin1[1:]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "good.txt").touch()
    expected = [r"caf\xe8.txt", r"caf\xe9/one.txt", "good.txt"]
    for argument in (str(tmp_path), str(tmp_path / "**")):
        found = list(expand_sources([argument], RUN))
        assert [os.path.relpath(one.uri, tmp_path) for one in found] == expected
        assert found[2] == Source(str(tmp_path / "good.txt"))
        for ref in found[:2]:
            assert (ref.sha256, ref.wrong_use) == (None, True)
            assert ref.problem == f"{ref.uri}: the name is not UTF-8; rename the file or its folder"
        assert [ref.stem for ref in found[:2]] == ["caf", "one"]
    (missing,) = expand_sources([str(tmp_path / latin1[0])], RUN)
    assert missing.problem == rf"{tmp_path}/caf\xe9.txt does not exist; check the spelling"


def test_one_bad_argument_does_not_stop_the_others(library):
    found = list(expand_sources(["nope", str(library / "b.txt")], RUN))
    assert [isinstance(source, Source) for source in found] == [False, True]


def test_tens_of_thousands_of_sources_are_expanded_lazily(tmp_path):
    for number in range(3000):
        (tmp_path / f"{number:05d}.txt").touch()
    expansion = expand_sources([str(tmp_path), "/never/reached"], RUN)
    assert isinstance(expansion, Iterator)
    assert next(expansion) == Source(str(tmp_path / "00000.txt"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", Format(Container.TEXT)),
        ("a.txt.gz", Format(Container.TEXT, "gzip")),
        ("A.JSONL.ZST", Format(Container.JSON_LINES, "zstd")),
        ("a.parquet", Format(Container.PARQUET)),
        ("a.zip", Format(Container.ZIP)),
        ("a.zip.gz", None),
        ("a.pdf", None),
        ("txt", None),
    ],
)
def test_formats_by_name(name, expected):
    assert format_of_name(name) == expected


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("pg219.txt.utf-8", "pg219"),
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\x.txt", "x"),
        ("..", "book"),
        (".txt", "txt"),
        ("a/b c'd\"e.jsonl.gz", "b-c-d-e"),
        ("Война и мир.txt", "Война-и-мир"),
        ("x" * 300, "x" * 80),
        ("a\nb\x00c", "a-b-c"),
    ],
)
def test_stems_are_readable_and_cannot_lead_anywhere(name, stem):
    assert stem_of(name) == stem
