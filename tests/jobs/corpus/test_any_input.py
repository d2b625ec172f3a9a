"""Whatever bytes come in, the only error is one that names what is wrong with them."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.config import StudyConfig
from jobs.corpus.cleaning import clean
from jobs.corpus.decoding import decode
from jobs.corpus.formats import stem_of
from jobs.corpus.references import UnusableTextError
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from tests.jobs.corpus.historic_forms import FORMS, SMALL_PRINT

FIXED = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
LINES = [line for form in FORMS.values() for line in form.splitlines()] + SMALL_PRINT.splitlines()


@settings(max_examples=300, **FIXED)
@given(st.binary(max_size=4000))
@example(b"\xff\xfe\x00")
@example(b"\xef\xbb\xbf")
@example(b"\x00\x00\xfe\xff\x00")
def test_any_bytes_are_decoded_or_refused(data):
    try:
        decoded = decode(data)
    except UnusableTextError:
        return
    assert decoded.text.strip()
    assert "\0" not in decoded.text
    decoded.text.encode("utf-8")


@settings(max_examples=300, **FIXED)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=80), st.just("")), max_size=60))
def test_any_mixture_of_header_lines_and_words_is_cleaned_or_refused(lines):
    """And what is left was there before, in its order: cleaning invents and reorders nothing."""
    text = "\n".join(lines)
    try:
        cleaned = clean(text)
    except UnusableTextError:
        return
    assert cleaned.text.strip()
    source = iter(text.replace("\r", "\n").replace("\f", "\n"))
    assert all(character in source for character in cleaned.text.rstrip("\n"))


@settings(max_examples=300, **FIXED)
@given(st.text(max_size=200))
def test_any_name_becomes_a_key_that_leads_nowhere(name):
    stem = stem_of(name)
    assert 0 < len(stem) <= 80
    assert not stem.startswith((".", "-"))
    assert not set(stem) & set("/\\\0\n\r '\"*?[]:")


@settings(max_examples=100, **FIXED)
@given(text=st.text(alphabet=",. \n19aIM“”…-", max_size=200))
def test_any_text_is_selected_from_and_every_mark_accounted_for(tokenizers, text):
    for rule, context in itertools.product(("notebook", "strict"), ("window", "passage")):
        shape = {"before": 2, "after": 1, "passage_tokens": 16, "warmup_tokens": 4}
        config = StudyConfig(**shape, selection=rule, context=context)
        tokenization = tokenize(tokenizers["byte-level"], text)
        ids = tokenization.ids
        selection = select(tokenization, config)
        read = selection.sequences.tokens(ids)
        for name, selected in selection.classes.items():
            assert selected.found == selected.eligible + sum(selected.left_out.values())
            rows, columns = selection.sequences.rows[name], selection.sequences.columns[name]
            assert read[rows, columns].tolist() == ids[selected.taken].tolist()
            earliest = 2 if context == "window" else 4 * min(16, ids.size) // 16
            assert all(earliest <= column for column in columns.tolist())
            latest = ids.size - 1 - (context == "window")
            assert all(position <= latest for position in selected.taken.tolist())
