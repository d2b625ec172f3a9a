"""One run, from what the user named to an exit code: survey, plan, work, and an account of it."""

from __future__ import annotations

import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from rich.console import Console

from analysis.engine.compilation import is_cold
from jobs.account.console import say, show
from jobs.account.counts import MOST_BOOKS, told_counts, told_files
from jobs.account.display import listener_for, summary_table
from jobs.account.run_record import Recorder
from jobs.account.run_store import Results
from jobs.account.tally import Tally
from jobs.config import RunConfig, StudyConfig
from jobs.corpus.names import name_books
from jobs.corpus.opening import is_local
from jobs.corpus.references import BookRef, NamedBook, Source
from jobs.corpus.sources import expand_sources
from jobs.errors import UsageError
from jobs.marks.labels import labels_of
from jobs.marks.notices import class_notices
from jobs.model.models import ModelIdentity, RecordedModel, identify_model, is_model
from jobs.serial import run_serially
from jobs.settle import settle
from jobs.stages.finish import record_books
from jobs.stages.partition import ShardWork, is_left_out, plan_shards
from jobs.stages.prepare import RunContext
from jobs.stages.stages import Stages
from jobs.stopping import listen, stoppable
from store import commits
from store.books import BookStatus
from store.commits import Committed
from store.objects.locations import object_store
from store.objects.public_names import public_name
from store.study import Study, study_of

SAMPLE = "sample"
"""The name of the bundled story on the command line, unless a file or folder has this name."""

FEW_SOURCES, FEW_DOWNLOADS, FEW_BYTES = 64, 4, 256 << 20
"""Up to so much input is surveyed in this process, so that a run without work to do starts nothing."""

LISTED = 20
"""Books that were not used are listed one by one up to here; the table `books` has them all."""

INTERRUPTED = 130


def execute(books: Sequence[str], config: StudyConfig, run: RunConfig, store: str, stages: Stages | None = None) -> int:
    """Run the study on the books and return the exit code: 0 done, 1 with books left undone, 130 interrupted.

    Raises JobError and StoreError for what the user has to mend; the store is then as it was.
    """
    stages = stages or Stages()
    existing = study_of(store)
    identity = _identify(existing, config)
    config, run = settle(config, run, identity, existing)
    study = Study(config.to_dict(), identity.to_dict(), name=_name(existing, run))
    location, model = object_store(store).location, RecordedModel.of(identity)
    context = RunContext(location, config, run, study.fingerprint, new_run_id(), model)
    sources = list(expand_sources(map(bundled, books), run))
    _refuse_absent(sources, context, existing)
    return carry_out(context, study, stages, identity.hidden_layers, lambda committed: sources)


def carry_out(
    context: RunContext,
    study: Study,
    stages: Stages,
    hidden_layers: int,
    named: Callable[[Committed], Plan | list[Source | BookRef]],
    unit: str = "book",
) -> int:
    """Lock the store, do what is planned, and account for it; the exit code. `unit`: what a plan counts.

    `named` says, of what the store holds, what there is to do: a plan, or sources to survey and plan for. SIGTERM and
    Ctrl-C stop the run: it is recorded as stopped, the lock is let go, and the code is 130.
    """
    console = Console(stderr=True)
    with Results(context.location, study) as results, stoppable():
        recorder = Recorder(results, context.run_id, context.run, listener_for(console, context.run.log_format))
        job = _Job(context, results, recorder, stages, hidden_layers, unit)
        try:
            return job.run(named, console)
        except KeyboardInterrupt:
            recorder.close()
            recorder.write(job.tally, "stopped")
            say(console, f"stopped; what is committed is safe. To go on: {_command_line()}")
            return INTERRUPTED
        except BaseException:
            recorder.write(job.tally, "failed")
            raise
        finally:
            recorder.close()
            job.close()


@dataclass(frozen=True)
class Plan:
    """What is to be done, and the books that need no work: book -> (status, reason).

    `named`: the keys of all books that the user named. `carried_over`: books whose rows come from another store as they
    stand there; nothing new is said of them. `removed`: books that were taken out of the store, with the reason.
    """

    shards: list[ShardWork]
    set_aside: dict[NamedBook, tuple[BookStatus, str]]
    books: int
    done_before: int
    named: frozenset[str] = frozenset()
    carried_over: dict[NamedBook, tuple[BookStatus, str]] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)


class _Job:
    def __init__(
        self,
        context: RunContext,
        results: Results,
        listener: Recorder,
        stages: Stages,
        hidden_layers: int,
        unit: str = "book",
    ) -> None:
        self.tally = Tally(hidden_layers=hidden_layers)
        self._context = context
        self._results = results
        self._listener = listener
        self._stages = stages
        self._unit = unit
        self._ray_started = False
        self._books: frozenset[str] = frozenset()

    def run(self, named: Callable[[Committed], Plan | list[Source | BookRef]], console: Console) -> int:
        committed = self._results.committed()
        retaken = _retaken(self._context, committed)
        self._results.retake(retaken)
        done = committed.but(retaken)
        found = named(done)
        plan = found if isinstance(found, Plan) else self._plan_for(found, committed, done)
        tally = self.tally
        set_aside = {book: why for book, why in plan.set_aside.items() if not _is_settled(book, why, done)}
        tally.books, tally.shards = plan.books, len(plan.shards)
        self._books = plan.named | frozenset(committed.books)
        tally.books_done_before = plan.done_before + len(plan.set_aside) - len(set_aside)
        tally.not_used |= {book.key: why for book, why in set_aside.items()}
        if plan.shards:
            set_aside.update(self._work(plan.shards))
        self._record_set_aside(set_aside | plan.carried_over, done)
        return self._conclude(console, plan)

    def _plan_for(self, sources: Sequence[Source | BookRef], committed: Committed, done: Committed) -> Plan:
        retaken = committed.books.keys() - done.books.keys()
        plan = _plan(name_books(self._survey(sources), committed.books, retaken), self._context, done)
        _refuse_useless(plan)
        return plan

    def close(self) -> None:
        if self._ray_started:
            from jobs.cluster.ray_start import stop

            stop()

    def _survey(self, sources: Sequence[Source | BookRef]) -> Iterator[BookRef]:
        """References of all texts, in the order of the sources."""
        if self._context.run.serial or _are_few(sources):
            for source in sources:
                yield from self._stages.survey([source], self._context.run) if isinstance(source, Source) else [source]
            return
        self._start_ray()
        from jobs.cluster.survey import survey_on_ray

        yield from survey_on_ray(sources, self._context.run, self._stages, self._listener)

    def _work(self, shards: list[ShardWork]) -> dict[NamedBook, tuple[BookStatus, str]]:
        """Do the shards; books that were given up, with status and reason."""
        if self._context.run.serial:
            run_serially(self._context, shards, self._results, self.tally, self._listener, self._stages)
            return {}
        self._start_ray()
        from jobs.cluster.driver import run_on_ray
        from jobs.cluster.nodes import check_nodes
        from jobs.cluster.ray_adapter import describe_cluster

        check_nodes(self._context.location)
        cluster = describe_cluster()
        self._listener.facts["cluster"] = {"nodes": cluster.nodes, "cpus": cluster.cpus, "gpus": cluster.gpus}
        given_up = run_on_ray(self._context, shards, self._results, self.tally, self._listener, self._stages, cluster)
        self.tally.not_used |= {g.book.key: (g.status, g.reason) for g in given_up}
        return {g.book: (g.status, g.reason) for g in given_up}

    def _start_ray(self) -> None:
        if self._ray_started:
            return
        import ray

        from jobs.cluster.ray_start import join, start_local

        if ray.is_initialized():  # the caller's own, which the caller ends
            return
        if self._context.run.address is not None:
            join(self._context.run.address)
        else:
            cold = "; the first pairs wait up to a minute for their kernels, compiled once" if is_cold() else ""
            self._listener.line(f"starting ray on this machine{cold}")
            start_local()
        self._ray_started = True
        listen()  # Ray has put a handler of its own in place, which aborts the process

    def _record_set_aside(self, books: dict[NamedBook, tuple[BookStatus, str]], committed: Committed) -> None:
        """Give each book without results its row in `books`, unless an earlier run has said the same of it."""
        news = {
            book: (status, reason)
            for book, (status, reason) in books.items()
            if not _is_recorded(book, (status, reason), committed)
        }
        if news and self._results.is_open:
            self._results.commit(record_books(self._context, news))

    def _conclude(self, console: Console, plan: Plan) -> int:
        tally, undone = self.tally, self.tally.undone
        useless = bool(plan.shards) and not tally.books_used and not tally.books_done_before and not undone
        self._listener.write(tally, "failures" if tally.failures else "done")
        self._listener.close()
        if useless and not self._results.is_open:
            raise UsageError(_none_usable(tally))
        if plan.shards:
            show(console, summary_table(tally, self._unit))
        else:
            before = tally.books_done_before
            done = f"1 {self._unit} is" if before == 1 else f"{before:,} {self._unit}s are"
            say(console, f"nothing to do: {done} in the store")
        for key, reason in sorted(plan.removed.items())[:LISTED]:
            say(console, f"removed: {key}: {reason} (--retake {shlex.quote(key)} takes it again)")
        if len(plan.removed) > LISTED:
            say(console, f"and {len(plan.removed) - LISTED:,} more that were removed")
        config, run = self._context.config, self._context.run
        if self._results.is_open and len(plan.named) <= MOST_BOOKS:
            for line in told_counts(self._context.location, plan.named, config):
                say(console, line)
        for notice in class_notices(config, labels_of(config, run), self._books, tally.marks_by_class):
            say(console, notice)
        # Those that can be done something about come first.
        listed = sorted(tally.not_used.items(), key=lambda item: (item[0] not in undone, item[0]))
        for book, (status, reason) in listed[:LISTED]:
            say(console, f"{status}: {book}: {reason}")
        if len(listed) > LISTED:
            query = "SELECT book, status, reason FROM books WHERE status <> 'used'"
            say(console, f'and {len(listed) - LISTED:,} more: interpunct sql --store ... "{query}"')
        for line in told_files(self._context.location) if tally.books_used else ():
            say(console, line)
        if tally.books_used or tally.books_done_before:
            say(console, f"next: interpunct report --store {shlex.quote(self._context.location)} --out report")
        if undone:
            left = "1 book is" if len(undone) == 1 else f"{len(undone):,} books are"
            say(console, f"{left} left undone. To try again: {_command_line()}")
        return 1 if tally.failures else 0


def _plan(named: Iterator[NamedBook], context: RunContext, committed: Committed) -> Plan:
    usable: list[NamedBook] = []
    set_aside: dict[NamedBook, tuple[BookStatus, str]] = {}
    removed: dict[str, str] = {}
    for book in named:
        if is_left_out(book, committed):
            removed[book.key] = committed.books[book.key].reason or ""
        if is_left_out(book, committed) and book.ref.sha256 is None:
            continue
        if book.ref.problem is not None:
            set_aside[book] = (BookStatus.REJECTED if book.ref.sha256 else BookStatus.FAILED, book.ref.problem)
        elif book.duplicate_of is not None:
            set_aside[book] = (BookStatus.DUPLICATE, f"the same book as {book.duplicate_of}")
        else:
            usable.append(book)
    per_class, together = context.config.per_class, context.run.books_per_shard
    shards = list(plan_shards(usable, context.fingerprint, committed, per_class, together))
    to_do = sum(len(shard.books) for shard in shards)
    keys = frozenset(book.key for book in (*usable, *set_aside))
    left_out = sum(book.key in removed for book in usable)
    books = len(usable) + len(set_aside) + len(removed) - left_out
    return Plan(shards, set_aside, books, len(usable) - to_do - left_out, keys, removed=removed)


def _retaken(context: RunContext, committed: Committed) -> dict[str, int]:
    """The removed books that are to be taken again, with the attempt that was removed; those in the store need nothing.

    Raises UsageError for a book that was never there.
    """
    for key in context.run.retake:
        if key not in committed.books:
            removed = sorted(name for name, book in committed.books.items() if book.is_removed)
            has = f"removed were {', '.join(removed[:LISTED])}" if removed else "no book was removed from it"
            raise UsageError(f"--retake {key}: {context.location} knows no such book; {has}")
    wanted = [committed.books[key] for key in context.run.retake]
    return {book.key: book.attempted for book in wanted if book.is_removed}


def _is_recorded(book: NamedBook, why: tuple[BookStatus, str], committed: Committed) -> bool:
    """Whether the store says this of the book.

    What is settled is settled, whatever words are found for it today: the book that another one repeats may have
    another name by now.
    """
    known = committed.books.get(book.key)
    if known is None or (known.status, known.sha256) != (why[0], book.ref.sha256):
        return False
    return why[0].settled or known.reason == why[1]


def _is_settled(book: NamedBook, why: tuple[BookStatus, str], committed: Committed) -> bool:
    """Whether an earlier run has said this of the book and trying again cannot change it: it counts as done."""
    return why[0].settled and _is_recorded(book, why, committed)


def _refuse_absent(sources: Sequence[Source | BookRef], context: RunContext, existing: Study | None) -> None:
    """Raise UsageError where the arguments name nothing that could be read, before a store is locked or written."""
    refs = [source for source in sources if isinstance(source, BookRef) and source.wrong_use]
    if len(refs) < len(sources) or context.run.retake:
        return
    done = Committed(frozenset(), {})
    if existing is not None:
        records = commits.load_records(object_store(context.location))
        done = commits.committed(commits.live_records(records))
    _refuse_useless(_plan(name_books(refs, done.books), context, done))


def _refuse_useless(plan: Plan) -> None:
    """Raise UsageError where nothing that was named is a book."""
    reasons = [reason for _, reason in plan.set_aside.values()]
    if plan.books == 0:
        raise UsageError("no book was found under what was named; `interpunct run --help` shows what can be named")
    if len(reasons) == plan.books and all(book.ref.wrong_use for book in plan.set_aside):
        more = f" ({len(reasons) - 1} more like this)" if len(reasons) > 1 else ""
        raise UsageError(f"{reasons[0]}{more}")


def _none_usable(tally: Tally) -> str:
    (book, (_, reason)), *more = sorted(tally.failures.items())
    others = f" ({len(more)} more books neither)" if more else ""
    repeats = len(tally.not_used) - len(tally.failures)
    untried = f". Not tried: {repeats} that the headers call the same book; name them without it" if repeats else ""
    return f"book {book} cannot be used: {reason}{others}{untried}"


def _identify(existing: Study | None, config: StudyConfig) -> ModelIdentity:
    """The model's identity, from the store where it holds a study of the same model: that takes no time."""
    if existing is not None and existing.model["name"] == config.model:
        recorded = ModelIdentity(**existing.model)
        if is_model(recorded, config.revision):
            return recorded
    return identify_model(config.model, config.revision)


def _name(existing: Study | None, run: RunConfig) -> str | None:
    """What the study is called: it keeps the name that it was created with."""
    if existing is None or run.name in (None, existing.name):
        return run.name
    raise UsageError(
        f"name is {run.name!r}, and the store's study is called {existing.called!r} since it was created; leave --name "
        "out, and show another name with `interpunct report --name`"
    )


def _are_few(sources: Sequence[Source | BookRef]) -> bool:
    uris = [source.uri for source in sources if isinstance(source, Source)]
    files = [uri for uri in uris if is_local(uri)]
    if len(files) > FEW_SOURCES or len(uris) - len(files) > FEW_DOWNLOADS:
        return False
    return sum(os.path.getsize(file) for file in files if os.path.exists(file)) <= FEW_BYTES


def bundled(argument: str) -> str:
    """`sample` stands for the bundled story."""
    if argument != SAMPLE or Path(argument).exists():
        return argument
    (story,) = (entry for entry in resources.files("jobs").joinpath("data").iterdir() if entry.name.endswith(".txt"))
    return str(story)


def new_run_id() -> str:
    """An id that no other run has, for the names of a run's files follow from it; it sorts by its start (UTC)."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:16]}"


def _command_line() -> str:
    """The command that was given, without the passwords and signatures in its addresses."""
    shown = list(map(public_name, sys.argv[1:]))
    command = shlex.join(["interpunct", *shown])
    left_out = " (put back the user, the password or the query that is left out here)"
    return command if shown == sys.argv[1:] else command + left_out
