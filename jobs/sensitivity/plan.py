"""What a sensitivity run would do, before it does it: specifications, passages, forward passes, and what they cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jobs.account.console import cell, say, show
from jobs.corpus.references import NamedBook
from jobs.estimate.estimate import Rates
from jobs.estimate.rates import measure_rates
from jobs.model.batch_size import WITHOUT_GPU
from jobs.sensitivity.grid import Trial
from jobs.sensitivity.reading import prepare_trial
from jobs.stages.partition import ShardWork
from jobs.stages.prepare import RunContext
from store.commits import committed
from store.keys import ShardKey
from store.query.reader import open_store
from store.query.sandbox import quoted


@dataclass(frozen=True)
class TrialCost:
    """One trial over all books: its specifications, and the sequences, tokens and batches that the model reads."""

    name: str
    specifications: int
    sequences: int
    tokens: int
    batches: int
    pairs: int


def planned(
    trials: Sequence[Trial], books: Sequence[NamedBook], done: Collection[tuple[str, str]]
) -> Iterator[tuple[Trial, NamedBook]]:
    """Each trial of each book with the specifications of it that are not in the table yet: (specification, book).

    Trial after trial, so that a model with other weights is loaded once.
    """
    for trial in trials:
        for book in books:
            left = tuple(s for s in trial.specifications if (s.name, book.key) not in done)
            if left:
                yield replace(trial, specifications=left), book


def show_plan(
    works: Sequence[tuple[RunContext, int, Sequence[Trial]]], books: Sequence[NamedBook], location: str
) -> None:
    """Print what is left to do: a line a trial, then the sums, what the study itself has read, and the time it takes.

    `works`: for each model its context, its hidden layers and its trials.
    """
    with open_store(location) as store:
        done = committed(store.records).tried
        keys = ", ".join(quoted(book.key) for book in books)
        read = store.sql(f"SELECT coalesce(sum(tokens), 0) FROM passages WHERE book IN ({keys})").fetchall()[0][0]
    costs = [costs_of(context, trials, books, done) for context, _, trials in works]
    console = Console()
    show(console, _table([cost for of_model in costs for cost in of_model]))
    say(console, f"{len(books)} {'book' if len(books) == 1 else 'books'}: {', '.join(book.key for book in books)}")
    tokens = sum(cost.tokens for cost in costs[0])
    if works[0][0].config.context == "passage" and read:
        say(console, f"the study's model reads {tokens / read:.1f} times the tokens that the study has read of them")
    if any(costs):
        rates = [measure_rates(context.config, context.run) for context, _, _ in works]
        left = zip(costs, works, rates, strict=True)
        seconds = sum(_seconds(of_model, layers, rate) for of_model, (_, layers, _), rate in left)
        say(console, f"about {seconds:,.0f} seconds on this machine ({rates[0].measured_on}), loading models apart")


def _seconds(costs: Sequence[TrialCost], hidden_layers: int, rates: Rates) -> float:
    """Time in the model and in pairs. A trial measures once what the rates' pairs measure several times: at most so."""
    pairs = hidden_layers * sum(cost.pairs for cost in costs)
    return sum(cost.tokens for cost in costs) / rates.tokens + pairs / rates.between / rates.cores


def costs_of(
    context: RunContext, trials: Sequence[Trial], books: Sequence[NamedBook], done: Collection[tuple[str, str]]
) -> list[TrialCost]:
    """The cost of what is left of each trial, from the marks themselves: the books are read, no model is loaded."""
    costs: dict[str, TrialCost] = {}
    for number, (trial, book) in enumerate(planned(trials, books, done)):
        shard = ShardKey(f"{number:016x}")
        prepared = prepare_trial({shard.name: trial}, context, ShardWork(shard, (book,)))
        size = WITHOUT_GPU["passage" if trial.condition.before is None else "window"]
        found = costs.get(trial.name, TrialCost(trial.name, len(trial.specifications), 0, 0, 0, 0))
        sequences = prepared.outline.sequences
        costs[trial.name] = replace(
            found,
            sequences=found.sequences + sequences,
            tokens=found.tokens + sum(reading.sequences.size for reading in prepared.readings),
            batches=found.batches + -(-sequences // size),
            pairs=found.pairs + prepared.outline.pairs,
        )
    return list(costs.values())


def _table(costs: Sequence[TrialCost]) -> Table:
    table = Table(title="Sensitivity", box=SIMPLE_HEAD, title_justify="left", show_footer=True)
    columns = ("specifications", "sequences", "tokens", "batches", "pairs")
    table.add_column("trial", footer="in all")
    for name in columns:
        total = sum(getattr(cost, name) for cost in costs)
        table.add_column(f"{name}\na layer" if name == "pairs" else name, justify="right", footer=f"{total:,}")
    for cost in costs:
        table.add_row(cell(cost.name), *(f"{getattr(cost, name):,}" for name in columns))
    return table
