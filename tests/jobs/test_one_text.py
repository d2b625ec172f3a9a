"""A text step by step in Python: the same marks and states as a run takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.explanation import explain
from jobs.errors import UsageError
from jobs.one_text import find_marks, read_text


@pytest.fixture(scope="module")
def marks(sample_text: str):
    return find_marks(sample_text, per_class=30, baseline=None)


def test_read_text_takes_the_sample_and_files(sample_text: str, tmp_path: Path):
    assert read_text("sample") == sample_text
    (tmp_path / "book.txt").write_bytes("Caf\xe9, he said. No.".encode("latin-1") * 40)
    assert read_text(tmp_path / "book.txt").startswith("Café, he said.")


def test_read_text_says_what_is_wrong(tmp_path: Path):
    with pytest.raises(UsageError, match="absent"):
        read_text(tmp_path / "absent.txt")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("One, two. " * 50)
    with pytest.raises(UsageError, match="names 2 texts"):
        read_text(tmp_path)


def test_the_counts_add_up(marks, sample_text: str):
    counts = marks.counts.set_index("class")
    assert list(counts.index) == ["internal", "terminal"]
    assert (counts["taken"] == 30).all()
    left_out = marks.selection.left_out
    for name, row in counts.iterrows():
        reasons = {key: count for key, count in left_out.items() if key.startswith(f"{name}: ")}
        assert row["found"] == row["eligible"] + sum(reasons.values())
        assert row["behind_start"] == row["eligible"] + reasons.get(f"{name}: in the first warm-up", 0)
    # Commas that are tokens of their own; those that are merged with a quotation mark are others.
    assert 0 < counts.loc["internal", "found"] <= sample_text.count(",")
    assert marks.unique_tokens == len(set(marks.tokenization.ids.tolist())) < marks.tokens


def test_a_row_a_mark_in_the_study_s_order(marks):
    frame = marks.frame
    assert frame["class"].tolist() == ["internal"] * 30 + ["terminal"] * 30
    assert set(frame.loc[frame["class"] == "internal", "mark"]) == {","}
    assert (marks.tokenization.ids[frame["position"]] == frame["token_id"]).all()
    assert {"previous_word", "place", "mark", "passage"} <= set(marks.features("terminal"))


def test_the_tokens_of_a_class_are_features_that_explain_clusters(sample_text: str):
    """With the tokenizer itself: "and" stands in the sample with a space before it, without, and capitalised."""
    marks = find_marks(sample_text, classes=[["and", ["and", "And"]]], per_class=100, baseline=None)
    features = marks.features("and")
    assert {" and", "and", "And"} <= set(features["token"])
    spaced = features["token"] == " and"
    names = {term.cluster: term.name for term in explain((~spaced).astype(np.int64), features)}
    assert names[0].startswith('the token " and"')


def test_a_class_that_is_not_there_is_told_with_those_that_are(marks):
    with pytest.raises(UsageError, match=r"'terminel' \(did you mean terminal\?\) is not one of internal, terminal$"):
        marks.features("terminel")


@pytest.mark.parametrize("name", ["sample", "books/my book.txt", "gutenberg:219", "https://example.org/a", "x.zip\n"])
def test_a_name_in_a_text_s_place_is_told_what_reads_it(name):
    with pytest.raises(UsageError, match=r"looks like a name: read_text\('.*'\) reads what it names"):
        find_marks(name)


def test_a_path_in_a_text_s_place_is_no_text(tmp_path: Path):
    with pytest.raises(UsageError, match="pass a string, as read_text"):
        find_marks(tmp_path)


def test_short_texts_are_texts():
    for text in ("He saw sample.txt, and left it.", "One line,\nand a last word like a.txt", "A stop."):
        assert find_marks(text, per_class=5, baseline=None).tokens > 2


def test_the_preset_takes_the_notebook_s_marks(sample_text: str):
    """The first marks behind token 400 with 20 tokens before and 10 after, decimal points left out, written anew."""
    marks = find_marks(sample_text, preset="notebook", per_class=25)
    tokenization, frame = marks.tokenization, marks.frame
    texts = [tokenization.vocabulary.text(int(token)) for token in tokenization.ids]

    def is_decimal(at: int) -> bool:
        return texts[at - 1][-1:].isdigit() or texts[at + 1][:1].isdigit()

    inside = range(400, len(texts) - 10)
    commas = [at for at in inside if texts[at].strip() == ","][:25]
    stops = [at for at in inside if texts[at].strip() == "." and not is_decimal(at)][:25]
    assert frame["position"].tolist() == commas + stops
    all_of_them = [at for at in range(400, len(texts)) if texts[at].strip() == ","]
    assert marks.counts["behind_start"][0] == len(all_of_them), "what the notebook prints"


def test_states_are_the_model_s_own(marks, smollm2):
    """One mark's states equal those of its passage's tokens up to the mark, run alone."""
    states = marks.states(smollm2)
    assert {name: of.shape for name, of in states.items()} == dict.fromkeys(
        ("internal", "terminal"), (smollm2.hidden_layers, 30, smollm2.width)
    )
    row = marks.frame[marks.frame["class"] == "terminal"].iloc[3]
    start = int(marks.selection.passage_starts[row["passage"]])
    alone = smollm2.states(marks.tokenization.ids[start : row["position"] + 1][None])
    np.testing.assert_allclose(states["terminal"][:, 3], alone[:, 0], rtol=2e-3, atol=2e-3)


def test_another_model_is_refused(marks, tiny_gpt2: Path):
    from jobs.model.hidden_states import HiddenStates

    with pytest.raises(UsageError, match="found for 'smollm2'"):
        marks.states(HiddenStates(str(tiny_gpt2)))
