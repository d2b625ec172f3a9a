"""Real texts with a real model: abbreviations and quotations are clusters where they are among the marks."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.clusters import Clusters, find_clusters
from analysis.explanation import explain_all
from analysis.pairwise import prepare
from jobs.config import StudyConfig
from jobs.corpus.cleaning import clean
from jobs.marks.features import features_of
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.encoder import load_encoder

LAYERS = (8, 12, 15, 18, 21, 25)


def _chosen(text: str, selection: str, per_class: int) -> SimpleNamespace:
    """The full stops of a text: where they are, their passages, and what the text says of them."""
    tokenization = tokenize(load_encoder("smollm2", None), text)
    found = select(tokenization, StudyConfig(per_class=per_class, selection=selection))
    features = features_of(tokenization, found.classes["terminal"].taken)
    known = {
        "previous_word": features.previous_word,
        "abbreviation": np.asarray(features.abbreviation),
        "in_quotation": np.asarray(features.in_quotation),
        "sentence_tokens": features.sentence_tokens,
    }
    return SimpleNamespace(tokenization=tokenization, found=found, known=known, passages=found.passage_of["terminal"])


def _clusters(smollm2, text: str, selection: str, layers: Sequence[int] = LAYERS) -> SimpleNamespace:
    chosen = _chosen(text, selection, 250)
    sequences = chosen.found.sequences
    states = smollm2.states_at(
        sequences.tokens(chosen.tokenization.ids), sequences.rows["terminal"], sequences.columns["terminal"]
    )
    clusters = [find_clusters(states[layer], prepare(states[layer]).valid, chosen.passages) for layer in layers]
    terms = explain_all([found.labels for found in clusters], chosen.known)
    names = [{term.name for term in of_layer} for of_layer in terms]
    return SimpleNamespace(clusters=clusters, names=names, **chosen.known)


def _told_apart(found: Clusters, holds: np.ndarray) -> tuple[float, float]:
    """Of the marks for which it holds, and of the others, the shares in clusters for most of which it holds."""
    share = np.array([holds[found.labels == label].mean() for label in range(found.number)])
    inside = share[found.labels] > 0.5
    return float(inside[holds].mean()), float(inside[~holds].mean())


def _split_off(of_book: SimpleNamespace) -> int:
    """In how many layers at least 95 % of the abbreviations, and at most 5 % others, are clusters of their own."""
    shares = [_told_apart(found, of_book.abbreviation) for found in of_book.clusters]
    return sum(right >= 0.95 and wrong <= 0.05 for right, wrong in shares)


def test_the_samples_quotations_are_clusters_and_their_names_are_true(smollm2_marks, sample_text):
    chosen = _chosen(sample_text, "strict", 120)
    quoted, right = chosen.known["in_quotation"], []
    for (layer, name), states in smollm2_marks.states.items():
        if name == "terminal" and layer:
            found = find_clusters(states, prepare(states).valid, chosen.passages)
            (terms,) = explain_all([found.labels], chosen.known)
            for term in terms:
                if term.name in ("in a quotation", "outside quotations"):
                    holds = (quoted == (term.name == "in a quotation"))[found.labels == term.cluster].mean()
                    right.append(holds)
    assert right
    assert min(right) > 0.75


@pytest.mark.slow  # A forward pass over the sample.
def test_the_samples_abbreviations_are_a_cluster_of_their_own(smollm2, sample_text):
    notebook = _clusters(smollm2, sample_text, "notebook")
    assert notebook.abbreviation.sum() > 15
    assert _split_off(notebook) >= 1
    assert any("after" in name and "mr" in name for names in notebook.names for name in names)


@pytest.mark.slow  # Two forward passes over a book.
def test_the_abbreviations_of_a_book_are_clusters_of_their_own_and_gone_with_strict(smollm2, gutenberg_books):
    (path,) = (book for book in gutenberg_books if book.stem == "pg1342")
    text = clean(path.read_text(encoding="utf-8-sig")).text
    notebook = _clusters(smollm2, text, "notebook")
    assert notebook.abbreviation.sum() > 40
    assert _split_off(notebook) == len(LAYERS)
    strict = _clusters(smollm2, text, "strict")
    assert not strict.abbreviation.any()
    assert not any("mr" in name for names in strict.names for name in names)
    assert any(names == {"in a quotation", "outside quotations"} for names in strict.names)
