"""`interpunct plan`: what a run would find in each source and what it would cost. Nothing is written anywhere."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from analysis.pairwise import pair_statistics
from jobs.account.console import cell, say
from jobs.account.console import show as print_table
from jobs.config import RunConfig, StudyConfig
from jobs.corpus.cleaning import CleanText, clean
from jobs.corpus.decoding import decode
from jobs.corpus.names import name_books
from jobs.corpus.references import BookRef, NamedBook
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_books, survey
from jobs.errors import BookError, UsageError
from jobs.estimate.estimate import Cost, Rates, estimate_cost
from jobs.marks.selection import select
from jobs.marks.tokens import Tokenization, tokenize_all
from jobs.model.batch_size import WITHOUT_GPU, settle_batch_size
from jobs.model.encoder import load_encoder
from jobs.model.hidden_states import HiddenStates
from jobs.model.models import identify_model
from jobs.stages.partition import is_committed
from store.books import BookStatus
from store.commits import Committed, committed, live_records, load_records
from store.keys import MARK_CLASSES
from store.objects.locations import object_store
from store.query.reader import open_store
from store.study import Study, match, study_of

_BATCH_CHARACTERS = 8_000_000
_SHOWN_ON_A_TERMINAL = 60
_PROBE_WINDOWS = 16
_PROBE_MARKS = 192


@dataclass(frozen=True)
class PlannedBook:
    """One text and what a run would do with it. Counts are by class: internal, terminal."""

    key: str
    source: str
    characters: int = 0
    tokens: int = 0
    found: tuple[int, ...] = (0, 0)
    eligible: tuple[int, ...] = (0, 0)
    used: tuple[int, ...] = (0, 0)
    status: str = "new"
    reason: str | None = None


@dataclass(frozen=True)
class PlanReport:
    """What a run would do: every text in the order it was named, and the cost of those that would be analysed."""

    books: tuple[PlannedBook, ...]
    cost: Cost
    rates: Rates
    hidden_layers: int
    width: int

    @property
    def refused(self) -> tuple[PlannedBook, ...]:
        """Texts that a run could not use."""
        return tuple(book for book in self.books if book.status == "refused")


def execute(arguments: Sequence[str], config: StudyConfig, run: RunConfig, store: str | None) -> int:
    """The command: print the plan; without a store, as if nothing were done yet.

    Returns 0, or 1 where some sources cannot be used. Raises UsageError where none can, StudyMismatch where the store
    holds another study.
    """
    existing = None if store is None else study_of(store)
    config = settle_batch_size(config, identify_model(config.model, config.revision), run, existing)
    report = plan_books(arguments, config, run, done_in(store, config))
    if store is not None and any(book.status == "done" for book in report.books):
        report = replace(report, books=with_recorded_counts(report.books, store))
    show(report, Console())
    return 1 if report.refused else 0


def plan_books(
    arguments: Sequence[str], config: StudyConfig, run: RunConfig, done: Committed, rates: Rates | None = None
) -> PlanReport:
    """Read every source as a run would, up to the selection of marks, and work out the cost of the rest.

    One batch of texts is held at a time; the tokenizer library takes the texts of a batch in parallel. Without
    `rates`, the model and the pairs are timed here for a moment. Raises UsageError where no source is usable.
    """
    identity = identify_model(config.model, config.revision)
    books = tuple(_planned(name_books(_references(arguments, run), done.books), config, run, done))
    _refuse_nothing(books)
    used = [(book.used[0], book.used[1]) for book in books if book.status == "new"]
    rates = rates or (measure_rates(config, run) if used else Rates(1.0, 1.0, 1, "nothing"))
    cost = estimate_cost(used, identity.hidden_layers, identity.width, config, rates)
    return PlanReport(books, cost, rates, identity.hidden_layers, identity.width)


def done_in(store: str | None, config: StudyConfig) -> Committed:
    """What the store holds; nothing where there is none yet. Raises StudyMismatch where it holds another study.

    Only reads: planning needs no right to write.
    """
    recorded = None if store is None else study_of(store)
    if store is None or recorded is None:
        return Committed(frozenset(), {})
    objects = object_store(store)
    study = Study(config.to_dict(), identify_model(config.model, config.revision).to_dict())
    match(recorded, study, objects.location)
    return committed(live_records(load_records(objects)))


def with_recorded_counts(books: Sequence[PlannedBook], store: str) -> tuple[PlannedBook, ...]:
    """The books, those that are done with the counts that their run has recorded: their texts are not read again."""
    columns = [f"{name}_{count}" for count in ("found", "eligible", "used") for name in MARK_CLASSES]
    with open_store(store) as opened:
        rows = opened.sql(f"SELECT book, characters, tokens, {', '.join(columns)} FROM books").fetchall()
    recorded = {key: [count or 0 for count in counts] for key, *counts in rows}

    def counted(book: PlannedBook) -> PlannedBook:
        if book.status != "done" or book.key not in recorded:
            return book
        characters, tokens, *of_classes = recorded[book.key]
        found, eligible, used = (tuple(of_classes[start : start + 2]) for start in (0, 2, 4))
        return replace(book, characters=characters, tokens=tokens, found=found, eligible=eligible, used=used)

    return tuple(map(counted, books))


def measure_rates(config: StudyConfig, run: RunConfig) -> Rates:
    """Time the study's own model on a few windows, and the pairs of random vectors of its width, on this machine."""
    model = HiddenStates(
        config.model,
        revision=config.revision,
        dtype=config.dtype,
        device=run.device,
        batch_size=min(config.batch_size or WITHOUT_GPU, _PROBE_WINDOWS),
    )
    random = np.random.default_rng(0)
    windows = random.integers(0, model.identity.vocabulary, (_PROBE_WINDOWS, config.before + 1))
    vectors = random.standard_normal((_PROBE_MARKS, model.width)).astype(np.float32)
    forward = _seconds(lambda: model.states(windows))
    pairs = _seconds(lambda: pair_statistics(vectors, bins=config.bins, outlier_z=config.outlier_z))
    where = f"{platform.node()}, {model.device.type}"
    pair_count = _PROBE_MARKS * (_PROBE_MARKS - 1) // 2
    return Rates(_PROBE_WINDOWS / forward, pair_count / pairs, os.cpu_count() or 1, where)


def show(report: PlanReport, console: Console) -> None:
    """Print the plan: a line for each text, the reasons of those that are not new, then what the run costs."""
    shown = report.books[:_SHOWN_ON_A_TERMINAL] if console.is_terminal else report.books
    print_table(console, _books_table(shown))
    for book in shown:
        if book.reason is not None:
            say(console, f"{book.status}: {book.key}: {book.reason}")
    if len(shown) < len(report.books):
        say(console, f"and {len(report.books) - len(shown)} more; redirect the output to a file to see them all")
    print_table(console, _cost_table(report))


def _references(arguments: Iterable[str], run: RunConfig) -> Iterator[BookRef]:
    for source in expand_sources(arguments, run):
        if isinstance(source, BookRef):
            yield source
        else:
            yield from survey(source, run)


@dataclass(frozen=True)
class _Text:
    """A book's text, and what a run will say of it in `reason`."""

    text: str
    warnings: tuple[str, ...]


def _planned(named: Iterable[NamedBook], config: StudyConfig, run: RunConfig, done: Committed) -> Iterator[PlannedBook]:
    """Plan texts in their order, a batch at a time."""
    batch: list[tuple[NamedBook, PlannedBook | _Text]] = []
    characters = 0
    for book, text in _texts(named, config, run, done):
        batch.append((book, text))
        characters += len(text.text) if isinstance(text, _Text) else 0
        if characters >= _BATCH_CHARACTERS:
            yield from _plan_batch(batch, config)
            batch, characters = [], 0
    yield from _plan_batch(batch, config)


def _texts(
    named: Iterable[NamedBook], config: StudyConfig, run: RunConfig, done: Committed
) -> Iterator[tuple[NamedBook, PlannedBook | _Text]]:
    """Each book with its text, or with its plan where the text need not or cannot be read."""
    books, again = tee((book, _decided(book, done)) for book in named)
    contents = read_books((book.ref for book, decided in again if decided is None), run)
    for book, decided in books:
        if decided is not None:
            yield book, decided
            continue
        _, content = next(contents)
        try:
            if isinstance(content, BookError):
                raise content
            decoded = decode(content)
            cleaned = clean(decoded.text) if config.text == "clean" else CleanText(decoded.text)
            yield book, _Text(cleaned.text, (*decoded.warnings, *cleaned.warnings))
        except BookError as error:
            yield book, _refused(book, str(error))


def _decided(book: NamedBook, done: Committed) -> PlannedBook | None:
    if book.ref.problem is not None:
        return _refused(book, book.ref.problem)
    if book.duplicate_of is not None:
        return PlannedBook(
            book.key, book.ref.source, status=BookStatus.DUPLICATE, reason=f"the same as {book.duplicate_of}"
        )
    if is_committed(book, done):
        return PlannedBook(book.key, book.ref.source, status="done", reason=f"{done.books[book.key].status} already")
    return None


def _refused(book: NamedBook, reason: str) -> PlannedBook:
    return PlannedBook(book.key, book.ref.source, status="refused", reason=reason)


def _plan_batch(batch: list[tuple[NamedBook, PlannedBook | _Text]], config: StudyConfig) -> Iterator[PlannedBook]:
    texts = [text.text for _, text in batch if isinstance(text, _Text)]
    tokenizations = iter(tokenize_all(load_encoder(config.model, config.revision), texts) if texts else ())
    for book, text in batch:
        yield text if isinstance(text, PlannedBook) else _counted(book, text, next(tokenizations), config)


def _counted(book: NamedBook, text: _Text, tokenization: Tokenization, config: StudyConfig) -> PlannedBook:
    selection = select(tokenization, config)
    classes = [selection.classes[name] for name in MARK_CLASSES]
    problem = selection.problem(config)
    return PlannedBook(
        key=book.key,
        source=book.ref.source,
        characters=len(text.text),
        tokens=tokenization.ids.size,
        found=tuple(selected.found for selected in classes),
        eligible=tuple(selected.eligible for selected in classes),
        used=(0, 0) if problem else tuple(selected.taken.size for selected in classes),
        status="refused" if problem else "new",
        reason=problem or "; ".join(text.warnings) or None,
    )


def _refuse_nothing(books: Sequence[PlannedBook]) -> None:
    refused = [book for book in books if book.status == "refused"]
    if len(refused) == len(books):
        reasons = "; ".join(f"{book.reason}" for book in refused[:3]) or "no book was named"
        more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
        raise UsageError(f"there is nothing to analyse: {reasons}{more}")


def _seconds(work: object) -> float:
    """Seconds of the second of two calls: the first one compiles and warms up."""
    assert callable(work)
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _books_table(books: Sequence[PlannedBook]) -> Table:
    table = Table(title="Books", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("book", overflow="fold")
    table.add_column("tokens", justify="right")
    for name in MARK_CLASSES:
        for count in ("found", "eligible", "used"):
            table.add_column(f"{name}\n{count}" if count == "found" else f"\n{count}", justify="right")
    for book in books:
        counts = zip(book.found, book.eligible, book.used, strict=True)
        per_class = (f"{count:,}" for of_class in counts for count in of_class)
        table.add_row(cell(book.key), f"{book.tokens:,}", *per_class)
    return table


def _cost_table(report: PlanReport) -> Table:
    cost, rates = report.cost, report.rates
    table = Table(title="The run", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("books", f"{cost.books:,}", f"of {len(report.books):,} texts named")
    table.add_row("marks", f"{cost.windows:,}", "both classes")
    table.add_row("pairs", f"{cost.pairs:,}", f"rows, over {report.hidden_layers} layers of {report.width} dimensions")
    table.add_row("disk", _bytes(cost.disk_bytes), "")
    table.add_row("forward passes", f"{cost.forward_passes:,}", "batches of windows")
    if cost.books:
        table.add_row("time, model", _duration(cost.forward_seconds), f"at {rates.windows:,.0f} windows a second")
        table.add_row("time, pairs", _duration(cost.pair_seconds), f"at {rates.pairs:,.0f} pairs a second and core")
        table.add_row("time", _duration(cost.seconds), f"on {rates.cores} cores of {rates.measured_on}")
    return table


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
