"""Pride and Prejudice with a real model: its abbreviations are a cluster where they are taken for full stops."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.clusters import find_clusters
from analysis.pairwise import prepare
from jobs.config import StudyConfig
from jobs.corpus.cleaning import clean
from jobs.marks.features import features_of
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.encoder import load_encoder

LAYERS = (8, 18, 25)


def _states(smollm2, gutenberg_books, selection: str) -> SimpleNamespace:
    (path,) = (book for book in gutenberg_books if book.stem == "pg1342")
    config = StudyConfig(per_class=250, selection=selection)
    tokenization = tokenize(load_encoder("smollm2", None), clean(path.read_text(encoding="utf-8-sig")).text)
    chosen = select(tokenization, config)
    sequences = chosen.sequences
    states = smollm2.states_at(
        sequences.tokens(tokenization.ids), sequences.rows["terminal"], sequences.columns["terminal"]
    )
    features = features_of(tokenization, chosen.classes["terminal"].taken)
    passages = chosen.passage_of["terminal"]
    return SimpleNamespace(
        clusters=[find_clusters(states[layer], prepare(states[layer]).valid, passages) for layer in LAYERS],
        abbreviation=np.asarray(features.abbreviation),
        quoted=np.asarray(features.in_quotation),
    )


@pytest.mark.slow
def test_abbreviations_are_clusters_of_their_own(smollm2, gutenberg_books):
    notebook = _states(smollm2, gutenberg_books, "notebook")
    assert notebook.abbreviation.sum() > 40
    for found in notebook.clusters:
        share = [notebook.abbreviation[found.labels == label].mean() for label in range(found.number)]
        inside = np.array(share)[found.labels] > 0.5
        assert inside[notebook.abbreviation].mean() >= 0.95
        assert inside[~notebook.abbreviation].mean() <= 0.05
