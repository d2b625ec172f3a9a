from __future__ import annotations

import json

import pytest

from store.columns import SCHEMA_VERSION
from store.errors import StoreError, StudyMismatch
from store.objects.locations import object_store
from store.study import Study, study_of
from store.writer import StudyWriter

MODEL = {"name": "m", "sha256": "ab"}


def test_round_trip_keeps_the_fingerprint():
    study = Study({"bins": 15, "internal": (",",), "per_class": None}, MODEL)
    back = Study.from_json(study.to_json())
    assert back == study
    assert back.fingerprint == study.fingerprint
    assert back.written_with["python"]


def test_versions_do_not_bind():
    study = Study({"bins": 15}, MODEL)
    other = Study({"bins": 15}, MODEL, written_with={"python": "2.7"})
    assert study == other
    assert study.fingerprint == other.fingerprint


def test_key_order_does_not_count():
    assert Study({"a": 1, "b": 2}, MODEL).fingerprint == Study({"b": 2, "a": 1}, MODEL).fingerprint


def test_differences_name_fields_and_both_values():
    study, other = Study({"bins": 15, "seed": 0}, MODEL), Study({"bins": 20}, {**MODEL, "sha256": "cd"})
    assert study.differences(other) == ["bins: 15 and 20", 'model.sha256: "ab" and "cd"', "seed: 0 and absent"]
    assert study.differences(study) == []


def test_the_model_is_told_by_its_weights_and_not_by_its_name():
    def study(name: str, weights: str, **config: object) -> Study:
        return Study({"model": name, "revision": name, **config}, {"name": name, "weights": weights})

    one, other = study("gpt2", "sha256:ab"), study("../models/gpt2/", "sha256:ab")
    assert one.fingerprint == other.fingerprint
    assert one.differences(other) == []
    assert Study.from_json(other.to_json()).config["model"] == "../models/gpt2/"
    assert one.differences(study("./gpt2", "sha256:ab", bins=20)) == ["bins: absent and 20"]
    larger = study("gpt2-large", "sha256:cd")
    assert one.fingerprint != larger.fingerprint
    assert 'model: "gpt2" and "gpt2-large"' in one.differences(larger)
    assert 'model.weights: "sha256:ab" and "sha256:cd"' in one.differences(larger)


def test_opening_with_another_study_names_the_field_and_changes_nothing(location):
    StudyWriter.open(location, Study({"bins": 15}, MODEL))
    before = object_store(location).read("study.json")
    with pytest.raises(StudyMismatch, match="bins: 15 and 20") as refused:
        StudyWriter.open(location, Study({"bins": 20}, MODEL))
    assert refused.value.exit_code == 3
    assert object_store(location).read("study.json") == before


def test_study_of_an_empty_place_is_none_and_writes_nothing(location):
    assert study_of(location) is None
    assert list(object_store(location).walk()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:40], "is damaged"),
        (lambda text: json.dumps({"config": {}}), "is damaged"),
        (lambda text: text.replace('"bins": 15', '"bins": 16'), "was edited"),
        (
            lambda text: text.replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'),
            "upgrade Interpunct",
        ),
        (
            lambda text: text.replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 1'),
            "has tables of schema 1 .* run the study again with this version, in another store",
        ),
    ],
)
def test_a_damaged_study_says_what_to_do(tmp_path, change, said):
    (tmp_path / "study.json").write_text(change(Study({"bins": 15}, MODEL).to_json()))
    with pytest.raises(StoreError, match=said):
        study_of(tmp_path)


def test_an_unwritable_place_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store/study.json cannot be written: Not a directory"):
        StudyWriter.open(tmp_path / "file" / "store", Study({}, MODEL))


def test_a_name_is_recorded_and_binds_nothing():
    plain, named = Study({"model": "/home/ada/models/gpt2"}, MODEL), Study({"model": "a/b"}, MODEL, name="GPT-2")
    assert (plain.called, named.called) == ("gpt2", "GPT-2")
    again = Study.from_json(named.to_json())
    assert (again.name, again) == ("GPT-2", named)
    assert Study({"model": "a/b"}, MODEL) == named
    assert Study({"model": "a/b"}, MODEL).fingerprint == named.fingerprint
