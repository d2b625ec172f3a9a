"""The one-shot report: pin what is committed, skip when nothing changed, build, draw, publish."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from reports.build import build_report
from reports.page.page import files_beside, render_page, render_parts
from reports.page.pdf import render_pdf
from reports.publish import FACTS, LATEST, latest_facts, publish, publishing
from store.query.reader import open_store

PAGE = "index.html"
FORMAT = 2
"""Raised when the same snapshot makes another page, so that reports are made anew after an upgrade."""


@dataclass(frozen=True)
class Request:
    """What report is wanted, and where."""

    store: str
    out: str
    layer: int | None = None
    books: tuple[str, ...] = ()
    compare: str | None = None
    pdf: bool = False
    keep: int = 10
    title: str | None = None
    force: bool = False

    def options(self) -> dict[str, object]:
        """What changes the content of the report, as JSON values."""
        chosen = {name: asdict(self)[name] for name in ("layer", "books", "compare", "pdf", "title")}
        return {**chosen, "books": sorted(self.books), "format": FORMAT}


@dataclass(frozen=True)
class Produced:
    """The newest report: its page, its findings, and whether this call made it."""

    page: Path
    findings: tuple[str, ...]
    changed: bool


def produce_report(request: Request, now: datetime | None = None) -> Produced:
    """Make and publish one report, or none where the newest one shows the same snapshot with the same options.

    Raises ReportError and StoreError for what a user can mend.
    """
    out = Path(request.out)
    now = now or datetime.now(UTC)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_store(request.store))
        stack.enter_context(publishing(out))
        other = stack.enter_context(open_store(request.compare)) if request.compare else None
        before = latest_facts(out)
        snapshots = {"snapshot": store.snapshot, "compared": other.snapshot if other else None}
        pinned = {**snapshots, "options": request.options()}
        if not request.force and before and {key: before.get(key) for key in pinned} == pinned:
            return Produced(out / LATEST / PAGE, tuple(before.get("findings", ())), changed=False)
        report = build_report(store, request.layer, request.books, request.title, other, before)
        rendered = render_parts(report)
        contents = {PAGE: render_page(report, rendered).encode("utf-8"), **files_beside(report, rendered)}
        if request.pdf:
            contents["report.pdf"] = render_pdf(report, rendered.pictures, now)
        facts = {**report.facts, **pinned, "findings": report.findings, "made": now.isoformat(timespec="seconds")}
        contents[FACTS] = json.dumps(facts, indent=1).encode()
        publish(out, contents, now, request.keep)
    return Produced(out / LATEST / PAGE, report.findings, changed=True)
