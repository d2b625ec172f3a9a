"""Objects of an S3 bucket below a prefix, published by conditional PUT.

Region, endpoint (`AWS_ENDPOINT_URL`) and credentials come from the usual AWS environment. A PUT with
`If-None-Match: *` is atomic and exclusive. botocore repeats requests that were answered with 500, 503, `SlowDown` or
not at all, with back-off and a bound; when the answer to a PUT that had arrived is lost, its repetition finds the name
taken by our own object, which the checksum kept beside it gives away.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from store.errors import ObjectMissing, StoreError, StoreUnavailable
from store.objects.base import ObjectStore, StoredObject, too_large

ATTEMPTS = 8
"""Requests sent for one operation, the first included; botocore's back-off between them doubles up to 20 s."""

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0

_CHECKSUM = "interpunct-sha256"
_TAKEN = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "409"}
_MISSING = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}


class S3Prefix(ObjectStore):
    """The objects below one prefix of one bucket."""

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/")
        self.bucket, _, prefix = self.location.removeprefix("s3://").partition("/")
        if not self.bucket:
            raise StoreError(f"store {location} names no bucket; write s3://BUCKET/PREFIX")
        self.prefix = f"{prefix}/" if prefix else ""

    def put_new(self, path: str, data: bytes) -> bool:
        checksum = hashlib.sha256(data).hexdigest()
        for _ in range(ATTEMPTS):
            try:
                self._put(path, data, checksum, IfNoneMatch="*")
                return True
            except ClientError as error:
                if _code(error) in _CONFLICT:  # another PUT of this name is under way: ask again who won
                    continue
                if _code(error) in _TAKEN:
                    return self._published_by_us(path, checksum)
                raise self._explained(path, error) from error
        raise StoreUnavailable(f"{self.address(path)}: {ATTEMPTS} writes in a row met another; run it again")

    def put(self, path: str, data: bytes) -> None:
        try:
            self._put(path, data, hashlib.sha256(data).hexdigest())
        except ClientError as error:
            raise self._explained(path, error) from error

    def read(self, path: str, most: int | None = None) -> bytes:
        with self._errors(path):
            for attempt in range(ATTEMPTS):
                response = self._client.get_object(Bucket=self.bucket, Key=self.prefix + path)
                if most is not None and response["ContentLength"] > most:
                    raise too_large(self.address(path), response["ContentLength"], most)
                try:
                    body: bytes = response["Body"].read()
                    return body
                except BotoCoreError:  # the connection broke in the body, where botocore does not try again
                    if attempt == ATTEMPTS - 1:
                        raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    def names(self, folder: str = "") -> list[str]:
        where, found = self.prefix + folder, []
        with self._errors(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=where, Delimiter="/"
            )
            for page in pages:
                found += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                found += [entry["Key"] for entry in page.get("Contents", ())]
        return sorted(name.removeprefix(where) for name in found if name != where)

    def walk(self, folder: str = "") -> Iterator[StoredObject]:
        with self._errors(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + folder
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    path = entry["Key"].removeprefix(self.prefix)
                    if not path or path.endswith("/"):  # consoles make such objects to show an empty folder
                        continue
                    yield StoredObject(path, entry["Size"], entry["LastModified"].timestamp())

    def delete(self, path: str) -> None:
        with self._errors(path):
            self._client.delete_object(Bucket=self.bucket, Key=self.prefix + path)

    def address(self, path: str) -> str:
        return f"{self.location}/{path}"

    @property
    def _client(self) -> Any:
        return client(os.getpid(), endpoint())

    def _put(self, path: str, data: bytes, checksum: str, **condition: str) -> None:
        try:
            self._client.put_object(
                Bucket=self.bucket, Key=self.prefix + path, Body=data, Metadata={_CHECKSUM: checksum}, **condition
            )
        except BotoCoreError as error:
            raise self._unreached(path, error) from error

    def _published_by_us(self, path: str, checksum: str) -> bool:
        """Whether the object that stands is this very attempt's, whose answer was lost, or equal to it."""
        with self._errors(path):
            head = self._client.head_object(Bucket=self.bucket, Key=self.prefix + path)
        return bool(head["Metadata"].get(_CHECKSUM) == checksum)

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._explained(path, error) from error
        except BotoCoreError as error:
            raise self._unreached(path, error) from error

    def _unreached(self, path: str, error: BotoCoreError) -> StoreError:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return StoreError(f"{self.address(path)}: {error}; set AWS_PROFILE, or the AWS_* keys, or use a role")
        return StoreUnavailable(f"{self.address(path)}: {error}; check the network, then run the same command again")

    def _explained(self, path: str, error: ClientError) -> StoreError:
        code, where = _code(error), self.address(path)
        if code == "NoSuchBucket":
            return StoreError(f"{where}: the bucket {self.bucket} does not exist; create it first")
        if code in _MISSING:
            return ObjectMissing(f"{where} is missing")
        if code in _DENIED:
            return StoreError(f"{where}: access denied ({code}); check the AWS credentials and the bucket's policy")
        return StoreUnavailable(f"{where}: S3 answered {code} {ATTEMPTS} times; run the same command again later")


def endpoint() -> str | None:
    """The server to talk to, where it is not Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


@functools.lru_cache(maxsize=8)
def client(process: int, server: str | None) -> Any:
    """One client for a process and endpoint: making one takes a tenth of a second, and sockets survive no fork."""
    config = Config(
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=32,
    )
    return boto3.session.Session().client("s3", config=config, endpoint_url=server)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
