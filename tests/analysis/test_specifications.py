"""Other ways of measuring, each against the pair engine's own statistics or a known answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.contrasts import PairSums
from analysis.pairing import ALL, BookVectors, PairOptions
from analysis.specifications import (
    CENTRED,
    COPULA,
    RAW,
    STANDARDISED,
    Measuring,
    Trial,
    contrasted,
    share_with_sign,
    standardised,
)

SETTINGS = [Measuring(), Measuring(7, 2.5), Measuring(states=CENTRED), Measuring(None, None, RAW, COPULA)]
COLUMNS = {(RAW, "histogram"): "mi", (CENTRED, "histogram"): "mi_centred", (RAW, COPULA): "mi_copula"}


def clouds(seed: int, marks: int = 40, width: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((2, marks, width)) + random.standard_normal((2, 1, width))
    return *x.astype(np.float32), np.arange(marks) // 5


def mean_across(values: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Mean over the pairs whose marks lie in different passages."""
    return float(values[one != other].mean())


@pytest.mark.parametrize("measuring", SETTINGS, ids=str)
def test_a_contrast_is_that_of_the_means_of_the_pairs_as_a_run_measures_them(measuring):
    first, second, passages = clouds(1)
    options = PairOptions(measuring.bins or 15, measuring.outlier_z or 5.0, ALL)
    book = BookVectors({"a": first, "b": second}, {"a": passages, "b": passages}, options)
    column = COLUMNS[measuring.states, measuring.estimator]

    def values(result):
        return result[0].mi if column == "mi" else result[1][column]

    i, j = np.triu_indices(len(first), 1)
    w_a = mean_across(values(book.within("a", 0, len(first))), passages[i], passages[j])
    w_b = mean_across(values(book.within("b", 0, len(first))), passages[i], passages[j])
    rows, columns = np.repeat(passages, len(first)), np.tile(passages, len(first))
    between = mean_across(values(book.between("a", "b", 0, len(first))), rows, columns)
    found = contrasted(Trial(first, second, (passages, passages)).sums(measuring), measuring).whole
    separation = np.nan if measuring.states == CENTRED else (w_a + w_b) / 2 - between
    np.testing.assert_allclose(found, [w_b - w_a, separation], rtol=1e-6)


def test_pseudo_values_have_the_estimate_for_their_mean_up_to_the_jackknife_s_bias():
    first, second, passages = clouds(2)
    found = contrasted(Trial(first, second, (passages, passages)).sums(Measuring()), Measuring())
    assert found.by_passage.shape == (8, 2)
    error = found.by_passage.std(axis=0, ddof=1) / np.sqrt(8)
    assert (np.abs(found.by_passage.mean(axis=0) - found.whole) < error).all()


def test_standardised_dimensions_have_no_mean_and_one_spread_and_constant_ones_vanish():
    first, second, _ = clouds(3)
    first[:, 5] = second[:, 5] = 12.0
    one, other = standardised(first * 40 + 3, second * 40 + 3)
    together = np.concatenate([one, other]).astype(np.float64)
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.delete(together.std(axis=0, ddof=1), 5), 1, atol=1e-5)
    assert not together[:, 5].any()


def test_states_are_not_centred_where_a_half_of_the_passages_has_no_mark_of_a_class():
    first, second, passages = clouds(4)
    trial = Trial(first, second, (passages, np.zeros_like(passages)))
    assert trial.sums(Measuring(states=CENTRED)) is None
    assert trial.sums(Measuring()) is not None


def threshold_artefact(seed: int) -> Trial:
    """Two classes of the same noise, but for one dimension: its z is about 7 in one, about 4.6 in the other.

    A threshold of 5 masks it in one class alone, 3 in both, 8 or none in neither: whatever differs is the rule's doing.
    """
    x = np.random.default_rng(seed).standard_normal((2, 48, 256)).astype(np.float32)
    x[0, :, 0], x[1, :, 0] = 7.5, 4.9
    passages = np.arange(48) // 6
    return Trial(x[0], x[1], (passages, passages))


def differences(trial: Trial, measurings: list[Measuring]) -> np.ndarray:
    return np.array([contrasted(trial.sums(measuring), measuring).whole[0] for measuring in measurings])


@pytest.mark.parametrize("seed", range(3))
def test_a_difference_that_the_outlier_rule_makes_turns_round_with_another_threshold(seed):
    trial = threshold_artefact(seed)
    default = contrasted(trial.sums(Measuring()), Measuring())
    error = default.by_passage[:, 0].std(ddof=1) / np.sqrt(8)
    assert abs(default.whole[0]) > 5 * error, "by itself it looks like a sure finding"
    others = differences(trial, [Measuring(outlier_z=8.0), Measuring(outlier_z=None)])
    assert share_with_sign(others, default.whole[0]) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_true_difference_keeps_its_sign_under_every_way_of_measuring_raw_states(seed):
    random = np.random.default_rng(seed)
    shared = random.standard_normal(256)
    noise = random.standard_normal((2, 48, 256))
    passages = np.arange(48) // 6
    trial = Trial(noise[0].astype(np.float32), (noise[1] + shared).astype(np.float32), (passages, passages))
    ways = [Measuring(b, z) for b, z in itertools.product((8, 15, 30), (3.0, 5.0, 8.0, None))]
    found = differences(trial, [*ways, Measuring(None, None, RAW, COPULA)])
    assert share_with_sign(found, found[0]) == 1
    # The one mean vector makes it all.
    assert abs(differences(trial, [Measuring(None, None, CENTRED, COPULA)])[0]) < 0.05 * found[-1]


def test_the_share_that_keeps_the_sign():
    assert share_with_sign(np.array([1.0, 2.0, -1.0, np.nan]), 0.5) == pytest.approx(2 / 3)
    assert np.isnan(share_with_sign(np.array([1.0]), 0.0))
    assert np.isnan(share_with_sign(np.array([np.nan]), 1.0))


def test_a_way_of_measuring_that_makes_no_sense_is_refused():
    for wrong in ({"estimator": COPULA}, {"bins": None}, {"states": "warm"}):
        with pytest.raises(ValueError, match=r"Measuring|none of"):
            Measuring(**wrong)


def test_centring_takes_most_of_the_last_layer_s_difference_of_real_states(smollm2_marks):
    """The classes' mean vectors make most of it: in correlation over four fifths."""
    passages = smollm2_marks.passages["internal"], smollm2_marks.passages["terminal"]
    names = ("internal", "terminal")
    states = [smollm2_marks.states[30, name] for name in names]
    book = BookVectors(dict(zip(names, states, strict=True)), dict(zip(names, passages, strict=True)), PairOptions())
    of_class = [book.within(name, 0, 120) for name in names]
    correlation = of_class[1][0].corr.mean() - of_class[0][0].corr.mean()
    left = of_class[1][1]["corr_centred"].mean() - of_class[0][1]["corr_centred"].mean()
    assert correlation > 0.1
    assert abs(left) < 0.2 * correlation
    trial = Trial(states[0], states[1], passages)
    raw, rest = differences(trial, [Measuring(None, None, s, COPULA) for s in (RAW, CENTRED)])
    assert raw > 0
    assert abs(rest) < 0.5 * raw, "information is no straight line of the correlation: more of it is left"


def test_halves_of_sums_are_those_of_their_passages():
    first, second, passages = clouds(6)
    trial = Trial(first, second, (passages, passages))
    kept = passages < 4
    part = Trial(first[kept], second[kept], (passages[kept], passages[kept]))
    sums: tuple[PairSums, ...] = tuple(each.within(np.arange(4)) for each in trial.sums(Measuring()))
    np.testing.assert_allclose(
        contrasted((sums[0], sums[1], sums[2]), Measuring()).whole,
        contrasted(part.sums(Measuring()), Measuring()).whole,
        rtol=1e-9,
    )


def test_standardised_is_a_form_of_both_classes_together():
    first, second, passages = clouds(7)
    measuring = Measuring(states=STANDARDISED)
    by_hand = Trial(*standardised(first, second), (passages, passages))
    np.testing.assert_array_equal(
        contrasted(Trial(first, second, (passages, passages)).sums(measuring), measuring).whole,
        contrasted(by_hand.sums(Measuring()), Measuring()).whole,
    )
