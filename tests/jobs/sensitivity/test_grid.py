"""Which specifications are tried: one change at a time around the study, and the combinations that cost little."""

from __future__ import annotations

import itertools

from analysis.specifications import COPULA, Measuring
from jobs.config import StudyConfig
from jobs.sensitivity.grid import CHOICE, CONTROL, DEFAULT, SEVERAL, trial_of_model, trials_of


def specifications(config: StudyConfig, *, quick: bool = False, other_bos: str | None = "yes"):
    return [s for trial in trials_of(config, other_bos, quick=quick) for s in trial.specifications]


def test_the_default_is_the_study_itself_and_stands_once():
    config = StudyConfig(bins=11, outlier_z=4.0, selection="notebook")
    (default,) = [s for s in specifications(config) if s.kind == DEFAULT]
    assert (default.name, default.measuring, default.selection) == ("default", Measuring(11, 4.0), "notebook")


def test_one_setting_is_changed_at_a_time():
    by_axis = {
        axis: [s.name for s in found]
        for axis, found in itertools.groupby(
            sorted(specifications(StudyConfig()), key=lambda s: s.axis), key=lambda s: s.axis
        )
    }
    assert by_axis.pop(SEVERAL)
    assert by_axis == {
        "default": ["default"],
        "bins": ["8 bins", "30 bins"],
        "outlier_z": ["threshold 3", "threshold 8", "no threshold"],
        "states": ["centred on the class", "standardised"],
        "estimator": ["copula"],
        "selection": ["selection: notebook"],
        "half": ["first half", "second half"],
        "context": ["context: window of 20", "context: window of 60"],
        "bos": ["bos: yes"],
        "words": ["words shuffled"],
        "weights": ["untrained weights"],
    }


def test_all_ways_of_measuring_are_combined_and_every_name_is_one_s_own():
    found = specifications(StudyConfig())
    assert len({s.name for s in found}) == len(found)
    raw = {s.measuring for s in found if s.selection == "strict"}
    assert len(raw) == 3 * (3 * 4 + 1)
    assert sum(s.measuring.estimator == COPULA for s in found) == 3
    assert {s.kind for s in found if s.axis in ("words", "weights")} == {CONTROL}
    assert {s.kind for s in found if s.axis == SEVERAL} == {CHOICE}


def test_quick_reads_the_text_three_times():
    trials = trials_of(StudyConfig(), "yes", quick=True)
    assert [trial.name for trial in trials] == ["study", "words shuffled", "untrained weights"]
    assert {s.name for t in trials for s in t.specifications} < {s.name for s in specifications(StudyConfig())}


def test_the_combinations_read_what_the_study_reads():
    trials = {trial.name: trial for trial in trials_of(StudyConfig(), None, quick=False)}
    assert trials["combinations"].condition == trials["study"].condition
    assert not any(trial.startswith("bos") for trial in trials)


def test_a_study_of_windows_is_tried_with_other_windows_and_with_passages():
    trials = trials_of(StudyConfig(context="window", before=20), None, quick=False)
    assert [t.name for t in trials if t.name.startswith("context")] == ["context: window of 60", "context: passage"]


def test_another_model_is_a_trial_of_its_own():
    trial = trial_of_model(StudyConfig(), "gemma", "/models/gemma.gguf")
    assert trial.condition.model == "/models/gemma.gguf"
    assert trial.specifications[0].kind == CONTROL
