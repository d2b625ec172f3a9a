"""Settings: defaults, a TOML file and options, merged and checked; wrong ones name themselves."""

from __future__ import annotations

from dataclasses import fields

import pytest

from jobs.config import PRESETS, RunConfig, StudyConfig, resolve
from jobs.errors import UsageError


def test_every_setting_is_explained():
    for setting in (*fields(StudyConfig), *fields(RunConfig)):
        assert setting.metadata["help"], setting.name
    assert not {f.name for f in fields(StudyConfig)} & {f.name for f in fields(RunConfig)}


def test_a_study_survives_its_json():
    study = StudyConfig(internal=(",", ":"), per_class=None, model="gpt2")
    assert StudyConfig.from_dict(study.to_dict()) == study
    assert study.to_dict()["internal"] == [",", ":"]


def test_options_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('skip_tokens = 7\nbins = 20\n[study]\ninternal = [",", ";"]\n[run]\nattempts = 5\n')
    study, run = resolve({"bins": 30}, file, "notebook")
    assert (study.text, study.skip_tokens, study.bins) == ("raw", 7, 30)
    assert study.internal == (",", ";")
    assert run.attempts == 5
    assert resolve({}) == (StudyConfig(), RunConfig())


def test_the_notebook_preset_is_the_notebooks():
    study, _ = resolve({}, preset="notebook")
    assert study == StudyConfig(text="raw", skip_tokens=400)
    assert set(PRESETS) == {"notebook"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("binz = 3", "unknown setting 'binz'"),
        ("bins = 'many'", "'bins' is 'many'; expected int"),
        ("bins = true", "'bins' is True; expected int"),
        ("bins = 1", "bins is 1; the smallest is 2"),
        ("bins = 65", "at most 64"),
        ("per_class = 1", "a pair needs 2"),
        ("per_class = 70000", "65535"),
        ("outlier_z = 0", "above 0"),
        ("dtype = 'int8'", "one of float32, "),
        ("internal = []", "one or more marks"),
        ("internal = [' ,']", "without white space"),
        ("internal = ['.']", "'.' is named as internal and as terminal"),
        ("keep_hidden_states = 1", "expected bool"),
        ("[run]\nattempts = 0", "attempts is 0; the smallest is 1"),
        ("[run]\nmemory_fraction = 2.0", "a share between 0 and 1"),
        ("[run]\nbooks_per_shard = 0", "the smallest is 1"),
        ("[run]\nextractors = 0", "extractors is 0; the smallest is 1"),
        ("bins = ", "cannot be read as TOML"),
    ],
)
def test_wrong_settings_say_what_was_found_and_what_is_wanted(tmp_path, text, message):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        resolve({}, file)


def test_a_missing_file_and_an_unknown_preset_are_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        resolve({}, tmp_path / "none.toml")
    with pytest.raises(UsageError, match="there is no preset 'notbook'; presets are: notebook"):
        resolve({}, preset="notbook")


def test_all_marks_can_be_asked_for():
    study, _ = resolve({"per_class": "all"})
    assert study.per_class is None
