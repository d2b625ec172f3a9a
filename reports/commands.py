"""The commands `report` and `schedule`. Light to import: what they need is loaded when they run."""

from __future__ import annotations

import argparse


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report` and `schedule` to the command line."""
    report = subparsers.add_parser(
        "report",
        help="make a page of figures from a store",
        description="Make one self-contained HTML page from what is committed in a store, and publish it under "
        "OUT/<time>/ with OUT/latest pointing to it. Exit code 4: nothing changed since the newest report.",
    )
    _add_report_options(report)
    report.set_defaults(execute=execute_report)


def execute_report(arguments: argparse.Namespace) -> int:
    """Make one report and say where it is."""
    from reports.produce import produce_report

    produced = produce_report(_request(arguments))
    for finding in produced.findings:
        print(finding)
    print(f"report: {produced.page}")
    return 0


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", required=True, metavar="S", help="the store: a folder or an s3:// prefix")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder the reports are published in")
    parser.add_argument("--layer", type=int, metavar="N", help="layer shown in detail; default: the middle one")
    parser.add_argument("--books", nargs="+", default=[], metavar="BOOK", help="only these books, by key")
    parser.add_argument("--title", help="title of the report")
    parser.add_argument("--keep", type=_at_least_one, default=10, metavar="N", help="reports to keep; default: 10")
    parser.add_argument("--force", action="store_true", help="make the report even where nothing changed")


def _request(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    from reports.produce import Request

    return Request(
        store=arguments.store,
        out=arguments.out,
        layer=arguments.layer,
        books=tuple(arguments.books),
        keep=arguments.keep,
        title=arguments.title,
        force=arguments.force,
    )


def _at_least_one(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
