"""Where a user's cache is: one folder for downloads and for what is kept of models."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Name the folder `interpunct` in the user's cache folder, as the system's customs and XDG_CACHE_HOME have it.

    It need not exist. Raises OSError where no home is known.
    """
    try:
        return platformdirs.user_cache_path("interpunct", appauthor=False)
    except RuntimeError as error:
        raise OSError(f"no cache folder: {error}") from error
