"""Any key of 1 to 1,024 bytes of UTF-8 names an object of its own, and is listed as it was written."""

from __future__ import annotations

import email.header
import unicodedata

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import signing
import wire
from clients import bucket_name
from content import content

KEYS = [
    "a",
    "a/b",
    "a/",
    "a//",
    "a//b",
    "/",
    "//",
    "/a",
    "/a/b",
    ".",
    "..",
    "./a",
    "../a",
    "a/./b",
    "a/../b",
    "a/..",
    "...",
    "../../etc/passwd",
    " ",
    " a",
    "a ",
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "%",
    "%zz",
    "a?b",
    "a#b",
    "a&b=c",
    "a;b",
    "a:b",
    "a\\b",
    "a\"b'c<d>e&amp;",
    "a*b",
    "a~b",
    "a|b^c`d{e}[f]",
    "$ACCOUNT,@x!(y)",
    "ü",
    "日本語/キー",
    "😀",
    "\U0010ffff",
    "\ufffd",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "A",
    "health/ready",
    "a\tb",
    "a\nb",
    "a\rb",
    "a\x01b",
    "a\x7fb",
    "a\x00b",
    "\x00",
    "k" * 1024,
    "ü" * 512,
    "😀" * 256,
    "/" * 1024,
]


@pytest.fixture(scope="module")
def filled(s3: BaseClient, node) -> str:
    """A bucket with an object for every key."""
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=content(key, 100))
    return name


def test_no_key_is_another_one(s3: BaseClient, filled: str) -> None:
    assert len(set(KEYS)) == len(KEYS)
    for key in KEYS:
        assert s3.get_object(Bucket=filled, Key=key)["Body"].read() == content(key, 100), repr(key)
        assert s3.head_object(Bucket=filled, Key=key)["ContentLength"] == 100, repr(key)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_keys_are_listed_in_the_order_of_their_bytes(s3: BaseClient, filled: str, operation: str) -> None:
    listed = [each["Key"] for each in getattr(s3, operation)(Bucket=filled)["Contents"]]
    assert listed == sorted(KEYS, key=lambda key: key.encode())


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_a_prefix_is_compared_as_bytes(s3: BaseClient, filled: str, key: str) -> None:
    listed = [each["Key"] for each in s3.list_objects_v2(Bucket=filled, Prefix=key)["Contents"]]
    assert listed == sorted((each for each in KEYS if each.startswith(key)), key=lambda each: each.encode())


def test_keys_are_copied_and_deleted_one_by_one(s3: BaseClient, bucket: str) -> None:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key="source", Body=content(key, 10))
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "source"})
    left = {"source", *KEYS}
    for key in KEYS:
        s3.delete_object(Bucket=bucket, Key=key)
        left.remove(key)
        assert {each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]} == left, repr(key)


def test_keys_that_xml_can_carry_are_deleted_together(s3: BaseClient, bucket: str) -> None:
    keys = [key for key in KEYS if not any(ord(letter) < 32 for letter in key)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(each["Key"] for each in deleted["Deleted"]) == sorted(keys)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 513])
def test_a_longer_key_is_refused(s3: BaseClient, bucket: str, key: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert refused.value.response["Error"]["Code"] == "KeyTooLongError"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_metadata_may_be_any_unicode(node, signer, bucket: str, s3: BaseClient) -> None:
    # boto3 refuses to send it; other SDKs send it as UTF-8 or as RFC 2047 words. It comes back as RFC 2047.
    for sent in ("Grüße 😀", "=?UTF-8?B?R3LDvMOfZSDwn5iA?=", "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_=F0=9F=98=80?="):
        request = signing.Request("PUT", f"/{bucket}/k", headers={"x-amz-meta-text": sent}, body=b"x")
        assert wire.exchange(node.port, signer.sign(request)).status == 200, sent
        came = s3.head_object(Bucket=bucket, Key="k")["Metadata"]["text"]
        assert str(email.header.make_header(email.header.decode_header(came))) == "Grüße 😀", came
