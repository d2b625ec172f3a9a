"""Views by book: the spread of the books around their mean in every layer, and a table of the books."""

from __future__ import annotations

from reports.data.scope import Scope, used_column
from reports.data.statistics import spread_over_books
from reports.figures.books import FEW_BOOKS, means_by_book
from reports.page.exhibits import Exhibit, Section, Table
from reports.sections.tables import TABLE_ROWS

SHORT = {"mi": "MI (bits)", "cov": "cov"}


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
        means_by_book(means, spread, scope.classes),
        (scope.book_means.sql,),
        {"book-spread": spread},
        "The classes are set side by side, not book against book, and chance is in all: read from it how much books "
        "vary, and the difference with its interval at the top.",
    )
    return Section("books", "Book by book", "", (picture, _book_table(scope)))


def _book_table(scope: Scope) -> Table:
    rows = scope.book_means.frame
    chosen = rows[rows["layer"] == scope.layer]
    wide = chosen.pivot_table(index="book", columns="class", values=["mi_mean", "cov_mean"], observed=True)
    wide.columns = [f"{quantity}_{mark_class}" for quantity, mark_class in wide.columns]
    names = scope.classes.names
    means = {f"{quantity}_mean_{name}": f"{short}: {name}" for quantity, short in SHORT.items() for name in names}
    measured = wide.reindex(columns=list(means)).reset_index()
    measured["book"] = measured["book"].astype(str)
    about = scope.book_rows.frame[["book", "title", "author", "tokens", *map(used_column, names)]]
    frame = about.merge(measured, on="book", how="inner").sort_values("book")
    more = f" The first {TABLE_ROWS} of {len(frame):,}." if len(frame) > TABLE_ROWS else ""
    return Table(
        "books-table",
        "The books",
        f"Marks used, and means over the pairs of layer {scope.layer}.{more}",
        frame.head(TABLE_ROWS),
        means,
        (scope.book_rows.sql, scope.book_means.sql),
    )
