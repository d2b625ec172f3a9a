"""Keys are readable, unique and stable; duplicates are found by content and by ebook number."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from jobs.corpus.names import name_books
from jobs.corpus.references import BookRef
from store.books import BookStatus


@dataclass(frozen=True)
class Done:
    """What a store remembers of a book."""

    sha256: str | None
    source: str
    status: BookStatus

    def __post_init__(self):
        object.__setattr__(self, "status", BookStatus(self.status))


def ref(uri: str, sha256: str | None, stem: str = "book", ebook_id: int | None = None) -> BookRef:
    return BookRef(stem, uri, sha256=sha256, ebook_id=ebook_id, problem=None if sha256 else "cannot be read")


def named(refs: list[BookRef], done: dict[str, Done] | None = None) -> list[tuple[str, str | None]]:
    return [(book.key, book.duplicate_of) for book in name_books(refs, done or {})]


def test_equal_stems_are_numbered_in_order():
    assert named([ref("/1", "a"), ref("/2", "b"), ref("/3", "c")]) == [
        ("book", None),
        ("book-2", None),
        ("book-3", None),
    ]


def test_a_stem_that_looks_like_a_numbered_one_collides_with_nothing():
    assert named([ref("/1", "a", "x-2"), ref("/2", "b", "x"), ref("/3", "c", "x")]) == [
        ("x-2", None),
        ("x", None),
        ("x-3", None),
    ]


def test_the_same_content_is_a_duplicate_of_the_first():
    assert named([ref("/1", "a"), ref("/2", "a")]) == [("book", None), ("book-2", "book")]


def test_the_same_ebook_in_other_encodings_is_a_duplicate_of_the_first():
    refs = [ref(f"/{n}", sha, "pg219", 219) for n, sha in enumerate(("utf8", "latin1", "ascii"))]
    assert named(refs) == [("pg219", None), ("pg219-2", "pg219"), ("pg219-3", "pg219")]


def test_a_source_that_could_not_be_read_is_nobodys_original():
    assert named([ref("/1", None, "pg1"), ref("/2", "a", "pg1", 1)]) == [("pg1", None), ("pg1-2", None)]


def test_a_source_named_twice_comes_once():
    assert named([ref("/1", "a"), ref("/1", "a"), ref("/2", None), ref("/2", None)]) == [
        ("book", None),
        ("book-2", None),
    ]


def test_running_again_gives_the_same_names():
    refs = [ref("/1", "a", "pg219", 219), ref("/2", "b", "pg219", 219), ref("/3", "c"), ref("/4", "c")]
    first = named(refs)
    done = {
        key: Done(r.sha256, r.source, "duplicate" if original else "used")
        for r, (key, original) in zip(refs, first, strict=True)
    }
    assert named(refs, done) == first
    assert named(refs[2:], done) == first[2:]


def test_a_committed_book_from_another_place_is_a_duplicate():
    assert named([ref("/copy", "a", "copy")], {"book": Done("a", "/1", "used")}) == [("copy", "book")]


def test_a_changed_file_is_a_new_book_and_takes_no_old_key():
    assert named([ref("/1", "new")], {"book": Done("old", "/1", "used")}) == [("book-2", None)]


def test_a_failed_or_quarantined_source_is_tried_again_under_its_key():
    done = {"book": Done(None, "/1", "failed"), "other": Done("b", "/2", "quarantined")}
    assert named([ref("/1", "a"), ref("/2", "b")], done) == [("book", None), ("other", None)]


def test_a_rejected_edition_does_not_stand_in_the_way_of_a_good_one():
    done = {"pg219": Done("a", "/1", "rejected")}
    assert named([ref("/2", "b", "pg219", 219)], done) == [("pg219-2", None)]


def test_the_next_edition_takes_the_place_of_a_rejected_one_once_and_for_all():
    """Each run names all editions again, and knows what the last one found out about them."""
    refs = [ref(f"/{n}", sha, "pg219", 219) for n, sha in enumerate(("utf8", "latin1", "ascii"))]
    keys = ("pg219", "pg219-2", "pg219-3")
    later = [("pg219", None), ("pg219-2", None), ("pg219-3", "pg219-2")]
    for statuses in (("rejected", "duplicate", "duplicate"), ("rejected", "used", "duplicate")):
        done = {k: Done(r.sha256, r.source, s) for k, r, s in zip(keys, refs, statuses, strict=True)}
        assert named(refs, done) == later
    assert named(refs[2:], done) == later[2:], "though the original is not named this time"


def test_a_numbered_record_of_a_file_is_no_edition():
    assert named([ref("/2", "b", "pg219", 219)], {"pg219-000003": Done("a", "/1", "used")}) == [("pg219", None)]


def test_references_are_small_and_travel():
    one = ref("/a/long/path/to/a/book.txt", "f" * 64, ebook_id=5)
    assert pickle.loads(pickle.dumps(one)) == one
    assert len(pickle.dumps(one)) < 600
