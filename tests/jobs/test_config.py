"""Settings: defaults, a TOML file and options, merged and checked; wrong ones name themselves."""

from __future__ import annotations

import pytest

from jobs.config import PRESETS, RunConfig, StudyConfig, resolve
from jobs.errors import UsageError
from jobs.settings import settings_of


def test_every_setting_is_explained():
    study, run = settings_of(StudyConfig), settings_of(RunConfig)
    assert [name for name, setting in (study | run).items() if not setting.help] == []
    assert study.keys() & run.keys() == set()


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
        ("bins = 'many'", "bins is 'many'; expected a whole number"),
        ("bins = true", "bins is True; expected a whole number"),
        ("bins = 1", "bins is 1; the smallest is 2"),
        ("bins = 65", "bins is 65; the largest is 64"),
        ("per_class = 1", "per_class is 1; the smallest is 2"),
        ("per_class = 70000", "the largest is 65535"),
        ("per_class = 'many'", "expected a whole number or 'all'"),
        ("per_class = true", "per_class is True; expected"),
        ("seed = 9223372036854775808", "the largest is 9223372036854775807"),
        ("before = -1", "before is -1; the smallest is 0"),
        ("bins = 15.0", "bins is 15.0; expected a whole number"),
        ("outlier_z = nan", "outlier_z is nan; expected a finite number"),
        ("outlier_z = inf", "expected a finite number"),
        ("outlier_z = true", "outlier_z is True; expected"),
        ("model = 3", "model is 3; expected a text"),
        ("device = 'gpu'", "device is 'gpu'; it is one of auto, cpu, cuda"),
        ("[study]\ndevice = 'cpu'", r"unknown setting 'device' in \[study\]"),
        ("[run]\nbins = 9", r"unknown setting 'bins' in \[run\]"),
        ("bins = 9\n[study]\nbins = 9", r"bins is set twice, at the top level and in \[study\]"),
        ("outlier_z = 0", "outlier_z is 0.0; it must be above 0"),
        ("dtype = 'int8'", "one of float32, "),
        ("internal = []", "one or more marks"),
        ("internal = [' ,']", "without white space"),
        ("internal = ['.']", "'.' is named as internal and as terminal"),
        ("keep_hidden_states = 1", "keep_hidden_states is 1; expected true or false"),
        ("[run]\nattempts = 0", "attempts is 0; the smallest is 1"),
        ("[run]\nmemory_fraction = 2.0", "memory_fraction is 2.0; the largest is 1"),
        ("[run]\nbooks_per_shard = 0", "the smallest is 1"),
        ("[run]\nextractors = 0", "extractors is 0; the smallest is 1"),
        ("bins = ", "cannot be read as TOML"),
    ],
)
def test_wrong_settings_say_what_was_found_and_what_is_wanted(tmp_path, text, message):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        resolve({}, file)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("text", ["bins = 1", "[run]\ndevice = 'gpu'", "binz = 3", "bins = "])
def test_an_error_of_a_file_names_the_file(tmp_path, text):
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=str(file)):
        resolve({"bins": 20}, file)


@pytest.mark.parametrize(("config", "changes"), [(StudyConfig, {"bins": True}), (RunConfig, {"device": "gpu"})])
def test_what_is_made_in_python_is_checked_like_a_file(config, changes):
    with pytest.raises(UsageError, match=next(iter(changes))):
        config(**changes)


def test_numbers_and_single_marks_are_brought_to_their_type():
    study = StudyConfig(outlier_z=4, internal=";")
    assert (study.internal, study.outlier_z, type(study.outlier_z)) == ((";",), 4.0, float)


def test_a_missing_file_and_an_unknown_preset_are_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        resolve({}, tmp_path / "none.toml")
    with pytest.raises(UsageError, match="there is no preset 'notbook'; presets are: notebook"):
        resolve({}, preset="notbook")


def test_all_marks_can_be_asked_for():
    study, _ = resolve({"per_class": "all"})
    assert study.per_class is None
