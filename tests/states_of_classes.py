"""Hidden states at the marks of every class, from one forward pass over the passages."""

from __future__ import annotations

import numpy as np

from jobs.marks.selection import Selection
from jobs.model.hidden_states import HiddenStates


def states_of_classes(model: HiddenStates, selection: Selection, ids: np.ndarray) -> dict[str, np.ndarray]:
    """float32 [hidden_layers, marks, D] by class, of the text whose tokens are `ids`."""
    sequences, names = selection.sequences, list(selection.classes)
    rows = np.concatenate([sequences.rows[name] for name in names])
    columns = np.concatenate([sequences.columns[name] for name in names])
    order = np.lexsort((columns, rows))
    ordered = model.states_at(sequences.tokens(ids), rows[order], columns[order])
    states = np.empty_like(ordered)
    states[:, order] = ordered
    stops = np.cumsum([len(sequences.rows[name]) for name in names])[:-1]
    return dict(zip(names, np.split(states, stops, axis=1), strict=True))
