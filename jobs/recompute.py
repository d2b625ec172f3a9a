"""`interpunct pairs`: the pairs of a study again, with other bins or another outlier threshold, without a model.

A store that kept its hidden states has all that the statistics need. The run is like any other: planned by shards,
spread over Ray or done in a plain loop, stopped and gone on with; only its stages take books and states from the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.references import BookRef, NamedBook
from jobs.errors import UsageError
from jobs.model.models import RecordedModel
from jobs.run import Plan, carry_out, new_run_id
from jobs.stages.partition import plan_shards
from jobs.stages.prepare import RunContext
from jobs.stages.stages import Stages
from jobs.stages.stored import stored_stages
from store.books import BookStatus
from store.commits import Committed
from store.objects.locations import object_store
from store.query.reader import Store, open_store
from store.study import Study


def execute(
    from_store: str, location: str, settings: Mapping[str, Any], run: RunConfig, stages: Stages | None = None
) -> int:
    """Compute all pairs of `from_store` anew under `settings` (`bins`, `outlier_z`) into the store at `location`.

    The new study is the one that a run with these settings would make: same books, marks and model. Returns the exit
    code: 0 done, 1 with books left undone, 130 interrupted; the same command goes on where it stopped. Raises
    UsageError where the states were not kept, StoreError where a store refuses.
    """
    with open_store(from_store) as source:
        config = StudyConfig.from_dict({**source.study.config, "keep_hidden_states": False, **settings})
        location = object_store(location).location
        _check(source, location)
        rows = source.sql("SELECT * FROM books ORDER BY book").to_arrow_table().to_pylist()
    study = Study(config.to_dict(), source.study.model)
    model = RecordedModel(study.model["name"], study.model["weights"])
    context = RunContext(location, config, run, study.fingerprint, new_run_id(), model)
    hidden_layers = study.model["hidden_layers"]
    books = {_named(row): (BookStatus(row["status"]), row["reason"]) for row in rows}

    def plan(committed: Committed) -> Plan:
        return _plan(books, context, committed)

    return carry_out(context, study, stages or stored_stages(source.location, hidden_layers), hidden_layers, plan)


def _check(source: Store, location: str) -> None:
    if source.location == location:
        raise UsageError(
            f"--from-store and --store are both {location}; other settings make another study: name another store"
        )
    if not source.study.config["keep_hidden_states"]:
        raise UsageError(
            f"store {source.location} holds no hidden states to compute pairs from; "
            "make one with `interpunct run ... --keep-hidden-states`"
        )


def _plan(books: Mapping[NamedBook, tuple[BookStatus, str]], context: RunContext, committed: Committed) -> Plan:
    """Plan the books whose text was read; duplicates and books that failed have no shard, and keep their row."""
    analysed = [book for book, (status, _) in books.items() if status in (BookStatus.USED, BookStatus.REJECTED)]
    per_class, together = context.config.per_class, context.run.books_per_shard
    shards = list(plan_shards(analysed, context.fingerprint, committed, per_class, together))
    to_do = sum(len(shard.books) for shard in shards)
    others = {book: why for book, why in books.items() if book not in set(analysed)}
    return Plan(shards, {}, len(books), len(analysed) - to_do, carried_over=others)


def _named(row: Mapping[str, Any]) -> NamedBook:
    ref = BookRef(row["book"], row["source"], sha256=row["sha256"], title=row["title"], author=row["author"])
    return NamedBook(row["book"], ref)
