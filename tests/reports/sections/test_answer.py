"""The answer in words: what is claimed where intervals lie above zero, hold it, or are not there."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis import inference
from reports.data.answer import BOOK_COLUMNS, COLUMNS, Answers
from reports.data.estimates import CENTRED
from reports.sections.answer import facts_of, sentences


def answers(
    separation: list[tuple[float, float, float]],
    difference: list[tuple[float, float, float]],
    *,
    books: int = 8,
    estimator: str = inference.OVER_BOOKS,
    placebo: tuple[float, float, float] = (0.01, -0.1, 0.1),
    of_means: float = np.nan,
    centred_in: str = "mi_copula",
) -> Answers:
    """Made-up results over layers 1, 2, ...: (estimate, low, high) each, raw and centred in one measure."""
    layers = range(1, len(separation) + 1)
    rows = []

    def add(quantity: str, measure: str, first: str, second: str, values: list[tuple[float, float, float]]) -> None:
        for layer, (estimate, low, high) in zip(layers, values, strict=True):
            known = (estimate, low, high, np.nan, np.nan)
            rows.append((first, second, layer, measure, quantity, "bits", *known, estimator, books, books, 0))

    add("separation", "mi", "and", "but", separation)
    add("difference", "mi", "and", "but", difference)
    for measure in dict.fromkeys(("corr", centred_in)):
        if measure != "mi":
            add("difference", measure, "and", "but", difference)
        centred = [(estimate - of_means, np.nan, np.nan) for estimate, _, _ in difference]
        add("difference", CENTRED[measure], "and", "but", centred)
        add("difference_of_means", measure, "and", "but", [(of_means, np.nan, np.nan) for _ in layers])
    for name in ("and", "but"):
        add("halves_difference", "mi", name, name, [placebo for _ in layers])
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    names = tuple(f"book{number}" for number in range(books))
    return Answers("and", "but", names, 15 * books, frame, pd.DataFrame(columns=list(BOOK_COLUMNS)), ())


APART = [(0.2, 0.1, 0.3), (0.3, 0.2, 0.4)]
NOT = [(0.02, -0.1, 0.14), (-0.03, -0.2, 0.14)]
UNKNOWN = [(0.2, np.nan, np.nan), (0.3, np.nan, np.nan)]


@pytest.mark.parametrize(
    ("separation", "said"),
    [
        (
            APART,
            "gpt2 keeps “and” and “but” apart in all 2 layers: on average two marks of one class share 0.200 bits "
            "(layer 1; 95 % interval 0.100 to 0.300) to 0.300 (layer 2; 95 % interval 0.200 to 0.400) more than",
        ),
        ([*APART[:1], NOT[0]], "gpt2 keeps “and” and “but” apart in 1 of 2 layers"),
        (NOT, "It is not shown that gpt2 keeps “and” and “but” apart: in none of 2 layers"),
        ([(-0.3, -0.4, -0.2)] * 2, "It is not shown that gpt2 keeps “and” and “but” apart"),
        (UNKNOWN, "In these marks two marks of one class share 0.200 bits (layer 1) to 0.300 (layer 2)"),
    ],
)
def test_apart_is_claimed_where_intervals_lie_above_zero(separation, said):
    assert said in sentences(answers(separation, NOT), "gpt2")[0]


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (
            APART,
            "Marks of “but” are more alike than those of “and” in 2 of 2 layers; of these differences the largest is "
            "0.300 bits (layer 2; 95 % interval 0.200 to 0.400).",
        ),
        (
            [(-0.5, -0.6, -0.4), (0.3, 0.2, 0.4)],
            "Marks of “and” are more alike than those of “but” in 1 of 2 layers and "
            "less alike in 1; of these differences the largest is 0.500 bits (layer 1; 95 % interval 0.400 to 0.600).",
        ),
        ([(0.9, -0.1, 1.9), (0.3, 0.2, 0.4)], "the largest is 0.300 bits (layer 2"),
        (
            NOT,
            "It is not shown that the marks of either class are more alike than those of the other: the largest "
            "difference is 0.030 bits (layer 2; 95 % interval -0.140 to 0.200), with “and” the more alike.",
        ),
        (UNKNOWN, "It is not known that the marks of either class are more alike"),
    ],
)
def test_a_difference_is_counted_where_its_interval_leaves_out_zero(difference, said):
    assert said in sentences(answers(APART, difference), "gpt2")[1]


@pytest.mark.parametrize(
    ("centred_in", "of_means", "said"),
    [
        ("mi_copula", 0.24, "0.400), of which the classes' mean vectors make 80% by the Gaussian copula."),
        ("mi_copula", 0.33, "of which the classes' mean vectors make all by the Gaussian copula."),
        ("mi", 0.24, "0.400), of which the classes' mean vectors make 80%."),
    ],
)
def test_the_share_of_the_mean_vectors_is_said_of_a_difference_that_is_there(centred_in, of_means, said):
    assert said in sentences(answers(APART, APART, of_means=of_means, centred_in=centred_in), "gpt2")[1]
    assert "mean vectors" not in sentences(answers(APART, NOT, of_means=of_means), "gpt2")[1]


def test_of_correlations_no_share_of_the_mean_vectors_is_said_for_it_is_all_by_definition():
    found = answers(APART, APART, of_means=0.24, centred_in="corr")
    assert found.centring_measure == "corr"
    assert "mean vectors" not in sentences(found, "gpt2")[1]


@pytest.mark.parametrize(
    ("books", "estimator", "said"),
    [
        (8, inference.OVER_BOOKS, "This speaks of books like these 8, each of which counts once."),
        (
            3,
            inference.FIXED_BOOKS,
            "This speaks of these 3 books, through 45 passages of them; to speak of others takes 5 books.",
        ),
        (
            1,
            inference.ONE_BOOK,
            "This speaks of one book, through 15 passages of it, and of no other.",
        ),
        (1, inference.NO_INTERVAL, "This speaks of the marks at hand alone (1 book)."),
    ],
)
def test_the_answer_says_of_what_it_speaks(books, estimator, said):
    assert said in sentences(answers(APART, NOT, books=books, estimator=estimator), "gpt2")[2]


def test_a_placebo_that_finds_something_is_told():
    calm, alarmed = answers(APART, NOT), answers(APART, NOT, placebo=(0.5, 0.2, 0.8))
    assert "finds something in 0 of 2 comparisons" in sentences(calm, "gpt2")[2]
    assert "finds something in 2 of 2 comparisons" in sentences(alarmed, "gpt2")[2]


def test_facts_have_every_estimate_as_plain_json():
    made = answers(APART, NOT)
    facts = json.loads(json.dumps(facts_of(made), allow_nan=False))
    assert sum(len(entry["layer"]) for entry in facts) == len(made.results)
    (entry,) = [one for one in facts if one["quantity"] == "separation"]
    assert entry["estimate"] == [0.2, 0.3]
    assert entry["low"] == [0.1, 0.2]
    assert entry["p"] == [None, None]
    assert {"estimator", "observations", "books", "seed", "unit"} <= set(entry)
