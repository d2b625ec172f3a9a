"""Cleaning leaves the book and nothing else, in every historic form, and says so when little is left."""

from __future__ import annotations

import re

import pytest

from jobs.corpus.cleaning import clean
from jobs.corpus.decoding import decode
from jobs.corpus.gutenberg import read_header
from jobs.corpus.references import UnusableTextError
from tests.jobs.corpus.historic_forms import BODY, FORMS, PARAGRAPHS_OF_LICENCE, SMALL_PRINT

RESIDUE = re.compile(
    r"gutenberg|\be-?texts?\b|\bebook|pgdp|distributed proof|^\W*(produced|prepared|transcribed|scanned) (by|from)"
    r"|https?:|www\.|transcriber|small print|^\W*(title|author|release date|character set)\b.*:",
    re.IGNORECASE,
)
LONG_BODY = BODY + "\n" + "\n".join(f"Paragraph {n} of the tale went on, and on.\n" for n in range(400))


@pytest.mark.parametrize("form", FORMS)
def test_every_historic_form_leaves_exactly_the_book(form):
    cleaned = clean(FORMS[form])
    assert cleaned.text == BODY
    assert cleaned.title == "The Harbour Clock"
    assert (cleaned.author or "Jane Tregear") == "Jane Tregear"


@pytest.mark.parametrize("form", FORMS)
def test_the_same_forms_around_a_long_book(form):
    newline = "\r\n" if "Windows" in form else "\r" if "Macintosh" in form else "\n"
    text = FORMS[form].replace(BODY.replace("\n", newline), LONG_BODY.replace("\n", newline))
    assert LONG_BODY.replace("\n", newline) in text
    cleaned = clean(text)
    assert cleaned.text == LONG_BODY.rstrip("\n") + "\n"
    assert cleaned.warnings == ()


def test_no_residue_on_real_files(gutenberg_books):
    for path in gutenberg_books:
        cleaned = clean(decode(path.read_bytes()).text)
        lines = cleaned.text.split("\n")
        residue = [line for line in lines if RESIDUE.search(line)]
        assert residue == [], path.name
        assert cleaned.warnings == (), path.name
        assert cleaned.title is not None
        assert cleaned.author is not None
        assert "\r" not in cleaned.text


def test_real_files_keep_their_first_and_last_words(gutenberg_books):
    ends = {
        "pg219": ("HEART OF DARKNESS", "heart of an immense darkness."),
        "pg1342": ("PRIDE AND PREJUDICE", "the means of uniting them."),
        "pg98": ("A TALE OF TWO CITIES", "rest that I go to than I have ever known.”"),
        "pg35": ("The Time Machine", "still lived on in the heart of man."),
    }
    for path in gutenberg_books:
        first, last = ends.get(path.stem, ("", ""))
        text = clean(decode(path.read_bytes()).text).text
        assert text.startswith(first)
        assert text.rstrip().endswith(last)


def test_a_text_from_elsewhere_keeps_every_line(sample_text):
    story = "Produced by hand.\n\n\nThe printer Gutenberg set the page.\n\nThe end of Gutenberg's press came soon.\n"
    assert clean(story).text == story
    assert clean(sample_text).text.strip("\n") == sample_text.strip("\n")


@pytest.mark.parametrize(
    "opening",
    [
        "The text is that of the first edition, and nothing was changed.",
        "Prepared for the worst, he went out.",
        "He was produced, by and by, from behind a curtain.",
        "The files were lost in the fire.",
        "Note: the places in this story are not real.",
    ],
)
def test_first_words_that_resemble_credits_stay(opening):
    text = FORMS["2008, this, produced by"].replace(BODY, f"{opening}\n\n{BODY}")
    assert clean(text).text == f"{opening}\n\n{BODY}"


def test_an_end_line_in_the_middle_of_a_book_cuts_nothing_but_what_reads_like_a_licence():
    """A collection that once was several files has end lines inside; cutting at the first has lost whole books."""
    start = FORMS["2008, this, produced by"].partition("THE HARBOUR CLOCK\n\n")[0]
    middle = "\n\nEnd of Project Gutenberg's Part One\n\n"
    end = f"\n\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n{PARAGRAPHS_OF_LICENCE}"
    text = f"{start}{LONG_BODY}{middle}{LONG_BODY}{end}"
    cleaned = clean(text)
    assert cleaned.text.count("Paragraph 399 of the tale") == 2
    assert "Gutenberg" not in cleaned.text


def test_two_books_in_one_file_are_both_kept_without_what_stands_between():
    text = FORMS["2008, this, produced by"] + "\n\n" + FORMS["transcribed from an edition"]
    cleaned = clean(text.replace(BODY, LONG_BODY))
    assert cleaned.text.count("THE HARBOUR CLOCK\n") == 2
    assert cleaned.text.count("Paragraph 0 of the tale") == 2
    assert "License" not in cleaned.text


def test_notices_inside_a_collection_are_taken_out():
    notice = (
        "<<THIS ELECTRONIC VERSION OF THE COMPLETE WORKS IS COPYRIGHT BY A LIBRARY, AND IS\n"
        "PROVIDED BY PROJECT GUTENBERG WITH PERMISSION.>>\n"
    )
    text = FORMS["1994, small print in the header"].replace(BODY, f"{LONG_BODY}\n{notice}\n{LONG_BODY}")
    cleaned = clean(text).text
    assert "ELECTRONIC" not in cleaned
    assert cleaned.count("Chapter II") == 2


def test_little_that_survives_is_a_warning_with_numbers():
    text = FORMS["2008, this, produced by"].replace(BODY, "A poem.\n")
    cleaned = clean(text)
    assert cleaned.text == "A poem.\n"
    (warning,) = cleaned.warnings
    assert f"7 of {len(text)} characters (0%)" in warning
    assert "--text raw" in warning


def test_a_book_that_would_be_empty_is_refused_with_a_reason():
    text = FORMS["2008, this, produced by"].replace(BODY, "")
    with pytest.raises(UnusableTextError, match=r"nothing is left of \d+ characters.*--text raw"):
        clean(text)
    with pytest.raises(UnusableTextError, match="nothing is left"):
        clean(SMALL_PRINT.join(["The Project Gutenberg Etext of Nothing\n\n", ""]))


def test_control_characters_and_page_breaks_go():
    assert clean("\ufeffOne\x00 two\x1a.\fThree.\r\n").text == "One two.\nThree.\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            "The Project Gutenberg EBook of Emma, by Jane Austen\n\nTitle: Emma\n\nAuthor: Jane Austen\n\n"
            "Release Date: 1994 [EBook #158]\n",
            (158, "Emma", "Jane Austen"),
        ),
        (
            "The Project Gutenberg Etext of Emma, by Jane Austen\nAugust, 1994  [Etext #158]\n",
            (158, "Emma", "Jane Austen"),
        ),
        (
            "Project Gutenberg's Emma, by Jane Austen\r\n\r\nTitle: Emma\r\n       A Novel\r\n",
            (None, "Emma A Novel", "Jane Austen"),
        ),
        ("**The Project Gutenberg Etext of Emma**\n", (None, "Emma", None)),
        ("Title: A play about etexts\nAuthor: nobody\n[EBook #5]\n", (None, None, None)),
    ],
)
def test_headers_state_number_title_and_author(head, expected):
    header = read_header(head)
    assert (header.ebook_id, header.title, header.author) == expected


def test_cleaning_twice_changes_nothing(gutenberg_books):
    text = clean(decode(gutenberg_books[0].read_bytes()).text).text
    assert clean(text).text == text
