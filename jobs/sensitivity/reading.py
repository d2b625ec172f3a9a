"""Prepares one book for one trial: which marks, and what the model reads for them under the trial's condition.

All conditions of a book take the **same marks** where they can, so that what differs between them is the condition
alone: those of a smaller sample that the study's own rules give. A window ends at its mark, whatever the study read;
shuffled words leave every mark its position. Only another selection, and another model with other tokens, take others.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jobs.config import RunConfig, StudyConfig
from jobs.corpus.cleaning import text_of_book
from jobs.corpus.decoding import decode
from jobs.corpus.references import BookRef, NamedBook
from jobs.corpus.survey import read_book
from jobs.marks.class_table import class_table
from jobs.marks.labels import BookLabels, labels_of
from jobs.marks.passages import PassageGrid, evenly, thin
from jobs.marks.selection import Selection, select
from jobs.marks.tokens import Tokenization, tokenize
from jobs.model.encoder import beginning_of_text, load_encoder
from jobs.model.models import RecordedModel, check_model
from jobs.sensitivity.grid import MOST_PASSAGES, SHUFFLED, WINDOWS, Condition, Trial
from jobs.sensitivity.kept import OwnMarks, kept_marks
from jobs.sensitivity.shuffling import shuffled_words
from jobs.stages.layout import Layout, layout_of
from jobs.stages.partition import ShardWork, pairs_of_classes
from jobs.stages.prepare import PreparedOutline, PreparedShard, Reading, RunContext
from store.columns import BOOKS, MARKS, PASSAGES

Positions = NDArray[np.int64]
Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]
Chosen = tuple[Mask, Mask]


@dataclass(frozen=True, eq=False)
class TrialLayout(Layout):
    """A layout that also says which marks of the two classes each selection takes: bool [marks] for each class.

    `touching`: bool [passages - 1], whether a passage touches the next one in the text. `book`: which book's text with
    which checksum it is of; `books` is empty where that has too few marks. `ordinals`: which marks of their classes
    they are, where their states are kept.
    """

    selections: Mapping[str, Chosen] = field(default_factory=dict)
    touching: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    book: tuple[str, str] = ("", "")
    ordinals: tuple[Positions, ...] = ()


@dataclass(frozen=True, eq=False)
class SampledMarks:
    """The marks of one book that a trial looks at: of each of two classes the positions, int64 [marks], ascending.

    `passage_of`: the passage of each among the book's passages that hold one; `selections`, `touching`: as in
    `TrialLayout`.
    """

    positions: tuple[Positions, Positions]
    passage_of: tuple[Positions, Positions]
    selections: Mapping[str, Chosen]
    touching: Mask


def sample_config(config: StudyConfig, per_class: int) -> StudyConfig:
    """The study with the first two classes alone and a smaller sample of marks, which trials take.

    Where one of them comes from a labels file all classes stay, since the file names them all.
    """
    first_two = config.named_classes[:2]
    tokens = tuple(named for named in config.classes if named.name in first_two)
    smaller = replace(config, per_class=per_class, baseline=None)
    if len(tokens) < len(first_two):
        return smaller
    return replace(smaller, classes=tokens, label_classes=(), labels_sha256=None)


def prepare_trial(trials: Mapping[str, Trial], context: RunContext, work: ShardWork) -> PreparedShard:
    """Read one book and say what the model reads of it under the condition of the trial that the shard stands for.

    `trials`: by the names of shards. A book without enough marks becomes a reason. Raises what `prepare_shard` raises.
    """
    started = time.perf_counter()
    trial, (book,) = trials[work.key.name], work.books
    config, names = context.config, context.config.named_classes[:2]
    text = None if trial.kept else _text_of(book, context)
    if text is None or config.keep_hidden_states:
        own = kept_marks(context, book.key)
    else:
        own = _own_marks(text, config, trial.selections[0])
    marks = sample_marks(text, config, trial.selections, own)
    if isinstance(marks, str):
        outline = PreparedOutline(work.key, dict.fromkeys(names, 0), 0, 0, 0, {book.key: marks}, 0.0)
        none = layout_of(names, [], [])
        return _prepared(outline, (), _trial_layout(none, {}, np.zeros(0, np.bool_), book))
    readings = () if text is None else (_reading(book.key, text.tokenization, marks, trial.condition, context),)
    plain = layout_of(names, [book.key], [[of.astype(np.int32) for of in marks.passage_of]])
    layout = _trial_layout(plain, marks.selections, marks.touching, book)
    layout = replace(layout, ordinals=own.ordinals) if trial.kept else layout
    outline = PreparedOutline(
        work.key,
        dict(zip(names, plain.marks[0], strict=True)),
        sum(len(reading.sequences) for reading in readings),
        len(trial.specifications) * pairs_of_classes(plain.marks[0], between=True),
        1,
        {},
        time.perf_counter() - started,
    )
    return _prepared(outline, readings, layout)


def _trial_layout(plain: Layout, selections: Mapping[str, Chosen], touching: Mask, book: NamedBook) -> TrialLayout:
    of_text = (book.key, book.ref.sha256 or "")
    return TrialLayout(
        plain.classes, plain.books, plain.marks, plain.passages, plain.mark_types, selections, touching, of_text
    )


@dataclass(frozen=True, eq=False)
class _Text:
    """A book's tokens, and which of them a labels file names."""

    tokenization: Tokenization
    labels: BookLabels

    def marks(self, config: StudyConfig) -> Selection:
        return select(self.tokenization, config, self.labels)


def _text_of(book: NamedBook, context: RunContext) -> _Text:
    check_model(context.model)
    text, tokenization = _read(book.ref, context.config.text, context.model, context.run)
    return _Text(tokenization, labels_of(context.config, context.run).at(book.key, text, tokenization.vocabulary))


def _own_marks(text: _Text, config: StudyConfig, selection: str) -> OwnMarks:
    """The sample that the study's rules give, with another selection where that is the trial's."""
    found = text.marks(replace(config, selection=selection))
    positions = _positions(found, config.named_classes[:2])
    return OwnMarks(selection, positions, len(text.tokenization.ids), found.passage_length)


def _positions(selection: Selection, names: Sequence[str]) -> tuple[Positions, Positions]:
    first, second = (selection.classes[name].taken for name in names)
    return first, second


def sample_marks(
    text: _Text | None, config: StudyConfig, selections: Sequence[str], own: OwnMarks
) -> SampledMarks | str:
    """The marks of a book under each selection; `own` decides which passages. A sentence where there are too few.

    Each class has the marks of all selections together. `text` is None where no other selection is asked for.
    """
    names, cells = config.named_classes[:2], _Cells(config, own.tokens)
    passages = _some(np.unique(cells.ordinal(np.concatenate(own.positions))))
    sampled = {own.selection: _inside(own.positions, cells, passages, None)}
    for name, positions in zip(names, sampled[own.selection], strict=True):
        if len(positions) < 2:
            return f"{len(positions)} usable marks of class {name}; a contrast takes 2 of each class"
    for other in selections:
        if other != own.selection:
            assert text is not None
            everywhere = _positions(text.marks(replace(config, selection=other, per_class=None)), names)
            sampled[other] = _inside(everywhere, cells, passages, config.per_class)
    found = {selection: sampled[selection] for selection in selections}
    first, second = (np.unique(np.concatenate([of[place] for of in found.values()])) for place in (0, 1))
    return SampledMarks(
        (first, second),
        (np.searchsorted(passages, cells.ordinal(first)), np.searchsorted(passages, cells.ordinal(second))),
        {name: (np.isin(first, of[0]), np.isin(second, of[1])) for name, of in found.items()},
        cells.touching(passages, own.length),
    )


@dataclass(frozen=True)
class _Cells:
    """The unit of sampling of a study: the bodies of its passages, or with windows stretches of the text."""

    config: StudyConfig
    tokens: int

    def ordinal(self, positions: Positions) -> Positions:
        if self.config.context == "passage":
            return self.grid.ordinal(positions)
        return positions // self.config.passage_tokens

    def touching(self, ordinals: Positions, length: int) -> Mask:
        """Whether each of some passages touches the next of them, if so many tokens are read of each."""
        starts = self.grid.starts[ordinals] if self.config.context == "passage" else ordinals * length
        touching: Mask = starts[1:] <= starts[:-1] + length
        return touching

    @property
    def grid(self) -> PassageGrid:
        return PassageGrid.of(self.tokens, self.config.passage_tokens, self.config.warmup_tokens)


def _some(passages: Positions) -> Positions:
    return passages if len(passages) <= MOST_PASSAGES else passages[evenly(MOST_PASSAGES, len(passages))]


def _inside(
    positions_of: Sequence[Positions], cells: _Cells, passages: Positions, wanted: int | None
) -> list[Positions]:
    """The marks of each class that lie in some passages and have a full window before them, thinned evenly."""
    found = []
    for positions in positions_of:
        positions = positions[np.isin(cells.ordinal(positions), passages) & (positions >= max(WINDOWS))]
        found.append(thin(positions, wanted, "spread", b""))
    return found


def _reading(
    book: str, tokenization: Tokenization, marks: SampledMarks, condition: Condition, context: RunContext
) -> Reading:
    positions = np.concatenate(marks.positions)
    config, model = context.config, context.model
    fixed = np.zeros(len(tokenization.ids), dtype=np.bool_)
    if condition.words == SHUFFLED:
        distinct = np.unique(tokenization.ids).astype(np.int64)
        fixed = class_table(tokenization.vocabulary, distinct, config.classes)[tokenization.ids] >= 0
        fixed[positions] = True
    reader = _passages if condition.before is None else _windows
    sequences, rows, columns = reader(tokenization, positions, condition, config, fixed)
    opening = np.array(beginning_of_text(model.name, model.revision, condition.bos), dtype=np.int32)
    sequences = np.concatenate([np.tile(opening, (len(sequences), 1)), sequences], axis=1)
    return Reading(book, sequences, rows * sequences.shape[1] + columns + opening.size)


def _passages(
    tokenization: Tokenization, positions: Positions, condition: Condition, config: StudyConfig, fixed: Mask
) -> tuple[Ids, Positions, Positions]:
    """Whole passages: sequences, and row and column of each mark. Marks of the first warm-up are in the first one."""
    grid = _Cells(config, len(tokenization.ids)).grid
    of_mark = np.maximum(grid.ordinal(positions), 0)
    used = np.unique(of_mark)
    starts, rows = grid.starts[used], np.searchsorted(used, of_mark)
    places = starts[:, None] + np.arange(grid.length)
    sequences = tokenization.ids[places]
    if condition.words == SHUFFLED:
        shuffled = [
            shuffled_words(ids, tokenization.vocabulary, stay, (config.seed, int(start)))
            for ids, stay, start in zip(sequences, fixed[places], starts, strict=True)
        ]
        sequences = np.stack(shuffled)
    return sequences, rows, positions - starts[rows]


def _windows(
    tokenization: Tokenization, positions: Positions, condition: Condition, config: StudyConfig, fixed: Mask
) -> tuple[Ids, Positions, Positions]:
    """A window for each mark, which ends with it. Words are shuffled within stretches of a passage's length."""
    assert condition.before is not None
    ids, stretch = tokenization.ids, config.passage_tokens
    if condition.words == SHUFFLED:
        ids = ids.copy()
        reached = np.unique(np.concatenate([positions, positions - condition.before]) // stretch)
        for start in (reached * stretch).tolist():
            part = slice(start, start + stretch)
            ids[part] = shuffled_words(ids[part], tokenization.vocabulary, fixed[part], (config.seed, start))
    starts = positions - condition.before
    sequences = ids[starts[:, None] + np.arange(condition.before + 1)]
    return sequences, np.arange(len(positions)), np.full(len(positions), condition.before)


@functools.lru_cache(maxsize=2)
def _read(ref: BookRef, text: str, model: RecordedModel, run: RunConfig) -> tuple[str, Tokenization]:
    """The text of a book and its tokens; kept, since the trials of a book follow each other."""
    cleaned = text_of_book(decode(read_book(ref, run)).text, text).text
    return cleaned, tokenize(load_encoder(model.name, model.revision), cleaned)


def _prepared(outline: PreparedOutline, readings: tuple[Reading, ...], layout: Layout) -> PreparedShard:
    nothing = (table.schema.empty_table() for table in (MARKS, PASSAGES, BOOKS))
    return PreparedShard(outline, readings, layout, *nothing)
