"""Two stores on the same books: what one finds less what the other finds, over relative depth, with intervals.

Books are paired by the text that was read (its checksum). What is compared does not depend on the number of dimensions
or bins: separation and difference in correlation and in copula information, AUC, R^2 and transfer. Layers stand at
their relative depth; the other store's estimates are interpolated linearly between its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.contrasts import Floats
from analysis.inference import Evidence, infer
from reports.data.answer import BookByBook, read_books
from reports.data.classes import Classes
from reports.data.estimates import DIRECTION, Estimate, Key
from reports.data.model_alignment import ClassAlignment, SharedMarks, align_models, shared_marks
from reports.data.queries import StudyStore, ask
from reports.data.scope import SEED
from store.keys import BASELINE

COMPARED = {
    ("separation", "corr"): "separation (correlation)",
    ("separation", "mi_copula"): "separation (copula, bits)",
    ("difference", "corr"): "difference (correlation)",
    ("auc", "mi"): "AUC",
    ("r2", "corr"): "R²",
    ("transfer", DIRECTION): "transfer (AUC)",
}
"""Quantity and measure of what is compared, with its name."""

COLUMNS = ("quantity", "measure", "layer", "depth", "here", "there", "difference", "low", "high", "p", "estimator")


@dataclass(frozen=True)
class Comparison:
    """Two stores on the books that both have.

    `rows`: by quantity, measure and layer of this store, its estimate `here`, the other's at the same relative depth,
    and the first less the second with its interval over all layers at once; see `COLUMNS`. `shared`: the books of both,
    as this store names them; `only_here`, `only_there`: those that have no partner. `same_tokens`: how many of the
    shared books have the same number of tokens in both; `same_marks`: of their marks in either store, the share
    that both took, at the same token of the text; NaN where no book has the same tokens. `alignments`: how alike the
    two stores' layers lay out the marks that both have, by class; empty where too few are the same.
    """

    pair: tuple[str, str]
    rows: pd.DataFrame
    shared: tuple[str, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    same_tokens: int
    same_marks: float
    sql: tuple[str, ...]
    alignments: tuple[ClassAlignment, ...] = ()

    @property
    def estimator(self) -> str:
        """How the intervals were made."""
        return str(self.rows["estimator"].iloc[0]) if len(self.rows) else ""


def compare_stores(
    store: StudyStore, other: StudyStore, pair: tuple[str, str], books: Sequence[str] | None = None
) -> Comparison:
    """Compare what two stores say of two classes on the books of both."""
    texts, theirs = ask(store, "texts", books=books), ask(other, "texts", books=None)
    partners, only_here, only_there = paired_books(texts.frame, theirs.frame)
    classes = Classes(pair)
    here = read_books(store, classes, list(partners))
    there = read_books(other, classes, list(partners.values()))
    same_tokens = _with_as_many_tokens(partners, texts.frame, theirs.frame)
    shared = shared_marks(store, other, same_tokens, pair)
    frames = [
        _compared(here, there, partners, Key(quantity, measure, *pair), shared.same == 1)
        for quantity, measure in COMPARED
    ]
    found = [frame for frame in frames if len(frame)]
    return Comparison(
        pair,
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS)),
        tuple(partners),
        only_here,
        only_there,
        len(same_tokens),
        shared.same,
        (texts.sql, theirs.sql, *here.sql),
        _alignments(store, other, shared, pair),
    )


def paired_books(here: pd.DataFrame, there: pd.DataFrame) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """Books of the same text: {name here: name there}; then those here alone and there alone. See `texts.sql`."""
    by_text = {str(row.sha256): str(row.book) for row in there.itertuples()}
    partners = {str(row.book): by_text[str(row.sha256)] for row in here.itertuples() if str(row.sha256) in by_text}
    alone = [str(book) for book in here["book"] if str(book) not in partners]
    taken = set(partners.values())
    return partners, tuple(alone), tuple(str(book) for book in there["book"] if str(book) not in taken)


def infer_difference(here: Sequence[Estimate], there: Sequence[Estimate], *, same_passages: bool) -> Evidence:
    """The mean over books of one estimate less another, [layers], with its interval.

    `same_passages`: both estimates of a book come from the same passages, which then pair; else they are taken for
    independent, and their errors add.
    """
    estimates = np.stack([one.whole - other.whole for one, other in zip(here, there, strict=True)])
    known = all(each.pseudo is not None for each in (*here, *there))
    combine = _paired if same_passages else _independent
    by_passage = [
        combine(one.pseudo, other.pseudo)
        for one, other in zip(here, there, strict=True)
        if one.pseudo is not None and other.pseudo is not None
    ]
    return infer(estimates, by_passage if known else (), SEED)


def at_depths(estimate: Estimate, depths: Floats, wanted: Floats) -> Estimate:
    """An estimate of layers at some relative depths, at others: linear between them, and level beyond the ends."""
    whole = np.interp(wanted, depths, estimate.whole)
    if estimate.pseudo is None:
        return Estimate(whole, None)
    return Estimate(whole, np.stack([np.interp(wanted, depths, values) for values in estimate.pseudo]))


def _compared(here: BookByBook, there: BookByBook, partners: Mapping[str, str], key: Key, same: bool) -> pd.DataFrame:
    """The rows of one quantity; none where either store does not have it."""
    mine, theirs = here.of(key), there.of(key)
    books = [book for book in partners if book in mine and partners[book] in theirs]
    if not books:
        return pd.DataFrame(columns=list(COLUMNS))
    (layers, depths), (_, their_depths) = (_deep(each.layers) for each in (here, there))
    chosen = [_deep_part(mine[book], here.layers) for book in books]
    others = [at_depths(_deep_part(theirs[partners[book]], there.layers), their_depths, depths) for book in books]
    found = infer_difference(chosen, others, same_passages=same)
    return pd.DataFrame(
        {
            "quantity": key.quantity,
            "measure": key.measure,
            "layer": layers,
            "depth": depths,
            "here": np.mean([each.whole for each in chosen], axis=0),
            "there": np.mean([each.whole for each in others], axis=0),
            "difference": found.estimate,
            "low": found.low,
            "high": found.high,
            "p": found.p,
            "estimator": found.estimator,
        }
    )


def _deep(layers: Sequence[int]) -> tuple[Floats, Floats]:
    """The layers but for the embeddings, where there are others, and their relative depths."""
    deep = np.array([layer for layer in layers if layer > 0] or list(layers))
    return deep, deep / max(1, max(layers))


def _deep_part(estimate: Estimate, layers: Sequence[int]) -> Estimate:
    deep = np.array(layers) > 0
    if not deep.any():
        return estimate
    return Estimate(estimate.whole[deep], None if estimate.pseudo is None else estimate.pseudo[:, deep])


def _paired(here: Floats, there: Floats) -> Floats:
    return here - there if here.shape == there.shape else _independent(here, there)


def _independent(here: Floats, there: Floats) -> Floats:
    """Values whose mean is the difference of two means, and whose standard error is that of independent means."""
    count = len(here) + len(there)
    middle = here.mean(axis=0) - there.mean(axis=0)
    parts = []
    for values, sign in ((here, 1.0), (there, -1.0)):
        apart = len(values) * (len(values) - 1)
        scale = np.sqrt(count * (count - 1) / apart) if apart else np.nan
        parts.append(middle + sign * scale * (values - values.mean(axis=0)))
    return np.concatenate(parts)


def _with_as_many_tokens(partners: Mapping[str, str], here: pd.DataFrame, there: pd.DataFrame) -> dict[str, str]:
    """The shared books that both tokenizers cut into as many tokens; see `texts.sql`."""
    mine, theirs = (dict(zip(frame["book"].astype(str), frame["tokens"], strict=True)) for frame in (here, there))
    return {ours: other for ours, other in partners.items() if mine[ours] == theirs[other]}


def _alignments(
    store: StudyStore, other: StudyStore, shared: SharedMarks, pair: tuple[str, str]
) -> tuple[ClassAlignment, ...]:
    """Over the marks of the two classes, and over random tokens where both stores have them."""
    named = align_models(store, other, shared, pair)
    if not all(BASELINE in each.study.class_names for each in (store, other)):
        return named
    random = shared_marks(store, other, shared.books, [BASELINE])
    return (*align_models(store, other, random, [BASELINE]), *named)
