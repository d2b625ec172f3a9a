"""Which specifications are tried: pure planning, no disk, no model.

A **condition** is what the model reads of a book, and which model: one forward pass. A **specification** is a
condition, which marks count, and a way to measure their pairs; many share a forward pass. A **trial** is one unit of
work: some specifications of one condition, for one book.

The study's own settings are the default. Around it one setting is changed at a time; ways of measuring, which cost no
forward pass, are also tried in all combinations, unless little is asked for. **Controls** are no choices that somebody
could make: of them a finding should not hold, or tells what made it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from analysis.specifications import CENTRED, COPULA, FORMS, HISTOGRAM, RAW, Measuring
from jobs.config import StudyConfig

BINS = (8, 15, 30)
THRESHOLDS: tuple[float | None, ...] = (3.0, 5.0, 8.0, None)
WINDOWS = (20, 60)
SELECTIONS = ("strict", "notebook")

MOST_PASSAGES = 24
"""Passages of a book that are read at most: where a class is rare, its marks in an even choice of passages do."""

WHOLE, FIRST_HALF, SECOND_HALF = "whole", "first", "second"
HALVES = (FIRST_HALF, SECOND_HALF)

DEFAULT, CHOICE, CONTROL = "default", "choice", "control"
"""Kinds of specification."""

IN_ORDER, SHUFFLED = "in order", "shuffled"
TRAINED, UNTRAINED = "trained", "untrained"
SEVERAL = "several"
"""The axis of a specification that differs from the default in more than one setting."""


@dataclass(frozen=True)
class Condition:
    """What the model reads of a book, and which model.

    `before`: None for whole passages, else the tokens before a mark in a window of its own. `bos`, as in the study.
    `words`: IN_ORDER or SHUFFLED. `weights`: TRAINED or UNTRAINED. `model`: another model's name, None for the study's.
    """

    before: int | None = None
    bos: str = "auto"
    words: str = IN_ORDER
    weights: str = TRAINED
    model: str | None = None

    @property
    def context(self) -> str:
        """The context in words."""
        return "passage" if self.before is None else f"window of {self.before}"


@dataclass(frozen=True)
class Specification:
    """One way to come to the numbers: its name, unique in a store, and the axis in which it differs from the default.

    `selection`: which full stops count; `half`: which passages of the book.
    """

    name: str
    axis: str
    kind: str
    selection: str
    measuring: Measuring
    half: str = WHOLE


@dataclass(frozen=True)
class Trial:
    """Specifications that share a condition: one unit of work for each book.

    `kept`: the states are those that the study keeps, and the model reads nothing.
    """

    name: str
    condition: Condition
    specifications: tuple[Specification, ...] = field(repr=False)
    kept: bool = False

    @property
    def selections(self) -> tuple[str, ...]:
        """Selections that it asks for, its own first."""
        return tuple(dict.fromkeys(specification.selection for specification in self.specifications))


def study_condition(config: StudyConfig) -> Condition:
    """What the study itself has read."""
    return Condition(None if config.context == "passage" else config.before, config.bos)


def study_measuring(config: StudyConfig) -> Measuring:
    """How the study itself has measured."""
    return Measuring(config.bins, config.outlier_z)


def trials_of(config: StudyConfig, other_bos: str | None, *, quick: bool) -> list[Trial]:
    """The trials of the study's own model. `other_bos`: the other choice of a beginning of text, where there is one."""
    found = [_of_the_study(config)]
    own = study_condition(config)
    if not quick:
        combined = tuple(_combinations(config))
        found.append(Trial("combinations", own, combined))
        found += [
            _alone(config, replace(own, before=before), f"context: {Condition(before).context}", "context", CHOICE)
            for before in (*WINDOWS, None)
            if before != own.before
        ]
        if other_bos is not None:
            found.append(_alone(config, replace(own, bos=other_bos), f"bos: {other_bos}", "bos", CHOICE))
    found.append(_alone(config, replace(own, words=SHUFFLED), "words shuffled", "words", CONTROL))
    found.append(_alone(config, replace(own, weights=UNTRAINED), "untrained weights", "weights", CONTROL))
    return found


def trial_of_model(config: StudyConfig, name: str, model: str) -> Trial:
    """The trial of another model, called by its short name."""
    return _alone(config, replace(study_condition(config), model=model), f"model: {name}", "model", CONTROL)


def _alone(config: StudyConfig, condition: Condition, name: str, axis: str, kind: str) -> Trial:
    specification = Specification(name, axis, kind, config.selection, study_measuring(config))
    return Trial(name, condition, (specification,))


def _of_the_study(config: StudyConfig) -> Trial:
    """The default, and every change of one setting that needs no other forward pass."""
    default = study_measuring(config)
    specifications = [Specification("default", DEFAULT, DEFAULT, config.selection, default)]
    for measuring in _measurings(default):
        changed = _changed(default, measuring)
        if len(changed) == 1:
            name = _name(default, measuring)
            specifications.append(Specification(name, changed[0], CHOICE, config.selection, measuring))
    (other,) = (selection for selection in SELECTIONS if selection != config.selection)
    specifications.append(Specification(f"selection: {other}", "selection", CHOICE, other, default))
    for half in HALVES:
        specifications.append(Specification(f"{half} half", "half", CHOICE, config.selection, default, half))
    return Trial("study", study_condition(config), tuple(specifications))


def _combinations(config: StudyConfig) -> Iterator[Specification]:
    """Ways of measuring that differ from the default in more than one setting."""
    default = study_measuring(config)
    for measuring in _measurings(default):
        if len(_changed(default, measuring)) > 1:
            yield Specification(_name(default, measuring), SEVERAL, CHOICE, config.selection, measuring)


def _measurings(default: Measuring) -> Iterator[Measuring]:
    """All ways of measuring, the default's bins and threshold among them."""
    bins = dict.fromkeys((default.bins, *BINS))
    thresholds = dict.fromkeys((default.outlier_z, *THRESHOLDS))
    for states in FORMS:
        for count, threshold in itertools.product(bins, thresholds):
            yield Measuring(count, threshold, states, HISTOGRAM)
        yield Measuring(None, None, states, COPULA)


def _changed(default: Measuring, measuring: Measuring) -> list[str]:
    """The settings in which a way of measuring differs from the default; the copula is one, whatever it leaves out."""
    changed = []
    if measuring.estimator != default.estimator:
        changed.append("estimator")
    else:
        changed += ["bins"] if measuring.bins != default.bins else []
        changed += ["outlier_z"] if measuring.outlier_z != default.outlier_z else []
    return changed + (["states"] if measuring.states != RAW else [])


def _name(default: Measuring, measuring: Measuring) -> str:
    parts = []
    for setting in _changed(default, measuring):
        if setting == "bins":
            parts.append(f"{measuring.bins} bins")
        elif setting == "outlier_z":
            parts.append("no threshold" if measuring.outlier_z is None else f"threshold {measuring.outlier_z:g}")
        elif setting == "estimator":
            parts.append("copula")
        else:
            parts.append("centred on the class" if measuring.states == CENTRED else measuring.states)
    return ", ".join(parts) or "default"
