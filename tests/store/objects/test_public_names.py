"""What is shown of an address opens nothing, and still tells one document from another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.objects.public_names import identity, public_name, without_secrets

AWS = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101&X-Amz-Security-Token=t0ken&X-Amz-Signature="
SAS = "sv=2024-11-04&se=2026-01-01T00%3A00%3A00Z&sr=b&sp=r&sig="


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:pa55word@example.org/a.txt", "https://example.org/a.txt"),
        ("https://ghp_t0ken@example.org:8443/a.txt", "https://example.org:8443/a.txt"),
        (f"https://bucket.example.org/a.txt?{AWS}5ecret", "https://bucket.example.org/a.txt"),
        (f"https://bucket.example.org/a.txt?{AWS.replace('-', '%2D')}5ecret", "https://bucket.example.org/a.txt"),
        (f"https://x.blob.core.windows.net/c/a.txt?{SAS}5ecret", "https://x.blob.core.windows.net/c/a.txt"),
        ("https://cdn.example.org/a.txt?Expires=1&Key-Pair-Id=K&Signature=5ecret", "https://cdn.example.org/a.txt"),
        ("https://example.org/a.txt?password=5ecret", "https://example.org/a.txt"),
        ("https://example.org/a.txt#access_token=5ecret", "https://example.org/a.txt"),
        ("HTTPS://USER:PA55@example.org/a.txt", "HTTPS://example.org/a.txt"),
        ("https:/user:pa55@example.org/a.txt", "https:/example.org/a.txt"),
        ("/home/me/https:/user:pa55@example.org/a.txt", "/home/me/https:/example.org/a.txt"),
        ("http://user:p/a@example.org/a.txt", "http://example.org/a.txt"),
        ("http://user:p?a@example.org/a.txt", "http://example.org/a.txt"),
        ("http://user:p#a@example.org/a.txt", "http://example.org/a.txt"),
        ("http://user:p@a@example.org/a.txt", "http://example.org/a.txt"),
        ("http://user:password", "http://user:..."),
        ("s3://AKIA:5ecret@bucket/a.txt", "s3://bucket/a.txt"),
        ("ftp://user:pa55@example.org/a.txt", "ftp://example.org/a.txt"),
        ("zip://a.txt::https://user:pa55@example.org/a.zip", "zip://a.txt::https://example.org/a.zip"),
        ("simplecache::https://user:pa55@example.org/a", "simplecache::https://example.org/a"),
        ("@https://user:pa55@example.org/list", "@https://example.org/list"),
        (
            "--gutenberg-mirror=https://u:pa55@a.org/,https://v:pa55@b.org",
            "--gutenberg-mirror=https://a.org/,https://b.org",
        ),
    ],
)
def test_user_password_and_signature_are_left_out(address, shown):
    assert public_name(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "gutenberg:219",
        "/books/what? #1.txt",
        "books/a@b.txt",
        "s3://bucket/chapter?.txt",
        "s3://bucket/a#1.txt",
        "github://org:repo@main/books/a.txt",
        "abfs://container@account.dfs.core.windows.net/a.txt",
        "hf://datasets/org/name/a.parquet",
        "https://example.org/@author/a.txt",
        "https://[2001:db8::1]:8080/a.txt",
        "http://[2001:db8::1/b.txt",
        "https://example.org/corpus.jsonl#17",
        "",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(address):
    assert public_name(address) == address


def test_a_query_that_names_a_document_keeps_it_apart_and_is_not_shown():
    five, six = (public_name(f"https://example.org/book?id={number}&token=5ecret") for number in (5, 6))
    assert five != six
    assert five.startswith("https://example.org/book?...")
    assert "5ecret" not in five
    assert public_name("https://example.org/book") not in (five, six)


def test_an_address_that_is_signed_anew_is_the_same_one():
    first, second = (f"https://example.org/a.txt?versionId=3&{AWS}{signature}" for signature in ("aaaa", "bbbb"))
    assert public_name(first) == public_name(second)
    assert identity(first) == identity(second) == "https://example.org/a.txt?versionId=3"


def test_sr_and_se_name_documents_where_nothing_is_signed():
    assert identity("https://example.org/book?se=1&sr=2") == "https://example.org/book?se=1&sr=2"


@pytest.mark.parametrize(
    "text",
    [
        "nonnumeric port: 'pa55word@example.org'",
        "https://user:pa55word@example.org/a.txt?sig=5ignature answered 500",
        "Max retries exceeded with url: /a.txt?sig=5ignature (Caused by ...)",
        "{'Authorization': 'Basic dXNlcjpwYTU1d29yZA=='}",
        "the server says: user:pa55word is wrong, https://other.example.org/?token=5ignature is right",
    ],
)
def test_messages_of_others_are_cleaned(text):
    cleaned = without_secrets(text, "https://user:pa55word@example.org/a.txt?sig=5ignature")
    assert not [secret for secret in ("pa55word", "5ignature", "dXNlcjpwYTU1d29yZA") if secret in cleaned]


@pytest.mark.parametrize(
    "address",
    [
        "http://user:5ecretW0rd",
        "http://user:5ecretW0rd/x",
        "http://user:5ecretW0rd/x@h/",
        "http://u:5ecretW0rd@[::1/x",
        "http://h/?k=5ecretW0rd",
    ],
)
def test_what_a_parser_says_of_a_malformed_address(address):
    for quoted in (address, address[7:], "5ecretW0rd", "user:5ecretW0rd", "5ecretW0rd/x"):
        assert "5ecret" not in without_secrets(f"Failed to parse: {quoted!r} is not a valid host or port", address)


def test_an_endless_address_is_cut_and_stays_itself():
    first, second = (public_name(f"https://example.org/{'a' * 100_000}{end}") for end in "xy")
    assert first != second
    assert len(first) < 2_000


@settings(max_examples=500, derandomize=True, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="ab:/?#@[]=&.,;%\\ 1", max_size=40).map(lambda rest: f"https://{rest}"),
        st.text(alphabet="ab:/?#@[]=&.,;%\\ 1", max_size=40).map(lambda rest: f"s3://{rest}"),
    )
)
def test_a_public_name_is_its_own_public_name(address):
    """Whatever comes in: a row read back from a store has the same name again."""
    shown = public_name(address)
    assert public_name(shown) == shown


@settings(max_examples=500, derandomize=True, deadline=None)
@given(
    st.text(alphabet="abc:/?#[]=&.,;%\\!'", max_size=12),
    st.text(alphabet="abc:/?#[]=&.,;%!'1", max_size=12),
    st.sampled_from(["http", "https", "ftp", "s3"]),
)
def test_no_password_is_shown_whatever_stands_around_it(before, after, scheme):
    """A password that breaks the rules of addresses is cut off with everything up to the last @."""
    shown = public_name(f"{scheme}://user:{before}SECRET{after}@example.org/a.txt")
    assert "SECRET" not in shown
