"""Opens any source as a stream of bytes: a local file, a download from the cache, an object in a bucket."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import S3FileSystem

from jobs.config import RunConfig
from jobs.corpus.download import fetch
from jobs.corpus.references import Problem, UnreadableSourceError
from jobs.errors import BookError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_local(uri: str) -> bool:
    """Whether a source is a path on this machine."""
    return not _SCHEME.match(uri) and not uri.startswith("gutenberg:")


@contextmanager
def open_source(uri: str, run: RunConfig, *, revalidate: bool = False) -> Iterator[BinaryIO]:
    """The bytes of a source, seekable. Downloads come from the cache, and are asked for anew with `revalidate`.

    Raises UnreadableSourceError, with the path or URL and the cause, where there is nothing to read.
    """
    try:
        with _open(uri, run, revalidate) as stream:
            yield stream
    except FileNotFoundError:
        raise UnreadableSourceError(f"{uri} does not exist; check the spelling", Problem.MISSING) from None
    except PermissionError:
        raise UnreadableSourceError(f"{uri} may not be read; check its permissions or the credentials") from None
    except OSError as error:
        raise UnreadableSourceError(f"{uri} cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # Remote file systems raise the errors of their own HTTP libraries; none of them may end the run.
        if is_local(uri) or isinstance(error, BookError):
            raise
        raise UnreadableSourceError(f"{uri} cannot be read: {error}") from error


def _open(uri: str, run: RunConfig, revalidate: bool) -> BinaryIO:
    if uri.startswith(("http://", "https://", "gutenberg:")):
        return open(fetch(uri, run, revalidate=revalidate), "rb")
    if not is_local(uri):
        file_system, path = remote_file_system(uri)
        return cast(BinaryIO, file_system.open(path, "rb"))
    # A pipe or a device would block or never end; only regular files can be read twice.
    if not stat.S_ISREG(os.stat(uri).st_mode):
        raise UnreadableSourceError(f"{uri} is not a regular file", Problem.FORMAT)
    return open(uri, "rb")


def remote_file_system(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a URL and the path within it.

    `s3://` goes through pyarrow, which honours `AWS_ENDPOINT_URL` and the usual credentials; every other scheme
    through the package that fsspec names for it.
    """
    try:
        if uri.startswith("s3://"):
            return ArrowFSWrapper(_s3()), uri.removeprefix("s3://")
        file_system, path = fsspec.core.url_to_fs(uri)
        return file_system, path
    except ImportError as error:
        raise UnreadableSourceError(f"{uri} needs a package that is not installed: {error}", Problem.FORMAT) from None
    except ValueError as error:
        raise UnreadableSourceError(f"{uri} is not a URL that can be read: {error}", Problem.FORMAT) from None
    except Exception as error:  # some file systems connect at once, and each has errors of its own
        raise UnreadableSourceError(f"{uri} cannot be reached: {error}") from error


def _s3() -> S3FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, str] = {}
    if endpoint:
        options["endpoint_override"] = endpoint
        region = region or "us-east-1"
    if region:
        options["region"] = region
    return S3FileSystem(**options)
