"""A real S3 server on loopback that can be told to fail, and a place for a store on each kind of storage."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.store.s3_faults import FaultyServer

BUCKET = "interpunct-tests"
_number = itertools.count()


@pytest.fixture(scope="session")
def s3_application() -> Iterator[FaultyServer]:
    """moto's S3 behind a layer that injects faults, in a thread of this process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = FaultyServer(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    application.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield application
    server.shutdown()
    thread.join()


@pytest.fixture
def s3_environment(s3_application: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The usual AWS environment, pointing to the server on loopback; also set in this process."""
    environment = {
        "AWS_ENDPOINT_URL": s3_application.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return environment


@pytest.fixture
def s3(s3_application: FaultyServer, s3_environment: dict[str, str]) -> Iterator[FaultyServer]:
    """The server, to inject faults into; they are taken back after the test."""
    yield s3_application
    s3_application.faults.clear()


@pytest.fixture
def s3_location(s3_environment: dict[str, str]) -> str:
    return f"s3://{BUCKET}/store-{next(_number)}"


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest) -> str:
    """An empty place for a store, on a local folder and on S3."""
    return _empty_place(request)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.whole)])
def any_location(request: pytest.FixtureRequest) -> str:
    """An empty place likewise, for tests of many steps: on S3 they take seconds each, and run with `test-whole`."""
    return _empty_place(request)


def _empty_place(request: pytest.FixtureRequest) -> str:
    if request.param == "s3":
        found: str = request.getfixturevalue("s3_location")
        return found
    return str(request.getfixturevalue("tmp_path") / "store")


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's back-off without the waiting; the number of attempts stays."""
    from botocore.retries import standard

    never: Callable[..., float] = lambda *_: 0.0  # noqa: E731
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", never)
