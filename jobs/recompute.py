"""`interpunct pairs`: the pairs of a study again, with other bins or another outlier threshold, without a model.

A store that kept its hidden states has all that the statistics need. Pairs are computed, published and committed by
the functions that a run uses; only what they work on comes from the other store instead of from books and a model.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from jobs.account.display import listener_for, summary_table
from jobs.account.record import Recorder
from jobs.account.run_store import Results
from jobs.account.tally import Tally
from jobs.config import RunConfig, StudyConfig
from jobs.corpus.references import BookRef, NamedBook
from jobs.errors import UsageError
from jobs.model.models import RecordedModel
from jobs.run import new_run_id
from jobs.stages.compute import compute_block
from jobs.stages.extract import Block
from jobs.stages.finish import finish_shard, record_books
from jobs.stages.partition import ShardWork, block_keys, pairs_of, plan_shards
from jobs.stages.prepare import PreparedOutline, PreparedShard, RunContext
from jobs.stages.tables import books_table, tokens_table
from store.books import BookStatus
from store.errors import StoreError
from store.keys import MARK_CLASSES, BlockKey
from store.objects.locations import object_store
from store.query.reader import Store, open_store
from store.query.sandbox import quoted
from store.query.sql_views import Partitions
from store.study import Study


def execute(from_store: str, store: str, settings: Mapping[str, Any]) -> int:
    """Compute all pairs of `from_store` anew under `settings` (`bins`, `outlier_z`) into `store`; the exit code 0.

    The new study is the one that a run with these settings would make: same books, marks and model. Relaunching
    goes on where it stopped. Raises UsageError where the states were not kept, StoreError where a store refuses.
    """
    with open_store(from_store) as source:
        config = StudyConfig.from_dict({**source.study.config, "keep_hidden_states": False, **settings})
        location = object_store(store).location
        _check(source, location)
        study = Study(config.to_dict(), source.study.model)
        model = RecordedModel(study.model["name"], study.model["weights"])
        context = RunContext(location, config, RunConfig(serial=True), study.fingerprint, new_run_id(), model)
        with Results(location, study) as results:
            _recompute(source, context, results)
    return 0


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


def _recompute(source: Store, context: RunContext, results: Results) -> None:
    rows = source.sql("SELECT * FROM books ORDER BY book").to_arrow_table().to_pylist()
    with_text = [_named(row) for row in rows if BookStatus(row["status"]).analysed]
    results.open()
    shards = list(plan_shards(with_text, context.fingerprint, results.committed()))
    tally = Tally(hidden_layers=source.study.model["hidden_layers"], books=len(rows), shards=len(shards))
    tally.books_done_before = len(with_text) - sum(len(work.books) for work in shards)
    console = Console(stderr=True)
    recorder = Recorder(results, context.run_id, context.run, listener_for(console))
    with _accounted(recorder, tally):
        for work in shards:
            _redo(source, context, work, results, tally, recorder)
        _record_others(rows, context, results)
    console.print(summary_table(tally) if shards else f"nothing to do: {len(with_text):,} books are in the store")


@contextmanager
def _accounted(recorder: Recorder, tally: Tally) -> Iterator[None]:
    """Write down how the work ended, whichever way it did, and leave the terminal as it was."""
    state = "failed"
    try:
        yield
        state = "done"
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        recorder.close()
        recorder.write(tally, state)


def _redo(
    source: Store, context: RunContext, work: ShardWork, results: Results, tally: Tally, recorder: Recorder
) -> None:
    """Compute and commit one shard. Only the records that hold its books are opened, however large the store is."""
    keys = {book.key for book in work.books}
    records = [record for record in source.records if any(book.key in keys for book in record.books)]
    with Store(object_store(source.location), source.study, records, Partitions()) as part:
        prepared = _stored_shard(part, work)
        tally.prepared(prepared.outline)
        leftovers = results.leftovers(work.key)
        receipts = []
        for block in _stored_blocks(part, prepared, tally.hidden_layers):
            receipts.append(compute_block(context, block, leftovers))
            tally.computed(receipts[-1])
            recorder.update(tally)
        started = time.perf_counter()
        results.commit(finish_shard(context, prepared, receipts))
        tally.committed(work.key, time.perf_counter() - started)


def _stored_shard(part: Store, work: ShardWork) -> PreparedShard:
    """What preparing the shard gave when its states were made, without the windows, which only a model needs."""
    started = time.perf_counter()
    chosen = f"WHERE book IN ({', '.join(quoted(book.key) for book in work.books)})"
    books = part.sql(f"SELECT * FROM books {chosen}").to_arrow_table().to_pylist()
    tokens = part.sql(f"SELECT * FROM tokens {chosen} ORDER BY book, class, i").to_arrow_table().to_pylist()
    counts = Counter((row["book"], row["class"]) for row in tokens)
    outline = PreparedOutline(
        shard=work.key,
        marks={name: sum(n for (_, c), n in counts.items() if c == name) for name in MARK_CLASSES},
        pairs=sum(map(pairs_of, counts.values())),
        used=sum(row["status"] == BookStatus.USED for row in books),
        rejected={row["book"]: row["reason"] for row in books if row["status"] == BookStatus.REJECTED},
        seconds=time.perf_counter() - started,
    )
    return PreparedShard(outline, {}, tokens_table(tokens), books_table(books))


def _stored_blocks(part: Store, prepared: PreparedShard, hidden_layers: int) -> Iterator[Block]:
    """The shard's hidden states as a model would have given them, class by class and layer by layer."""
    books = prepared.tokens.select(["book", "class"]).to_pylist()
    for key in block_keys(prepared.outline.shard, prepared.outline.classes, hidden_layers):
        counts = Counter(row["book"] for row in books if row["class"] == key.mark_class)
        names = tuple(sorted(counts))
        offsets = tuple(np.cumsum([0, *(counts[name] for name in names)]).tolist())
        yield Block(key, names, offsets, _states(part, key, names, offsets[-1]))


def _states(part: Store, key: BlockKey, books: tuple[str, ...], marks: int) -> NDArray[np.float32]:
    """float32 [marks, D], book after book and mark after mark."""
    rows = part.sql(
        f"SELECT state FROM hidden_states WHERE layer = {key.layer} AND class = {quoted(key.mark_class)} "
        f"AND book IN ({', '.join(map(quoted, books))}) ORDER BY book, i"
    ).to_arrow_table()
    if rows.num_rows != marks:
        raise StoreError(
            f"{part.location}: {key} has {rows.num_rows} hidden states for {marks} marks; "
            "`interpunct verify` names what is damaged"
        )
    states = rows.column("state").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(states, dtype=np.float32).reshape(marks, -1)


def _record_others(rows: Sequence[Mapping[str, Any]], context: RunContext, results: Results) -> None:
    """Duplicates and books that failed have no shard; they keep their row."""
    known = results.committed().books
    others = {_named(row): (BookStatus(row["status"]), row["reason"]) for row in rows if row["book"] not in known}
    if others:
        results.commit(record_books(context, others))


def _named(row: Mapping[str, Any]) -> NamedBook:
    ref = BookRef(row["book"], row["source"], sha256=row["sha256"], title=row["title"], author=row["author"])
    return NamedBook(row["book"], ref)
