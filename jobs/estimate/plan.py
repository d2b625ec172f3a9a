"""What a run would find in each source, up to the selection of marks, and what the rest of it would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, tee

import numpy as np
from numpy.typing import NDArray

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.cleaning import text_of_book
from jobs.corpus.decoding import decode
from jobs.corpus.names import name_books
from jobs.corpus.references import BookRef, NamedBook
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_books, survey
from jobs.errors import BookError, UsageError
from jobs.estimate.estimate import BookMarks, Cost, Rates, estimate_cost
from jobs.estimate.rates import measure_rates
from jobs.marks.labels import Labels, labels_of
from jobs.marks.notices import class_notices
from jobs.marks.selection import Selection, behind_start, select
from jobs.marks.tokens import Tokenization, tokenize_all
from jobs.model.encoder import beginning_of_text, load_encoder
from jobs.model.models import identify_model
from jobs.stages.partition import books_per_shard, is_committed
from store.books import BookStatus
from store.commits import Committed, committed, live_records, load_records
from store.objects.locations import object_store
from store.query.reader import open_store
from store.study import Study, match, study_of

_BATCH_CHARACTERS = 8_000_000
NOTHING_READ = BookMarks((), 0, 0, 0, 0)


@dataclass(frozen=True)
class PlannedBook:
    """One text and what a run would do with it. `found`, `eligible` and `used` count by class, as the table `books`.

    `behind_start`: see `jobs.marks.selection.ClassSelection`.
    """

    key: str
    source: str
    characters: int = 0
    tokens: int = 0
    found: Mapping[str, int] = field(default_factory=dict)
    eligible: Mapping[str, int] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)
    status: str = "new"
    reason: str | None = None
    taken: BookMarks = NOTHING_READ
    unique_tokens: int = 0
    behind_start: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanReport:
    """What a run would do: every text in the order it was named, and the cost of those that would be analysed.

    `notices`: what the classes and labels of the study found nowhere, a line each.
    """

    books: tuple[PlannedBook, ...]
    cost: Cost
    rates: Rates
    hidden_layers: int
    width: int
    config: StudyConfig
    notices: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[PlannedBook, ...]:
        """Texts that a run could not use."""
        return tuple(book for book in self.books if book.status == "refused")


def plan_books(
    arguments: Sequence[str], config: StudyConfig, run: RunConfig, done: Committed, rates: Rates | None = None
) -> PlanReport:
    """Read every source as a run would, up to the selection of marks, and work out the cost of the rest.

    `config` and `run` are settled, as `jobs.settle.settle` gives them. One batch of texts is held at a time; the
    tokenizer library takes the texts of a batch in parallel. Without `rates`, the model and the pairs are timed here
    for a moment. Raises UsageError where no source is usable.
    """
    identity = identify_model(config.model, config.revision)
    labels = labels_of(config, run)
    retake = {key for key in run.retake if key in done.books and done.books[key].is_removed}
    named = name_books(_references(arguments, run), done.books, retake)
    done = done.but(retake)
    books = tuple(_planned(named, _Study(config, labels), run, done))
    _refuse_nothing(books)
    new = [book.taken for book in books if book.status == "new"]
    rates = rates or (measure_rates(config, run) if new else Rates(1.0, 1.0, 1.0, 1.0, 1, "nothing"))
    named_books = sum(book.status in ("new", "done") for book in books)
    together = books_per_shard(named_books, config.per_class, run.books_per_shard)
    cost = estimate_cost(new, identity.hidden_layers, identity.width, config, rates, together)
    keys = {book.key for book in books} | done.books.keys()
    notices = tuple(class_notices(config, labels, keys, _used_anew(books)))
    return PlanReport(books, cost, rates, identity.hidden_layers, identity.width, config, notices)


def _used_anew(books: Sequence[PlannedBook]) -> Counter[str]:
    """Marks by class that a run would take from books that are not done."""
    used: Counter[str] = Counter()
    for book in books:
        if book.status == "new":
            used.update(book.used)
    return used


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
    with open_store(store) as opened:
        query = "SELECT book, characters, tokens, unique_tokens, found, eligible, used, left_out FROM books"
        rows = opened.sql(query).to_arrow_table().to_pylist()
    recorded = {row["book"]: row for row in rows}

    def counted(book: PlannedBook) -> PlannedBook:
        row = recorded.get(book.key)
        if book.status != "done" or row is None:
            return book
        found, eligible, used = (dict(row[count] or ()) for count in ("found", "eligible", "used"))
        left_out = dict(row["left_out"] or ())
        return replace(
            book,
            characters=row["characters"],
            tokens=row["tokens"],
            unique_tokens=row["unique_tokens"],
            found=found,
            behind_start={name: behind_start(count, left_out, name) for name, count in eligible.items()},
            eligible=eligible,
            used=used,
        )

    return tuple(map(counted, books))


def _references(arguments: Iterable[str], run: RunConfig) -> Iterator[BookRef]:
    for source in expand_sources(arguments, run):
        if isinstance(source, BookRef):
            yield source
        else:
            yield from survey(source, run)


@dataclass(frozen=True)
class _Study:
    """The study that is planned for, and its labels."""

    config: StudyConfig
    labels: Labels


@dataclass(frozen=True)
class _Text:
    """A book's text, and what a run will say of it in `reason`."""

    text: str
    warnings: tuple[str, ...]


def _planned(named: Iterable[NamedBook], study: _Study, run: RunConfig, done: Committed) -> Iterator[PlannedBook]:
    """Plan texts in their order, a batch at a time."""
    batch: list[tuple[NamedBook, PlannedBook | _Text]] = []
    characters = 0
    for book, text in _texts(named, study.config, run, done):
        batch.append((book, text))
        characters += len(text.text) if isinstance(text, _Text) else 0
        if characters >= _BATCH_CHARACTERS:
            yield from _plan_batch(batch, study)
            batch, characters = [], 0
    yield from _plan_batch(batch, study)


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
            cleaned = text_of_book(decoded.text, config.text)
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


def _plan_batch(batch: list[tuple[NamedBook, PlannedBook | _Text]], study: _Study) -> Iterator[PlannedBook]:
    texts = [text.text for _, text in batch if isinstance(text, _Text)]
    encoder = load_encoder(study.config.model, study.config.revision)
    tokenizations = iter(tokenize_all(encoder, texts) if texts else ())
    for book, text in batch:
        yield text if isinstance(text, PlannedBook) else _counted(book, text, next(tokenizations), study)


def _counted(book: NamedBook, text: _Text, tokenization: Tokenization, study: _Study) -> PlannedBook:
    config, labels = study.config, study.labels
    selection = select(tokenization, config, labels.at(book.key, text.text, tokenization.vocabulary))
    classes, problem = selection.classes.items(), selection.problem
    return PlannedBook(
        key=book.key,
        source=book.ref.source,
        characters=len(text.text),
        tokens=tokenization.ids.size,
        unique_tokens=tokenization.unique,
        found={name: selected.found for name, selected in classes},
        behind_start={name: selected.behind_start for name, selected in classes},
        eligible={name: selected.eligible for name, selected in classes},
        used={name: 0 if problem else selected.taken.size for name, selected in classes},
        status="refused" if problem else "new",
        reason=problem or "; ".join((*text.warnings, *selection.warnings)) or None,
        taken=NOTHING_READ if problem else _taken(selection, config),
    )


def _taken(selection: Selection, config: StudyConfig) -> BookMarks:
    opening = len(beginning_of_text(config.model, config.revision, config.bos))
    return BookMarks(
        tuple(selected.taken.size for selected in selection.classes.values()),
        selection.sequences.starts.size,
        selection.sequences.length + opening,
        selection.passage_starts.size,
        _passage_rows(list(selection.passage_of.values()), between=config.computes_between),
    )


def _passage_rows(passages: Sequence[NDArray[np.int64]], *, between: bool) -> int:
    """Rows of `passage_sums` of a book in one layer: combinations of passages that share a pair of marks.

    `passages`: of each class int64 [marks], the passage of each mark.
    """
    held = [np.unique(of_class, return_counts=True)[1] for of_class in passages]
    rows = sum(counts.size * (counts.size - 1) // 2 + int((counts > 1).sum()) for counts in held)
    return rows + (sum(one.size * other.size for one, other in combinations(held, 2)) if between else 0)


def _refuse_nothing(books: Sequence[PlannedBook]) -> None:
    refused = [book for book in books if book.status == "refused"]
    if len(refused) == len(books):
        reasons = "; ".join(f"{book.reason}" for book in refused[:3]) or "no book was named"
        more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
        raise UsageError(f"there is nothing to analyse: {reasons}{more}")
