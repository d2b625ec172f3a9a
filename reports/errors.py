"""What can go wrong in a report for a reason that the user can mend. Each error carries the command's exit code."""

from __future__ import annotations


class ReportError(Exception):
    """A report that cannot be made. The message says what was wrong, where, and what to do."""

    exit_code = 1


class ReportUsageError(ReportError):
    """Wrong use: a layer, a book, a folder or a clock that does not fit."""

    exit_code = 2


class UnreadableStoreError(ReportError):
    """A query of the report fails on this store: a file is missing or damaged, or storage does not answer."""

    exit_code = 3
