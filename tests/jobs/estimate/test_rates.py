"""How fast this machine is, is measured with the study's own sequences and measures."""

from __future__ import annotations

import os

import numpy as np
import pytest

from jobs.config import RunConfig, StudyConfig
from jobs.estimate.rates import measure_rates
from jobs.model.batch_size import settle_passages
from jobs.model.hidden_states import HiddenStates
from jobs.model.models import identify_model


@pytest.mark.parametrize(("context", "shape"), [("passage", (1, 63)), ("window", (16, 21))])
def test_the_model_is_timed_on_sequences_of_the_studys_length(tiny_gpt2, monkeypatch, context, shape):
    given = []
    start = HiddenStates.start

    def noted(self: HiddenStates, sequences: np.ndarray, places: np.ndarray | None = None):
        given.append((sequences.shape, places is not None))
        return start(self, sequences, places)

    monkeypatch.setattr(HiddenStates, "start", noted)
    config = settle_passages(StudyConfig(model=str(tiny_gpt2), context=context), identify_model(str(tiny_gpt2)))
    rates = measure_rates(config, RunConfig(device="cpu"))
    assert set(given) == {(shape, context == "passage")}
    assert min(rates.tokens, rates.within, rates.between, rates.clusters) > 1
    assert rates.cores == len(os.sched_getaffinity(0))
    assert "cpu" in rates.measured_on
