"""What is known of a real model, on the bundled story in all layers: bins turn signs, means make differences.

Slow: the model reads eight passages, once with its own weights and once with untrained ones.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.specifications import CENTRED, COPULA, RAW, Measuring, Trial, contrasted
from jobs.config import StudyConfig
from jobs.marks.selection import select
from jobs.marks.tokens import tokenize
from jobs.model.encoder import load_encoder
from jobs.model.hidden_states import HiddenStates

pytestmark = pytest.mark.slow
NAMES = ("internal", "terminal")


def trials(model: HiddenStates, text: str) -> list[Trial]:
    """A trial a layer, of 100 marks of each class."""
    tokenization = tokenize(load_encoder("smollm2"), text)
    selection = select(tokenization, StudyConfig(per_class=100, baseline=None))
    sequences = selection.sequences
    rows = np.concatenate([sequences.rows[name] for name in NAMES])
    columns = np.concatenate([sequences.columns[name] for name in NAMES])
    order = np.lexsort((columns, rows))
    found = model.states_at(sequences.tokens(tokenization.ids), rows[order], columns[order])
    states = np.empty_like(found)
    states[:, order] = found
    count = len(sequences.rows["internal"])
    passages = selection.passage_of["internal"], selection.passage_of["terminal"]
    return [Trial(of[:count].copy(), of[count:].copy(), passages) for of in states]


def values(of: list[Trial], measuring: Measuring) -> np.ndarray:
    """Difference and separation by layer: [layers, 2]."""
    return np.array([contrasted(trial.sums(measuring), measuring).whole for trial in of])


@pytest.fixture(scope="module")
def trained(smollm2, sample_text) -> list[Trial]:
    return trials(smollm2, sample_text)


def test_thirty_bins_turn_the_sign_of_the_difference_in_some_layers_and_of_the_separation_in_none(trained):
    default, thirty = values(trained, Measuring()), values(trained, Measuring(30))
    turned = np.sign(default[1:]) != np.sign(thirty[1:])
    assert 1 <= turned[:, 0].sum() < 15
    assert not turned[:, 1].any()


def test_centring_takes_most_of_the_late_layers_difference(trained):
    """Four fifths and more, in each layer from 22 on, whichever way information is estimated."""
    for raw, centred in (
        (Measuring(), Measuring(states=CENTRED)),
        (Measuring(None, None, RAW, COPULA), Measuring(None, None, CENTRED, COPULA)),
    ):
        difference, rest = values(trained, raw)[22:, 0], values(trained, centred)[22:, 0]
        assert (difference > 0.05).all()
        assert (np.abs(rest) < 0.2 * difference).all()


def test_untrained_weights_tell_two_tokens_apart_in_the_embeddings_and_hardly_behind_them(trained, sample_text):
    untrained = values(trials(HiddenStates("smollm2", untrained=0), sample_text), Measuring())[:, 1]
    assert untrained[0] > 1
    assert (np.diff(untrained[:6]) < 0).all(), "the shape of layer 0 alone: it fades and does not come back"
    assert (untrained[10:] < 0.02 * untrained[0]).all()
    assert (untrained[10:] < 0.2 * values(trained, Measuring())[10:, 1]).all()
