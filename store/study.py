"""`study.json`: what the store's numbers depend on, and so what every run that adds to it must agree with."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from store import documents, paths
from store.columns import SCHEMA_VERSION
from store.errors import DocumentDamaged, NoStore, ObjectMissing, StoreError, StudyMismatch
from store.keys import BASELINE
from store.objects.base import ObjectStore
from store.objects.locations import object_store
from store.teaching import teaching_types

_SPELLINGS = {"config": ("model", "revision"), "model": ("name",)}
"""How the user named the model. The weights say which it is; a folder has many paths, and a commit many names."""

FORMAT = 2
"""How a store keeps its files and commits; a store of another format is neither read nor written."""

_MOST_BYTES = 1 << 20
_RECORDED_LIBRARIES = ("interpunct", "numpy", "pyarrow", "duckdb", "numba", "torch", "transformers", "ray")


def _written_with() -> dict[str, str]:
    """The versions at work. They are recorded and do not bind: a study outlives an upgrade."""
    versions = {"python": platform.python_version()}
    for library in _RECORDED_LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True)
class Study:
    """One model, one configuration, one schema version.

    `config` is the resolved configuration and `model` the model's identity, both as plain JSON values. `name` is what
    reports call the study; it binds nothing.
    """

    config: dict[str, Any]
    model: dict[str, Any]
    schema_version: int = SCHEMA_VERSION
    written_with: dict[str, str] = field(default_factory=_written_with, compare=False)
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # Through JSON once, so that a study equals what reading its own file gives.
        object.__setattr__(self, "config", json.loads(json.dumps(self.config)))
        object.__setattr__(self, "model", json.loads(json.dumps(self.model)))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of marks in the study's order; the baseline, where there is one, is the last."""
        named = [name for name, _ in self.config.get("classes", ())]
        baseline = [BASELINE] if self.config.get("baseline") else []
        return (*named, *self.config.get("label_classes", ()), *baseline)

    @property
    def called(self) -> str:
        """What readers call the study: its name, or else its model's."""
        return self.name or model_name(self.config)

    @property
    def teaching_types(self) -> dict[str, str]:
        """The mark type that teaches a rule, of each class that has one; see `teaching_types`."""
        return teaching_types(self.config.get("classes", ()))

    @property
    def fingerprint(self) -> str:
        """The sha256 of everything that binds, 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self._binding(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """The text of `study.json`."""
        recorded = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            **self._recorded(),
            **({"name": self.name} if self.name else {}),
            "written_with": self.written_with,
        }
        return json.dumps(recorded, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "study.json") -> Study:
        """The study that `to_json` wrote. Raises StoreError for anything else, or another schema."""
        try:
            recorded = documents.parse(text)
            if recorded.get("format") != FORMAT and "fingerprint" in recorded:
                raise StoreError(
                    f"{where} is of another version of Interpunct (format {documents.shown(recorded.get('format'))},"
                    f" this one has {FORMAT}); run the study again with this version, in another store"
                )
            config, model = documents.field(recorded, "config", dict), documents.field(recorded, "model", dict)
            written_with = documents.field(recorded, "written_with", dict)
            name = documents.field(recorded, "name", str) if "name" in recorded else None
            study = cls(config, model, documents.count(recorded, "schema_version"), written_with, name)
        except DocumentDamaged as error:
            raise StoreError(f"{where} is damaged ({error}); restore it from a backup, or use another store") from error
        if study.schema_version != SCHEMA_VERSION:
            newer = study.schema_version > SCHEMA_VERSION
            remedy = "upgrade Interpunct" if newer else "run the study again with this version, in another store"
            raise StoreError(
                f"{where} has tables of schema {study.schema_version} and this Interpunct has schema {SCHEMA_VERSION};"
                f" {remedy}"
            )
        if recorded.get("fingerprint") != study.fingerprint:
            raise StoreError(f"{where} was edited: its fingerprint does not match; restore it, or use another store")
        return study

    def differences(self, other: Study) -> list[str]:
        """One line per binding field in which two studies differ: `bins: 15 and 20`."""
        same_model = self.model.get("weights") == other.model.get("weights")
        mine, others = (_flat(study._binding() if same_model else study._recorded()) for study in (self, other))
        absent = object()
        return [
            f"{name}: {_shown(mine.get(name, absent), absent)} and {_shown(others.get(name, absent), absent)}"
            for name in sorted(mine | others)
            if mine.get(name, absent) != others.get(name, absent)
        ]

    def _binding(self) -> dict[str, Any]:
        """What the numbers depend on. The model's name is left out where its weights are known."""
        recorded = self._recorded()
        if "weights" not in self.model:
            return recorded
        left_out = {
            group: {name: value for name, value in recorded[group].items() if name not in names}
            for group, names in _SPELLINGS.items()
        }
        return recorded | left_out

    def _recorded(self) -> dict[str, Any]:
        return {"schema_version": self.schema_version, "config": self.config, "model": self.model}


def model_name(config: Mapping[str, Any]) -> str:
    """The model as people call it: a name of the hub as it stands, the last part of a path on some machine.

    >>> model_name({"model": "openai-community/gpt2"}), model_name({"model": "/home/ada/models/gpt2/"})
    ('openai-community/gpt2', 'gpt2')
    """
    name = str(config.get("model", "a language model"))
    is_path = name.startswith(("/", "./", "../", "~")) or "\\" in name or name.count("/") > 1
    return [part for part in re.split(r"[/\\]", name) if part][-1] if is_path and name.strip("/\\.~") else name


def study_of(location: str | Path) -> Study | None:
    """The study a store holds, or None where there is no store yet. Writes nothing."""
    return read_study(object_store(location))


def read_study(objects: ObjectStore) -> Study | None:
    """The study recorded among a store's objects, or None where there is none."""
    try:
        return Study.from_json(objects.read(paths.STUDY, _MOST_BYTES), objects.address(paths.STUDY))
    except ObjectMissing:
        return None


def require_study(objects: ObjectStore) -> Study:
    """The study of a store that has to be there. Raises NoStore where there is none."""
    study = read_study(objects)
    if study is None:
        raise NoStore(
            f"{objects.location} holds no store; `interpunct run BOOK --store {objects.location}` makes one, as soon as"
            " its model has given its first states"
        )
    return study


def create_or_match(objects: ObjectStore, study: Study) -> None:
    """Record the study, or check that the one recorded is the same. Raises StudyMismatch naming the fields."""
    if objects.put_new(paths.STUDY, study.to_json().encode()):
        return
    match(
        Study.from_json(objects.read(paths.STUDY, _MOST_BYTES), objects.address(paths.STUDY)), study, objects.location
    )


def match(recorded: Study, study: Study, location: str) -> None:
    """Check that a recorded study is the wanted one; nothing is written. Raises StudyMismatch naming the fields."""
    differences = recorded.differences(study)
    if differences:
        raise StudyMismatch(
            f"store {location} holds another study (its value, then yours): {'; '.join(differences)}."
            " Use the same settings, or another store"
        )


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Nested keys joined by dots, without the leading group names that users do not type."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            prefix = "" if name == "config" else f"{name}."
            flat.update({f"{prefix}{inner}": item for inner, item in _flat(value).items()})
        else:
            flat[name] = value
    return flat


def _shown(value: Any, absent: object) -> str:
    return "absent" if value is absent else json.dumps(value, ensure_ascii=False)
