"""The commands that need a store alone: `sql`, `status`, `remove`, `verify` and more.

Light to import: what they need is loaded when they run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.query.reader import Store

_NAMED = 10
"""So many foreign files are named, and the rest counted."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the store's commands to the command line."""
    _add_sql(subparsers)
    status = _add(subparsers, "status", execute_status, "what a store holds, who works on it, which books failed")
    status.add_argument("--watch", action="store_true", help="keep looking until interrupted")
    status.add_argument("--json", action="store_true", help="as one JSON object, for programs")
    _add_list(subparsers)
    verify = _add(
        subparsers,
        "verify",
        execute_verify,
        "read every committed file and name every damage",
        "Exit code 1: damage was found (with --fix: and the next run will recompute what was dropped).",
    )
    verify.add_argument(
        "--fix",
        action="store_true",
        help="drop damaged shards from the commits; remove their files and uncommitted ones",
    )
    _add_compact(subparsers)
    _add_remove(subparsers)


def execute_sql(arguments: argparse.Namespace) -> int:
    """Answer one query, or many at a prompt."""
    from store.query.output import format_of
    from store.query.reader import open_store
    from store.query.sandbox import Limits
    from store.query.watch import memory_bounded, stopped_after

    form = arguments.format or (format_of(arguments.output) if arguments.output else "table")
    query = arguments.query
    if query is None and not (sys.stdin is not None and sys.stdin.isatty()):
        query = _query_of_standard_input()
    sizes = {"memory": arguments.memory_limit, "spill": arguments.spill_limit}
    limits = Limits(**{k: v for k, v in sizes.items() if v is not None}, seconds=arguments.time_limit or None)
    attach = _attached(arguments.attach)
    with open_store(arguments.store, limits=limits, attach=attach) as store, memory_bounded(limits.memory):
        if query is None:
            from store.query.prompt import run_prompt

            run_prompt(store, form)
        else:
            with stopped_after(limits.seconds):
                _answer(store, query, form, arguments.output)
    return 0


def _answer(store: Store, query: str, form: str, output: Path | None) -> None:
    """Write the result of a query; of several statements each, where the format can hold more than one."""
    from store.errors import QueryError
    from store.query.output import print_result, write_result

    if output is None and form == "table":
        for result in store.results(query):
            print_result(result, form)
        return
    first, *others = store.results(query)
    if others:
        raise QueryError(f"{1 + len(others)} statements have as many results, and {form} holds one; ask one at a time")
    if output is None:
        print_result(first, form)
    else:
        write_result(first, form, output, store.location, *(other.location for other in store.attached.values()))


def _attached(given: list[str]) -> dict[str, str]:
    """What `--attach NAME=S`, given any number of times, says."""
    from store.errors import QueryError

    attached: dict[str, str] = {}
    for each in given:
        name, equals, location = each.partition("=")
        if not (name and equals and location):
            raise QueryError(f"--attach {each!r} is not NAME=S; write for example --attach other=study2")
        if name.lower() in attached:
            raise QueryError(f"two stores are attached as {name}; name each otherwise")
        attached[name.lower()] = location
    return attached


def _query_of_standard_input() -> str:
    from store.errors import QueryError

    if sys.stdin is None:
        raise QueryError("no query was given, and standard input is closed")
    buffer = getattr(sys.stdin, "buffer", None)
    if buffer is None:
        return sys.stdin.read()
    try:
        return str(buffer.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise QueryError(
            f"the query on standard input is not UTF-8: byte {error.object[error.start]:#04x} at {error.start:,}"
        ) from error


def execute_status(arguments: argparse.Namespace) -> int:
    """Show what a store holds."""
    from rich.console import Console

    from store.errors import QueryError
    from store.status import read_status, show, watch

    if arguments.json:
        if arguments.watch:
            raise QueryError("--json is one look and --watch goes on looking; use one of them")
        print(json.dumps(read_status(arguments.store).to_dict(), indent=2, ensure_ascii=False))
        return 0
    console = Console(soft_wrap=not sys.stdout.isatty())
    if arguments.watch:
        with contextlib.suppress(KeyboardInterrupt):
            watch(arguments.store, console)
    else:
        show(arguments.store, console)
    return 0


def execute_list(arguments: argparse.Namespace) -> int:
    """Show the stores below a place; 1 where one cannot be read."""
    from store.foreign_text import for_terminal
    from store.listing import list_stores

    stores = list(list_stores(arguments.root))
    if arguments.json:
        print(json.dumps([store.to_dict() for store in stores], indent=2, ensure_ascii=False))
    else:
        rows: list[tuple[str, ...]] = [("store", "model", "books", "pairs", "bytes", "changed")]
        for store in stores:
            numbers = (f"{store.used:,} of {store.books:,}", f"{store.pairs:,}", f"{store.bytes:,}", store.changed)
            rows.append((store.store, store.model, *numbers) if store.problem is None else (store.store, store.problem))
        widths = [max(len(row[n]) for row in rows if len(row) == len(rows[0])) for n in range(len(rows[0]))]
        for row in rows:
            cells = [for_terminal(cell) for cell in row]
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip())
    return 1 if any(store.problem is not None for store in stores) else 0


def execute_verify(arguments: argparse.Namespace) -> int:
    """Verify a store, and with --fix repair it."""
    from store.foreign_text import for_terminal
    from store.upkeep.verify import fix, verify

    with _Progress("verifying", "records") as progress:
        findings = (fix if arguments.fix else verify)(arguments.store, progress)
    for damage in findings.damages:
        print(f"damaged: {for_terminal(damage)}")
    for shard in findings.dropped_shards:
        print(f"dropped: shard {for_terminal(shard)}; run the same `interpunct run` command again to recompute it")
    if arguments.fix:
        print(f"removed: {len(findings.removed)} files")
    elif findings.uncommitted:
        print(f"uncommitted: {len(findings.uncommitted)} files of a run that goes on or was interrupted")
    if findings.foreign:
        print(f"foreign: {len(findings.foreign)} files that no store makes, left alone: {_first(findings.foreign)}")
    print(
        f"verified: {findings.records} commit records, {findings.files} sound files, {findings.rows:,} rows,"
        f" {findings.bytes:,} bytes, {len(findings.damages)} damages"
    )
    return 1 if findings.damages else 0


def execute_compact(arguments: argparse.Namespace) -> int:
    """Rewrite small files into large ones."""
    from store.upkeep.compaction import compact

    with _Progress("compacting", "groups") as progress:
        report = compact(arguments.store, arguments.target_mb << 20, arguments.grace, progress)
    removed = f"; {report.removed:,} files of earlier generations removed"
    if not report.generations:
        print(f"nothing to compact: {report.files_after:,} files{removed if report.removed else ''}")
        return 0
    print(
        f"compacted: {report.files_before:,} files into {report.files_after:,}, {report.rows:,} rows rewritten in"
        f" {report.generations} generations{removed}"
    )
    return 0


def execute_remove(arguments: argparse.Namespace) -> int:
    """Take books out of what readers see."""
    from store.amendments import remove
    from store.foreign_text import for_terminal

    keys = [key for given in arguments.book for key in given]
    removed = remove(arguments.store, keys, arguments.reason)
    for book in removed:
        print(f"removed: {for_terminal(book.key)} ({book.status} before) from {for_terminal(book.source)}")
    if before := len(set(keys)) - len(removed):
        print(f"removed before: {before}")
    if removed:
        print(
            "No query, report or run sees their rows from now on. `interpunct compact` rewrites the files that hold"
            " them; `interpunct run ... --retake KEY` takes a book again."
        )
    return 0


def execute_retitle(arguments: argparse.Namespace) -> int:
    """Call a book by another title or author."""
    from store.amendments import retitle
    from store.errors import QueryError
    from store.foreign_text import for_terminal

    if not (arguments.title or arguments.author):
        raise QueryError("nothing to change; say --title, --author or both")
    retitle(arguments.store, arguments.book, arguments.title, arguments.author)
    said = [f"{name} {for_terminal(text)}" for name in ("title", "author") if (text := getattr(arguments, name))]
    print(f"retitled: {for_terminal(arguments.book)}: {', '.join(said)}")
    return 0


def _add(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    execute: Callable[[argparse.Namespace], int],
    summary: str,
    more: str = "",
) -> argparse.ArgumentParser:
    description = f"{summary[0].upper()}{summary[1:]}. {more}".strip()
    parser = subparsers.add_parser(name, help=summary, description=description)
    parser.add_argument("--store", required=True, metavar="S", help="the store: a folder or an s3:// prefix")
    parser.set_defaults(execute=execute)
    return parser


def _add_sql(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        subparsers,
        "sql",
        execute_sql,
        "query a store with DuckDB's SQL",
        "SHOW TABLES names the views: books, marks, pairs, summaries and more. Without a query: a prompt with "
        "history, or the query from standard input. Queries only read, and only this store and those attached.",
    )
    parser.add_argument("query", nargs="?", metavar="QUERY", help='for example "SELECT * FROM books"')
    parser.add_argument(
        "--format", choices=("table", "csv", "json", "parquet"), help="default: table, or what FILE's suffix says"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the result to a .csv, .json, .parquet or .txt file"
    )
    parser.add_argument(
        "--attach",
        metavar="NAME=S",
        action="append",
        default=[],
        help="another store beside it, whose views are NAME.books, NAME.pairs and so on; repeatable",
    )
    parser.add_argument(
        "--memory-limit",
        type=_size,
        metavar="SIZE",
        help="memory for sorts and groups before they spill to disk, such as 500MB, 4GB; default: half the machine's",
    )
    parser.add_argument(
        "--spill-limit", type=_size, metavar="SIZE", help="disk for what does not fit in memory; default: 16GB"
    )
    parser.add_argument(
        "--time-limit",
        type=_duration,
        default=3600.0,
        metavar="TIME",
        help="how long one query may take, such as 90s, 30m, 1h; 0 for no limit; default: 1h",
    )


def _add_compact(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        subparsers,
        "compact",
        execute_compact,
        "rewrite many small files into few, with the same rows",
        "Readers and runs may go on meanwhile. Replaced files stay for the grace period, for readers that have them "
        "open, and are removed by the next compaction after it.",
    )
    parser.add_argument("--target-mb", type=_megabytes, default=128, metavar="N", help="size of a file; default: 128")
    parser.add_argument(
        "--grace", type=_duration, default=3600.0, metavar="TIME", help="such as 90s, 30m, 1h, 2d; default: 1h"
    )


def _add_list(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    summary = "the studies below a folder or prefix: model, books, pairs, size, last change"
    parser = subparsers.add_parser("list", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("root", metavar="ROOT", help="a folder or an s3:// prefix")
    parser.add_argument("--json", action="store_true", help="as one JSON array, for programs")
    parser.set_defaults(execute=execute_list)


def _add_remove(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(
        subparsers,
        "remove",
        execute_remove,
        "take books out of a store, with a reason",
        "Queries, reports and runs see none of their rows from then on; the table `books` says that and why. A run or "
        "compaction may go on meanwhile. The rows leave the disk with `interpunct compact`, after its grace period.",
    )
    parser.add_argument(
        "--book", required=True, nargs="+", action="append", metavar="KEY", help="keys of books, as in the table books"
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; it stands in the table books")
    parser = _add(subparsers, "retitle", execute_retitle, "give a book another title or author")
    parser.add_argument("--book", required=True, metavar="KEY", help="the book's key, as in the table books")
    parser.add_argument("--title", metavar="TEXT", help="the title from now on")
    parser.add_argument("--author", metavar="TEXT", help="the author from now on")


def _first(names: list[str]) -> str:
    """The first few of many names."""
    from store.foreign_text import for_terminal

    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(for_terminal, names[:_NAMED])) + more


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)(MB|GB)", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write for example 500MB or 4GB")
    return int(match[1]) * {"MB": 10**6, "GB": 10**9}[match[2]]


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; write for example 90s, 30m, 1h or 2d")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _megabytes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write a whole number of megabytes, 1 or more")
    return int(text)


class _Progress:
    """A line that counts, on a terminal; silence in a log."""

    def __init__(self, doing: str, unit: str) -> None:
        self._doing = doing
        self._unit = unit
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int) -> None:
        if self._shown:
            print(f"\r{self._doing}: {done:,} of {total:,} {self._unit}", end="", file=sys.stderr, flush=True)
