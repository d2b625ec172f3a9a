"""Cleaning leaves the book and nothing else, in every historic form, and says so when little is left."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


COUNTED = re.compile(r"(\d+) characters of (credits|transcriber's notes|notes in brackets)")


def taken_off(warnings: tuple[str, ...]) -> Counter[str]:
    """Characters that the warnings say were taken off, by what they were."""
    said = " ".join(warning for warning in warnings if warning.startswith("cleaning took off"))
    return Counter({what: int(count) for count, what in COUNTED.findall(said)})


def letters(text: str) -> int:
    """Characters of the lines that are not blank."""
    return sum(len(line) for line in text.split("\n") if line.strip())


@pytest.mark.parametrize("form", FORMS)
def test_every_historic_form_leaves_exactly_the_book(form):
    cleaned = clean(FORMS[form])
    assert cleaned.text == BODY
    assert cleaned.title == "The Harbour Clock"
    assert cleaned.author == ("Jane Tregear" if "Tregear" in FORMS[form] else None)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_forms_around_a_long_book(form):
    newline = "\r\n" if "Windows" in form else "\r" if "Macintosh" in form else "\n"
    text = FORMS[form].replace(BODY.replace("\n", newline), LONG_BODY.replace("\n", newline))
    assert LONG_BODY.replace("\n", newline) in text
    cleaned = clean(text)
    assert cleaned.text == LONG_BODY.rstrip("\n") + "\n"
    assert [warning for warning in cleaned.warnings if not warning.startswith("cleaning took off")] == []


def test_no_residue_on_real_files(gutenberg_books):
    for path in gutenberg_books:
        cleaned = clean(decode(path.read_bytes()).text)
        lines = cleaned.text.split("\n")
        residue = [line for line in lines if RESIDUE.search(line)]
        assert residue == [], path.name
        # Nine misprints, listed behind the publisher's advertisements.
        assert taken_off(cleaned.warnings)["transcriber's notes"] == {"pg345": 604}.get(path.stem, 0), path.name
        assert len(cleaned.warnings) <= 1, path.name
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


FRAME = FORMS["German end line"].replace("Produced by Anna Volunteer\n\n\n\n", "")
ADVERSARIAL = [
    "Minor injuries were dressed, and the course was corrected.",
    '"Many thanks to you, sir," said the mate, and went below.',
    "“Many thanks to You, Sir,” said the mate.",
    "Many thanks to the cook, who had saved us.",
    "Special thanks were due to the cook.",
    "Obvious errors in the log were corrected by the mate.",
    "The following minor mishaps were amended with tar.",
    "Produced by the cook from nothing, the soup was hot.",
    "Scanned by the searchlight, the deck was empty.",
    "The e-text of life is long, and e-texts are many.",
    "Transcriber's notes were kept by the purser in a drawer.",
    '"Transcriber\'s note:" he read aloud, and laughed.',
    "Proofreader's corrections fill my days, she wrote.",
    "Au lecteur qui passe, salut.",
    "Language: English was all he knew.",
    "Note: there is no end to it.",
    "Credits: he had none, and debts enough.",
    "Release date: nobody knew when they would let him go.",
    "Printers were few in the town, and none of them was ever corrected, or so the transcriber of the deeds said.",
]
CALM = [
    f"The ship went on, for the {n}th day, and the men slept; a long calm lay upon the sea.\n"
    "Nobody spoke of it, for it was late and the lamp was low, and the wind was small."
    for n in range(70)
]


def framed(paragraphs: list[str]) -> str:
    return FRAME.replace(BODY, "\n\n".join(paragraphs) + "\n")


@pytest.mark.parametrize("at", [0, 1, 40, 68])
@pytest.mark.parametrize("prose", ADVERSARIAL)
def test_prose_that_resembles_credits_and_notes_stays(prose, at):
    """The 41st of 70 paragraphs once cut off the 29 behind it, and `reason` said nothing."""
    paragraphs = [*CALM[:at], prose, *CALM[at + 1 :]]
    cleaned = clean(framed(paragraphs))
    assert cleaned.text == "\n\n".join(paragraphs) + "\n"
    assert cleaned.warnings == ()


WORDS = """
    the a he she sea note notes transcriber Transcriber's corrected errors Minor Obvious typographical printed Produced
    by from Special thanks to scanned text etext Anna page spelling changed London, and. was: said; Credits volume
""".split()  # noqa: SIM905  a block of words reads better than a list of quoted ones
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=12, max_size=60).map(" ".join)


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(SENTENCES, st.sampled_from(ADVERSARIAL + CALM)), min_size=3, max_size=70))
def test_whatever_is_taken_off_between_the_frame_lines_is_counted(paragraphs):
    """Words that look like a note may be taken for one; never without a count, and never prose from the middle."""
    text = "\n\n".join(paragraphs) + "\n"
    cleaned = clean(framed(paragraphs))
    assert letters(text) - letters(cleaned.text) == sum(taken_off(cleaned.warnings).values())


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(ADVERSARIAL + CALM), min_size=3, max_size=70).map(lambda drawn: [CALM[0], *drawn, CALM[1]])
)
def test_prose_in_any_order_survives_whole(paragraphs):
    cleaned = clean(framed(paragraphs))
    assert cleaned.text == "\n\n".join(paragraphs) + "\n"


def test_a_note_heading_before_prose_cuts_nothing_behind_it():
    paragraphs = [*CALM[:40], "Transcriber's Note:", *CALM[41:]]
    assert clean(framed(paragraphs)).text == "\n\n".join(paragraphs) + "\n"


@pytest.mark.parametrize(
    "note",
    [
        ["Transcriber's Note:", "Page 3, clok changed to clock.", "Spelling is as in the original."],
        ["Transcriber's Notes", '"harbor" to "harbour"', "clok=> clock {pg 9}", "Three words were hyphenated."],
        ["TRANSCRIBER'S NOTE: Obvious printer's errors were corrected."],
        ["Typographical errors corrected by the etext transcriber:", "clok=> clock {pg 9}"],
        ["The following misprints were corrected:", "clok changed to clock", "teh changed to the"],
    ],
)
def test_a_note_at_the_end_is_taken_off_and_counted(note):
    cleaned = clean(framed([*CALM, *note]))
    assert cleaned.text == "\n\n".join(CALM) + "\n"
    assert taken_off(cleaned.warnings) == {"transcriber's notes": sum(map(len, note))}


def test_notes_and_credits_at_the_head_are_counted():
    credit, note = "Produced by Anna Volunteer", "Transcriber's Note: Spelling is as in the original."
    cleaned = clean(framed([credit, f"{note}\n\n", *CALM, "[Transcriber's note: no.] He went."]))
    assert cleaned.text.startswith(CALM[0])
    assert cleaned.text.endswith("\n\n He went.\n")
    said = {"credits": len(credit), "transcriber's notes": len(note), "notes in brackets": 25}
    assert taken_off(cleaned.warnings) == said


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
    _, warning = cleaned.warnings
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
