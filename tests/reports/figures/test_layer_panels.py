"""The panels of the layers: with as many classes as a study may have, every name is within the paper."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.data.classes import Classes
from reports.figures.layer_measures import PANELS, layer_panels
from store.keys import BASELINE


def test_the_names_of_sixteen_classes_stand_in_their_cell_and_no_panel_gives_way():
    names = [*(f"class-{number}" for number in range(16)), BASELINE]
    measured = {column: 1.0 + np.arange(4) for column, _, _ in PANELS}
    frame = pd.concat([pd.DataFrame({"layer": range(4), "class": name, **measured}) for name in names])
    drawn = layer_panels(frame, Classes(tuple(names)), np.eye(4), [0, 1, 2, 3], BASELINE)
    drawn.draw_without_rendering()
    cell = drawn.axes[5]
    named = cell.get_legend()
    assert [text.get_text() for text in named.get_texts()] == names
    box = named.get_window_extent()
    assert all(map(drawn.bbox.containsx, (box.x0, box.x1)))
    assert drawn.bbox.containsy(box.y0)
    assert box.y1 <= drawn.axes[2].get_window_extent().y0
    assert min(axes.get_window_extent().height for axes in drawn.axes[:4]) > 0.3 * drawn.bbox.height
