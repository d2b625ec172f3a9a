"""The one-shot report: pin what is committed, skip when nothing changed, build, draw, publish.

A part that fails (a figure, a table, a section, the PDF) is a sentence in its place: the page is published without it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.build import build_report
from reports.page.exhibits import Failure, Report, attempt
from reports.page.page import Rendered, files_beside, render_page, render_parts, to_parquet
from reports.page.pdf import render_pdf
from reports.publish import FACTS, LATEST, latest_facts, publish, publishing
from store.foreign_text import for_terminal
from store.query.reader import open_store

NOTHING_CHANGED = 4
"""Exit code of `report` where the newest report already shows what is committed."""
PARTS_FAILED = 1
"""Exit code of `report` where some of its parts could not be made."""
PAGE = "index.html"
PDF = "report.pdf"
RESULTS = "results.parquet"
FORMAT = 6
"""Raised when the same snapshot makes another page, so that reports are made anew after an upgrade."""


@dataclass(frozen=True)
class Request:
    """What report is wanted, and where."""

    store: str
    out: str
    layer: int | None = None
    books: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    pdf: bool = False
    width_mm: float | None = None
    keep: int = 10
    title: str | None = None
    name: str | None = None
    force: bool = False

    def options(self) -> dict[str, object]:
        """What changes the content of the report, as JSON values."""
        chosen = {name: asdict(self)[name] for name in ("layer", "pdf", "width_mm", "title", "name")}
        return {**chosen, "books": sorted(self.books), "compare": list(self.compare), "format": FORMAT}


@dataclass(frozen=True)
class Produced:
    """The newest report: its page, its findings, what it lacks, and whether this call made it."""

    page: Path
    findings: tuple[str, ...]
    changed: bool
    failures: tuple[Failure, ...] = ()


def run_report(request: Request, details: bool = False) -> int:
    """Make one report, print its findings and its place, and return the exit code; with `details`, tracebacks too."""
    produced = produce_report(request)
    for failure in produced.failures:
        print(f"interpunct: {for_terminal(failure.sentence)}", file=sys.stderr)
        if details:
            print(failure.details, file=sys.stderr)
    if not produced.changed:
        print(f"nothing changed since {produced.page}; --force makes it anew")
        return PARTS_FAILED if produced.failures else NOTHING_CHANGED
    for finding in produced.findings:
        print(for_terminal(finding))
    print(f"report: {produced.page}")
    return PARTS_FAILED if produced.failures else 0


def produce_report(request: Request, now: datetime | None = None) -> Produced:
    """Make and publish one report, or none where the newest one shows the same snapshot with the same options.

    A report that lacks parts is tried again, and published again only where it lacks others now. Raises ReportError and
    StoreError for what a user can mend.
    """
    out = Path(request.out)
    now = now or datetime.now(UTC)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(request.store))
        stack.enter_context(publishing(out, (request.store, *request.compare)))
        if request.name:
            store.study = replace(store.study, name=request.name)
        others = tuple(stack.enter_context(open_store(location)) for location in request.compare)
        before = latest_facts(out)
        snapshots = {"snapshot": store.snapshot, "compared": [other.snapshot for other in others]}
        pinned = {**snapshots, "options": request.options()}
        same = not request.force and before is not None and {key: before.get(key) for key in pinned} == pinned
        if same and before and not before.get("failed"):
            return Produced(out / LATEST / PAGE, tuple(before["findings"]), changed=False)
        report, rendered, pdf = _draw(
            build_report(store, request.layer, request.books, request.title, others, before), request, now
        )
        failed = [failure.sentence for failure in report.failures]
        if same and before and before.get("failed") == failed:
            return Produced(out / LATEST / PAGE, report.findings, changed=False, failures=report.failures)
        facts = {
            **report.facts,
            **pinned,
            "findings": report.findings,
            "failed": failed,
            "made": now.isoformat(timespec="seconds"),
        }
        publish(out, _contents(report, rendered, pdf, facts), now, request.keep)
    return Produced(out / LATEST / PAGE, report.findings, changed=True, failures=report.failures)


def _draw(report: Report, request: Request, now: datetime) -> tuple[Report, Rendered, bytes | None]:
    """Figures and data as files, and the PDF where it is wanted; what fails is said in the report that returns."""
    rendered = render_parts(report, request.pdf, request.width_mm)
    report = report.without(rendered.failures)
    if not request.pdf:
        return report, rendered, None
    pdf = attempt("pdf", PDF, lambda: render_pdf(report, rendered.papers, now))
    if isinstance(pdf, Failure):
        return replace(report, missing=(*report.missing, pdf)), rendered, None
    return report, rendered, pdf


def _contents(report: Report, rendered: Rendered, pdf: bytes | None, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a report by their path below its folder."""
    contents = {PAGE: render_page(report, rendered).encode("utf-8"), **files_beside(report, rendered)}
    if pdf is not None:
        contents[PDF] = pdf
    if report.results is not None:
        contents[RESULTS] = to_parquet(report.results)
    contents[FACTS] = json.dumps(facts, indent=1).encode()
    return contents
