"""A part that fails is a sentence in its place; what concerns the whole report is raised."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.errors import ReportUsageError, UnreadableStoreError
from reports.page.exhibits import Failure, Report, Section, Table, attempt, attempt_section
from store.errors import StoreUnavailable


def fail(error: BaseException):
    def make():
        raise error

    return make


def test_a_part_that_can_be_made_is_the_part():
    assert attempt("k", "The table", lambda: 5) == 5


def test_a_part_that_fails_says_which_why_and_where():
    failure = attempt("k", "The table", fail(ValueError("two\nlines   of it")))
    assert isinstance(failure, Failure)
    assert failure.sentence == "The table could not be made: ValueError: two lines of it"
    assert "raise error\nValueError: two" in failure.details
    assert len(attempt("k", "t", fail(ValueError("x" * 5000))).reason) == 300
    assert attempt("k", "t", fail(MemoryError())).reason == "MemoryError"


@pytest.mark.parametrize(
    "error", [ReportUsageError("no such layer"), UnreadableStoreError("damaged"), StoreUnavailable("no answer")]
)
def test_wrong_use_and_a_store_that_refuses_end_the_report(error):
    with pytest.raises(type(error)):
        attempt("k", "t", fail(error))


def test_a_section_that_fails_keeps_its_place_and_its_title():
    section = attempt_section("books", "Book by book", fail(KeyError("book")))
    assert (section.key, section.title) == ("books", "Book by book")
    assert [part.sentence for part in section.parts] == [
        "The section 'Book by book' could not be made: KeyError: 'book'"
    ]


def test_a_report_lists_what_it_lacks():
    one, two = (Table(key, key, "", pd.DataFrame({"a": [1]})) for key in ("one", "two"))
    report = Report("t", "s", "x", (), {}, (Section("s", "S", "", (one, two)),), {}, (Failure("pdf", "P", "why"),))
    lacking = report.without({"two": Failure("two", "T", "why")})
    assert [part.key for part in lacking.sections[0].parts] == ["one", "two"]
    assert [failure.key for failure in lacking.failures] == ["pdf", "two"]
