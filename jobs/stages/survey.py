"""Surveys sources on a worker: which texts they hold, without keeping any of them."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.config import RunConfig
from jobs.corpus.references import BookRef, Source
from jobs.corpus.survey import survey


def survey_sources(sources: Sequence[Source], run: RunConfig) -> list[BookRef]:
    """Read, count and hash the texts of some sources: one reference a text, in order."""
    return [ref for source in sources for ref in survey(source, run)]
