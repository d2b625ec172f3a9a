"""From what a user names on the command line to single sources, lazily and in a stable order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from jobs.config import RunConfig
from jobs.corpus.addresses import is_web, web_address
from jobs.corpus.border import border, within
from jobs.corpus.formats import format_of_name
from jobs.corpus.opening import is_gutenberg, is_local, open_regular, remote_file_system
from jobs.corpus.references import BookRef, Problem, Source, UnreadableSourceError, UnusableTextError
from jobs.corpus.survey import refused
from store.objects.public_names import public_name

_GUTENBERG = re.compile(r"gutenberg:0*([1-9][0-9]{0,8})", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[]")
_LONGEST_LIST = 64 << 20
_DEEPEST_LIST = 16


def expand_sources(arguments: Iterable[str], run: RunConfig) -> Iterator[Source | BookRef]:
    """Every source that the arguments name; a reference with a problem for an argument that names none.

    An argument is a file, a folder (taken with its subfolders), a pattern (`books/*.txt`, `**`), a list file
    (`@books.txt`, one argument a line, `#` starts a comment), a URL, or `gutenberg:ID`. Nothing is opened but list
    files; folders and patterns are sorted, so that the same command gives the same order. Whatever one argument is,
    the others are expanded.
    """
    lists = _Lists(run)
    for argument in arguments:
        yield from _expand_safely(argument, lists)


@dataclass(frozen=True)
class _Lists:
    """The settings, the list files that are being read, one within the other, and all that have been read."""

    run: RunConfig
    open: tuple[str, ...] = ()
    read: set[str] = field(default_factory=set)


def _expand_safely(argument: str, lists: _Lists) -> Iterator[Source | BookRef]:
    try:
        with border(argument):
            yield from _expand(argument, lists)
    except (UnreadableSourceError, UnusableTextError) as error:
        yield refused(argument, error)


def _expand(argument: str, lists: _Lists) -> Iterator[Source | BookRef]:
    if argument.startswith("@"):
        yield from _expand_list(argument[1:], lists)
    elif is_gutenberg(argument):
        yield _gutenberg(argument)
    elif is_web(argument):
        yield Source(web_address(argument))
    elif argument[:7].lower() == "file://":
        yield from _expand_local(_path_of(argument))
    elif is_local(argument):
        yield from _expand_local(argument)
    else:
        yield from _expand_remote(argument, lists.run)


def _gutenberg(argument: str) -> Source:
    match = _GUTENBERG.fullmatch(argument)
    if match is None:
        shown = argument if len(argument) < 40 else f"{argument[:40]}..."
        raise UnusableTextError(f"{shown!r} is not a Project Gutenberg book; write gutenberg:219", Problem.FORMAT)
    return Source(f"gutenberg:{match[1]}")


def _path_of(argument: str) -> str:
    url = urlsplit(argument)
    if url.netloc not in ("", "localhost"):
        raise UnusableTextError(
            f"{public_name(argument)} is on another machine; write file:///PATH for a file on this one", Problem.FORMAT
        )
    return unquote(url.path)


def _expand_list(path: str, lists: _Lists) -> Iterator[Source | BookRef]:
    """The arguments in a list file. Relative paths in it start at the file's own folder.

    A list is read once, however many others name it, so that lists of lists cannot grow without end.
    """
    path = os.path.realpath(os.path.expanduser(path))
    if path in lists.open:
        raise UnusableTextError(f"the list file {path} names itself", Problem.FORMAT)
    if len(lists.open) == _DEEPEST_LIST:
        raise UnusableTextError(f"the list file {path} is the {_DEEPEST_LIST + 1}th within another", Problem.FORMAT)
    if path in lists.read:
        return
    lists.read.add(path)
    within_it = replace(lists, open=(*lists.open, path))
    for entry in _list_entries(path):
        if isinstance(entry, BookRef):
            yield entry
        else:
            yield from _expand_safely(_located_entry(entry, os.path.dirname(path)), within_it)


def _list_entries(path: str) -> Iterator[str | BookRef]:
    """The lines of a list file that name something; a refusal for a line that is not UTF-8."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise UnreadableSourceError(f"the list file {path} does not exist", Problem.MISSING) from None
    except UnreadableSourceError:
        raise UnreadableSourceError(f"the list file {path} is not a regular file", Problem.FORMAT) from None
    with file:
        if os.fstat(file.fileno()).st_size > _LONGEST_LIST:
            raise UnreadableSourceError(
                f"the list file {path} is larger than {_LONGEST_LIST >> 20} MiB; cut it into several", Problem.TOO_LARGE
            )
        for number, line in enumerate(file, 1):
            try:
                entry = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                why = UnusableTextError(f"line {number} of the list file {path} is not UTF-8", Problem.FORMAT)
                yield refused(f"{path}:{number}", why)
                continue
            if entry and not entry.startswith("#"):
                yield entry


def _located_entry(entry: str, folder: str) -> str:
    at, entry = ("@", entry[1:]) if entry.startswith("@") else ("", entry)
    return at + (os.path.join(folder, os.path.expanduser(entry)) if is_local(entry) else entry)


def _expand_local(argument: str) -> Iterator[Source | BookRef]:
    if not argument.strip():
        raise UnusableTextError("an empty name names nothing; is a variable of the shell not set?", Problem.FORMAT)
    path = os.path.abspath(os.path.expanduser(argument))
    # A file whose name holds a bracket is a file first and a pattern second.
    if path == os.sep:
        raise UnusableTextError("the whole file system is not a folder of books; name a folder in it", Problem.FORMAT)
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
        if os.path.isdir(path):
            if "**" not in pattern:
                found = True
                yield from _in_folder(path)
        elif "**" not in pattern or format_of_name(path):
            found = True
            yield _source(path)  # a pipe or a broken link too: the survey says what is wrong with it
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
    """Files of a folder and its subfolders by name.

    Links are followed; a folder is entered once, so a link that leads back up ends there.
    """
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


def _expand_remote(argument: str, run: RunConfig) -> Iterator[Source]:
    """Objects under a URL: the object itself, those that match a pattern, or all books below a prefix."""

    def list_names() -> list[str]:
        file_system, path = remote_file_system(argument)
        try:
            return [_remote_uri(argument, path, name) for name in _remote_names(file_system, path)]
        except FileNotFoundError:
            return []

    uris = within(run.download_seconds, list_names, f"the listing of {public_name(argument)}")
    if not uris:
        raise UnreadableSourceError(f"{public_name(argument)} holds no book", Problem.MISSING)
    yield from map(Source, uris)


def _remote_uri(argument: str, path: str, name: str) -> str:
    """The URL of an object from its name in the file system, which may hold the host or leave it out."""
    if argument.endswith(path) and name.startswith("/") == path.startswith("/"):
        return argument.removesuffix(path) + name
    scheme = argument.partition("://")[0]
    return f"{scheme}://{name.removeprefix(f'{scheme}://').lstrip('/')}"


def _remote_names(file_system: Any, path: str) -> list[str]:
    if _WILDCARD.search(path):
        return sorted(file_system.glob(path))
    if not path.endswith("/") and file_system.isfile(path):
        return [path]
    return sorted(name for name in file_system.find(path) if format_of_name(name))
