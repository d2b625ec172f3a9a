"""What a layer's states look like whatever is asked of them: direction, dimension, extremes, likeness to other layers.

Reviewers ask for these beside any claim about layers. Each is computed from the states of some marks, [N, D].

- **anisotropy**: mean cosine of two states. Near 1 all states point one way, and any two resemble each other
  (Ethayarajh 2019, doi:10.18653/v1/D19-1006).
- **intrinsic dimension**: TwoNN, from the ratio of each state's distances to its second and to its first neighbour,
  which is Pareto distributed with the dimension for its exponent (Facco et al. 2017, doi:10.1038/s41598-017-11873-y).
  Its maximum-likelihood estimate is one line; states that equal another are taken once. Few states in many dimensions
  give too low a number: of 64 states of true dimension 20, about 14.
- **massive activations**: the largest magnitude over the median magnitude (Sun et al. 2024, arXiv:2402.17762).
- **CKA**: linear centred kernel alignment of two layers over the same marks (Kornblith et al. 2019, arXiv:1905.00414),
  with the unbiased HSIC of Song et al. 2012, since fewer marks than dimensions make the plain one large by itself. Each
  layer's Gram matrix is U-centred (Szekely and Rizzo 2014, doi:10.1214/14-AOS1255) and brought to length 1: the
  alignment of two layers is the product of these **sketches**, so that no two layers need be in memory at once. A
  sketch of some of the marks follows from that of all, so two models are aligned over the marks that both have read.
  Of n independent marks it scatters around 0 with a standard deviation of about sqrt(2 / (n (n - 3))): 0.02 for 64,
  0.1 for 16, and more where a few directions hold most of the variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SKETCHED = 64
"""Marks at most that a sketch holds, evenly spaced: 2,016 numbers a layer."""

NEIGHBOURED = 512
"""Marks at most among which neighbours are looked for, evenly spaced."""


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """The measures of one layer over `marks` states; NaN where too few, or equal states, say nothing.

    `massive_dimension`: where the largest magnitude stands. `sketch`: float32 [n (n - 1) / 2], of length 1 or empty.
    """

    marks: int
    anisotropy: float
    intrinsic_dimension: float
    norm: float
    massive: float
    massive_dimension: int
    sketch: NDArray[np.float32]


def layer_measures(x: NDArray[np.float32]) -> LayerMeasures:
    """All measures of float32 [N, D] states, N at least 1."""
    states = x.astype(np.float64)
    norms = np.linalg.norm(states, axis=1)
    magnitudes = np.abs(x)
    middle = float(np.median(magnitudes))
    largest = int(np.argmax(magnitudes))
    return LayerMeasures(
        len(x),
        mean_cosine(states, norms),
        intrinsic_dimension(states[_evenly(len(x), NEIGHBOURED)]),
        float(np.median(norms)),
        float(magnitudes.flat[largest]) / middle if middle else math.nan,
        largest % x.shape[1],
        sketch(states[sketched_marks(len(x))]),
    )


def mean_cosine(states: Floats, norms: Floats) -> float:
    """Mean cosine over all pairs of states [N, D] with these lengths [N], which must not be 0; NaN below two.

    The squared length of the sum of unit vectors counts every pair twice and each vector once.
    """
    number = len(states)
    if number < 2 or not norms.all():
        return math.nan
    together = (states / norms[:, None]).sum(axis=0)
    return float((together @ together - number) / (number * (number - 1)))


def intrinsic_dimension(states: Floats) -> float:
    """TwoNN's dimension of states [N, D]; NaN for fewer than three that differ."""
    different = states[_first_of_each(states)]
    if len(different) < 3:
        return math.nan
    squares = (different**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * different @ different.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.partition(distances, 1, axis=1)[:, :2]
    usable = nearest[:, 0] > 1e-12 * squares.max()  # below that, rounding is all that tells them apart
    logs = np.log(nearest[usable, 1] / nearest[usable, 0]) / 2
    return float((len(logs) - 1) / logs.sum()) if len(logs) > 1 and logs.sum() > 0 else math.nan


def _first_of_each(states: Floats) -> list[int]:
    """Where each different state stands first: by its bytes, as sorting rows takes longer than all their distances."""
    first: dict[bytes, int] = {}
    for place, row in enumerate(states + 0.0):  # -0 is 0
        first.setdefault(row.tobytes(), place)
    return list(first.values())


def sketch(states: Floats) -> NDArray[np.float32]:
    """The U-centred Gram matrix of states [N, D] above its diagonal, of length 1; empty below four states."""
    number = len(states)
    if number < 4:
        return np.zeros(0, np.float32)
    away = states - states.mean(axis=0)  # changes no U-centred product, and keeps digits where the mean is large
    gram = away @ away.T
    scale = float(np.abs(gram).max())
    upper = _u_centred(gram)
    length = float(np.linalg.norm(upper))
    if scale <= 1e-12 * float((states**2).sum(axis=1).max()) or length <= 1e-9 * scale:
        return np.zeros(0, np.float32)
    brought: NDArray[np.float32] = (upper / length).astype(np.float32)
    return brought


def alignments(sketches: Mapping[int, NDArray[np.float32]]) -> dict[int, Floats]:
    """Linear CKA of each layer with every layer, in ascending order: by layer, float64 [layers].

    1 with itself; 0 in expectation for independent states, and it may fall a little below. NaN for a layer without a
    sketch.
    """
    layers = sorted(sketches)
    size = max((len(sketches[layer]) for layer in layers), default=0)
    held = [len(sketches[layer]) == size > 0 for layer in layers]
    stacked = np.array([sketches[layer] if here else np.zeros(size) for layer, here in zip(layers, held, strict=True)])
    products = stacked @ stacked.T
    products[~np.array(held, bool)] = products[:, ~np.array(held, bool)] = np.nan
    return dict(zip(layers, products, strict=True))


def sketched_marks(number: int) -> NDArray[np.int64]:
    """Which of so many marks a sketch holds: their ordinals, ascending."""
    return _evenly(number, SKETCHED)


def coarse(sketch: NDArray[np.float32]) -> NDArray[np.int8]:
    """A sketch in steps of a 127th of its largest number: a quarter of the bytes.

    It moves an alignment by less than 0.001 where the numbers are like noise, and by 0.01 where one pair outweighs all
    others.
    """
    largest = float(np.abs(sketch).max(initial=0.0))
    steps: NDArray[np.int8] = np.rint(sketch * (127 / largest if largest else 0.0)).astype(np.int8)
    return steps


def cross_alignments(
    here: Mapping[int, NDArray[np.number]],
    there: Mapping[int, NDArray[np.number]],
    places: NDArray[np.int64],
    other_places: NDArray[np.int64],
) -> Floats:
    """Linear CKA of each layer of one model with each layer of another, over the marks in both sketches.

    `here`, `there`: sketches by layer, of whatever length. `places`, `other_places`: int64 [marks], where the same
    marks stand in the sketches of one and of the other. Returns float64 [layers here, layers there], in ascending
    order; NaN for a layer without a sketch, and everywhere for fewer than four marks.
    """
    (one, known), (other, others) = (_parts(of, at) for of, at in ((here, places), (there, other_places)))
    products: Floats = one @ other.T
    products[~known] = products[:, ~others] = np.nan
    return products


def _parts(sketches: Mapping[int, NDArray[np.number]], places: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """The sketches of some of the marks, [layers, pairs], and which layers have one.

    What U-centring all marks took from a row and a column, U-centring some of them takes again: it changes nothing.
    """
    number = len(places)
    parts = np.zeros((len(sketches), number * (number - 1) // 2))
    for row, (_, upper) in enumerate(sorted(sketches.items())):
        if number < 4 or not len(upper):
            continue
        whole = math.isqrt(2 * len(upper)) + 1
        gram = np.zeros((whole, whole))
        gram[np.triu_indices(whole, 1)] = upper
        part = _u_centred((gram + gram.T)[np.ix_(places, places)])
        length = float(np.linalg.norm(part))
        parts[row] = part / length if length > 1e-6 * np.linalg.norm(gram) else 0.0
    return parts, np.array([bool(part.any()) for part in parts], bool)


def _u_centred(gram: Floats) -> Floats:
    """The U-centred form of a Gram matrix [N, N], N at least 3, above its diagonal. The matrix is overwritten."""
    number = len(gram)
    np.fill_diagonal(gram, 0.0)
    rows = gram.sum(axis=1) / (number - 2)
    gram += gram.sum() / ((number - 1) * (number - 2)) - rows[:, None] - rows[None]
    upper: Floats = gram[np.triu_indices(number, 1)]
    return upper


def _evenly(number: int, most: int) -> NDArray[np.int64]:
    if number <= most:
        return np.arange(number)
    return ((2 * np.arange(most) + 1) * number) // (2 * most)
