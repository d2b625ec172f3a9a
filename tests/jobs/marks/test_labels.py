"""Classes from a labels file: which tokens they name, and what is wrong with a file that names none."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.config import RunConfig, StudyConfig
from jobs.errors import UsageError
from jobs.marks import tokens
from jobs.marks.labels import BookLabels, Labels, labels_of, read_labels, settle_labels, token_positions
from jobs.marks.notices import missing_classes, tokens_told, unknown_books
from jobs.marks.selection import NO_TOKEN, OTHER_CLASS, SECOND_LABEL, select
from jobs.marks.tokens import tokenize, vocabulary_of

TEXT = "She sang, and he sang too. Then they ran home and slept. "
"""Words of one token each for a tokenizer trained on English."""


def csv(folder: Path, *rows: str, header: str = "book,offset,class") -> str:
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def labels_at(labels: Labels, book: str) -> list[tuple[int, str]]:
    offsets, places = labels.by_book[book]
    return [(offset, labels.classes[place]) for offset, place in zip(offsets.tolist(), places.tolist(), strict=True)]


def test_parquet_and_csv_hold_the_same_labels(tmp_path):
    rows = [("b", 7, "verb"), ("a", 30, "noun"), ("a", 2, "verb")]
    path = csv(tmp_path, *(f"{book},{offset},{name}" for book, offset, name in rows))
    table = pa.table(
        {"note": ["x"] * 3, **dict(zip(("book", "offset", "class"), zip(*rows, strict=True), strict=True))}
    )
    pq.write_table(table, tmp_path / "labels.parquet")
    from_csv, from_parquet = read_labels(path), read_labels(str(tmp_path / "labels.parquet"))
    for labels in (from_csv, from_parquet):
        assert labels.classes == ("noun", "verb")
        assert labels_at(labels, "a") == [(2, "verb"), (30, "noun")]
        assert labels_at(labels, "b") == [(7, "verb")]
    assert from_csv.sha256 != from_parquet.sha256


def test_numbers_are_names_too(tmp_path):
    labels = read_labels(csv(tmp_path, "219,5,1", "1342,5,2"))
    assert labels.by_book.keys() == {"219", "1342"}
    assert labels.classes == ("1", "2")


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a,1"], "book,offset", "has no column 'class'; it has book, offset, and needs book, offset, class"),
        (["1,verb"], "position,class", "has no column 'book'"),
        ([], "book,offset,class", "has no rows"),
        (["a,-1,verb"], "book,offset,class", "negative offset; offsets count characters from 0"),
        (["a,one,verb"], "book,offset,class", "a column of another kind"),
        (["a,1.5,verb"], "book,offset,class", "a column of another kind"),
        (["a,,verb"], "book,offset,class", "rows without offset"),
        (["a,1,"], "book,offset,class", "rows without class"),
        (["a,1,verb", "a,1,noun"], "book,offset,class", "names offset 1 of book a twice"),
        (["a,1,two words"], "book,offset,class", "class name 'two words' is not possible"),
        (["a,1,baseline"], "book,offset,class", "class name 'baseline' is taken"),
        (["a,1,verb", "a,2,Verb"], "book,offset,class", "two classes are called 'verb'"),
        ([f"a,{n},c{n}" for n in range(17)], "book,offset,class", "17 classes are named; a study has 1 to 16"),
    ],
)
def test_a_file_that_is_wrong_says_how(tmp_path, rows, header, message):
    with pytest.raises(UsageError) as refusal:
        read_labels(csv(tmp_path, *rows, header=header))
    assert message in str(refusal.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(UsageError, match=r"cannot be read on .*: No such file"):
        read_labels(str(tmp_path / "none.csv"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UsageError, match="neither Parquet nor CSV"):
        read_labels(str(tmp_path / "bad.parquet"))


def test_an_offset_hits_the_token_that_holds_its_character(tokenizer, sample_text):
    """Against the characters of a text: random offsets in it, and others behind its end."""
    vocabulary, text = vocabulary_of(tokenizer), sample_text[:6_000]
    if vocabulary.spans(text) is None:
        with pytest.raises(UsageError, match="cannot say where in a text its tokens stand"):
            token_positions(vocabulary, text, np.array([3]))
        return
    offsets = sorted(random.Random(0).sample(range(len(text)), 300))
    positions = token_positions(vocabulary, text, np.array([*offsets, len(text), len(text) + 10_000]))
    assert positions[-2:].tolist() == [-1, -1]
    ids = tokenize(tokenizer, text).ids
    letters = [(text[offset], position) for offset, position in zip(offsets, positions, strict=False)]
    told = [(letter.lower(), vocabulary.text(int(ids[at])).lower()) for letter, at in letters if letter.isalpha()]
    assert len(told) > 150
    assert [pair for pair in told if pair[0] not in pair[1]] == []


def test_a_long_text_is_cut_and_gives_the_spans_of_the_whole(tokenizers, sample_text, monkeypatch):
    vocabulary, text = tokens.Vocabulary(tokenizers["byte-level"]), sample_text[:20_000]
    whole = vocabulary.spans(text)
    monkeypatch.setattr(tokens, "LONGEST_PART", 1_000)
    parts = vocabulary.spans(text)
    assert whole is not None
    assert len(whole) > 3_000
    np.testing.assert_array_equal(parts, whole)


def labelled(tokenizer, text: str, config: StudyConfig, *labels: tuple[int, str]):
    """The selection of a text with labels at these offsets."""
    vocabulary = vocabulary_of(tokenizer)
    positions = token_positions(vocabulary, text, np.array([offset for offset, _ in labels]))
    classes = np.array([config.label_classes.index(name) for _, name in labels], dtype=np.int8)
    return select(tokenize(tokenizer, text), config, BookLabels(positions, classes))


def study(**changes) -> StudyConfig:
    labels = {"labels_sha256": "0" * 64, "label_classes": ("noun", "verb"), "warmup_tokens": 0}
    return StudyConfig(**labels | changes)


def places_of(word: str, text: str) -> list[int]:
    return [at for at in range(len(text)) if text.startswith(word, at)]


def test_labelled_tokens_are_marks_like_any_other(tokenizers):
    tokenizer, text = tokenizers["byte-level"], TEXT * 10
    config = study(classes={"commas": [","]}, per_class=8, baseline=5)
    chosen = [(at + 1, "verb") for at in places_of("sang", text)] + [(at, "noun") for at in places_of("home", text)]
    selection = labelled(tokenizer, text, config, *sorted(chosen))
    assert list(selection.classes) == ["commas", "noun", "verb", "baseline"]
    found = {name: (of.found, of.eligible, of.taken.size) for name, of in selection.classes.items()}
    assert found == {"commas": (10, 10, 8), "noun": (10, 10, 8), "verb": (20, 20, 8), "baseline": (5, 5, 5)}
    ids = tokenize(tokenizer, text).ids
    decoded = {name: {tokenizer.decode([ids[at]]).strip() for at in of.taken} for name, of in selection.classes.items()}
    assert "home".endswith(*decoded["noun"])
    assert decoded["commas"] == {","}
    marks = {int(at) for name in ("commas", "noun", "verb") for at in selection.classes[name].taken}
    assert not marks & set(selection.classes["baseline"].taken.tolist())


def test_labels_that_give_no_mark_are_counted_by_reason(tokenizers):
    tokenizer, text = tokenizers["byte-level"], TEXT * 4
    comma, words = text.index(","), places_of("and", text)
    config = study(classes={"commas": [","]})
    chosen = [(comma, "noun"), *((at, "verb") for at in words), (words[0] + 1, "noun"), (len(text) + 5, "verb")]
    selection = labelled(tokenizer, text, config, *sorted(chosen))
    assert selection.left_out == {
        f"noun: {OTHER_CLASS}": 1,
        f"noun: {SECOND_LABEL}": 1,
        f"verb: {NO_TOKEN}": 1,
    }
    assert (selection.classes["noun"].found, selection.classes["noun"].eligible) == (2, 0)
    assert selection.classes["verb"].found == len(words) + 1
    assert "no pairs of class noun: 0 noun of 2 found" in "; ".join(selection.warnings)


def test_the_rules_of_full_stops_hold_for_labelled_ones(tokenizers):
    text = "It cost 3.14 or so. Mr. Smith paid. He left. " * 8
    stops = places_of(".", text)
    config = study(classes=(), label_classes=("stop",))
    selection = labelled(tokenizers["byte-level"], text, config, *((at, "stop") for at in stops))
    assert selection.classes["stop"].found == len(stops) == 40
    assert selection.left_out == {"stop: decimal point": 8, "stop: abbreviation or initial": 8}


def test_a_text_without_tokens_takes_labels(tokenizers):
    selection = labelled(tokenizers["byte-level"], "", study(), (0, "verb"), (3, "noun"))
    assert selection.left_out == {f"noun: {NO_TOKEN}": 1, f"verb: {NO_TOKEN}": 1}
    assert selection.problem is not None


def test_a_study_settles_its_labels_once_and_workers_check_them(tmp_path, monkeypatch):
    path = csv(tmp_path, "a,1,verb", "b,2,noun")
    monkeypatch.chdir(tmp_path)
    config, run = settle_labels(StudyConfig(classes={"commas": [","]}), RunConfig(labels="labels.csv"))
    assert config.named_classes == ("commas", "noun", "verb")
    assert run.labels == path
    assert labels_of(config, run).classes == ("noun", "verb")
    assert StudyConfig.from_dict(config.to_dict()) == config
    other = settle_labels(StudyConfig(), RunConfig(labels=csv(tmp_path, "a,1,verb", "b,3,noun")))[0]
    assert other.labels_sha256 != config.labels_sha256
    labels_of.__globals__["_read_once"].cache_clear()
    with pytest.raises(UsageError, match="every machine needs the same file under this path"):
        labels_of(config, run)
    Path(path).unlink()
    labels_of.__globals__["_read_once"].cache_clear()
    with pytest.raises(UsageError, match="cannot be read on"):
        labels_of(config, run)


def test_classes_of_labels_have_names_of_their_own(tmp_path):
    run = RunConfig(labels=csv(tmp_path, "a,1,Internal"))
    with pytest.raises(UsageError, match="two classes are called 'Internal'"):
        settle_labels(StudyConfig(), run)
    with pytest.raises(UsageError, match="0 classes are named; a study has 1 to 16: see --class and --labels"):
        settle_labels(StudyConfig(classes=()), RunConfig())


def test_what_found_nothing_is_told_in_a_line(tmp_path):
    labels = read_labels(csv(tmp_path, *(f"book{number},1,verb" for number in range(9))))
    assert list(unknown_books(labels, {f"book{number}" for number in range(9)})) == []
    assert list(unknown_books(labels, {"book0", "other"})) == [
        "the labels file names 8 books that this run does not have: book1, book2, book3, book4, book5 and 3 more"
    ]
    assert list(missing_classes(study(), {"internal": 4, "terminal": 3, "verb": 2})) == [
        "no book of this run has a usable mark of the class noun; `reason` in books says why"
    ]
    assert list(missing_classes(study(), {"internal": 4, "terminal": 3, "verb": 2, "noun": 2})) == []


def test_the_tokens_of_each_class_are_told_so_that_a_lost_one_is_seen():
    """A shell reads `--class internal , ; :` as far as the semicolon."""
    config = StudyConfig(classes=[["internal", [",", ";", ":"]], ["numbers", [str(n) for n in range(12)]]])
    assert list(tokens_told(config)) == ["classes: internal (, ; :); numbers (0 1 2 3 4 5 6 7 8 9 and 2 more)"]
    assert list(tokens_told(StudyConfig(classes=(), label_classes=("verb",), labels_sha256="0" * 64))) == []
