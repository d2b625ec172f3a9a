"""Views by book: the spread of the books around their mean in every layer, and a table of the books."""

from __future__ import annotations

from reports.data.scope import Scope
from reports.data.statistics import spread_over_books
from reports.figures.books import FEW_BOOKS, means_by_book
from reports.page.exhibits import Exhibit, Section, Table
from reports.sections.tables import TABLE_ROWS


def books_section(scope: Scope) -> Section:
    """The spread over books and one row a book."""
    means = scope.book_means.frame
    spread = spread_over_books(means)
    count = scope.books_with_pairs
    how = (
        "One line a book."
        if count <= FEW_BOOKS
        else "Line: median book; dark band: the middle half of the books; light band: the middle 90 %."
    )
    picture = Exhibit(
        "by-book",
        "Books around their mean",
        f"Means of {count:,} book{'s' if count > 1 else ''} in every layer but the embeddings. {how}",
        "Line charts of the mean mutual information and covariance over the layers, with the spread over books.",
        means_by_book(means, spread),
        (scope.book_means.sql,),
        {"book-spread": spread},
        "The two classes are set side by side, not book against book, and chance is in both: read from it how much "
        "books vary, and the difference with its interval at the top.",
    )
    return Section("books", "Book by book", "", (picture, _book_table(scope)))


def _book_table(scope: Scope) -> Table:
    rows = scope.book_means.frame
    chosen = rows[rows["layer"] == scope.layer]
    wide = chosen.pivot_table(index="book", columns="class", values=["mi_mean", "cov_mean"], observed=True)
    wide.columns = [f"{quantity.removesuffix('_mean')}_{mark_class}" for quantity, mark_class in wide.columns]
    measured = wide.reindex(columns=["mi_internal", "mi_terminal", "cov_internal", "cov_terminal"]).reset_index()
    measured["book"] = measured["book"].astype(str)
    about = scope.book_rows.frame[["book", "title", "author", "tokens", "internal_used", "terminal_used"]]
    frame = about.merge(measured, on="book", how="inner").sort_values("book")
    more = f" The first {TABLE_ROWS} of {len(frame):,}." if len(frame) > TABLE_ROWS else ""
    return Table(
        "books-table",
        "The books",
        f"Marks used, and means over the pairs of layer {scope.layer}.{more}",
        frame.head(TABLE_ROWS),
        {
            "internal_used": "internal marks",
            "terminal_used": "terminal marks",
            "mi_internal": "MI internal (bits)",
            "mi_terminal": "MI terminal (bits)",
        },
        (scope.book_rows.sql, scope.book_means.sql),
    )
