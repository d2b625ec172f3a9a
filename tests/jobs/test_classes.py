"""Classes of tokens: what a name and a token may be, and which vocabulary entries belong where."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.classes import TokenClass, parse_classes
from jobs.errors import UsageError
from jobs.marks.class_table import check_tokens_exist, class_table
from jobs.marks.tokens import tokenize


def words_of(tokenizer, text: str, classes) -> dict[str, list[str]]:
    """The mark types of a text by class, in order."""
    tokens = tokenize(tokenizer, text)
    table = class_table(tokens.vocabulary, np.unique(tokens.ids).astype(np.int64), classes)
    found: dict[str, list[str]] = {token_class.name: [] for token_class in classes}
    for token_id in tokens.ids.tolist():
        if table[token_id] >= 0:
            found[classes[table[token_id]].name].append(tokens.vocabulary.text(token_id).strip())
    return found


def test_words_patterns_and_marks_are_told_apart(tokenizer):
    classes = parse_classes({"and": ["and"], "stops": [".", "?"], "digits": [r"re:\d+"]})
    text = "He and she saw 12 of them, and sand. Was it 7? Yes, and 1998 more."
    alone = [tokenizer.decode([token_id]).strip() for token_id in tokenize(tokenizer, text).ids.tolist()]
    found = words_of(tokenizer, text, classes)
    assert found["and"] == [word for word in alone if word == "and"]
    assert found["stops"] == [word for word in alone if word in (".", "?")]
    assert found["digits"] == [word for word in alone if word.isdigit()]
    assert len(found["and"]) >= 2
    assert found["stops"]
    assert found["digits"]


def test_a_pattern_matches_the_whole_token_and_a_literal_is_no_pattern():
    assert TokenClass("x", (r"re:a+",)).matches("aaa")
    assert not TokenClass("x", (r"re:a+",)).matches("aab")
    assert TokenClass("x", (".",)).matches(".")
    assert not TokenClass("x", (".",)).matches(",")
    assert not TokenClass("x", (r"re:a+",)).matches("re:a+")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "0 classes are named; a study has 1 to 16"),
        ({f"c{n}": [str(n)] for n in range(17)}, "17 classes are named"),
        ({"a": [","], "b": [".", ","]}, "',' is named in class 'a' and in class 'b'"),
        ({"a": [","], "A": ["."]}, "two classes are called 'A'"),
        ({"a b": [","]}, "class name 'a b' is not possible"),
        ({"../x": [","]}, "class name '../x' is not possible"),
        ({"": [","]}, "class name '' is not possible"),
        ({"x" * 33: [","]}, "is not possible: a name has 1 to 32"),
        ({"Baseline": [","]}, "baseline are random tokens"),
        ({"a": []}, "class 'a' has no tokens"),
        ({"a": [" ,"]}, "give tokens without white space"),
        ({"a": [""]}, "give tokens without white space"),
        ({"a": ["re:("]}, "'re:(', which is not a regular expression"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(values, message):
    with pytest.raises(UsageError) as refusal:
        parse_classes(values)
    assert message in str(refusal.value)


def test_a_token_that_two_classes_claim_is_named(tokenizer):
    classes = parse_classes({"commas": [","], "marks": [r"re:[,;]"]})
    with pytest.raises(UsageError, match="the token ',' belongs to the classes 'commas' and 'marks'"):
        words_of(tokenizer, "One, two; three.", classes)
    assert words_of(tokenizer, "One; two.", classes) == {"commas": [], "marks": [";"]}


def test_a_token_that_is_several_to_the_model_is_refused_with_its_parts(tokenizer):
    vocabulary = tokenize(tokenizer, "a").vocabulary
    check_tokens_exist(vocabulary, parse_classes({"stops": [".", "?"], "words": ["and"], "any": ["re:zzyzx"]}))
    with pytest.raises(UsageError, match="class 'words' has 'zzyzx', which is") as refused:
        check_tokens_exist(vocabulary, parse_classes({"stops": ["."], "words": ["and", "zzyzx"]}))
    parts = [vocabulary.text(int(piece)) for piece in vocabulary.encode([" zzyzx"])[0]]
    assert len(parts) > 1
    assert all(repr(part) in str(refused.value) for part in parts)


def test_a_piece_of_a_word_that_is_an_entry_is_a_token(tokenizer):
    """One that stands at no beginning of a text is found by looking through all entries."""
    vocabulary = tokenize(tokenizer, "a").vocabulary
    entries = [vocabulary.text(int(token)).strip() for token in vocabulary.learn_all()]
    check_tokens_exist(
        vocabulary, [TokenClass("all", tuple({text for text in entries if text and "\ufffd" not in text}))]
    )
