"""One report from one store: ask, compute, draw. What to do with it is for page.py, pdf.py and publish.py."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from reports.data.absence import why_no_pairs_at_all, why_no_separation
from reports.data.answer import Answers, find_answers
from reports.data.chance import Chance, chance_level, unknown_chance
from reports.data.classes import Classes
from reports.data.comparison import compare_stores
from reports.data.likeness import class_differences, class_means, less_chance
from reports.data.queries import Answer, Store, StudyStore, ask
from reports.data.scope import Scope, ask_books, choose_scope
from reports.data.sensitivity import Survival, find_survival
from reports.errors import ReportUsageError
from reports.figures.style import cut
from reports.page.exhibits import Exhibit, Failure, Report, Section, attempt, attempt_section
from reports.sections.answer import KEY as ANSWER
from reports.sections.answer import TITLE as ANSWER_TITLE
from reports.sections.answer import answer_section, facts_of, sentences
from reports.sections.books import books_section
from reports.sections.changes import changes_section
from reports.sections.clusters import KEY as CLUSTERS
from reports.sections.clusters import TITLE as CLUSTERS_TITLE
from reports.sections.clusters import clusters_section
from reports.sections.comparison import Compared, comparison_section, names_apart, overview_section
from reports.sections.comparison import facts_of as facts_of_comparisons
from reports.sections.explorer import explorer_data, triangles
from reports.sections.layer_measures import KEY as LAYER_MEASURES
from reports.sections.layer_measures import TITLE as LAYER_MEASURES_TITLE
from reports.sections.layer_measures import layer_measures_section
from reports.sections.method import KEY as METHOD
from reports.sections.method import TITLE as METHOD_TITLE
from reports.sections.method import method_section
from reports.sections.notebook import NOTEBOOK_TITLE, notebook_section
from reports.sections.outliers import KEY as OUTLIERS
from reports.sections.outliers import TITLE as OUTLIERS_TITLE
from reports.sections.outliers import outlier_section
from reports.sections.overview import findings, headline_exhibit, numbers, study_section
from reports.sections.sensitivity import KEY as SENSITIVITY
from reports.sections.sensitivity import TITLE as SENSITIVITY_TITLE
from reports.sections.sensitivity import facts_of as facts_of_survival
from reports.sections.sensitivity import marked, sensitivity_section
from reports.sections.tables import extremes_section, failed_section, layer_table
from store.study import model_name

TITLE_CHARACTERS = 200
"""A longer title is cut."""


@dataclass(frozen=True)
class Numbers:
    """What several sections share: pooled moments, the estimates, their means and differences, and chance level."""

    moments: Answer
    answers: Answers
    means: pd.DataFrame
    differences: pd.DataFrame
    chance: Chance
    missing: tuple[Failure, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether it can be said if the first two classes are kept apart: pairs lie between, and not all are equal."""
        varying = self.differences["varies"] & self.differences["difference"].notna()
        return self.answers.apart and bool(varying.any())


def build_report(
    store: StudyStore,
    layer: int | None = None,
    books: tuple[str, ...] = (),
    title: str | None = None,
    others: Sequence[StudyStore] = (),
    before: Mapping[str, Any] | None = None,
) -> Report:
    """The report of what is committed in the store, about one layer in detail and some books or all.

    `others` are stores to compare with, `before` the facts of the report that this one follows. A section or a figure
    that fails is a sentence in its place. Raises ReportUsageError for a layer or a book the store does not have.
    """
    scope = choose_scope(store, layer, books)
    title = cut(title or f"{Classes.of(store.study).subject} in {store.study.called}", TITLE_CHARACTERS)
    if scope is None:
        return _empty_report(store, title)
    results = compute_numbers(store, scope)
    answers = results.answers if results.tells else None
    tried = attempt(SENSITIVITY, f"The section {SENSITIVITY_TITLE!r}", lambda: _survival(store, scope))
    survival = None if isinstance(tried, Failure) else tried
    now = facts(store, scope, results, answers) | {"sensitivity": facts_of_survival(survival)}
    comparisons, compared = _comparisons(store, others, scope)
    if compared:
        now |= {"alignment": facts_of_comparisons(compared)}
    return Report(
        title,
        _subtitle(scope),
        store.snapshot,
        _in_short(store, scope, results, survival),
        numbers(store.study.config, scope, _pairs_between(store, scope)),
        _sections(store, scope, results, survival, comparisons, (before, now)),
        now,
        (*results.missing, *((tried,) if isinstance(tried, Failure) else ())),
        results.answers.results,
        _choice(scope, books),
    )


def _choice(scope: Scope, books: tuple[str, ...]) -> str:
    chosen = f" --books {shlex.join(books)}" if books else ""
    return f" --layer {scope.layer}{chosen}"


def _survival(store: Store, scope: Scope) -> Survival | None:
    """What other choices do to the first two classes; None where that was not tried."""
    if scope.classes.compared is None:
        return None
    return find_survival(store, *scope.classes.compared, scope.books)


def _in_short(store: StudyStore, scope: Scope, results: Numbers, survival: Survival | None) -> tuple[str, ...]:
    """The answer in three sentences, with what of it survives other choices.

    Where there are no pairs between the classes, how the classes differ.
    """
    if not results.tells:
        return findings(results.differences, results.moments.frame, scope)
    said = marked(sentences(results.answers, store.study.called), results.answers, survival)
    return tuple(filter(None, (*said, scope.classes.others_note)))


def _sections(
    store: StudyStore,
    scope: Scope,
    results: Numbers,
    survival: Survival | None,
    comparisons: Sequence[Section],
    then_and_now: tuple[Mapping[str, Any] | None, Mapping[str, Any]],
) -> tuple[Section, ...]:
    """What was found and the evidence for it, then everything else, folded."""
    makers: list[tuple[str, str, Callable[[], Section]]] = []
    answers = results.answers if results.tells else None
    if answers is None:
        why = why_no_separation(scope, results.answers.apart)
        makers += [
            (ANSWER, ANSWER_TITLE, lambda: Section(ANSWER, ANSWER_TITLE, why)),
            ("overview", "Within each class", lambda: _overview(scope, results)),
        ]
    else:
        titles = {book: scope.title_of(book) for book in answers.books}
        makers.append((ANSWER, ANSWER_TITLE, lambda: answer_section(answers, scope.classes, scope.layer, titles)))
        makers.append((SENSITIVITY, SENSITIVITY_TITLE, lambda: _sensitivity(survival, scope)))
    makers += [
        (CLUSTERS, CLUSTERS_TITLE, lambda: clusters_section(store, scope)),
        ("six-figures", NOTEBOOK_TITLE, lambda: notebook_section(store, scope, results.moments, results.means)),
    ]
    shown = [attempt_section(key, title, make) for key, title, make in makers]
    shown += comparisons
    changes = "Since the last report"
    shown.append(attempt_section("changes", changes, lambda: changes_section(*then_and_now, scope.classes)))
    everything_else: list[tuple[str, str, Callable[[], Section]]] = [
        ("layers-section", "Every layer", lambda: _layer_section(store, scope, results)),
        ("books", "Book by book", lambda: books_section(scope)),
        (OUTLIERS, OUTLIERS_TITLE, lambda: outlier_section(store, scope, store.study.config["outlier_z"])),
        (LAYER_MEASURES, LAYER_MEASURES_TITLE, lambda: layer_measures_section(store, scope)),
        ("extremes", "Pairs in their words", lambda: extremes_section(store, scope)),
        ("failures", "Books that failed", lambda: failed_section(scope.book_rows)),
        (
            METHOD,
            METHOD_TITLE,
            lambda: method_section(store.study.config, scope, answers, results.means, results.moments, results.chance),
        ),
        ("study-section", "What was run", lambda: _study(store)),
    ]
    folded = [replace(attempt_section(key, title, make), folded=True) for key, title, make in everything_else]
    return (*shown, *folded)


def compute_numbers(store: StudyStore, scope: Scope) -> Numbers:
    """Moments by SQL, the estimates with their intervals, and the level of chance."""
    moments = ask(store, "layer_moments", books=scope.books)
    classes = scope.classes
    answers = find_answers(store, classes, scope.books)
    means = class_means(answers, moments.frame, classes)
    settings = store.study.config
    chance = attempt(
        "chance", "The level of chance", lambda: chance_level(store, scope, settings["bins"], settings["outlier_z"])
    )
    missing: tuple[Failure, ...] = ()
    if isinstance(chance, Failure):
        missing, chance = (chance,), unknown_chance()
    differences = class_differences(answers, means, scope.layers, moments.frame, classes)
    differences = less_chance(differences, chance.frame, classes)
    return Numbers(moments, answers, means, differences, chance, missing)


def facts(store: Store, scope: Scope, results: Numbers, answers: Answers | None = None) -> dict[str, Any]:
    """What the next report compares itself with: the differences that this one shows."""
    used = scope.book_means.frame["book"].astype(str)
    if answers is None:
        rows = results.differences
        rows = rows[(rows["quantity"] == "mi") & rows["varies"]]
    else:
        rows = answers.of("difference", "mi").rename(columns={"estimate": "difference"})
        rows = rows[rows["layer"] > 0] if rows["layer"].nunique() > 1 else rows
    chosen = rows.dropna(subset=["difference"])
    return {
        "snapshot": store.snapshot,
        "books": sorted(set(used)),
        "pairs": int(scope.book_means.frame["pairs"].sum()),
        "mi_difference": {str(int(row.layer)): float(row.difference) for row in chosen.itertuples()},
        "answer": facts_of(results.answers),
    }


def _overview(scope: Scope, results: Numbers) -> Section:
    def draw() -> Exhibit:
        return headline_exhibit(scope, results.answers, results.means, results.differences, results.chance)

    return Section("overview", "Within each class", "", (attempt("headline", "The figure of the main finding", draw),))


def _sensitivity(survival: Survival | None, scope: Scope) -> Section:
    first, second = scope.classes.compared or ("", "")
    return sensitivity_section(survival, first, second, scope.layer)


def _study(store: StudyStore) -> Section:
    return study_section(store.study.config, store.study.model, store.study.written_with)


def _layer_section(store: Store, scope: Scope, results: Numbers) -> Section:
    # One difference on a page: where the answer has it, its own table shows it with its interval.
    table = attempt(
        "layers",
        "The table of the layers",
        lambda: layer_table(
            store,
            scope,
            results.moments,
            results.means,
            results.differences,
            results.chance,
            with_intervals=not results.tells,
        ),
    )
    if not scope.rows_kept:
        return Section("layers-section", "Every layer", "", (table,))
    explorer = attempt(
        "explorer", "The explorer of the layers", lambda: explorer_data(store, scope, results.moments.frame)
    )
    if isinstance(explorer, Failure):
        return Section("layers-section", "Every layer", "", (explorer, table))
    averaged = "" if explorer["block"] == 1 else f", {explorer['block']} by {explorer['block']} pairs to a pixel"
    introduction = (
        f"Step through the layers with the slider or the arrow keys. The matrices show the first {explorer['marks']} "
        f"marks of {scope.example_book}{averaged}: pairs of {triangles(scope.classes)}. The curves are the "
        "distributions of the same marks' values, class by class; means and standard deviations (SD) are over the "
        "pairs of all books."
    )
    return Section("layers-section", "Every layer", introduction, (table,), explorer)


def _comparisons(store: StudyStore, others: Sequence[StudyStore], scope: Scope) -> tuple[list[Section], list[Compared]]:
    """A section for each other store, after one that sets all side by side where there are several; what was found."""
    names = names_apart(store.study.called, [other.study.called for other in others])
    compared: list[Compared] = []
    sections: list[Section] = []
    for number, (name, other) in enumerate(zip(names, others, strict=True), start=1):
        title = f"Compared with {name}"
        found = attempt(f"comparison-{number}-failed", title, partial(_compared, store, other, scope, name))
        if isinstance(found, Failure):
            sections.append(Section(f"comparison-{number}", title, "", (found,)))
            continue
        compared.append(found)
        sections.append(attempt_section(f"comparison-{number}", title, partial(comparison_section, found, number)))
    if len(compared) > 1:
        overview = partial(overview_section, compared)
        sections.insert(0, attempt_section("comparison-overview", "Comparison", overview))
    return sections, compared


def _compared(store: StudyStore, other: StudyStore, scope: Scope, name: str) -> Compared:
    other_scope = choose_scope(other)
    if other_scope is None:
        why = _why_no_pairs(other)
        raise ReportUsageError(f"a store named by --compare has no pairs: {why}; leave it out until it has")
    pair, theirs = scope.classes.compared, other_scope.classes.named
    common = pair is not None and [each for each in theirs if each in pair] == list(pair)
    found = compare_stores(store, other, pair, scope.books) if pair is not None and common else None
    return Compared(store.study.called, name, found, store.study.differences(other.study))


def _pairs_between(store: Store, scope: Scope) -> int:
    return int(ask(store, "pairs_between", books=scope.books).frame["pairs"].iloc[0])


def _why_no_pairs(store: StudyStore) -> str:
    return why_no_pairs_at_all(ask_books(store).frame, ask(store, "layers").frame, Classes.of(store.study))


def _subtitle(scope: Scope) -> str:
    books = sorted({str(book) for book in scope.book_means.frame["book"]})
    if len(books) > 3:
        return f"{len(books):,} books"
    return ", ".join(cut(scope.title_of(book), 120) for book in books)


def _empty_report(store: StudyStore, title: str) -> Report:
    books = ask_books(store)
    return Report(
        title,
        "No pairs yet",
        store.snapshot,
        (f"This store holds no pairs: {_why_no_pairs(store)}.",),
        {"model": model_name(store.study.config), "books": f"{len(books.frame):,}"},
        (failed_section(books), _study(store)),
        {"snapshot": store.snapshot, "books": [], "pairs": 0, "mi_difference": {}},
    )
