"""Tries whether a place keeps the one promise that a store rests on: a name that is taken is not given again."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

from store import paths
from store.errors import StoreError
from store.objects.locations import is_remote, object_store


def keeps_taken_names(location: str | Path) -> bool | None:
    """Publish an object, try to publish another under its name, and remove it; None where there is no folder yet.

    The object has the name of a file that is still being written, which readers pass over. Raises StoreError where the
    place cannot be written.
    """
    objects = object_store(location)
    objects.check_place()
    if not is_remote(location) and not Path(objects.location).exists():
        return None
    name = paths.temporary_name(paths.STUDY)
    try:
        objects.put_new(name, b"first")
        return not objects.put_new(name, uuid.uuid4().bytes)
    finally:
        with contextlib.suppress(StoreError):
            objects.delete(name)
