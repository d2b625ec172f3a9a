"""Explanations: the feature that made the clusters is found and named, and shuffled features explain nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact, mannwhitneyu

from analysis.clusters import find_clusters
from analysis.explanation import UNEXPLAINED, FeatureTests, explain, explain_all, false_discovery_rates

N = 250


def _features(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    common = [f"word{number}" for number in range(40)]
    words = random.choice([*common, "mr", "mrs", "st"], N, p=[*[0.85 / 40] * 40, 0.08, 0.05, 0.02])
    return {
        "previous_word": words,
        "abbreviation": np.isin(words, ["mr", "mrs", "st"]),
        "in_quotation": random.random(N) < 0.4,
        "place": np.sort(random.random(N)),
        "sentence_tokens": random.integers(1, 60, N),
        "passage": np.arange(N) // 16,
    }


def test_the_words_that_a_cluster_stands_behind_are_its_name():
    features = _features()
    terms = explain(features["abbreviation"].astype(np.int64), features)
    names = {term.cluster: term.name for term in terms}
    assert names == {0: "no abbreviations", 1: "after mr, mrs, st"}
    (words,) = (term for term in terms if term.cluster == 1 and term.feature == "previous_word")
    assert (words.inside, words.outside) == (1.0, 0.0)
    assert words.told_by_previous_word == 1.0


def test_a_cluster_of_a_quotation_is_more_than_the_previous_word():
    features = _features()
    terms = explain(features["in_quotation"].astype(np.int64), features)
    assert {term.name for term in terms} == {"in a quotation", "outside quotations"}
    assert all(term.told_by_previous_word < 0.3 for term in terms)


def test_a_number_names_the_side_on_which_the_cluster_lies():
    features = _features()
    terms = explain((features["place"] > 0.7).astype(np.int64), features)
    assert {term.cluster: term.name for term in terms} == {0: "earlier in the book", 1: "later in the book"}
    assert {term.effect for term in terms if term.feature == "place"} == {-1.0, 1.0}


def test_clusters_of_one_class_are_told_apart_by_what_else_holds():
    features = _features()
    labels = np.where(features["place"] < 0.5, 0, 1 + features["in_quotation"])
    features["class"] = np.where(labels == 0, "internal", "terminal")
    names = {term.cluster: term.name for term in explain(labels, features)}
    assert names[0].startswith("internal")
    assert names[2] == "terminal, in a quotation"


def test_clusters_of_nothing_known_are_not_explained():
    labels = np.random.default_rng(9).integers(0, 2, N)
    assert {term.name for term in explain(labels, _features())} == {UNEXPLAINED}


def _two_tokens() -> dict[str, np.ndarray]:
    """The known features, and one mark type in two tokens: with a space before it, and without."""
    token = np.where(np.random.default_rng(2).random(N) < 0.7, " and", "and")
    return _features() | {"mark": np.full(N, "and"), "token": token}


def test_clusters_of_the_tokens_of_one_mark_type_say_which():
    features = _two_tokens()
    terms = explain((features["token"] == "and").astype(np.int64), features)
    assert {term.cluster: term.name for term in terms} == {0: 'the token " and"', 1: 'the token "and"'}
    (token,) = (term for term in terms if term.cluster == 0 and term.feature == "token")
    assert (token.value, token.inside, token.outside) == ('" and"', 1.0, 0.0)


def test_the_groups_of_two_tokens_are_found_and_named_and_shuffled_tokens_name_nothing():
    """Made-up states, in which the two tokens of one mark type are the two groups."""
    random = np.random.default_rng(7)
    features = _two_tokens()
    states = random.standard_normal((N, 64))
    states[features["token"] == "and", :8] += 3
    labels = find_clusters(states.astype(np.float32)).labels
    assert {term.name for term in explain(labels, features)} == {'the token " and"', 'the token "and"'}
    features["token"] = random.permutation(features["token"])
    assert {term.name for term in explain(labels, features)} == {UNEXPLAINED}


def test_tokens_are_named_together_and_only_where_they_say_more_than_the_mark_type():
    token = np.random.default_rng(4).permutation([" and"] * 120 + ["and"] * 50 + ["And"] * 40 + [" And"] * 40)
    features = _features() | {"token": token, "mark": np.char.strip(token)}
    names = {term.cluster: term.name for term in explain((token != " and").astype(np.int64), features)}
    assert names == {0: 'the token " and"', 1: 'the tokens "and", " And", "And"'}
    names = {term.cluster: term.name for term in explain((features["mark"] == "And").astype(np.int64), features)}
    assert names == {0: "and", 1: "And"}


def test_a_token_stands_behind_its_class_where_it_says_more():
    token = np.array([" and"] * 90 + ["and"] * 60 + [" but"] * 100)
    features = {"token": token, "mark": np.char.strip(token), "class": np.char.add("word-", np.char.strip(token))}
    labels = np.array([1] * 90 + [2] * 60 + [0] * 100)
    names = {term.cluster: term.name for term in explain(labels, features)}
    assert names == {0: "word-but", 1: 'word-and, the token " and"', 2: 'word-and, the token "and"'}


def test_tokens_with_quotes_and_line_breaks_are_one_line():
    token = np.array(['."'] * 125 + [".\n"] * 125)
    names = {term.cluster: term.name for term in explain(np.repeat([0, 1], 125), {"token": token})}
    assert names == {0: r'the token ".\""', 1: r'the token ".\n"'}


def test_nothing_changes_where_each_mark_type_has_one_token():
    features = _features()
    features["mark"] = np.where(np.arange(N) % 3 == 0, "?", ".")
    labels = (features["mark"] == "?").astype(np.int64) + 2 * features["in_quotation"]
    assert explain(labels, features | {"token": np.char.add(" ", features["mark"])}) == explain(labels, features)


def test_one_cluster_has_nothing_to_be_explained():
    assert explain(np.zeros(N, np.int64), _features()) == []


def test_shuffled_features_are_named_at_the_nominal_rate():
    random = np.random.default_rng(3)
    found = tests = 0
    for seed in range(40):
        features = {name: values[random.permutation(N)] for name, values in _features(seed).items()}
        terms = explain_all([random.integers(0, 3, N) for _ in range(5)], features)
        found += any(term.q <= 0.05 for of_layer in terms for term in of_layer)
        tests += sum(term.p <= 0.05 for of_layer in terms for term in of_layer)
    assert found <= 5
    assert tests <= 0.05 * 40 * 5 * 3 * 6 * 1.2


def test_p_values_are_fishers_and_mann_and_whitneys():
    features = _features()
    labels = np.random.default_rng(5).integers(0, 2, N)
    terms = {term.feature: term for term in FeatureTests(features).terms(labels) if term.cluster == 1}
    inside = features["in_quotation"][labels == 1].sum(), (~features["in_quotation"][labels == 1]).sum()
    outside = features["in_quotation"][labels == 0].sum(), (~features["in_quotation"][labels == 0]).sum()
    one_sided = min(fisher_exact([inside, outside], side).pvalue for side in ("less", "greater"))
    assert terms["in_quotation"].p == pytest.approx(min(1, 2 * one_sided))
    numbers = features["sentence_tokens"]
    expected = mannwhitneyu(numbers[labels == 1], numbers[labels == 0], method="asymptotic")
    assert terms["sentence_tokens"].p == pytest.approx(expected.pvalue)
    below = expected.statistic / ((labels == 1).sum() * (labels == 0).sum())
    assert terms["sentence_tokens"].effect == pytest.approx(2 * below - 1)


def test_false_discovery_rates_are_benjamini_and_hochbergs():
    p = np.array([0.01, 0.5, 0.02, 0.03])
    np.testing.assert_allclose(false_discovery_rates(p), [0.04, 0.5, 0.04, 0.04])


def test_the_example_of_the_docs_gives_the_names_it_says():
    page = (Path(__file__).resolve().parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
    made: dict = {}
    exec(page.partition("```python\n")[2].partition("```")[0], made)
    assert f"`names` is `{made['names']}`".replace("'", '"') in page


def test_a_data_frame_is_explained_column_by_column():
    features = _features()
    labels = features["in_quotation"].astype(np.int64)
    assert explain(labels, pd.DataFrame(features)) == explain(labels, features)
