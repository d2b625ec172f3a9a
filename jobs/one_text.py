"""One text, step by step: its tokens, its marks and their hidden states, for whoever explores in Python.

What a run does with a book, by the same functions, without a store and without Ray.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.config import RunConfig, StudyConfig, resolve
from jobs.corpus.cleaning import text_of_book
from jobs.corpus.decoding import decode
from jobs.corpus.references import BookRef, Source
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_book, survey
from jobs.errors import UsageError
from jobs.marks.selection import Selection, select
from jobs.marks.tokens import Tokenization, tokenize
from jobs.model.batch_size import WITHOUT_GPU, settle_passages
from jobs.model.encoder import beginning_of_text, load_encoder
from jobs.model.hidden_states import HiddenStates
from jobs.model.models import identify_model
from jobs.run import SAMPLE, bundled
from jobs.settle import check_with_tokenizer
from jobs.stages.prepare import mark_rows, reading_of
from store.errors import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(
    r"(gutenberg:|https?://|s3://|hf://).{1,300}|.{1,300}\.(txt|gz|zip|zst|jsonl?|csv|tsv|parquet|html?)"
)
"""A line that is nothing but the name of a file or an address."""


def read_text(book: str | PathLike[str]) -> str:
    """The text that a name means: a file, `gutenberg:219`, `https://...`, or `sample`, the bundled story.

    Characters as they come, header and licence included: `find_marks` cleans them as its settings say. Raises
    UsageError where the name means no text or several, BookError or SourceError where the text cannot be read.
    """
    run, named = RunConfig(), fspath(book)
    refs = [ref for found in expand_sources([bundled(named)], run) for ref in _texts(found, run)]
    if len(refs) != 1:
        raise UsageError(f"{named!r} names {len(refs)} texts; name one of them")
    if refs[0].problem is not None:
        raise UsageError(refs[0].problem)
    return decode(read_book(refs[0], run)).text


def find_marks(text: str, model: str = "smollm2", preset: str | None = None, **settings: Any) -> TextMarks:
    """The tokens and the marks of a text, as a run of these settings would take them.

    `settings` are those of `interpunct run` that concern a study: `per_class=100`, `classes=[["and", ["and"]]]`.
    Raises UsageError for a model that is not there, for settings that do not fit and for a name in a text's place.
    """
    _refuse_name(text)
    config, _ = resolve({**settings, "model": model}, preset=preset)
    config = settle_passages(config, identify_model(model, config.revision))
    check_with_tokenizer(config)
    tokenization = tokenize(load_encoder(model, config.revision), text_of_book(text, config.text).text)
    return TextMarks(config, tokenization, select(tokenization, config))


@dataclass(frozen=True, eq=False)
class TextMarks:
    """The tokens of a text, and the marks taken from it by class. See `find_marks`."""

    config: StudyConfig
    tokenization: Tokenization
    selection: Selection

    @property
    def tokens(self) -> int:
        """Tokens of the text."""
        return len(self.tokenization.ids)

    @property
    def unique_tokens(self) -> int:
        """Distinct tokens of the text."""
        return self.tokenization.unique

    @property
    def counts(self) -> pd.DataFrame:
        """By class: tokens of the class in the text, marks behind the skipped start, those eligible, and those taken.

        Why the others are left out is in `selection.left_out`.
        """
        import pandas as pd

        classes = self.selection.classes.items()
        rows = [(name, of.found, of.behind_start, of.eligible, of.taken.size) for name, of in classes]
        return pd.DataFrame(rows, columns=["class", "found", "behind_start", "eligible", "taken"])

    @property
    def passages(self) -> dict[str, NDArray[np.int64]]:
        """The passage of each mark: int64 [marks] by class."""
        return dict(self.selection.passage_of)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each mark that is taken: the columns of the view `marks`, without `book`."""
        import pandas as pd

        rows = pd.DataFrame(mark_rows("", self.tokenization, self.selection, self.config))
        places = {name: place for place, name in enumerate(self.selection.classes)}
        if rows.empty:
            return rows
        return rows.drop(columns="book").sort_values("class", key=lambda names: names.map(places), kind="stable")

    def features(self, name: str) -> Mapping[str, NDArray[Any]]:
        """What the text says of the marks of a class, as `interpunct.explain` takes it.

        Raises UsageError for a class that is not there.
        """
        classes = self.selection.classes
        if name not in classes:
            raise UsageError(f"class {name!r}{did_you_mean(str(name), classes)} is not one of {', '.join(classes)}")
        known = ("class", "i", "position", "token_id", "before", "after")
        rows = self.frame[self.frame["class"] == name]
        return {feature: rows[feature].to_numpy() for feature in rows.columns if feature not in known}

    def states(self, model: HiddenStates | None = None) -> dict[str, NDArray[np.float32]]:
        """The hidden states at the marks: float32 [hidden layers, marks, D] by class; layer 0 is the embedding.

        `model`: the loaded model, for those who go on using it. Raises UsageError where it is another than the marks'.
        """
        config = self.config
        if model is None:
            size = config.batch_size or WITHOUT_GPU[config.context]
            model = HiddenStates(config.model, revision=config.revision, dtype=config.dtype, batch_size=size)
        if model.identity.name != config.model:
            raise UsageError(f"the marks were found for {config.model!r} and the model is {model.identity.name!r}")
        opening = beginning_of_text(config.model, config.revision, config.bos)
        reading = reading_of("", self.tokenization, self.selection, opening)
        order = np.argsort(reading.places, kind="stable")
        rows, columns = np.divmod(reading.places[order], reading.sequences.shape[1])
        ordered = model.states_at(reading.sequences, rows, columns)
        states = np.empty_like(ordered)
        states[:, order] = ordered
        stops = np.cumsum([of.taken.size for of in self.selection.classes.values()])[:-1]
        return dict(zip(self.selection.classes, np.split(states, stops, axis=1), strict=True))


def _refuse_name(text: object) -> None:
    """Raise UsageError where a text is what `read_text` takes: a path, an address, `sample`."""
    if not isinstance(text, str):
        raise UsageError(f"the text is {text!r}; pass a string, as read_text(...) gives it")
    name = text.strip()
    if name == SAMPLE or (len(name.splitlines()) == 1 and _NAME.fullmatch(name)):
        raise UsageError(
            f"the text is {name!r} alone, which looks like a name: read_text({name!r}) reads what it names"
        )


def _texts(found: Source | BookRef, run: RunConfig) -> list[BookRef]:
    return [found] if isinstance(found, BookRef) else list(survey(found, run))
