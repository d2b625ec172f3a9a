"""Objects in buckets and other file systems that fsspec knows, against a real S3 interface on this machine."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator

import boto3
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from jobs.config import RunConfig
from jobs.corpus.references import BookRef, Problem, Source
from jobs.corpus.sources import expand_sources
from jobs.corpus.survey import read_books, survey

RUN = RunConfig()


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket with a few books, reached through AWS_ENDPOINT_URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="library")
        table = io.BytesIO()
        pq.write_table(pa.table({"text": ["Row one.", "Row two."]}), table)
        for key, content in {
            "books/a.txt": b"One, two.",
            "books/deep/b.txt.gz": gzip.compress(b"Three, four."),
            "books/deep/c.parquet": table.getvalue(),
            "books/deep/d.jsonl": b'{"text": "Line one."}\n{"text": "Line two."}\n',
            "books/cover.jpg": b"\xff\xd8",
        }.items():
            client.put_object(Bucket="library", Key=key, Body=content)
        yield "s3://library/books"
    server.stop()


def texts(argument: str) -> dict[str, object]:
    sources = list(expand_sources([argument], RUN))
    refs = [ref for source in sources if isinstance(source, Source) for ref in survey(source, RUN)]
    return {ref.source: content for ref, content in read_books(refs, RUN)}


def test_a_prefix_is_read_like_a_folder(bucket):
    assert texts(bucket) == {
        f"{bucket}/a.txt": b"One, two.",
        f"{bucket}/deep/b.txt.gz": b"Three, four.",
        f"{bucket}/deep/c.parquet#0": "Row one.",
        f"{bucket}/deep/c.parquet#1": "Row two.",
        f"{bucket}/deep/d.jsonl#0": "Line one.",
        f"{bucket}/deep/d.jsonl#1": "Line two.",
    }


def test_an_object_and_a_pattern(bucket):
    assert list(texts(f"{bucket}/a.txt")) == [f"{bucket}/a.txt"]
    assert list(texts(f"{bucket}/deep/*.gz")) == [f"{bucket}/deep/b.txt.gz"]


@pytest.mark.parametrize("argument", ["s3://library/nothing/", "s3://library/no.txt", "s3://no-such-bucket/x"])
def test_what_is_not_there_is_said(bucket, argument):
    (ref,) = expand_sources([argument], RUN)
    assert isinstance(ref, BookRef)
    assert ref.problem_kind in (Problem.MISSING, Problem.UNREADABLE)
    assert argument in (ref.problem or "")


def test_an_object_that_vanished_is_a_reference_with_a_reason(bucket):
    (ref,) = survey(Source(f"{bucket}/gone.txt"), RUN)
    assert ref.problem_kind is Problem.MISSING
    assert ref.sha256 is None


def test_any_scheme_that_fsspec_knows():
    memory = fsspec.filesystem("memory")
    memory.pipe("/shelf/a.txt", b"Words, more words.")
    memory.pipe("/shelf/b.pdf", b"%PDF")
    assert list(texts("memory://shelf").values()) == [b"Words, more words."]


def test_a_file_system_with_errors_of_its_own_does_not_end_the_run(monkeypatch):
    class OddError(Exception):
        """An error that is not an OSError, as HTTP libraries raise them."""

    def broken(*arguments, **keys):
        raise OddError("the hub cannot be reached")

    memory = fsspec.filesystem("memory")
    memory.pipe("/odd/a.txt", b"Words.")
    monkeypatch.setattr(type(memory), "open", broken)
    (ref,) = survey(Source("memory://odd/a.txt"), RUN)
    assert ref.problem_kind is Problem.UNREADABLE
    assert "the hub cannot be reached" in (ref.problem or "")


def test_a_file_system_that_cannot_be_reached_is_a_reference_with_a_reason():
    (ref,) = expand_sources(["ftp://127.0.0.1:9/a.txt"], RUN)
    assert isinstance(ref, BookRef)
    assert ref.problem_kind is Problem.UNREADABLE
    assert "refused" in (ref.problem or "")
