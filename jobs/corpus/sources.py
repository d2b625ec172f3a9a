"""From what a user names on the command line to single sources, lazily and in a stable order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from jobs.config import RunConfig
from jobs.corpus.formats import format_of_name
from jobs.corpus.opening import is_local, remote_file_system
from jobs.corpus.references import BookRef, Problem, Source, UnreadableSourceError, UnusableTextError
from jobs.corpus.survey import refused

_GUTENBERG = re.compile(r"gutenberg:(\d+)")
_WILDCARD = re.compile(r"[*?\[]")


def expand_sources(arguments: Iterable[str], run: RunConfig) -> Iterator[Source | BookRef]:
    """Every source that the arguments name; a reference with a problem for an argument that names none.

    An argument is a file, a folder (taken with its subfolders), a pattern (`books/*.txt`, `**`), a list file
    (`@books.txt`, one argument a line, `#` starts a comment), a URL, or `gutenberg:ID`. Nothing is opened but list
    files; folders and patterns are sorted, so that the same command gives the same order.
    """
    for argument in arguments:
        try:
            yield from _expand(argument, run, ())
        except (UnreadableSourceError, UnusableTextError) as error:
            yield refused(argument, error)


def _expand(argument: str, run: RunConfig, lists: tuple[str, ...]) -> Iterator[Source | BookRef]:
    if argument.startswith("@"):
        yield from _expand_list(argument[1:], run, lists)
    elif argument.startswith("gutenberg:"):
        yield _gutenberg(argument)
    elif argument.startswith(("http://", "https://")):
        yield Source(argument)
    elif argument.startswith("file://"):
        yield from _expand_local(unquote(urlsplit(argument).path))
    elif is_local(argument):
        yield from _expand_local(argument)
    else:
        yield from _expand_remote(argument)


def _gutenberg(argument: str) -> Source:
    match = _GUTENBERG.fullmatch(argument)
    if match is None:
        raise UnusableTextError(f"{argument!r} is not a Project Gutenberg book; write gutenberg:219", Problem.FORMAT)
    return Source(f"gutenberg:{int(match[1])}")


def _expand_list(path: str, run: RunConfig, lists: tuple[str, ...]) -> Iterator[Source | BookRef]:
    """The arguments in a list file. Relative paths in it start at the file's own folder."""
    path = os.path.realpath(path)
    if path in lists:
        raise UnusableTextError(f"the list file {path} names itself", Problem.FORMAT)
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for line in lines:
                entry = line.strip()
                if not entry or entry.startswith("#"):
                    continue
                yield from _expand_entry(entry, os.path.dirname(path), run, (*lists, path))
    except FileNotFoundError:
        raise UnreadableSourceError(f"the list file {path} does not exist", Problem.MISSING) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSourceError(f"the list file {path} cannot be read as text: {error}", Problem.FORMAT) from None


def _expand_entry(entry: str, folder: str, run: RunConfig, lists: tuple[str, ...]) -> Iterator[Source | BookRef]:
    at, entry = ("@", entry[1:]) if entry.startswith("@") else ("", entry)
    if is_local(entry):
        entry = os.path.join(folder, os.path.expanduser(entry))
    try:
        yield from _expand(at + entry, run, lists)
    except (UnreadableSourceError, UnusableTextError) as error:
        yield refused(entry, error)


def _expand_local(argument: str) -> Iterator[Source | BookRef]:
    path = os.path.abspath(os.path.expanduser(argument))
    # A file whose name holds a bracket is a file first and a pattern second.
    if os.path.isdir(path):
        yield from _in_folder(path)
    elif not os.path.lexists(path) and _WILDCARD.search(argument):
        yield from _matching(path)
    elif os.path.exists(path):
        yield _source(path)
    elif os.path.lexists(path):
        raise UnreadableSourceError(f"{path} is a link that leads nowhere", Problem.MISSING)
    else:
        raise UnreadableSourceError(f"{path} does not exist; check the spelling", Problem.MISSING)


def _matching(pattern: str) -> Iterator[Source | BookRef]:
    found = False
    for path in sorted(glob.iglob(pattern, recursive=True)):
        if os.path.isfile(path) and ("**" not in pattern or format_of_name(path)):
            found = True
            yield _source(path)
        elif os.path.isdir(path) and "**" not in pattern:
            found = True
            yield from _in_folder(path)
    if not found:
        raise UnusableTextError(f"no file matches {pattern}", Problem.MISSING)


def _in_folder(folder: str) -> Iterator[Source | BookRef]:
    found = False
    for entry in _walk(folder, set()):
        found = True
        yield entry
    if not found:
        raise UnusableTextError(f"the folder {folder} holds no book (.txt, .zip, .jsonl or .parquet)", Problem.MISSING)


def _walk(folder: str, visited: set[tuple[int, int]]) -> Iterator[Source | BookRef]:
    """Files of a folder and its subfolders by name. Links are followed; a folder is entered once, so a link that
    leads back up ends there."""
    try:
        status = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield refused(folder, UnreadableSourceError(f"the folder {folder} cannot be listed: {error.strerror}"))
        return
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry.path):
            yield from _walk(entry.path, visited)
        elif format_of_name(entry.name):
            yield _source(entry.path)


def _source(path: str) -> Source | BookRef:
    """A file, or a refusal where its name cannot be written into a table, which holds UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return refused(path, UnusableTextError("the name is not UTF-8; rename the file or its folder", Problem.FORMAT))
    return Source(path)


def _expand_remote(argument: str) -> Iterator[Source]:
    """Objects under a URL: the object itself, those that match a pattern, or all books below a prefix."""
    file_system, path = remote_file_system(argument)
    scheme = argument.partition("://")[0]
    try:
        names = _remote_names(file_system, path)
    except FileNotFoundError:
        names = []
    except Exception as error:  # each file system raises its own kinds
        raise UnreadableSourceError(f"{argument} cannot be listed: {error}") from error
    if not names:
        raise UnreadableSourceError(f"{argument} holds no book", Problem.MISSING)
    yield from (Source(f"{scheme}://{name.removeprefix(f'{scheme}://').lstrip('/')}") for name in names)


def _remote_names(file_system: Any, path: str) -> list[str]:
    if _WILDCARD.search(path):
        return sorted(file_system.glob(path))
    if not path.endswith("/") and file_system.isfile(path):
        return [path]
    return sorted(name for name in file_system.find(path) if format_of_name(name))
