"""Sixteen classes and the baseline can be told apart, whatever a reader's colour vision."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.colors import to_rgb

from reports.figures.style import PALETTE, class_style, class_variable, colour_variables
from tests.reports.classes import SIXTEEN, WITH_BASELINE

DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])
"""How linear light looks to dichromats (Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113)."""


def seen(colour: str, vision: np.ndarray) -> np.ndarray:
    """A colour as it is seen: linear light of red, green and blue."""
    light = np.array([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)])
    return np.cbrt(np.clip(vision @ light, 0, 1))


def test_every_class_has_a_colour_and_a_marker_of_its_own():
    styles = [class_style(SIXTEEN, name) for name in SIXTEEN.names]
    assert len({style.colour for style in styles}) == 17
    assert len({style.marker for style in styles}) == 17
    assert class_style(WITH_BASELINE, "baseline") == styles[-1]


def test_the_first_six_classes_differ_for_dichromats_too():
    for vision, place in itertools.product((np.eye(3), DEUTERANOPIA, PROTANOPIA), (0, 1)):
        colours = [seen(both[place], vision) for both in PALETTE[:6]]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)) > 0.09


def test_the_page_has_a_variable_for_the_colour_of_each_class():
    for dark in (False, True):
        variables = colour_variables(dark)
        assert all(f"--{class_variable(SIXTEEN, name)}: #" in variables for name in SIXTEEN.names)
    assert "--class-1: #0072b2; --class-2: #d55e00;" in colour_variables(dark=False)
