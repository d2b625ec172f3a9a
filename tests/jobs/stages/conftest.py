"""Fixtures of the stages: a run's context with a small model, and a shard of three books."""

from __future__ import annotations

import pytest

from jobs.config import RunConfig
from jobs.corpus.names import name_books
from jobs.corpus.references import Source
from jobs.model.models import RecordedModel, identify_model
from jobs.stages.partition import ShardWork, shard_of
from jobs.stages.prepare import RunContext
from jobs.stages.survey import survey_sources
from tests.jobs.injection import study, write_books


@pytest.fixture
def context(tmp_path, tiny_gpt2) -> RunContext:
    model = RecordedModel.of(identify_model(str(tiny_gpt2)))
    return RunContext(str(tmp_path / "store"), study(tiny_gpt2), RunConfig(), "f" * 64, "run", model)


@pytest.fixture
def work(tmp_path, sample_text) -> ShardWork:
    """Three books, named in the reverse of their keys' order."""
    paths = write_books(tmp_path / "books", sample_text, 3)
    refs = survey_sources([Source(path) for path in reversed(paths)], RunConfig())
    return shard_of("f" * 64, list(name_books(refs, {})))
