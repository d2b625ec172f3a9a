"""The commands `report`, `figure` and `schedule`. Light to import: what they need is loaded when they run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.produce import Request

FIGURE_ENDINGS = ("svg", "pdf", "png")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report`, `figure` and `schedule` to the command line."""
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
    figure = subparsers.add_parser(
        "figure",
        help="make one figure of a report again",
        description="Make one figure of a report again from its store, as SVG, PDF or PNG by the ending of -o; without "
        "a name, list the figures there are.",
    )
    _add_figure_options(figure)
    figure.set_defaults(execute=execute_figure)
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


def execute_figure(arguments: argparse.Namespace) -> int:
    """Write one figure, or list those that there are."""
    from reports.errors import ReportUsageError
    from reports.gallery import figure_file, titles_of_figures
    from store.foreign_text import for_terminal

    if arguments.name is None:
        titles = titles_of_figures(arguments.store)
        wide = max(map(len, titles), default=0)
        for name, title in titles.items():
            print(f"{name:{wide}}  {for_terminal(title)}")
        return 0
    out = Path(arguments.output or f"{arguments.name}.svg")
    ending = out.suffix.lower().lstrip(".")
    if ending not in FIGURE_ENDINGS:
        raise ReportUsageError(f"-o {out} names no form of a figure; it ends with .svg, .pdf or .png")
    made = figure_file(
        arguments.store,
        arguments.name,
        ending,
        layer=arguments.layer,
        books=tuple(arguments.books),
        compare=tuple(arguments.compare),
        width_mm=arguments.width_mm,
    )
    try:
        out.write_bytes(made)
    except OSError as error:
        raise ReportUsageError(f"{out} cannot be written ({error.strerror}); choose another -o") from None
    print(f"figure: {out}")
    return 0


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
    _add_choice(parser)
    parser.add_argument("--pdf", action="store_true", help="make report.pdf too")
    _add_width(parser, "width of the files in figures/, which then have PDFs too")
    parser.add_argument("--title", help="title of the report")
    parser.add_argument("--name", help="what to call the study; default: the name it was created with, or its model")
    parser.add_argument("--keep", type=_at_least_one, default=10, metavar="N", help="reports to keep; default: 10")


def _add_figure_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="as under the figure on the page, and in figures/")
    parser.add_argument("--store", required=True, metavar="S", help="the store: a folder or an s3:// prefix")
    parser.add_argument("-o", "--output", metavar="FILE", help="file.svg, .pdf or .png; default: NAME.svg")
    _add_choice(parser)
    _add_width(parser, "its width")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """What of the store is shown, and beside what."""
    parser.add_argument("--layer", type=int, metavar="N", help="layer shown in detail; default: the middle one")
    parser.add_argument("--books", nargs="+", default=[], metavar="BOOK", help="only these books, by key")
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="S",
        help="another store, set beside this one by relative depth; can be given several times",
    )


def _add_width(parser: argparse.ArgumentParser, of_what: str) -> None:
    columns = "89 for a column of a paper, 183 for two"
    parser.add_argument("--width-mm", type=_millimetres, metavar="MM", help=f"{of_what}: {columns}")


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
        compare=tuple(arguments.compare),
        pdf=arguments.pdf,
        width_mm=arguments.width_mm,
        keep=arguments.keep,
        title=arguments.title,
        name=arguments.name,
        force=getattr(arguments, "force", False),
    )


def _millimetres(text: str) -> float:
    """A width that a page has: 40 to 400 mm."""
    try:
        width = float(text)
    except ValueError:
        width = 0.0
    if not 40 <= width <= 400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a width in millimetres from 40 to 400")
    return width


def _at_least_one(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
