"""`interpunct sensitivity`: what of a study survives other choices, in a table of the same store.

A run like any other: shards, of which each is one trial of one book, spread over Ray or done in a plain loop, committed
once each, stopped and gone on with. What is in the table already is not computed again, whichever command made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.references import BookRef, NamedBook, Source
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import survey
from jobs.errors import UsageError
from jobs.marks.labels import settle_labels
from jobs.model.batch_size import settle_passages
from jobs.model.encoder import beginning_of_text
from jobs.model.models import ModelIdentity, RecordedModel, identify_model
from jobs.run import Plan, bundled, carry_out, new_run_id
from jobs.sensitivity.grid import Trial, trial_of_model, trials_of
from jobs.sensitivity.kept import from_store
from jobs.sensitivity.plan import planned, show_plan
from jobs.sensitivity.reading import sample_config
from jobs.sensitivity.stages import trial_stages
from jobs.stages.partition import ShardWork
from jobs.stages.prepare import RunContext
from store.commits import Committed
from store.keys import ShardKey
from store.objects.locations import object_store
from store.query.reader import Store, open_store
from store.study import Study

PER_CLASS = 100
"""Marks of a class that trials take from a book, unless told otherwise."""

BOOKS = 8
"""Books of a study that are tried, unless told otherwise."""


@dataclass(frozen=True)
class Asked:
    """What the user asks for: how many marks a class and how many books (None for all), and which trials.

    `sources`: where the books are, where they are not where the study has read them. `models`: others to compare with.
    """

    per_class: int = PER_CLASS
    books: int | None = BOOKS
    quick: bool = False
    sources: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Work:
    """The trials of one model, as a run carries them out."""

    context: RunContext
    hidden_layers: int
    trials: tuple[Trial, ...]


def execute(location: str, asked: Asked, run: RunConfig, *, plan_only: bool = False) -> int:
    """Try the study of a store under other specifications; the exit code of a run.

    Raises UsageError where the study has one class alone, a book's text is not where it was, or the table holds a
    sample of another size; StoreError where the store refuses.
    """
    with open_store(location) as store:
        study, location = store.study, store.location
        config, run = _checked(study, run)
        _check_sample(store, asked)
        books = _books(store, asked, run, config.seed)
    works = [_own(location, study, config, run, asked), *_others(location, study, config, run, asked)]
    if plan_only:
        show_plan([(work.context, work.hidden_layers, work.trials) for work in works], books, location)
        return 0
    return max(_carry_out(work, study, books, asked.per_class) for work in works)


def _carry_out(work: _Work, study: Study, books: Sequence[NamedBook], sample: int) -> int:
    trials: dict[str, Trial] = {}

    def plan(committed: Committed) -> Plan:
        shards = []
        for trial, book in planned(work.trials, books, committed.tried):
            known = committed.books.get(book.key)
            shard = shard_of(work.context.fingerprint, trial, book, sample, known.attempted if known else 0)
            trials[shard.key.name] = trial
            shards.append(shard)
        total = len(work.trials) * len(books)
        return Plan(shards, {}, total, total - len(shards))

    # The stages hold the very mapping that `plan` fills: it is complete before any of them is called.
    return carry_out(work.context, study, trial_stages(trials), work.hidden_layers, plan, unit="trial")


def shard_of(fingerprint: str, trial: Trial, book: NamedBook, sample: int, attempted: int) -> ShardWork:
    """The shard that a trial of a book is: named by the study, the specifications, the sample and the text.

    `attempted`: the commit that took the book. Of a book that was removed and taken again, a compaction may have left
    out the rows meanwhile, and the shard that held them counts as done for ever.
    """
    names = " | ".join(specification.name for specification in trial.specifications)
    identity = f"sensitivity of {sample} marks: {names} of {book.ref.sha256} {book.key} taken in {attempted}"
    return ShardWork(ShardKey.of(fingerprint, [identity]), (book,))


def _checked(study: Study, run: RunConfig) -> tuple[StudyConfig, RunConfig]:
    config = StudyConfig.from_dict(study.config)
    if len(config.named_classes) < 2:
        raise UsageError(
            f"the study names one class, {config.named_classes[0]}; a difference and a separation take two: "
            "make a study with two --class"
        )
    if config.labels_sha256 is not None:
        labelled, run = settle_labels(config, run)
        if run.labels is None or labelled.labels_sha256 != config.labels_sha256:
            raise UsageError("the study's classes come from a labels file; name the same file with --labels")
    return config, run


def _check_sample(store: Store, asked: Asked) -> None:
    """Raise UsageError where the table has another sample: estimates of different marks are not compared."""
    held = [row[0] for row in store.sql("SELECT DISTINCT sample FROM sensitivity").fetchall()]
    if held and held != [asked.per_class]:
        raise UsageError(
            f"{store.location} holds a sensitivity table of {held[0]} marks a class, and {asked.per_class} are asked "
            f"for; what is compared must be the same marks: use --per-class {held[0]}"
        )


def _books(store: Store, asked: Asked, run: RunConfig, seed: int) -> list[NamedBook]:
    """The books to try: a seeded choice of the used ones, by key, with where their texts are."""
    rows = store.sql("SELECT * FROM books WHERE status = 'used'").to_arrow_table().to_pylist()
    if not rows:
        raise UsageError(f"{store.location} holds no book with pairs yet; `interpunct run` first")
    rows.sort(key=lambda row: hashlib.sha256(f"{seed} {row['book']}".encode()).digest())
    chosen = sorted(rows[: asked.books], key=lambda row: str(row["book"]))
    if not asked.sources:
        return [NamedBook(row["book"], _recorded(row)) for row in chosen]
    found = {ref.sha256: ref for ref in _surveyed(asked.sources, run) if ref.problem is None}
    absent = [row["book"] for row in chosen if row["sha256"] not in found]
    if absent:
        raise UsageError(
            f"of the books to try, {', '.join(absent[:5])} {'is' if len(absent) == 1 else 'are'} not among what was "
            "named, or has changed; name the files that the study was made of"
        )
    return [NamedBook(row["book"], found[row["sha256"]]) for row in chosen]


def _recorded(row: Mapping[str, Any]) -> BookRef:
    """The book where the study has read it: a file, or a numbered text within one."""
    uri, mark, record = str(row["source"]).rpartition("#")
    whole = not (mark and record.isdecimal()) or Path(str(row["source"])).exists()
    place, number = (str(row["source"]), None) if whole else (uri, int(record))
    return BookRef(row["book"], place, number, sha256=row["sha256"], title=row["title"], author=row["author"])


def _surveyed(sources: Sequence[str], run: RunConfig) -> list[BookRef]:
    found: list[BookRef] = []
    for source in expand_sources(map(bundled, sources), run):
        found += survey(source, run) if isinstance(source, Source) else [source]
    return found


def _own(location: str, study: Study, config: StudyConfig, run: RunConfig, asked: Asked) -> _Work:
    identity = ModelIdentity(**study.model)
    smaller = sample_config(config, asked.per_class)
    trials = trials_of(config, _other_bos(config), quick=asked.quick)
    trials = from_store(trials, config) if config.keep_hidden_states else trials
    fitting = tuple(trial for trial in trials if _fits(trial, smaller, identity))
    return _Work(_context(location, study, smaller, run, identity), identity.hidden_layers, fitting)


def _others(location: str, study: Study, config: StudyConfig, run: RunConfig, asked: Asked) -> list[_Work]:
    works = []
    for name in asked.models:
        identity = identify_model(name)
        other = replace(sample_config(config, asked.per_class), model=name, revision=None, batch_size=None)
        other = replace(other, keep_hidden_states=False)
        other = settle_passages(other, identity)
        trial = trial_of_model(config, Path(name).stem or name, name)
        works.append(_Work(_context(location, study, other, run, identity), identity.hidden_layers, (trial,)))
    return works


def _context(location: str, study: Study, config: StudyConfig, run: RunConfig, identity: ModelIdentity) -> RunContext:
    place, model = object_store(location).location, RecordedModel.of(identity)
    return RunContext(place, config, run, study.fingerprint, new_run_id(), model)


def _other_bos(config: StudyConfig) -> str | None:
    """The other choice of a beginning of text; None where the tokenizer has no such token."""
    if beginning_of_text(config.model, config.revision, config.bos):
        return "no"
    try:
        return "yes" if beginning_of_text(config.model, config.revision, "yes") else None
    except UsageError:
        return None


def _fits(trial: Trial, config: StudyConfig, identity: ModelIdentity) -> bool:
    """Whether the model can read at once what the trial asks for."""
    condition = trial.condition
    opening = len(beginning_of_text(config.model, config.revision, condition.bos))
    length = config.passage_tokens if condition.before is None else condition.before + 1
    return identity.context is None or length + opening <= identity.context
