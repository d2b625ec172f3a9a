"""Clusters of marks: do the vectors of one class fall into groups, how many, how clear, and how stable.

k groups of marks make the k (k + 1) / 2 clouds that pairs form in the plane of MI and covariance, so marks are what is
clustered. How:

1. Each vector is standardised over its valid dimensions: the scalar product of two is their correlation.
2. Less their mean, their leading principal axes are those of the doubly centred correlation matrix.
3. Along each axis the **deepest valley** is looked for (`analysis.unimodality`). Where one is deeper than Gaussian
   samples have it once in 500 times (and even ones once in 60), the marks are cut there, at the deepest, and both sides
   are looked at again, on axes of their own.
4. A Gaussian of each group on the axes then gives each mark to the group it is most likely of.
5. Two groups that have no valley between them any more are joined: a group that still held marks of another when it was
   cut may have been cut for them alone.

A group is one where no axis has a valley, however long its tails: the number of clusters is 1 for noise of any
ellipsoid shape, which no criterion of fit gives. Vectors in, labels out; the result is a function of the vectors and
their order alone. All steps are linear in the number of marks: up to `EXACT` all take part, beyond it a seeded sample
does, and the other marks go to the nearest centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.unimodality import SMALLEST_SIDE, deepest_valley

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

EXACT = 20_000
"""Marks up to which all of them decide on the clusters."""

AXES = 12
"""Leading axes that are kept of the vectors."""

ITERATIONS = 3
"""Steps towards the leading axes: the first are exact to four digits, the last of them to two."""

LOOKED_AT = 5
"""Of the axes of a group, so many leading ones are searched for valleys."""

MOST = 12
"""Clusters at most: more are not read by anyone."""

SMALLEST_SHARE = 0.02
"""A cluster has at least this share of the marks, and `unimodality.SMALLEST_SIDE` marks."""

REFINEMENTS = 3
"""How often each mark is given to the group it is most likely of."""

RESAMPLES = 4
"""Stability is taken over so many sets of passages: each leaves out one of as many random parts."""

RULE = "valley"
"""How the number of clusters is found, as results record it."""

_ROUNDING = 1e-6
"""Vectors whose squared distances from their mean are below this are one vector."""

_CRITICAL = np.array(
    [
        (12, 0.2),
        (20, 0.5),
        (30, 0.75),
        (50, 1.1),
        (100, 1.5),
        (250, 1.5),
        (500, 1.85),
        (1000, 2.15),
        (5000, 2.35),
        (20000, 2.65),
    ]
)
"""Number of values, and the depth of valley that a Gaussian sample of so many exceeds once in 500 times."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of N marks; a single one where the marks are one group.

    `labels`: int64 [N], by falling size, ties by the first mark. `silhouette`: float64 [N], how much nearer a mark is
    to its own cluster than to the nearest other, -1 to 1 (Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7), with
    1 - correlation as the distance; NaN with one cluster. `stability`: float64 [clusters], the mean Jaccard similarity
    of each cluster with the one most like it when a random quarter of the passages is left out, each in turn (Hennig
    2007, doi:10.1016/j.csda.2006.11.025): above 0.75 a cluster is stable; NaN with one cluster. `axes`: float64
    [N, AXES], the marks on the leading axes. `exact`: whether all marks took part.
    """

    labels: Labels
    silhouette: Floats
    stability: Floats
    axes: Floats
    exact: bool

    @property
    def number(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max(initial=0)) + 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Marks of each cluster: int64 [clusters]."""
        return np.bincount(self.labels, minlength=self.number)


def find_clusters(
    x: NDArray[np.float32], valid: NDArray[np.bool_] | None = None, passages: NDArray[np.integer] | None = None
) -> Clusters:
    """The clusters of the vectors `x`, float32 [N, D].

    `valid`: bool [N, D], dimensions that are not outliers of their vector; all where it is left out. `passages`: int
    [N], the passage of each mark, which is what stability resamples; without it every mark is one of its own.

    >>> x = np.random.default_rng(0).standard_normal((60, 32), dtype=np.float32)
    >>> find_clusters(x).number
    1
    >>> x[:20, :4] += 6
    >>> find_clusters(x).sizes.tolist()
    [40, 20]
    """
    return clusters_of(standardised(x, valid), passages)


def clusters_of(z: NDArray[np.float32], passages: NDArray[np.integer] | None = None) -> Clusters:
    """The same of vectors that are `standardised`."""
    marks = len(z)
    if not marks:
        return Clusters(np.zeros(0, np.int64), np.zeros(0), np.full(1, np.nan), np.zeros((0, AXES)), exact=True)
    if marks > EXACT:
        return _sampled(z, passages)
    axes = leading_axes(z)
    labels = _ordered(_joined(axes, _refined(axes, _divided(axes))))
    if not labels.any():
        return Clusters(labels, np.full(marks, np.nan), np.full(1, np.nan), axes, exact=True)
    stability = _stability(axes, labels, np.arange(marks) if passages is None else passages)
    return Clusters(labels, silhouettes(z, labels), stability, axes, exact=True)


def standardised(x: NDArray[np.float32], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Vectors of mean 0 and length 1 over their valid dimensions, 0 in the others: float32 [N, D].

    The scalar product of two is their correlation, exactly where they have the same valid dimensions. A constant vector
    is all 0.
    """
    kept = x if valid is None else np.where(valid, x, np.float32(0))
    counts = np.float32(x.shape[1]) if valid is None else valid.sum(axis=1, keepdims=True, dtype=np.float32)
    z = kept - kept.sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    if valid is not None:
        z[~valid] = 0
    length = np.sqrt(np.einsum("nd,nd->n", z, z))[:, None]
    substantial = length > 1e-6 * np.abs(x).max(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = np.divide(z, length, out=np.zeros_like(z), where=substantial)
    return scaled


def leading_axes(z: NDArray[np.float32], number: int = AXES) -> Floats:
    """The vectors less their mean, on their `number` leading principal axes: float64 [N, number], falling variance.

    By simultaneous iteration from a seeded start (Halko, Martinsson and Tropp 2011, doi:10.1137/090771806), which needs
    a few thin products. The sign of an axis is such that its largest value is positive.
    """
    centred = z - z.mean(axis=0, dtype=np.float64).astype(np.float32)
    kept = min(number, *centred.shape)
    basis = np.random.default_rng(0).standard_normal((min(kept + 4, *centred.shape), len(z)), dtype=np.float32)
    for _ in range(ITERATIONS):
        basis = _orthonormal((basis @ centred) @ centred.T)
    rest = basis @ centred
    values, vectors = np.linalg.eigh((rest @ rest.T).astype(np.float64))
    lengths = np.where(values > _ROUNDING, np.sqrt(np.maximum(values, 0)), 0)
    axes = np.zeros((len(z), number))
    axes[:, :kept] = basis.T @ (vectors * lengths)[:, ::-1][:, :kept].astype(np.float32)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    return axes * np.where(largest < 0, -1.0, 1.0)


def _orthonormal(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orthonormal rows with the same span, by their products; directions that rounding would decide on are 0."""
    values, axes = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    scale = np.where(values > 1e-9 * values[-1], 1 / np.sqrt(np.maximum(values, 1e-300)), 0)
    return (axes * scale).T.astype(np.float32) @ rows


def silhouettes(z: NDArray[np.float32], labels: Labels) -> Floats:
    """The silhouette of each mark with 1 - correlation as distance: float64 [N]; 0 for a cluster of one mark.

    A mean of such distances is one less a scalar product with the mean vector, so that no pair is looked at.
    """
    number = int(labels.max(initial=0)) + 1
    sizes = np.bincount(labels, minlength=number)
    members = labels[:, None] == np.arange(number)
    sums = members.astype(np.float32).T @ z
    distances = 1 - (z @ sums.T).astype(np.float64) / sizes
    own_size = sizes[labels]
    own = np.take_along_axis(distances, labels[:, None], axis=1)[:, 0] * own_size
    own -= 1 - np.einsum("nd,nd->n", z, z, dtype=np.float64)
    inner = own / np.maximum(own_size - 1, 1)
    nearest = np.where(members, np.inf, distances).min(axis=1)
    larger = np.maximum(inner, nearest)
    return np.where((own_size > 1) & (larger > 0), (nearest - inner) / np.where(larger > 0, larger, 1), 0.0)


def matched(labels: Labels, others: Labels) -> list[tuple[int, int, float]]:
    """Clusters of two clusterings of the same marks that belong together, with their Jaccard similarity, best first.

    One to one, by the largest similarities in sum; pairs without a common mark are left out.
    """
    from scipy.optimize import linear_sum_assignment

    similarity = _jaccard(labels, others)
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    pairs = [(int(row), int(column), float(similarity[row, column])) for row, column in zip(rows, columns, strict=True)]
    return sorted((pair for pair in pairs if pair[2] > 0), key=lambda pair: (-pair[2], pair[0]))


def _divided(axes: Floats) -> Labels:
    """Cut the marks where an axis has a valley, and their parts again, until none has or there are `MOST`."""
    labels = np.zeros(len(axes), np.int64)
    smallest = max(SMALLEST_SIDE, int(np.ceil(SMALLEST_SHARE * len(axes))))
    waiting, number = [np.arange(len(axes))], 1
    while waiting and number < MOST:
        group = waiting.pop(0)
        points = axes[group]
        beyond = _cut(_own_axes(points) if number > 1 else points[:, :LOOKED_AT], smallest)
        if beyond is not None:
            labels[group[beyond]] = number
            number += 1
            waiting += [group[~beyond], group[beyond]]
    return labels


def _own_axes(points: Floats) -> Floats:
    """Points of a group on its own leading axes: float64 [marks, LOOKED_AT]; axes without extent are left out."""
    mean = points.mean(axis=0)
    values, vectors = np.linalg.eigh(points.T @ points - len(points) * mean[:, None] * mean)
    leading = values[-LOOKED_AT:] > _ROUNDING * len(points)
    own: Floats = points @ vectors[:, -LOOKED_AT:][:, leading][:, ::-1]
    return own


def _cut(axes: Floats, smallest: int) -> NDArray[np.bool_] | None:
    """Which of the marks lie beyond the deepest valley of any axis; None where no valley is deep enough."""
    if len(axes) < 2 * smallest:
        return None
    critical = float(np.interp(np.log(len(axes)), np.log(_CRITICAL[:, 0]), _CRITICAL[:, 1]))
    valley = deepest_valley(axes, critical, smallest)
    return axes[:, valley.axis] > valley.place if valley.depth > critical else None


def _stability(axes: Floats, labels: Labels, passages: NDArray[np.integer]) -> Floats:
    """Mean Jaccard similarity of each cluster with the best of the others, without each quarter of the passages."""
    _, place = np.unique(passages, return_inverse=True)
    quarter = (np.random.default_rng(0).permutation(int(place.max()) + 1) % RESAMPLES)[place]
    total, counted = np.zeros((2, int(labels.max()) + 1))
    for left_out in range(RESAMPLES):
        kept = quarter != left_out
        if kept.all() or not kept.any():
            continue
        similarity = _jaccard(labels[kept], _divided(axes[kept]), len(total))
        present = np.bincount(labels[kept], minlength=len(total)) > 0
        total += np.where(present, similarity.max(axis=1), 0)
        counted += present
    mean: Floats = np.divide(total, counted, out=np.full(len(total), np.nan), where=counted > 0)
    return mean


def _jaccard(labels: Labels, others: Labels, number: int | None = None) -> Floats:
    """Marks in common over marks in either, of each two clusters: float64 [clusters, other clusters]."""
    rows, columns = number or int(labels.max(initial=0)) + 1, int(others.max(initial=0)) + 1
    common = np.bincount(labels * columns + others, minlength=rows * columns).reshape(rows, columns)
    either = common.sum(axis=1, keepdims=True) + common.sum(axis=0, keepdims=True) - common
    shares: Floats = common / np.maximum(either, 1)
    return shares


def _sampled(z: NDArray[np.float32], passages: NDArray[np.integer] | None) -> Clusters:
    """The clusters of a seeded sample of `EXACT` marks; every mark goes to the centre on the axes that is nearest."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(z))[:EXACT])
    of_sample = clusters_of(z[chosen], None if passages is None else passages[chosen])
    centres = np.stack([z[chosen][of_sample.labels == label].mean(axis=0) for label in range(of_sample.number)])
    labels = (z @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1).astype(np.int64)
    labels[chosen] = of_sample.labels
    silhouette = silhouettes(z, labels) if labels.any() else np.full(len(z), np.nan)
    return Clusters(labels, silhouette, of_sample.stability, leading_axes(z), exact=False)


def _refined(axes: Floats, labels: Labels) -> Labels:
    """Each mark in the group whose Gaussian it is most likely of; where that would empty a group, as they were.

    Classification EM (Celeux and Govaert 1992, doi:10.1016/0167-9473(92)90042-E): within a group the axes are taken for
    independent. scikit-learn's GaussianMixture gives nearly the same, but importing it costs a worker more than all of
    its clusters.
    """
    number, squares = int(labels.max(initial=0)) + 1, axes**2
    least = 1e-3 * axes.var(axis=0).mean()
    for _ in range(REFINEMENTS if number > 1 else 0):
        members = (labels[:, None] == np.arange(number)).astype(np.float64)
        sizes = members.sum(axis=0)
        means = members.T @ axes / sizes[:, None]
        variances = np.maximum(members.T @ squares / sizes[:, None] - means**2, 0) + least
        likelihood = axes @ (means / variances).T - squares @ (0.5 / variances).T
        likelihood += np.log(sizes) - 0.5 * (np.log(variances) + means**2 / variances).sum(axis=1)
        refined = likelihood.argmax(axis=1)
        if (np.bincount(refined, minlength=number) < SMALLEST_SIDE).any():
            break
        labels = refined
    return labels


def _joined(axes: Floats, labels: Labels) -> Labels:
    """The labels, with each two groups made one that no axis of theirs, nor the line of their means, has a valley in.

    The nearest are tried first, and after each joining all others anew. Of two groups in all nothing is tried: the
    valley that they were cut at is still there.
    """
    smallest = max(SMALLEST_SIDE, int(np.ceil(SMALLEST_SHARE * len(axes))))
    while (number := int(labels.max(initial=0)) + 1) > 2:
        means = np.stack([axes[labels == label].mean(axis=0) for label in range(number)])
        gaps = ((means[:, None] - means) ** 2).sum(axis=2)
        nearest = sorted(zip(*np.triu_indices(number, 1), strict=True), key=lambda pair: gaps[pair])
        for one, other in nearest:
            both = axes[(labels == one) | (labels == other)]
            across = both @ (means[one] - means[other])
            if _cut(np.column_stack([_own_axes(both), across]), smallest) is None:
                labels = _refined(axes, _numbered(np.where(labels == other, one, labels)))
                break
        else:
            break
    return labels


def _numbered(labels: Labels) -> Labels:
    """The same groups, numbered without a gap."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _ordered(labels: Labels) -> Labels:
    """The labels by falling size, ties by the first mark."""
    found, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    rank = np.empty(int(found.max()) + 1, np.int64)
    rank[found[np.lexsort((first, -sizes))]] = np.arange(len(found))
    return rank[labels]
