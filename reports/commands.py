"""The commands `report` and `schedule`. Light to import: what they need is loaded when they run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.produce import Request


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report` and `schedule` to the command line."""
    report = subparsers.add_parser(
        "report",
        help="make a page of figures from a store",
        description="Make one self-contained HTML page from what is committed in a store, and publish it under "
        "OUT/<time>/ with OUT/latest pointing to it. Exit code 1: published, but some parts could not be made; 4: "
        "nothing changed since the newest report.",
    )
    _add_report_options(report)
    report.add_argument("--force", action="store_true", help="make the report even where nothing changed")
    report.set_defaults(execute=execute_report)
    schedule = subparsers.add_parser(
        "schedule",
        help="make reports on a clock",
        description="Make a report at every tick of a cron expression, one at a time, until SIGTERM or Ctrl-C; the "
        "report in hand is finished first, a second signal ends it too.",
    )
    _add_report_options(schedule)
    _add_schedule_options(schedule)
    schedule.set_defaults(execute=execute_schedule)


def execute_report(arguments: argparse.Namespace) -> int:
    """Make one report and say where it is."""
    from reports.produce import run_report

    return run_report(_request(arguments), details=arguments.debug)


def execute_schedule(arguments: argparse.Namespace) -> int:
    """Make reports on a clock until a signal ends it."""
    from reports.clock.runner import ReportRunner
    from reports.clock.schedule import SystemClock, ending_on_signals, run_schedule, ticks, zone

    def say(line: str) -> None:
        print(line, flush=True)

    clock, tz = SystemClock(), zone(arguments.tz)
    ticks(arguments.cron, clock.now(), tz)
    runner = ReportRunner(_request(arguments), arguments.on_done, arguments.webhook, say, lambda: clock.wait(0))
    with ending_on_signals(clock, runner.kill):
        if arguments.now:
            runner(clock.now())
        run_schedule(arguments.cron, tz, clock, runner, say)
    say("schedule ended")
    return 0


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", required=True, metavar="S", help="the store: a folder or an s3:// prefix")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder the reports are published in")
    parser.add_argument("--layer", type=int, metavar="N", help="layer shown in detail; default: the middle one")
    parser.add_argument("--books", nargs="+", default=[], metavar="BOOK", help="only these books, by key")
    parser.add_argument("--compare", metavar="S", help="another store, set beside this one by relative depth")
    parser.add_argument("--pdf", action="store_true", help="make report.pdf too")
    parser.add_argument("--title", help="title of the report")
    parser.add_argument("--name", help="what to call the study; default: the name it was created with, or its model")
    parser.add_argument("--keep", type=_at_least_one, default=10, metavar="N", help="reports to keep; default: 10")


def _add_schedule_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cron", required=True, metavar="EXPR", help="when, for example '0 6 * * *': at six every day")
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="time zone of --cron; default: UTC")
    parser.add_argument("--now", action="store_true", help="make a report at once too, before the first tick")
    parser.add_argument(
        "--on-done",
        metavar="COMMAND",
        help="shell command after each report; INTERPUNCT_OUTCOME, _PAGE and _FINDINGS are in its environment",
    )
    parser.add_argument("--webhook", metavar="URL", help="address that gets each report's outcome as a JSON POST")


def _request(arguments: argparse.Namespace) -> Request:
    from reports.produce import Request

    return Request(
        store=arguments.store,
        out=arguments.out,
        layer=arguments.layer,
        books=tuple(arguments.books),
        compare=arguments.compare,
        pdf=arguments.pdf,
        keep=arguments.keep,
        title=arguments.title,
        name=arguments.name,
        force=getattr(arguments, "force", False),
    )


def _at_least_one(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
