"""One figure of the report by its name, for notebooks: from a store, or from pairs that were just measured.

The names are those of the page and of the files in `figures/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib.figure import Figure

from reports.build import build_report, compute_numbers
from reports.data.measured import Measured
from reports.data.queries import StudyStore, ask
from reports.data.scope import GRID_PAIRS, SCATTER_PAIRS, choose_scope
from reports.data.statistics import gaussian_reference
from reports.errors import ReportError, ReportUsageError
from reports.figures.activations import mean_activations
from reports.figures.layers import distributions_by_layer
from reports.figures.matrices import pair_matrices
from reports.figures.scatter import mi_against_correlation, mi_against_covariance, mi_against_covariance_by_layer
from reports.figures.style import to_pdf, to_png, to_svg
from reports.page.exhibits import Exhibit, Report
from reports.page.paper import paper_files, standalone
from reports.sections.notebook import KEYS, notebook_makers
from store.errors import did_you_mean
from store.query.reader import open_store

MEASURED_HERE = "the marks measured"
"""What stands for the name of a book where there is none."""

_REPORTS: WeakKeyDictionary[StudyStore, dict[tuple[str, int | None, tuple[str, ...]], Report]] = WeakKeyDictionary()
"""Reports already built, by what is committed, layer and books: a notebook asks for one figure after another."""


def figure(
    source: StudyStore | Measured | str | PathLike[str], name: str, layer: int | None = None, book: str | None = None
) -> Figure:
    """The report's figure of this name, as a matplotlib figure that a notebook shows.

    `source` is an open store, its location, or what `interpunct.measure` gives. `layer`: which layer, where the figure
    shows one; the middle one by default. `book`: of this book alone.

    Raises ReportUsageError for a name, a layer or a book that is not there; the message lists those that are.
    """
    if isinstance(source, Measured):
        if book is not None:
            raise ReportUsageError(f"book is {book!r}, and {MEASURED_HERE} are of no book; leave it out")
        return _of_measured(source, name, layer)
    if isinstance(source, str | PathLike):
        with open_store(Path(source) if isinstance(source, PathLike) else source) as store:
            return _of_store(store, name, layer, (book,) if book else ())
    return _of_store(source, name, layer, (book,) if book else ())


def figure_file(
    location: str,
    name: str,
    ending: str,
    *,
    layer: int | None = None,
    books: tuple[str, ...] = (),
    compare: tuple[str, ...] = (),
    width_mm: float | None = None,
) -> bytes:
    """The figure of this name of a report with these options, as `svg`, `pdf` or `png`; the store is named by location.

    Without `width_mm` it has the size it has on the page. Raises ReportUsageError as `figure` does.
    """
    with ExitStack() as stack:
        store, *others = (stack.enter_context(open_store(each)) for each in (location, *compare))
        drawn = _of_store(store, name, layer, books, others)
    if width_mm is not None:
        return paper_files(drawn, name, width_mm)[ending]
    forms = {"svg": lambda: standalone(to_svg(drawn, name)), "pdf": lambda: to_pdf(drawn), "png": lambda: to_png(drawn)}
    return forms[ending]()


def titles_of_figures(location: str) -> Mapping[str, str]:
    """The figures of a store's report: the title of each, by its name, in the order of the page."""
    with open_store(location) as store:
        return names_of(_report(store, None, ()))


def _of_store(
    store: StudyStore, name: str, layer: int | None, books: tuple[str, ...], others: Sequence[StudyStore] = ()
) -> Figure:
    scope = choose_scope(store, layer, books)
    if scope is None:
        raise ReportUsageError("the store holds no pairs yet, so there is nothing to draw")
    makers = notebook_makers(
        store,
        scope,
        lambda: ask(store, "layer_moments", books=scope.books),
        lambda: compute_numbers(store, scope).means,
    )
    exhibit = makers[name]() if name in makers else _of_report(store, name, layer, books, others)
    return _on_paper(exhibit.figure)


def _of_report(
    store: StudyStore, name: str, layer: int | None, books: tuple[str, ...], others: Sequence[StudyStore]
) -> Exhibit:
    """The figure from the whole report, which is built once."""
    report = build_report(store, layer, books, others=others) if others else _report(store, layer, books)
    for section in report.sections:
        for part in section.parts:
            if part.key == name and isinstance(part, Exhibit):
                return part
    for failure in report.failures:
        if failure.key == name:
            raise ReportError(failure.sentence)
    raise _no_such(name, names_of(report))


def _report(store: StudyStore, layer: int | None, books: tuple[str, ...]) -> Report:
    known, key = _REPORTS.setdefault(store, {}), (store.snapshot, layer, books)
    if key not in known:
        known[key] = build_report(store, layer, books)
    return known[key]


def names_of(report: Report) -> Mapping[str, str]:
    """The figures of a report: the title of each, by its name, in the order of the page."""
    parts = (part for section in report.sections for part in section.parts)
    return {part.key: part.title for part in parts if isinstance(part, Exhibit)}


def _of_measured(measured: Measured, name: str, layer: int | None) -> Figure:
    chosen = measured.layers[len(measured.layers) // 2] if layer is None else layer
    classes = measured.classes
    makers: dict[str, tuple[str, Callable[[], Figure]]] = {
        "mean-activations": (
            "Mean activation per dimension",
            lambda: mean_activations(measured.activations(chosen), chosen, classes),
        ),
        KEYS["mi"]: (
            "All pairs: mutual information",
            lambda: pair_matrices(measured.square(chosen), "mi", chosen, MEASURED_HERE, classes),
        ),
        KEYS["cov"]: (
            "All pairs: covariance",
            lambda: pair_matrices(measured.square(chosen), "cov", chosen, MEASURED_HERE, classes),
        ),
        "mi-against-correlation": (
            "Mutual information against correlation",
            lambda: mi_against_correlation(measured.sample(chosen, SCATTER_PAIRS), chosen, classes),
        ),
        "mi-against-covariance": (
            "Mutual information against covariance",
            lambda: _scatter(measured, measured.sample(chosen, SCATTER_PAIRS), chosen),
        ),
        "mi-against-covariance-by-layer": (
            "Mutual information against covariance in every layer",
            lambda: mi_against_covariance_by_layer(_every_layer(measured), measured.moments, classes),
        ),
        "distributions-by-layer": (
            "Distributions and means over the layers",
            lambda: distributions_by_layer(measured.histograms, measured.means, classes),
        ),
    }
    if name not in makers:
        titles = {key: title for key, (title, _) in makers.items()}
        raise _no_such(name, titles, " of what was measured here; a store has those of the whole report")
    measured.of(chosen)
    return _on_paper(makers[name][1]())


def _scatter(measured: Measured, sample: pd.DataFrame, layer: int) -> Figure:
    return mi_against_covariance(sample, gaussian_reference(sample), measured.moments, layer, measured.classes)


def _every_layer(measured: Measured) -> pd.DataFrame:
    return pd.concat([measured.sample(layer, GRID_PAIRS) for layer in measured.layers], ignore_index=True)


def _no_such(name: str, titles: Mapping[str, str], whose: str = "") -> ReportUsageError:
    listed = "\n".join(f"  {key}: {title}" for key, title in titles.items())
    return ReportUsageError(
        f"there is no figure {name!r}{did_you_mean(name, titles)}; the figures{whose} are\n{listed}"
    )


def _on_paper(drawn: Figure) -> Figure:
    """The figure on white, so that a notebook of any colour shows it and files have paper."""
    drawn.set_facecolor("white")
    return drawn
