"""Which tokens are marks, which can be used and which are taken: the notebook's rule, checked token by token."""

from __future__ import annotations

import codecs
from dataclasses import replace

import numpy as np
import pytest

from jobs.config import StudyConfig, resolve
from jobs.corpus.decoding import decode
from jobs.marks.abbreviations import is_abbreviation
from jobs.marks.passages import hashes
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize

WINDOW = resolve({}, preset="notebook")[0]
"""The notebook's way: windows, the first marks, its rule."""

NARROW = replace(WINDOW, before=0, after=0, per_class=None, skip_tokens=0)
STRICT = replace(NARROW, selection="strict")
TRICKY = "It cost 3.14 pounds, or 1,000 pence. In 1998. 5 men came... Mr. J. Smith, Esq., saw them at 7.25, etc. Yes."


def marks(tokenizer, text: str, config: StudyConfig, name: str) -> list[str]:
    """The text before each mark that is taken, to see which one it is."""
    tokenization = tokenize(tokenizer, text)
    taken = select(tokenization, config).classes[name].taken
    return [tokenizer.decode(tokenization.ids[: position + 1].tolist()).strip() for position in taken.tolist()]


def notebook_rule(tokenizer, text: str, config: StudyConfig) -> dict[str, list[int]]:
    """The rule as a reader of its definition would write it: a loop over the tokens, each decoded alone."""
    ids = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    texts = [
        " " + decoded if piece.startswith("▁") and not decoded.startswith(" ") else decoded
        for piece, decoded in zip(pieces, (tokenizer.decode([i]) for i in ids), strict=True)
    ]
    found: dict[str, list[int]] = {"internal": [], "terminal": []}
    internal, terminal = (token_class.tokens for token_class in config.classes)
    for t, token in enumerate(texts):
        if t < config.skip_tokens or t - config.before < 0 or t + config.after > len(ids) - 1:
            continue
        digit_before = t > 0 and texts[t - 1][-1:].isdigit()
        digit_after = t + 1 < len(ids) and texts[t + 1][:1].isdigit()
        if token.strip() in internal:
            found["internal"].append(t)
        elif token.strip() in terminal and not (token.strip() == "." and (digit_before or digit_after)):
            found["terminal"].append(t)
    return found


@pytest.mark.parametrize(
    "config", [replace(WINDOW, per_class=None, skip_tokens=0), replace(WINDOW, per_class=None, before=3)]
)
def test_the_rule_holds_token_by_token_in_every_family(tokenizer, sample_text, config):
    text = TRICKY + "\r\n" + sample_text + TRICKY
    selection = select(tokenize(tokenizer, text), config)
    expected = notebook_rule(tokenizer, text, config)
    for name, positions in expected.items():
        assert selection.classes[name].taken.tolist() == positions
        assert len(positions) > 100


def test_real_books_by_the_notebook_rule(gutenberg_books, tokenizers):
    text = next(path for path in gutenberg_books if path.stem == "pg219").read_text(encoding="utf-8-sig")
    config = WINDOW
    for family in (tokenizers[name] for name in ("byte-level", "sentencepiece", "smollm2") if name in tokenizers):
        selection = select(tokenize(family, text), config)
        for name, positions in notebook_rule(family, text, config).items():
            assert selection.classes[name].taken.tolist() == positions[:250]
            assert selection.classes[name].eligible == len(positions)


def test_raw_text_is_the_very_text_that_the_notebook_takes_from_the_web(gutenberg_books, tokenizers):
    """`requests.get(url).text` decodes as the server says, UTF-8, and nothing else: the byte order mark stays, as
    tokens of its own, and so do carriage returns. Without the mark, the 400 skipped tokens end elsewhere."""
    config, _ = resolve({}, preset="notebook")
    marked = [path for path in gutenberg_books if path.read_bytes().startswith(codecs.BOM_UTF8)]
    if not marked:
        pytest.skip("no book with a byte order mark is here")
    for path in sorted(marked, key=lambda path: path.stat().st_size)[:2]:
        response = path.read_bytes().decode("utf-8")
        assert response.startswith("\ufeff")
        assert "\r\n" in response
        text = decode(path.read_bytes()).text
        assert text == response
        for family in (tokenizers[name] for name in ("byte-level", "smollm2") if name in tokenizers):
            selection = select(tokenize(family, text), config)
            for name, positions in notebook_rule(family, response, config).items():
                assert selection.classes[name].taken.tolist() == positions[:250]


def test_decimal_points_are_no_ends_and_sentence_ends_are(tokenizer):
    ends = marks(tokenizer, "It cost 3.14 pounds. He paid.", NARROW, "terminal")
    assert [end[-7:].replace(" ", "") for end in ends] == ["pounds.", "epaid."]


def test_first_and_last_tokens_have_no_neighbour_and_do_not_crash(tokenizer):
    selection = select(tokenize(tokenizer, ". , ."), NARROW)
    assert {name: selected.found for name, selected in selection.classes.items()} == {"internal": 1, "terminal": 2}
    only = tokenize(tokenizer, ".")
    assert select(only, NARROW).classes["terminal"].taken.tolist() == [only.ids.size - 1]


def test_an_empty_text_has_no_marks(tokenizer):
    for config in (StudyConfig(), WINDOW):
        selection = select(tokenize(tokenizer, ""), config)
        assert all(selected.found == 0 and selected.taken.size == 0 for selected in selection.classes.values())
        assert selection.problem is not None
        assert "too few marks" in selection.problem


def test_white_space_around_a_mark_does_not_hide_it(tokenizers):
    for family in tokenizers.values():
        unix, windows_newlines = (f"One ,{end}two .{end}three ,{end}four .{end}" for end in ("\n", "\r\n"))
        for text in (unix, windows_newlines):
            selection = select(tokenize(family, text), NARROW)
            assert [selection.classes[name].found for name in ("internal", "terminal")] == [2, 2]


def test_a_mark_merged_with_a_quote_is_another_token(tokenizers):
    """`."` may be one entry of a vocabulary: by the rule it is not the mark."""
    family = tokenizers["byte-level"]
    merged = family.convert_tokens_to_ids([',"', '."'])
    text = 'He said "yes," and "no." Then, silence.'
    ids = family.encode(text)
    selection = select(tokenize(family, text), NARROW)
    assert selection.classes["internal"].found == 2 - (merged[0] in ids)
    assert selection.classes["terminal"].found == 2 - (merged[1] in ids)


def test_other_marks(tokenizer):
    config = replace(NARROW, classes={"internal": [",", ";", ":"], "terminal": [".", "?", "!"]})
    text = "Who, in 1984? Nobody; everybody: it was 7! He paid."
    selection = select(tokenize(tokenizer, text), config)
    assert {name: selected.found for name, selected in selection.classes.items()} == {"internal": 3, "terminal": 3}
    assert selection.left_out == {}


def test_a_mark_needs_its_whole_window(tokenizers):
    family = tokenizers["byte-level"]
    text = "word, " * 40
    tokenization = tokenize(family, text)
    found = select(tokenization, NARROW).classes["internal"].taken
    config = replace(NARROW, before=20, after=10)
    selected = select(tokenization, config).classes["internal"]
    inside = [p for p in found.tolist() if p - 20 >= 0 and p + 10 < tokenization.ids.size]
    assert selected.taken.tolist() == inside
    assert selected.left_out == {"no full window": len(found) - len(inside)}
    sequences = select(tokenization, replace(config, classes={"internal": [","]})).sequences
    cut = sequences.tokens(tokenization.ids)
    assert cut.shape == (len(inside), 21)
    assert (sequences.columns["internal"] == 20).all()
    for row, position in zip(cut[sequences.rows["internal"]], inside, strict=True):
        np.testing.assert_array_equal(row, tokenization.ids[position - 20 : position + 1])


def test_every_mark_found_is_eligible_or_counted_under_one_reason(tokenizer, sample_text):
    shorter = StudyConfig(skip_tokens=300, passage_tokens=100, warmup_tokens=20)
    for config in (StudyConfig(), shorter, WINDOW, replace(WINDOW, before=200, after=100)):
        selection = select(tokenize(tokenizer, TRICKY + sample_text), config)
        for name, selected in selection.classes.items():
            assert selected.found == selected.eligible + sum(selected.left_out.values())
            left_out = {reason: count for reason, count in selection.left_out.items() if reason.startswith(name)}
            assert left_out == {f"{name}: {reason}": count for reason, count in selected.left_out.items()}


def test_strict_leaves_out_what_is_no_end(tokenizer):
    text = (
        "Mr. J. Smith came at 7.25 with 1,000 men... He, Dr. Watson and Mrs. Hudson (née St. John) left. No. 5 stayed."
    )
    ends = marks(tokenizer, text, STRICT, "terminal")
    assert [end.replace(" ", "")[-5:] for end in ends] == ["left.", "ayed."]
    assert len(marks(tokenizer, text, STRICT, "internal")) == 1


def test_strict_is_the_notebook_rule_minus_its_reasons(tokenizer, sample_text):
    text = TRICKY + " " + sample_text
    loose, strict = (select(tokenize(tokenizer, text), config) for config in (NARROW, STRICT))
    for name, selected in strict.classes.items():
        assert set(selected.taken.tolist()) <= set(loose.classes[name].taken.tolist())
        assert selected.found == loose.classes[name].found


@pytest.mark.parametrize(
    ("word", "following", "expected"),
    [
        ("Mr", " Bennet", True),
        ("“Mrs", " Long", True),
        ("etc", " And", True),
        ("U.S", " troops", True),
        ("i.e", ",", True),
        ("J", " Smith", True),
        ("É", " Zola", True),
        ("No", " 5", True),
        ("No", " He", False),
        ("I", " He", False),
        ("was", " The", False),
        ("came--Mr", " Bennet", True),
        ("end", "", False),
        ("", " x", False),
    ],
)
def test_abbreviations_and_initials(word, following, expected):
    assert is_abbreviation(word, following) is expected


@pytest.fixture
def long_tokenization(tokenizers, sample_text):
    return tokenize(tokenizers["byte-level"], sample_text)


def taken(tokenization, **settings) -> np.ndarray:
    return select(tokenization, replace(WINDOW, skip_tokens=0, **settings)).classes["internal"].taken


def test_first_takes_the_first(long_tokenization):
    everything = taken(long_tokenization, per_class=None)
    np.testing.assert_array_equal(taken(long_tokenization, per_class=40), everything[:40])


def test_spread_takes_one_from_each_equal_stretch(long_tokenization):
    everything = taken(long_tokenization, per_class=None)
    spread = taken(long_tokenization, per_class=40, sample="spread")
    ordinals = np.searchsorted(everything, spread)
    np.testing.assert_array_equal(everything[ordinals], spread)
    np.testing.assert_array_equal(ordinals * 40 // everything.size, np.arange(40))


def test_random_is_a_sample_without_replacement_that_depends_on_seed_and_text_alone(long_tokenization, tokenizers):
    everything = taken(long_tokenization, per_class=None)
    sample = taken(long_tokenization, per_class=100, sample="random", seed=7)
    assert np.all(np.diff(sample) > 0)
    assert np.isin(sample, everything).all()
    again = replace(long_tokenization, ids=long_tokenization.ids.copy())
    np.testing.assert_array_equal(taken(again, per_class=100, sample="random", seed=7), sample)
    assert not np.array_equal(taken(long_tokenization, per_class=100, sample="random", seed=8), sample)
    np.testing.assert_array_equal(  # a larger sample adds to a smaller one
        np.intersect1d(taken(long_tokenization, per_class=150, sample="random", seed=7), sample), sample
    )


def test_random_favours_no_part_of_the_text(long_tokenization):
    everything = taken(long_tokenization, per_class=None)
    chosen = np.zeros(everything.size)
    for seed in range(400):
        sample = taken(long_tokenization, per_class=50, sample="random", seed=seed)
        chosen[np.searchsorted(everything, sample)] += 1
    share = 50 / everything.size
    # Each mark is drawn like a coin with this share: 400 throws, five standard deviations.
    assert np.abs(chosen - 400 * share).max() < 5.5 * np.sqrt(400 * share * (1 - share))


def test_random_is_the_same_on_every_machine():
    """Fixed by hand: a change of these numbers would change the meaning of every stored study."""
    expected = [1822400510996013824, 4867798966813129350, 5366357862795120658]
    assert hashes(np.arange(3), b"0 internal ").tolist() == expected


def test_too_few_marks_are_accounted_for(tokenizers):
    family = tokenizers["byte-level"]
    config = replace(WINDOW, skip_tokens=0)
    problem = select(tokenize(family, "One, two. " * 3), config).problem
    assert problem is not None
    assert "too few marks: 0 internal of 3 found (3 no full window); 0 terminal of 3 found" in problem
    assert select(tokenize(family, "One, two. " * 60), config).problem is None
