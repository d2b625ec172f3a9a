"""docs/sql.md: every query in it is run, and its output put below it.

python -m store.cookbook docs/sql.md STORE
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

from store.query.output import print_result
from store.query.reader import Store, open_store

_RECIPE = re.compile(r"```sql\n(?P<query>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)


def queries(page: str) -> list[str]:
    """The queries of a page, in order."""
    return [match["query"] for match in _RECIPE.finditer(page)]


def filled(page: str, store: Store) -> str:
    """The page with the output of each query, as a pipe would show it, in the block below it."""

    def with_output(match: re.Match[str]) -> str:
        return f"```sql\n{match['query']}```\n\n```text\n{output(store, match['query'])}```\n"

    return _RECIPE.sub(with_output, page)


def output(store: Store, query: str) -> str:
    """What `interpunct sql` prints for a query into a file."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_result(store.sql(query), "table")
    return text.getvalue().rstrip() + "\n"


def main() -> None:
    """Fill one page from one store."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m store.cookbook PAGE STORE")
    page = Path(sys.argv[1])
    with open_store(sys.argv[2]) as store:
        page.write_text(filled(page.read_text(encoding="utf-8"), store), encoding="utf-8")


if __name__ == "__main__":
    main()
