"""Settings: defaults, a TOML file and options, merged and checked; wrong ones name themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jobs.classes import TokenClass
from jobs.config import PRESETS, RunConfig, StudyConfig, resolve
from jobs.errors import UsageError
from jobs.settings import settings_of, typed_settings_of
from store.study import Study


def test_every_setting_is_explained():
    study, run = settings_of(StudyConfig), settings_of(RunConfig)
    assert [name for name, setting in (study | run).items() if not setting.help] == []
    assert study.keys() & run.keys() == set()


def test_a_study_survives_its_json():
    study = StudyConfig(classes={"stops": [".", "?"], "and": ["and"]}, per_class=None, model="gpt2", baseline=None)
    assert StudyConfig.from_dict(study.to_dict()) == study
    assert study.to_dict()["classes"] == [["stops", [".", "?"]], ["and", ["and"]]]
    assert StudyConfig.from_dict(json.loads(json.dumps(study.to_dict()))) == study


def test_classes_keep_their_order_and_the_baseline_is_last():
    study = StudyConfig(classes={"z": ["z"], "a": ["a"]}, labels_sha256="0" * 64, label_classes=("noun", "verb"))
    assert study.class_names == ("z", "a", "noun", "verb", "baseline")
    assert replace(study, baseline=None).class_names == study.named_classes == ("z", "a", "noun", "verb")
    assert Study(study.to_dict(), {}).class_names == study.class_names
    assert StudyConfig().class_names == ("internal", "terminal", "baseline")


def test_what_a_run_settles_is_recorded_and_not_typed(tmp_path):
    typed = typed_settings_of(StudyConfig)
    assert settings_of(StudyConfig).keys() - typed.keys() == {"labels_sha256", "label_classes"}
    for name in ("labels_sha256", "label_classes"):
        with pytest.raises(UsageError, match=f"unknown setting '{name}'"):
            resolve({name: "x"})
        (tmp_path / "study.toml").write_text(f"{name} = 'x'\n")
        with pytest.raises(UsageError, match=f"unknown setting '{name}'"):
            resolve({}, tmp_path / "study.toml")
    with pytest.raises(UsageError, match="come from one labels file"):
        StudyConfig(label_classes=("noun",))


def test_the_default_classes_stand_where_no_other_is_named(tmp_path):
    assert resolve({})[0].named_classes == ("internal", "terminal")
    assert resolve({"classes": [["and", "and"]]})[0].named_classes == ("and",)
    assert resolve({"labels": "labels.csv"})[0].named_classes == ()
    assert resolve({"labels": "labels.csv", "classes": [["and", "and"]]})[0].named_classes == ("and",)
    (tmp_path / "study.toml").write_text("labels = 'labels.csv'\n[classes]\nbut = ['but', 'But']\n")
    study, run = resolve({}, tmp_path / "study.toml")
    assert (study.named_classes, run.labels) == (("but",), "labels.csv")
    assert resolve({}, preset="notebook")[0].named_classes == ("internal", "terminal")


def test_options_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('skip_tokens = 7\nbins = 20\n[run]\nattempts = 5\n[study.classes]\ninternal = [",", ";"]\n')
    study, run = resolve({"bins": 30}, file, "notebook")
    assert (study.text, study.skip_tokens, study.bins) == ("raw", 7, 30)
    assert study.classes == (TokenClass("internal", (",", ";")),)
    assert run.attempts == 5
    assert resolve({}) == (StudyConfig(), RunConfig())


def test_the_notebook_preset_is_the_notebooks():
    study, _ = resolve({}, preset="notebook")
    assert study == StudyConfig(
        text="raw",
        skip_tokens=400,
        baseline=None,
        context="window",
        bos="no",
        sample="first",
        selection="notebook",
        measures="notebook",
        between="none",
    )
    assert (study.per_class, study.before, study.after, study.bins, study.outlier_z) == (250, 20, 10, 15, 5.0)
    assert study.class_names == ("internal", "terminal")
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
        ("outlier_z = 0", "outlier_z is 0.0; it must be above 0, or 'none'"),
        ("dtype = 'int8'", "one of float32, "),
        ("[classes]", "0 classes are named; a study has 1 to 16"),
        ("classes = []", "0 classes are named; a study has 1 to 16"),
        ("classes = ','", "expected a table of names and their tokens"),
        ("[classes]\na = []", "class 'a' has no tokens"),
        ("[classes]\na = 3", r"the entry \('a', 3\); expected a name and its tokens"),
        ("[classes]\na = [3]", "expected a name and its tokens, all of them texts"),
        ("[classes]\na = [' ,']", "without white space"),
        ("[classes]\na = ['.']\nb = ['.']", "'.' is named in class 'a' and in class 'b'"),
        ("[classes]\na = ['.']\nA = [',']", "two classes are called 'A'"),
        ("[study.classes]\nbaseline = ['.']", "class name 'baseline' is taken"),
        ("[classes]\na = ['re:(']", r"the pattern 're:\(', which is not a regular expression"),
        ("[classes]\n'a b' = ['.']", "class name 'a b' is not possible"),
        ("baseline = 1", "baseline is 1; the smallest is 2"),
        ("baseline = 'all'", "baseline is 'all'; expected a whole number or 'none'"),
        ("context = 'book'", "context is 'book'; it is one of passage, window"),
        ("bos = true", "bos is True; expected a text"),
        ("measures = 'mi'", "one of standard, all, notebook"),
        ("within = 'none'", "within is 'none'; it is one of rows, summaries"),
        ("between = 'some'", "one of rows, summaries, none"),
        ("passage_tokens = 0", "passage_tokens is 0; the smallest is 1"),
        ("labels = 3", "labels is 3; expected a text"),
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


def test_numbers_and_classes_are_brought_to_their_type():
    study = StudyConfig(outlier_z=4, classes=[["a", ";"], ["b", [":", "!"]]])
    assert (study.outlier_z, type(study.outlier_z)) == (4.0, float)
    assert study.classes == (TokenClass("a", (";",)), TokenClass("b", (":", "!")))


@pytest.mark.parametrize("warmup", [512, 600])
def test_a_passage_has_room_behind_its_warm_up(warmup):
    with pytest.raises(UsageError, match=f"warmup_tokens is {warmup} and passage_tokens 512: no room for a mark"):
        StudyConfig(warmup_tokens=warmup)


def test_a_missing_file_and_an_unknown_preset_are_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        resolve({}, tmp_path / "none.toml")
    with pytest.raises(UsageError, match="there is no preset 'notbook'; presets are: notebook"):
        resolve({}, preset="notbook")


def test_all_marks_can_be_asked_for():
    study, _ = resolve({"per_class": "all", "baseline": "none", "outlier_z": "none"})
    assert study.per_class is study.baseline is None
    assert study.outlier_z is None


def test_a_run_record_states_addresses_without_secrets():
    run = RunConfig(gutenberg_mirror="https://me:5ecret@a.org/pg,https://b.org/pg?token=5ecret", labels="labels.csv")
    stated = run.to_dict()
    assert "5ecret" not in json.dumps(stated)
    assert stated["gutenberg_mirror"].startswith("https://a.org/pg,https://b.org/pg?...")
    assert stated["labels"] == "labels.csv"
