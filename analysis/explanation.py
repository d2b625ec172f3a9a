"""What sets clusters of marks apart: tests of what is known of the marks, and a name made of what holds.

Each cluster is compared with all other marks, one feature at a time:

| feature | effect | p |
|---|---|---|
| yes or no, and words | Cramer's V, bias-corrected (Bergsma 2013, doi:10.1016/j.jkss.2012.10.002) | \
Fisher's exact test, two-sided; of words the smallest of their tests, times the number of words |
| a number | rank-biserial correlation, -1 to 1 | Mann-Whitney test, corrected for ties |

The p values of all features, clusters, layers and sets of classes of a book are corrected together
(Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x): `q` is the share of false discoveries among the
terms that are no less sure. A cluster is named after the term that divides it best from the other marks, among those
with q at most `LARGEST_Q`; where none divides it well, it is **not explained by what is known of the marks**.

A mark type (`mark`) may stand in the vocabulary several times, with and without a space before it. Then the `token` is
a feature too; where each type has one token it would be `mark` once more, and is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Features = Mapping[str, Sequence[Any] | NDArray[Any]]

LARGEST_Q = 0.05
"""Largest share of false discoveries among the terms that names are made of."""

LEAST_INSIDE = 0.5
"""A name holds for at least this share of the cluster's marks."""

LEAST_DIFFERENCE = 0.3
"""And for a share of the other marks that is less by at least this."""

TOKEN_SAYS_MORE = 0.05
"""A name has the token where it divides the cluster better than its mark type or class does, by at least this."""

WORDS_NAMED = 3
"""Words that a name lists; those that follow are counted."""

WORDS_TESTED = 200
"""Of each feature's words the most frequent are tested."""

UNEXPLAINED = "not explained by what is known of the marks"

_EXACT_COUNTS = (6, 40, 500)
"""Fisher's test is exact for values that up to so many marks have; for more frequent ones the normal approximation."""

_PHRASES = {
    "mark": ("{}", ""),
    "class": ("{}", ""),
    "previous_word": ("after {}", ""),
    "next_word": ("before {}", ""),
    "passage": ("in passage {}", ""),
    "in_quotation": ("in a quotation", "outside quotations"),
    "line_end": ("at the end of a line", "within a line"),
    "abbreviation": ("abbreviations", "no abbreviations"),
    "first_in_context": ("first in its passage", "not first in its passage"),
    "place": ("later in the book", "earlier in the book"),
    "sentence_tokens": ("late in its sentence", "early in its sentence"),
}
"""How a feature is said in a name: of a yes or more, and of a no or less."""

_KINDS = ("class", "mark", "token")
"""The features that say what a mark is; all others say where it stands."""

_ONE_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"')


class Term(NamedTuple):
    """One feature of one cluster.

    `value`: what the cluster has more of: words, tokens in quotes, `yes` or `no`, `higher` or `lower`. `inside` and
    `outside`: the shares of the cluster's marks and of all others that have it; of a number, the share of marks that
    lie on the cluster's side of the best divide. `told_by_previous_word`: of the clusters of all marks, what part of
    the errors of guessing the largest is spared by guessing from the other marks with the same previous word; 1: the
    clusters are the previous word's. NaN where it is not known. `name`: the cluster's, the same in all of its terms.
    """

    cluster: int
    feature: str
    value: str
    inside: float
    outside: float
    effect: float
    p: float
    q: float
    name: str
    told_by_previous_word: float


def explain(labels: Labels, features: Features) -> list[Term]:
    """The terms of each cluster of `labels`, int64 [N], by `features`, each with N values; none for one cluster.

    Values are bool, numbers or texts; an empty text is not a word. `token` counts where a `mark` has several of them.

    >>> labels = np.array([0] * 30 + [1] * 10)
    >>> words = ["on", "river", "it"] * 10 + ["mr", "mrs"] * 5
    >>> {term.name for term in explain(labels, {"previous_word": words}) if term.cluster == 1}
    {'after mr, mrs'}
    """
    return explain_all([labels], features)[0]


def explain_all(clusterings: Sequence[Labels], features: Features) -> list[list[Term]]:
    """The terms of several clusterings of the same marks; their p values are corrected together."""
    tests = FeatureTests(features)
    return corrected([tests.terms(labels) for labels in clusterings])


def corrected(clusterings: Sequence[Sequence[Term]]) -> list[list[Term]]:
    """The terms with q values over all of them, and the names that follow from these."""
    adjusted = iter(false_discovery_rates(np.array([term.p for terms in clusterings for term in terms])).tolist())
    result = []
    for terms in clusterings:
        with_q = [term._replace(q=next(adjusted)) for term in terms]
        names = {cluster: _name(with_q, cluster) for cluster in {term.cluster for term in with_q}}
        result.append([term._replace(name=names[term.cluster]) for term in with_q])
    return result


def false_discovery_rates(p: Floats) -> Floats:
    """Benjamini and Hochberg's q value of each p value, float64 [n]."""
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


class FeatureTests:
    """The features of N marks, made ready to be tested against many clusterings of these marks."""

    def __init__(self, features: Features) -> None:
        columns = _distinct({name: np.asarray(values) for name, values in features.items()})
        self._numbers = {name: _Number(v) for name, v in columns.items() if v.dtype.kind in "iuf" and name != "passage"}
        self._words = _Words({name: v for name, v in columns.items() if name not in self._numbers})

    def terms(self, labels: Labels) -> list[Term]:
        """The terms of each cluster, without q and name; none where there is one cluster."""
        number = int(labels.max(initial=0)) + 1
        if number == 1:
            return []
        told = self._words.told_by("previous_word", labels)
        compared = [*self._words.compare(labels, number)]
        for name, feature in self._numbers.items():
            compared += ((name, cluster, *found) for cluster, found in enumerate(feature.compare(labels, number)))
        found = [
            Term(cluster, name, value, inside, outside, effect, p, 1.0, "", told)
            for name, cluster, value, inside, outside, effect, p in compared
        ]
        return sorted(found, key=lambda term: (term.cluster, term.p, term.feature))


def _distinct(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The features without `token` where each mark type has one token."""
    if "mark" in columns and "token" in columns:
        marks = columns["mark"].tolist()
        if len(set(zip(marks, columns["token"].tolist(), strict=True))) == len(set(marks)):
            return {name: values for name, values in columns.items() if name != "token"}
    return columns


_Comparison = tuple[str, float, float, float, float]
"""The value, its share inside and outside, the effect and p."""


class _Words:
    """Features whose values are texts, or yes and no: the values of all features lie in one row, feature by feature."""

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self._names = list(columns)
        self._yes_or_no = np.array([column.dtype.kind == "b" for column in columns.values()], dtype=np.bool_)
        split = [np.unique(column.astype(np.str_), return_inverse=True) for column in columns.values()]
        sizes = [len(values) for values, _ in split]
        self._starts = np.cumsum([0, *sizes])[:-1]
        self._codes = [start + codes for start, (_, codes) in zip(self._starts, split, strict=True)]
        self._values = [str(value) for values, _ in split for value in values]
        self._feature = np.repeat(np.arange(len(split)), sizes)
        self._counts = np.bincount(np.concatenate([*self._codes, []]).astype(np.int64), minlength=len(self._values))
        self._tested = np.zeros(len(self._values), np.bool_)
        for start, size in zip(self._starts, sizes, strict=True):
            frequent = start + np.argsort(-self._counts[start : start + size], kind="stable")[:WORDS_TESTED]
            self._tested[frequent] = size > 1
        self._tested &= (self._counts >= 2) & np.array([value != "" for value in self._values], dtype=np.bool_)
        tests = np.bincount(self._feature[self._tested], minlength=len(split))
        self._tests = np.where(self._yes_or_no, 1, np.maximum(tests, 1))

    def compare(self, labels: Labels, number: int) -> Iterator[tuple[str, int, *_Comparison]]:
        if not self._names:
            return
        marks, sizes = len(labels), np.bincount(labels, minlength=number)
        table = np.stack([self._table(place, labels, number) for place in range(len(self._names))]).sum(axis=0)
        counts = self._counts[:, None]
        p = np.ones(table.shape)
        p[self._tested] = _fisher(table[self._tested], counts[self._tested], sizes[None, :], marks)
        smallest = np.minimum.reduceat(p, self._starts) * self._tests[:, None]
        effects = _cramers_v(table, self._counts, sizes, self._starts)
        surely = (table * marks > counts * sizes) & (table >= 2) & self._tested[:, None]
        surely &= (p <= 0.05) | self._yes_or_no[self._feature][:, None]
        for place, name in enumerate(self._names):
            for cluster in range(number):
                chosen = self._most_frequent(
                    np.flatnonzero(surely[:, cluster] & (self._feature == place)), table[:, cluster]
                )
                inside = int(table[chosen, cluster].sum())
                outside = int(self._counts[chosen].sum()) - inside
                shares = inside / int(sizes[cluster]), outside / max(1, marks - int(sizes[cluster]))
                value = self._said(place, chosen)
                found = float(effects[place, cluster]), min(1.0, float(smallest[place, cluster]))
                yield (name, cluster, value, *shares, *found)

    def told_by(self, name: str, labels: Labels) -> float:
        """What part of the errors of guessing the largest cluster is spared by the other marks of the same value.

        NaN where there is no such feature.
        """
        if name not in self._names:
            return np.nan
        place, number = self._names.index(name), int(labels.max()) + 1
        table = self._table(place, labels, number) + np.bincount(labels, minlength=number) * 1e-6
        others = table[self._codes[place]]
        others[np.arange(len(labels)), labels] -= 1
        right = (others.argmax(axis=1) == labels).mean()
        guessed = (labels == np.bincount(labels).argmax()).mean()
        return float((right - guessed) / (1 - guessed)) if guessed < 1 else 0.0

    def _table(self, place: int, labels: Labels, number: int) -> NDArray[np.int64]:
        """Marks of each value of one feature and cluster: int64 [values of all features, clusters]."""
        cells = self._codes[place] * number + labels
        return np.bincount(cells, minlength=len(self._values) * number).reshape(-1, number)

    def _most_frequent(self, values: NDArray[np.int64], inside: NDArray[np.int64]) -> NDArray[np.int64]:
        """The values by how often the cluster has them; equal ones by how often all marks do."""
        return values[np.lexsort((values, -self._counts[values], -inside[values]))]

    def _said(self, place: int, chosen: NDArray[np.int64]) -> str:
        words = [self._values[value] for value in chosen]
        if self._names[place] == "token":  # Its white space has to be seen.
            words = [json.dumps(word, ensure_ascii=False) for word in words]
        if self._yes_or_no[place]:
            return {"True": "yes", "False": "no"}[words[0]] if words else ""
        rest = len(words) - WORDS_NAMED
        return ", ".join(words[:WORDS_NAMED]) + (f" and {rest} more" if rest > 0 else "")


class _Number:
    """A feature whose values are numbers."""

    def __init__(self, values: NDArray[Any]) -> None:
        ordered, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        self._codes, self._levels = inverse, len(ordered)
        self._ranks = (ends - (counts - 1) / 2)[inverse]
        n = len(values)
        self._spread = (n + 1 - (counts.astype(np.float64) ** 3 - counts).sum() / max(1, n * (n - 1))) / 12

    def compare(self, labels: Labels, number: int) -> Iterator[_Comparison]:
        from scipy.special import erfc

        n, sizes = len(labels), np.bincount(labels, minlength=number)
        sums = np.bincount(labels, weights=self._ranks, minlength=number)
        for cluster in range(number):
            own, others = int(sizes[cluster]), n - int(sizes[cluster])
            above = sums[cluster] - own * (own + 1) / 2
            effect = float(2 * above / (own * others) - 1)
            deviation = max(0.0, abs(above - own * others / 2) - 0.5)
            p = float(erfc(deviation / np.sqrt(2 * own * others * self._spread))) if self._spread > 0 else 1.0
            inside, outside = self._divide(labels == cluster, effect > 0)
            yield "higher" if effect > 0 else "lower", inside, outside, effect, p

    def _divide(self, member: NDArray[np.bool_], higher: bool) -> tuple[float, float]:
        """The shares of the cluster and of the others on the cluster's side of the value that divides them best."""
        own = np.cumsum(np.bincount(self._codes[member], minlength=self._levels)) / member.sum()
        others = np.cumsum(np.bincount(self._codes[~member], minlength=self._levels)) / max(1, (~member).sum())
        if higher:
            own, others = 1 - own, 1 - others
        best = int((own - others).argmax())
        return float(own[best]), float(others[best])


def _name(terms: Sequence[Term], cluster: int) -> str:
    """What the term says that divides the cluster best from the other marks, behind its class where it has one."""
    sure = [term for term in terms if term.cluster == cluster and term.q <= LARGEST_Q and term.value]
    holds = [t for t in sure if t.inside >= LEAST_INSIDE and t.inside - t.outside >= LEAST_DIFFERENCE]
    if not holds:
        return UNEXPLAINED
    ranked = sorted(holds, key=lambda term: (-_lead(term), term.p))
    kinds = _kinds(ranked)
    others = [term for term in ranked if term.feature not in _KINDS or term in kinds[1:]]
    # The words say more than that they are abbreviations.
    if others and others[0].feature == "abbreviation" and others[0].value == "yes":
        others = [term for term in others if term.feature == "previous_word"] or others
    return ", ".join(_phrase(term) for term in (*kinds[:1], *others[:1]))


def _kinds(ranked: Sequence[Term]) -> list[Term]:
    """What the marks are: their class, and behind it the token if it says more; else their token or mark type."""
    of = {term.feature: term for term in ranked}
    said = of.get("class") or of.get("mark")
    token = of.get("token")
    if said is None or token is None:
        return [term for term in (said, token) if term]
    if round(_lead(token) - _lead(said), 2) < TOKEN_SAYS_MORE:
        return [said]
    return [said, token] if said.feature == "class" else [token]


def _lead(term: Term) -> float:
    """By how much more of the cluster's marks it holds than of the others, to two decimals."""
    return round(term.inside - term.outside, 2)


def _phrase(term: Term) -> str:
    """The term as a name says it."""
    if term.feature == "token":
        return f"the token{'' if _ONE_TOKEN.fullmatch(term.value) else 's'} {term.value}"
    yes, no = _PHRASES.get(term.feature, (f"{term.feature} {{}}", ""))
    return no if term.value in ("no", "lower") and no else yes.format(term.value)


def _fisher(inside: NDArray[np.int64], counts: NDArray[np.int64], sizes: NDArray[np.int64], marks: int) -> Floats:
    """Two-sided p values of `inside` of `counts` marks with a value being in clusters of `sizes`; twice the lesser.

    All are broadcast to [values, clusters].
    """
    from scipy.special import gammaln, ndtr

    counts, sizes = np.broadcast_arrays(counts, sizes)
    expected = counts * sizes / marks
    spread = np.sqrt(expected * (1 - counts / marks) * (1 - sizes / marks) * marks / max(1, marks - 1))
    distance = np.maximum(0, np.abs(inside - expected) - 0.5)
    p = 2 * ndtr(-np.divide(distance, spread, out=np.zeros_like(expected), where=spread > 0))
    factorials = gammaln(np.arange(marks + 2) + 1.0)

    def ways(n: NDArray[np.int64], k: NDArray[np.int64]) -> Floats:
        possible = (k >= 0) & (k <= n)
        k = np.where(possible, k, 0)
        return np.where(possible, factorials[n] - factorials[k] - factorials[n - k], -np.inf)

    least = 0
    for most in _EXACT_COUNTS:  # In steps, so that rare values need not be summed over as many cells as frequent ones.
        few = (counts[:, 0] > least) & (counts[:, 0] <= most)
        least = most
        if few.any():
            c, s, found = counts[few][..., None], sizes[few][..., None], inside[few][..., None]
            k = np.arange(int(c.max()) + 1)
            chance = np.exp(ways(c, k) + ways(marks - c, s - k) - ways(np.full_like(c, marks), s))
            upper = np.where(k >= found, chance, 0).sum(axis=-1)
            lower = np.where(k <= found, chance, 0).sum(axis=-1)
            p[few] = np.minimum(1.0, 2 * np.minimum(upper, lower))
    capped: NDArray[np.float64] = np.minimum(p, 1.0)
    return capped


def _cramers_v(
    table: NDArray[np.int64], counts: NDArray[np.int64], sizes: NDArray[np.int64], starts: NDArray[np.int64]
) -> Floats:
    """Bias-corrected Cramer's V of each feature with being in each cluster: float64 [features, clusters].

    `table` [values, clusters] and `counts` [values]: marks of each value; a feature's values begin at `starts`.
    """
    marks = int(sizes.sum())
    share = sizes / marks
    expected = counts[:, None] * share
    phi = np.add.reduceat((table - expected) ** 2 / np.maximum(expected * (1 - share), 1e-300), starts) / marks
    columns = np.add.reduceat((counts > 0).astype(np.float64), starts)[:, None]
    freedom = max(1, marks - 1)
    corrected_phi = np.maximum(0.0, phi - (columns - 1) / freedom)
    smaller = np.minimum(1 - 1 / freedom, columns - (columns - 1) ** 2 / freedom - 1)
    possible = (columns > 1) & (smaller > 0) & (sizes > 0) & (sizes < marks)
    found: Floats = np.sqrt(np.minimum(1.0, corrected_phi / np.where(possible, smaller, np.inf)))
    return np.where(possible, found, 0.0)
