"""What can go wrong for a reason that the user can mend. Each error carries the exit code of the command."""

from __future__ import annotations


class JobError(Exception):
    """A run that cannot go on. The message says what was wrong, where, and what to do."""

    exit_code = 1


class UsageError(JobError):
    """Wrong use: an option, a path or a model that does not fit."""

    exit_code = 2


class BookError(JobError):
    """One book cannot be used. It becomes a row in `books` with this reason, and the run goes on."""


class SourceError(BookError):
    """A source cannot be read (missing, truncated, refused): worth trying again on the next run."""
