from __future__ import annotations

from pathlib import Path

from store.columns import TABLES
from store.dictionary import data_dictionary

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_up_to_date():
    page = (DOCS / "data_dictionary.md").read_text(encoding="utf-8")
    assert page == data_dictionary(), "run `make docs`"


def test_every_column_is_explained():
    page = data_dictionary()
    for table in TABLES.values():
        assert f"## {table.name}\n" in page
        for column in table.columns:
            assert f"| `{column.name}` |" in page
            assert len(column.description) > 5, (table.name, column.name)
