"""The worked example of the structures."""

from __future__ import annotations

import doctest

from analysis.engine import vectors


def test_the_worked_example_goes_through_all_steps():
    result = doctest.testmod(vectors)
    assert result.attempted > 20
    assert result.failed == 0
