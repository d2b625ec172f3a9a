"""`interpunct plan`: what a run would find in each source and what it would cost, as tables on a terminal.

Nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

from jobs.account.console import cell, say
from jobs.account.console import show as print_table
from jobs.classes import BASELINE
from jobs.config import RunConfig, StudyConfig
from jobs.estimate.estimate import Cost
from jobs.estimate.plan import PlannedBook, PlanReport, done_in, plan_books, with_recorded_counts
from jobs.model.models import identify_model
from jobs.settle import settle
from store.study import study_of

_SHOWN_ON_A_TERMINAL = 60

_CLASSES_SIDE_BY_SIDE = 2
"""Named classes whose counts stand in columns beside each other; more have a row each."""

_NARROWEST_KEY = 12
"""Characters of a book's key on one line, at the least."""


def execute(arguments: Sequence[str], config: StudyConfig, run: RunConfig, store: str | None) -> int:
    """The command: print the plan; without a store, as if nothing were done yet.

    Returns 0, or 1 where some sources cannot be used. Raises UsageError where none can, StudyMismatch where the store
    holds another study.
    """
    existing = None if store is None else study_of(store)
    config, run = settle(config, run, identify_model(config.model, config.revision), existing)
    report = plan_books(arguments, config, run, done_in(store, config))
    if store is not None and any(book.status == "done" for book in report.books):
        report = replace(report, books=with_recorded_counts(report.books, store))
    show(report, Console())
    return 1 if report.refused else 0


def show(report: PlanReport, console: Console) -> None:
    """Print the plan: a line for each text, the reasons of those that are not new, then what the run costs."""
    shown = report.books[:_SHOWN_ON_A_TERMINAL] if console.is_terminal else report.books
    print_table(console, _books_table(shown, report.config, console))
    for book in shown:
        if book.reason is not None:
            say(console, f"{book.status}: {book.key}: {book.reason}")
    if len(shown) < len(report.books):
        say(console, f"and {len(report.books) - len(shown)} more; redirect the output to a file to see them all")
    print_table(console, _cost_table(report))
    for notice in report.notices:
        say(console, notice)


def _books_table(books: Sequence[PlannedBook], config: StudyConfig, console: Console) -> Table:
    """A row for each book, with the counts of two classes beside each other.

    Of more classes, and where these do not fit the terminal, each class has a row of its own.
    """
    if len(config.named_classes) <= _CLASSES_SIDE_BY_SIDE:
        beside = _classes_side_by_side(books, config)
        if Measurement.get(console, console.options.update_width(1_000), beside).minimum <= console.width:
            return beside
    return _classes_by_row(books, config)


def _classes_side_by_side(books: Sequence[PlannedBook], config: StudyConfig) -> Table:
    table = _empty_books_table(books)
    counted = _counts(config)
    for name in config.named_classes:
        for count in counted:
            _add_numbers(table, f"{name}\n{count}" if count == "found" else f"\n{count}")
    if config.baseline:
        _add_numbers(table, f"{BASELINE}\nused")
    for book in books:
        counts = (of(book).get(name, 0) for name in config.named_classes for of in counted.values())
        baseline = (f"{book.used.get(BASELINE, 0):,}",) if config.baseline else ()
        table.add_row(*_known(book), *(f"{count:,}" for count in counts), *baseline)
    return table


def _counts(config: StudyConfig) -> dict[str, Callable[[PlannedBook], Mapping[str, int]]]:
    """The counts by class, by the heading of their column; where a start is skipped, what the notebook counts too."""
    behind: dict[str, Callable[[PlannedBook], Mapping[str, int]]] = {"behind start": lambda book: book.behind_start}
    return {
        "found": lambda book: book.found,
        **(behind if config.skip_tokens else {}),
        "eligible": lambda book: book.eligible,
        "used": lambda book: book.used,
    }


def _known(book: PlannedBook) -> tuple[RenderableType, ...]:
    return cell(book.key), f"{book.tokens:,}", f"{book.unique_tokens:,}"


def _classes_by_row(books: Sequence[PlannedBook], config: StudyConfig) -> Table:
    table = _empty_books_table(books)
    table.add_column("class", overflow="fold")
    counted = _counts(config)
    for count in counted:
        _add_numbers(table, count)
    for book in books:
        known = _known(book)
        for name in config.class_names if book.found else ("",):
            table.add_row(*known, name, *(f"{of(book).get(name, 0):,}" for of in counted.values()))
            known = ("", "", "")
    return table


def _empty_books_table(books: Sequence[PlannedBook]) -> Table:
    table = Table(title="Books", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    longest = max((len(book.key) for book in books), default=0)
    table.add_column("book", overflow="fold", min_width=min(longest, _NARROWEST_KEY))
    _add_numbers(table, "tokens")
    _add_numbers(table, "unique")
    return table


def _add_numbers(table: Table, header: str) -> None:
    table.add_column(header, justify="right", no_wrap=True)


def _cost_table(report: PlanReport) -> Table:
    cost, rates, config = report.cost, report.rates, report.config
    table = Table(title="The run", title_justify="left", show_header=False, box=SIMPLE_HEAD)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("books", f"{cost.books:,}", f"of {len(report.books):,} texts named")
    table.add_row("marks", f"{sum(cost.marks):,}", _marks_by_class(cost, config))
    table.add_row(f"{config.context}s", f"{cost.sequences:,}", f"in {cost.forward_passes:,} forward passes")
    table.add_row("tokens", f"{cost.tokens:,}", "through the model")
    layers = f"over {report.hidden_layers} layers of {report.width} dimensions"
    within = "rows of pairs" if config.stores_within else "summaries alone"
    between = "rows of cross_pairs" if config.stores_between else "summaries alone"
    table.add_row("pairs within classes", f"{cost.pairs_within:,}", f"{within}, {layers}")
    table.add_row("between classes", f"{cost.pairs_between:,}", between if config.computes_between else "not computed")
    table.add_row("disk", _bytes(cost.disk_bytes), _disk_by_table(cost))
    if cost.books:
        pair_rates = f"at {rates.within:,.0f} within and {rates.between:,.0f} between a second and core"
        table.add_row("time, model", _duration(cost.forward_seconds), f"at {rates.tokens:,.0f} tokens a second")
        table.add_row("time, pairs", _duration(cost.pair_seconds), pair_rates)
        if config.clusters:
            cluster_rate = f"at {rates.clusters:,.0f} marks a second and core"
            table.add_row("time, clusters", _duration(cost.cluster_seconds), cluster_rate)
        table.add_row("time", _duration(cost.seconds), f"on {rates.cores} cores of {rates.measured_on}")
    return table


def _marks_by_class(cost: Cost, config: StudyConfig) -> str:
    if not cost.marks:
        return ""
    return ", ".join(f"{count:,} {name}" for name, count in zip(config.class_names, cost.marks, strict=True))


def _disk_by_table(cost: Cost) -> str:
    """The size of each table that takes a hundredth of the store or more, the largest first."""
    ordered = sorted(cost.disk.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {_bytes(size)}" for name, size in ordered if size >= cost.disk_bytes / 100)


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
