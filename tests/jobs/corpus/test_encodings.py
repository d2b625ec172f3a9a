"""Old encodings are recognised by evidence, with a confidence that is told, or refused; never guessed in silence."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest

from jobs.config import RunConfig
from jobs.corpus.decoding import UnknownEncodingError, decode
from jobs.corpus.encodings import NAMES, recognise
from jobs.corpus.references import Problem, Source, UnusableTextError
from jobs.corpus.survey import read_book, survey
from tests.jobs.corpus import one_story as story
from tests.jobs.corpus.historic_forms import BODY, FORMS

ENCODED = [
    (story.RUSSIAN, "windows-1251"),
    (story.RUSSIAN, "koi8-r"),
    (story.RUSSIAN, "cp866"),
    (story.RUSSIAN, "iso-8859-5"),
    (story.RUSSIAN, "mac-cyrillic"),
    (story.POLISH, "windows-1250"),
    (story.POLISH, "iso-8859-2"),
    (story.CZECH, "windows-1250"),
    (story.CZECH, "iso-8859-2"),
    (story.HUNGARIAN, "iso-8859-2"),
    (story.FRENCH, "latin-1"),
    (story.FRENCH, "mac-roman"),
    (story.FRENCH, "cp850"),
    (story.GERMAN, "latin-1"),
    (story.GERMAN, "mac-roman"),
    (story.GERMAN, "cp850"),
    (story.SPANISH, "latin-1"),
    (story.SPANISH, "mac-roman"),
    (story.QUOTED, "windows-1252"),
    (story.QUOTED, "mac-roman"),
    (story.PLAIN, "latin-1"),
    (story.PLAIN, "mac-roman"),
    (story.PLAIN, "cp850"),
    (story.JAPANESE, "shift-jis"),
    (story.JAPANESE, "euc-jp"),
    (story.CHINESE, "gb18030"),
    (story.TRADITIONAL, "big5"),
    (story.KOREAN, "euc-kr"),
    (story.GREEK, "windows-1253"),
]
CODECS = {name: codec for codec, name in NAMES.items()}
WARNING = re.compile(r"read as ([\w-]+), recognised with (\d+)% confidence(, \w+)?; UTF-8 would be certain")


def encodable(text: str, codec: str) -> str:
    """The text without the characters that an encoding lacks."""
    return text.encode(codec, errors="ignore").decode(codec)


@pytest.mark.parametrize("copies", [1, 5])
@pytest.mark.parametrize(("text", "name"), ENCODED)
def test_each_encoding_is_recognised_and_told_with_its_confidence(text, name, copies):
    text = encodable(text, CODECS[name]) * copies
    decoded = decode(text.encode(CODECS[name]))
    assert decoded.text == text
    assert decoded.encoding == name
    (warning,) = decoded.warnings
    match = WARNING.fullmatch(warning)
    assert match is not None
    assert match[1] == name
    assert int(match[2]) >= 80


@pytest.mark.parametrize("text", [story.RUSSIAN, story.JAPANESE, story.CHINESE, story.QUOTED])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [True, False])
def test_wide_encodings_of_any_script_with_and_without_a_mark(text, codec, marked):
    data = ("\ufeff" * marked + text * 3).encode(codec)
    decoded = decode(data)
    assert (decoded.text, decoded.encoding, decoded.warnings) == (text * 3, codec, ())


def test_seven_bit_japanese():
    decoded = decode(story.JAPANESE.encode("iso2022_jp"))
    assert (decoded.text, decoded.encoding) == (story.JAPANESE, "iso-2022-jp")


@pytest.mark.parametrize("word", ["café naïve", "«déjà»", "Müller"])
@pytest.mark.parametrize("name", ["latin-1", "mac-roman"])
def test_two_words_in_a_long_english_book_are_enough_or_refused(sample_text, word, name):
    plain = sample_text.encode("ascii", errors="ignore").decode()
    text = f"{plain} {word}, he said. {plain}"
    try:
        assert decode(text.encode(CODECS[name])).text == text
    except UnknownEncodingError:
        assert name != "latin-1"


@pytest.mark.parametrize(
    ("stated", "codec", "name"),
    [
        ("ISO-8859-1", "latin-1", "latin-1"),
        ("ISO-8859-1", "cp1252", "windows-1252"),
        ("Windows-1251", "cp1251", "windows-1251"),
        ("ISO-8859-2", "iso8859_2", "iso-8859-2"),
    ],
)
def test_what_a_header_states_needs_no_warning_where_the_bytes_agree(stated, codec, name):
    texts = {"cp1251": story.RUSSIAN, "iso8859_2": encodable(story.CZECH, codec), "cp1252": story.QUOTED}
    form = FORMS["2008, this, produced by"].replace("encoding: ASCII", f"encoding: {stated}")
    text = form.replace(BODY, texts.get(codec, story.PLAIN))
    decoded = decode(text.encode(codec))
    assert (decoded.text, decoded.encoding, decoded.warnings) == (text, name, ())


@pytest.mark.parametrize("stated", ["ASCII", "UTF-8", "rot13", "hex", "utf-7", "nonsense", "Windows-1252"])
def test_a_header_that_is_wrong_is_no_evidence(stated):
    form = FORMS["2008, this, produced by"].replace("encoding: ASCII", f"encoding: {stated}")
    text = form.replace(BODY, story.JAPANESE)
    decoded = decode(text.encode("euc_jp"))
    assert decoded.text == text
    assert len(decoded.warnings) == 1


@pytest.mark.parametrize("seed", range(20))
def test_letters_at_random_are_refused_and_never_c1_controls(seed):
    """Bytes between 128 and 159 are not letters of Latin-1; taken as such they would be controls."""
    randomness = random.Random(seed)
    data = bytes(randomness.choice(b"abcdefgh \n\x81\x8d\x8f\x90\x9d\xa0\xff\xc3\xb9") for _ in range(2_000))
    with pytest.raises(UnusableTextError) as refusal:
        decode(data)
    assert refusal.value.kind in (Problem.FORMAT, Problem.BINARY)


def test_russian_is_never_western(sample_text):
    """However little of it there is."""
    for length in (20, 40, 80, 160, 320):
        for codec in ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"):
            for start in range(0, 200, 37):
                text = encodable(story.RUSSIAN, codec)[start : start + length]
                found = recognise(text.encode(codec))
                assert found is None or "LATIN" not in script(text.encode(codec).decode(found.codec)), (text, codec)


def script(text: str) -> str:
    letters = [unicodedata.name(character).split()[0] for character in text if character.isalpha()]
    return max(set(letters), key=letters.count)


def test_the_survey_reads_titles_and_does_not_refuse_what_its_first_bytes_hide(tmp_path):
    russian = FORMS["2008, this, produced by"].replace("The Harbour Clock", "Часы").replace(BODY, story.RUSSIAN * 200)
    (tmp_path / "a.txt").write_bytes(russian.encode("cp1251"))
    (ref,) = survey(Source(str(tmp_path / "a.txt")), RunConfig())
    assert (ref.title, ref.problem) == ("Часы", None)
    cut = ("Words. " * 9_362 + "\n" + story.JAPANESE * 20).encode("cp932")
    (tmp_path / "b.txt").write_bytes(cut)
    (ref,) = survey(Source(str(tmp_path / "b.txt")), RunConfig())
    assert ref.problem is None
    assert decode(read_book(ref, RunConfig())).encoding == "shift-jis"
