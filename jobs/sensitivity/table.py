"""From estimates to rows of the table `sensitivity`, each with the interval that the book's passages allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.inference import infer
from analysis.specifications import CENTRED, QUANTITIES, Contrasted
from jobs.sensitivity.grid import Condition, Specification
from store.columns import SENSITIVITY

SEED = 0
"""Of the bootstrap: a table made twice is the same."""


@dataclass(frozen=True)
class SpecificationRows:
    """One specification of one book: what was estimated in each layer, from how many marks and passages."""

    specification: Specification
    condition: Condition
    book: str
    classes: tuple[str, ...]
    layers: tuple[int, ...]
    contrasted: Sequence[Contrasted]
    marks: tuple[int, int]
    passages: int


def sensitivity_table(specifications: Sequence[SpecificationRows], model: str, sample: int) -> pa.Table:
    """Rows of `sensitivity` in its order: of one model, from so many marks a class as were asked for."""
    rows = [{**row, "model": model, "sample": sample} for part in specifications for row in _rows(part)]
    rows.sort(key=lambda row: tuple(row[name] for name in SENSITIVITY.sorted_by))
    return pa.Table.from_pylist(rows, schema=SENSITIVITY.schema)


def _rows(part: SpecificationRows) -> Iterator[dict[str, Any]]:
    """A row a quantity and layer; of centred states, whose separation is not defined, the difference alone."""
    known = _settings(part)
    for place, quantity in enumerate(QUANTITIES[:1] if part.specification.measuring.states == CENTRED else QUANTITIES):
        whole = np.array([each.whole[place] for each in part.contrasted])
        lows = highs = np.full(len(whole), np.nan)
        if np.isfinite(whole).any():
            by_passage = np.stack([each.by_passage[:, place] for each in part.contrasted], axis=1)
            found = infer(whole[None], [by_passage], SEED, together=False)
            lows, highs = found.low, found.high
        for layer, estimate, low, high in zip(part.layers, whole, lows, highs, strict=True):
            values = {"layer": layer, "estimate": float(estimate), "low": float(low), "high": float(high)}
            yield {**known, "quantity": quantity, **values}


def _settings(part: SpecificationRows) -> dict[str, Any]:
    specification, condition, measuring = part.specification, part.condition, part.specification.measuring
    return {
        "specification": specification.name,
        "axis": specification.axis,
        "kind": specification.kind,
        "weights": condition.weights,
        "words": condition.words,
        "context": condition.context,
        "bos": condition.bos,
        "selection": specification.selection,
        "half": specification.half,
        "states": measuring.states,
        "estimator": measuring.estimator,
        "bins": measuring.bins,
        "outlier_z": measuring.outlier_z,
        "book": part.book,
        "class": part.classes[0],
        "other": part.classes[1],
        "marks": part.marks[0],
        "other_marks": part.marks[1],
        "passages": part.passages,
    }
