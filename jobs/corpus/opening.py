"""Opens any source as a stream of bytes: a local file, a download from the cache, an object in a bucket."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import S3FileSystem

from jobs.config import RunConfig
from jobs.corpus.addresses import is_web
from jobs.corpus.border import border, within
from jobs.corpus.download import fetch
from jobs.corpus.references import Problem, UnreadableSourceError
from store.objects.public_names import public_name, without_secrets

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CHAINED_WEB = re.compile(r"::https?:", re.IGNORECASE)
_S3_SECONDS = 30


def is_local(uri: str) -> bool:
    """Whether a source is a path on this machine."""
    return not _SCHEME.match(uri) and not is_gutenberg(uri)


def is_gutenberg(uri: str) -> bool:
    """Whether a source is named by its number at Project Gutenberg."""
    return uri[:10].lower() == "gutenberg:"


@contextmanager
def open_source(uri: str, run: RunConfig, *, revalidate: bool = False) -> Iterator[BinaryIO]:
    """The bytes of a source, seekable. Downloads come from the cache, and are asked for anew with `revalidate`.

    Whatever is raised while the source is open comes out as a BookError: UnreadableSourceError, with the path or URL
    and the cause, where there is nothing to read or a reader stumbles over it.
    """
    with border(uri), _open(uri, run, revalidate) as stream:
        yield stream


def open_regular(path: str) -> BinaryIO:
    """Open a file on this machine.

    Raises UnreadableSourceError for what is not a regular file: a pipe or a device would block or never end, and only
    a file can be read twice.
    """
    # Without O_NONBLOCK the opening of a pipe waits for someone to write into it.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", closefd=True)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UnreadableSourceError(f"{path} is not a regular file", Problem.FORMAT)
    return file


def _open(uri: str, run: RunConfig, revalidate: bool) -> BinaryIO:
    if is_web(uri) or is_gutenberg(uri):
        return fetch(uri, run, revalidate=revalidate)
    if is_local(uri):
        if os.path.isdir(uri) or not stat.S_ISREG(os.stat(uri).st_mode):
            raise UnreadableSourceError(f"{uri} is not a regular file", Problem.FORMAT)
        return open_regular(uri)

    def open_remotely() -> BinaryIO:
        file_system, path = remote_file_system(uri)
        return cast(BinaryIO, file_system.open(path, "rb"))

    return within(run.download_seconds, open_remotely, f"the opening of {public_name(uri)}")


def remote_file_system(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a URL and the path within it.

    `s3://` goes through pyarrow, which honours `AWS_ENDPOINT_URL` and the usual credentials; every other scheme
    through the package that fsspec names for it.
    """
    name = public_name(uri)
    scheme, _, place = uri.partition("://")
    if not place.strip("/"):
        raise UnreadableSourceError(f"{name} names no bucket and no host", Problem.FORMAT)
    if _CHAINED_WEB.search(uri):
        raise UnreadableSourceError(
            f"{name} reads the web through another file system, which keeps no deadline; name the http address alone",
            Problem.FORMAT,
        )
    with border(uri):  # some file systems connect at once
        if scheme.lower() == "s3":
            if "@" in place.partition("/")[0]:
                raise UnreadableSourceError(
                    f"{name} is named with credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                    Problem.FORMAT,
                )
            return ArrowFSWrapper(_s3()), place
        try:
            file_system, path = fsspec.core.url_to_fs(uri)
        except ValueError as error:
            said = without_secrets(str(error), uri)
            raise UnreadableSourceError(f"{name} is not a URL that can be read: {said}", Problem.FORMAT) from None
        return file_system, path


def _s3() -> S3FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"connect_timeout": _S3_SECONDS, "request_timeout": _S3_SECONDS}
    if endpoint:
        options["endpoint_override"] = endpoint
        region = region or "us-east-1"
    if region:
        options["region"] = region
    return S3FileSystem(**options)
