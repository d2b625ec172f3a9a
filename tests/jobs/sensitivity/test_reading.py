"""What a trial reads: which of its passages touch."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.config import StudyConfig
from jobs.sensitivity.reading import _Cells


@pytest.mark.parametrize(
    ("context", "length", "touching"),
    [
        ("passage", 512, [True, False, True]),
        (
            "passage",
            300,
            [False, False, True],
        ),  # read up to 300 of 512: only the last passage, moved back, begins before
        ("window", 512, [True, False, True]),
    ],
)
def test_passages_that_follow_each_other_touch_if_they_are_read_that_far(context, length, touching):
    """Passages 0, 1, 5 and 6 of a text of 2,500 tokens: bodies of 384 tokens, the last one moved back to its end."""
    cells = _Cells(StudyConfig(context=context, passage_tokens=512, warmup_tokens=128), 2500)
    assert cells.touching(np.array([0, 1, 5, 6]), length).tolist() == touching
