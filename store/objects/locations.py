"""From what the user names (a folder, `s3://bucket/prefix`) to the objects there."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from store.errors import StoreError
from store.objects.base import ObjectStore
from store.objects.local_folder import LocalFolder

_GLOB_CHARACTERS = re.compile(r"[*?\[\]]")


def object_store(location: str | Path) -> ObjectStore:
    """The objects at a local folder or an `s3://bucket/prefix`. Nothing is created or contacted by this call.

    Raises StoreError for a location that is neither, or whose name would be read as a pattern.
    """
    text = str(location)
    if _GLOB_CHARACTERS.search(text):
        raise StoreError(f"store {text}: the characters * ? [ ] are read as patterns; choose another name")
    if "://" not in text:
        return _local_folder(os.path.abspath(os.path.expanduser(text)))
    if not text.startswith("s3://"):
        raise StoreError(f"store {text}: only a local folder or s3://BUCKET/PREFIX can hold a store")
    return _s3_prefix(text)


def is_remote(location: str | Path) -> bool:
    """Whether a location is an object store that every machine sees, and not a local folder."""
    return str(location).startswith("s3://")


@functools.lru_cache(maxsize=64)
def _local_folder(location: str) -> ObjectStore:
    return LocalFolder(location)


@functools.lru_cache(maxsize=64)
def _s3_prefix(location: str) -> ObjectStore:
    from store.objects.s3 import S3Prefix  # boto3 takes a quarter of a second to import; local stores do without

    return S3Prefix(location)
