"""Transfer between types of marks: against loops, where the answer is known, and where there is nothing to transfer."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import transfer as module
from analysis.transfer import TypedMarks, control, control_sides, transfer

FIELDS = ("x", "passages", "trained")


def marks_of_types(
    generator, offsets: dict[str, np.ndarray], each: int, passages: int
) -> tuple[TypedMarks, np.ndarray]:
    """Marks with unit noise about the offset of their type; the first type teaches. Their types stand beside them."""
    types = np.repeat(list(offsets), each)
    x = np.concatenate([offset + generator.normal(size=(each, len(offset))) for offset in offsets.values()])
    of = np.tile(np.arange(each) % passages, len(offsets))
    return TypedMarks(x.astype(np.float32), of, types == next(iter(offsets))), types


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def test_wins_are_those_of_a_loop_over_pairs(generator, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    first, _ = marks_of_types(generator, {",": np.zeros(5), ";": np.zeros(5)}, 9, 4)
    second, _ = marks_of_types(generator, {".": np.ones(5), "?": np.ones(5), "!": np.ones(5)}, 8, 4)
    second.x[20] = second.x[21]
    found = transfer(first, second, 4)
    pairs, wins = np.zeros((4, 4), int), np.zeros((4, 4))
    for half in (0, 1):
        mean = [m.x[m.trained & (m.passages % 2 != half)].astype(float).mean(axis=0) for m in (first, second)]
        direction = mean[1] - mean[0]
        for i in np.flatnonzero(~first.trained & (first.passages % 2 == half)):
            for j in np.flatnonzero(~second.trained & (second.passages % 2 == half)):
                p, q = first.passages[i], second.passages[j]
                low, high = first.x[i].astype(float) @ direction, second.x[j].astype(float) @ direction
                pairs[p, q] += 1
                wins[p, q] += (high > low) + 0.5 * (high == low)
    np.testing.assert_array_equal(found.pairs, pairs)
    np.testing.assert_allclose(found.wins, wins)
    assert pairs[0, 1] == 0, "marks of different halves meet different rules"


def test_a_class_beyond_its_tokens_has_the_auc_of_its_distance(generator):
    """Types differ at random, and the classes by 2 standard deviations along one direction: Phi(sqrt 2) = 0.921."""
    width = 40
    away = np.zeros(width)
    away[0] = 2.0
    own = {name: np.zeros(width) for name in ",;.?"}
    first, _ = marks_of_types(generator, {",": own[","], ";": own[";"]}, 3000, 6)
    second, _ = marks_of_types(generator, {".": own["."] + away, "?": own["?"] + away}, 3000, 6)
    assert transfer(first, second, 6).auc == pytest.approx(0.9214, abs=0.01)


def test_tokens_alone_transfer_nothing_and_nor_do_control_labels(generator):
    """Every type has a place of its own, whatever its class: told apart in training, and by chance elsewhere."""
    width, aucs, controls = 200, [], []
    for study in range(60):
        places = {name: generator.normal(size=width) for name in ",;:.?!abcdefgh"}
        first, types = marks_of_types(generator, {name: places[name] for name in ",;:"}, 12, 6)
        second, types_of_second = marks_of_types(generator, {name: places[name] for name in ".?!"}, 12, 6)
        words, types_of_words = marks_of_types(generator, {name: places[name] for name in "abcdefgh"}, 4, 6)
        words = TypedMarks(words.x, words.passages, np.zeros(len(words.x), bool))
        aucs.append(transfer(first, second, 6).auc)
        kept = [~first.trained, ~second.trained, ~words.trained]
        groups = list(zip((first, second, words), kept, strict=True))
        asked = TypedMarks(*(np.concatenate([getattr(of, name)[k] for of, k in groups]) for name in FIELDS))
        of_asked = [of[k] for of, k in zip((types, types_of_second, types_of_words), kept, strict=True)]
        controls.append(control(first, second, asked, control_sides(np.concatenate(of_asked), f"book {study}"), 6).auc)
    for values in (aucs, controls):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - 0.5) < 3 * error
        assert error < 0.05


def test_control_labels_are_the_types_own_and_half_of_them_on_either_side():
    types = np.array([",", ";", ",", ".", "!", "!"])
    sides = control_sides(types, "pg219", draws=30)
    assert sides.shape == (30, 6)
    np.testing.assert_array_equal(sides[:, 0], sides[:, 2])
    np.testing.assert_array_equal(sides[:, 4], sides[:, 5])
    assert (sides[:, [0, 1, 3, 4]].sum(axis=1) == 2).all()
    np.testing.assert_array_equal(control_sides(types, "pg219", draws=30), sides)
    assert len({tuple(side.tolist()) for side in sides}) == 6, "two of four"


def test_control_wins_are_those_of_each_draw_added_up(generator):
    first, _ = marks_of_types(generator, {",": np.zeros(3), ";": np.zeros(3)}, 6, 4)
    second, _ = marks_of_types(generator, {".": np.ones(3), "?": np.ones(3)}, 6, 4)
    side = np.array([False] * 6 + [True] * 6)
    asked = TypedMarks(*(np.concatenate([getattr(of, name)[~of.trained] for of in (first, second)]) for name in FIELDS))
    once, real = control(first, second, asked, side[None], 4), transfer(first, second, 4)
    np.testing.assert_array_equal(once.pairs, real.pairs)
    np.testing.assert_array_equal(once.wins, real.wins)
    both = control(first, second, asked, np.stack([side, ~side]), 4)
    assert both.auc == pytest.approx(0.5), "a draw and its mirror image"


def test_a_half_that_teaches_nothing_is_asked_nothing(generator):
    first, _ = marks_of_types(generator, {",": np.zeros(3), ";": np.zeros(3)}, 4, 2)
    second, _ = marks_of_types(generator, {".": np.ones(3), "?": np.ones(3)}, 4, 2)
    silent = TypedMarks(second.x, second.passages, second.trained & (second.passages == 0))
    found = transfer(first, silent, 2)
    assert found.pairs[0, 0] == 0
    assert found.pairs[1, 1] > 0
    assert np.isnan(transfer(first, TypedMarks(second.x, second.passages, np.zeros(8, bool)), 2).auc)
