"""Where books come from: sources, readers, cleaning and the survey that names each book.

`expand_sources` turns what the user names into single sources, `survey` lists the texts of a source, `name_books`
gives them keys and finds duplicates: that is what planning needs. `read_book`, `decode` and `clean` then turn a
reference into a text, on the worker that analyses it.
"""

from __future__ import annotations

from jobs.corpus.cleaning import CleanText, clean
from jobs.corpus.decoding import Decoded, decode
from jobs.corpus.names import name_books
from jobs.corpus.references import BookRef, NamedBook, Problem, Source
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_book, read_books, survey

__all__ = [
    "BookRef",
    "CleanText",
    "Decoded",
    "NamedBook",
    "Problem",
    "Source",
    "clean",
    "decode",
    "expand_sources",
    "name_books",
    "read_book",
    "read_books",
    "survey",
]
