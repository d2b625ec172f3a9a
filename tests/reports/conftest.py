"""Stores with made-up numbers for the reports' tests: several books, one book, one class, a hostile title."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.build import build_report
from reports.data.scope import Scope, choose_scope
from reports.page.exhibits import Report
from reports.page.page import Rendered, render_parts
from store.query.reader import Store, open_store
from tests.builders import build_store

LAYER = 2


@pytest.fixture(scope="session")
def three_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three books, four layers, twelve marks of each class and sixteen dimensions."""
    location = tmp_path_factory.mktemp("stores") / "three-books"
    build_store(location, books=3, layers=4, marks=12, width=16, seed=1, baseline=None)
    return location


@pytest.fixture
def store(three_books: Path) -> Iterator[Store]:
    with open_store(three_books) as opened:
        yield opened


@pytest.fixture
def scope(store: Store) -> Scope:
    """The whole store, with layer 2 in detail."""
    chosen = choose_scope(store, layer=LAYER)
    assert chosen is not None
    return chosen


@pytest.fixture(scope="session")
def report(three_books: Path) -> Report:
    """The report of the three books, built once."""
    with open_store(three_books) as opened:
        built = build_report(opened, layer=LAYER)
    assert built.failures == ()
    return built


@pytest.fixture(scope="session")
def rendered(report: Report) -> Rendered:
    """Its figures and data as files."""
    drawn = render_parts(report)
    assert drawn.failures == {}
    return drawn
