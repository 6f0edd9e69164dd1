"""Objects through boto3: what was put is what is got, with its headers, in ranges, copied and deleted."""

from __future__ import annotations

import hashlib

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from content import MEBIBYTE, content

SIZES = [
    0,
    1,
    4095,
    4096,
    32 * 1024 - 1,
    32 * 1024,
    32 * 1024 + 1,
    MEBIBYTE - 1,
    MEBIBYTE,
    MEBIBYTE + 1,
    3 * MEBIBYTE + 17,
]


@pytest.mark.parametrize("size", SIZES)
def test_an_object_comes_back_byte_for_byte(s3: BaseClient, bucket: str, size: int) -> None:
    body = content(f"whole-{size}", size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    assert got["ContentLength"] == size
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, got["ETag"])


def test_an_overwrite_replaces_everything(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=content("old", 2 * MEBIBYTE), Metadata={"a": "1"}, ContentType="text/x")
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"new", {}, "binary/octet-stream")


def test_a_file_larger_than_the_multipart_threshold_is_transferred(s3: BaseClient, bucket: str, tmp_path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content("file", 20 * MEBIBYTE))
    s3.upload_file(str(source), bucket, "big", ExtraArgs={"Metadata": {"from": "file"}})
    head = s3.head_object(Bucket=bucket, Key="big")
    assert head["ETag"].endswith('-3"') and head["Metadata"] == {"from": "file"}
    s3.download_file(bucket, "big", str(target))
    assert target.read_bytes() == source.read_bytes()


def test_system_headers_are_kept(s3: BaseClient, bucket: str) -> None:
    kept = {
        "ContentType": "text/html; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
        "ContentDisposition": 'attachment; filename="a b.html"',
        "CacheControl": "max-age=60, public",
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires="Wed, 21 Oct 2026 07:28:00 GMT", **kept)
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer.get(name) for name in kept} == kept
        assert answer["ExpiresString"] == "Wed, 21 Oct 2026 07:28:00 GMT"


def test_aws_chunked_is_no_property_of_the_object(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentEncoding="aws-chunked,gzip")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


def test_metadata_comes_back_in_lower_case_names(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"Mixed-Case": "Value", "spaced": "a  b", "n": "0"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"mixed-case": "Value", "spaced": "a  b", "n": "0"}


def test_every_response_says_who_answered(s3: BaseClient, bucket: str) -> None:
    for answer in (s3.list_buckets(), s3.put_object(Bucket=bucket, Key="k", Body=b""), s3.head_bucket(Bucket=bucket)):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["server"] == "Anode" and headers["date"].endswith(" GMT")
        assert headers["x-amz-request-id"] and headers["x-amz-id-2"]


@pytest.mark.parametrize("size", [10, 40_000, 2 * MEBIBYTE + 5])
@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=3-5", 3, 6),
        ("bytes=-4", -4, None),
        ("bytes=9-99999999", 9, None),
        ("bytes=-99999999", 0, None),
    ],
)
def test_a_range_is_served(s3: BaseClient, bucket: str, size: int, header: str, first: int, last: int | None) -> None:
    body = content("ranged", size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k", Range=header)
    expected = body[first:last]
    start = first % size
    assert got["Body"].read() == expected
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {start}-{start + len(expected) - 1}/{size}"


def test_ranges_over_the_edges_of_chunks(s3: BaseClient, bucket: str) -> None:
    body = content("edges", 3 * MEBIBYTE + 100)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    edges = [0, 4096, MEBIBYTE - 4096, MEBIBYTE, 2 * MEBIBYTE, 3 * MEBIBYTE, len(body) - 1]
    for first in [edge + offset for edge in edges for offset in (-1, 0, 1) if 0 <= edge + offset < len(body)]:
        for length in (1, 4096, MEBIBYTE + 1):
            last = min(first + length, len(body)) - 1
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
            assert got["Body"].read() == body[first : last + 1], (first, last)


def test_a_range_that_is_none_is_ignored(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for header in ("bytes=5-3", "bytes=a-b", "lines=1-2", "bytes=", "bytes=--1"):
        got = s3.get_object(Bucket=bucket, Key="k", Range=header)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, b"0123456789"), header


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_past_the_end_is_refused_with_the_size(s3: BaseClient, bucket: str, header: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="k", Range=header)
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (416, "InvalidRange")
    assert answer["Error"]["ActualObjectSize"] == "10"


def test_several_ranges_come_as_one_multipart_answer(s3: BaseClient, bucket: str) -> None:
    body = content("several", 5000)
    s3.put_object(Bucket=bucket, Key="k", Body=body, ContentType="text/plain")
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-9,100-199,-5", ChecksumMode="DISABLED")
    kind, boundary = got["ContentType"].split("; boundary=")
    assert (got["ResponseMetadata"]["HTTPStatusCode"], kind) == (206, "multipart/byteranges")
    parts = got["Body"].read().split(f"--{boundary.strip(chr(34))}".encode())
    assert parts[-1].strip() == b"--"
    heads, bodies = zip(*(part.split(b"\r\n\r\n", 1) for part in parts[1:-1]), strict=True)
    assert [part.removesuffix(b"\r\n") for part in bodies] == [body[:10], body[100:200], body[-5:]]
    ranges = ["bytes 0-9/5000", "bytes 100-199/5000", "bytes 4995-4999/5000"]
    for head, expected in zip(heads, ranges, strict=True):
        assert f"content-range: {expected}" in head.decode().lower()


def test_a_range_of_nothing_in_an_empty_object(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-0")
    assert refused.value.response["Error"]["Code"] == "InvalidRange"


def test_overrides_of_the_response_headers(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    overrides = {
        "ResponseContentType": "application/json",
        "ResponseContentDisposition": "inline",
        "ResponseCacheControl": "no-store",
        "ResponseContentLanguage": "fr",
        "ResponseContentEncoding": "identity",
    }
    got = s3.get_object(Bucket=bucket, Key="k", **overrides)
    assert {f"Response{name}": got[name] for name in (key.removeprefix("Response") for key in overrides)} == overrides


def test_delete_is_idempotent(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=content("gone", 2 * MEBIBYTE))
    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as absent:
        s3.get_object(Bucket=bucket, Key="k")
    assert absent.value.response["Error"]["Code"] == "NoSuchKey"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_delete_objects_answers_each_key(s3: BaseClient, bucket: str) -> None:
    keys = [f"k{number:04}" for number in range(1000)]
    for key in keys[:20]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(each["Key"] for each in deleted["Deleted"]) == keys and "Errors" not in deleted
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_delete_objects_quietly_answers_errors_only(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="here", Body=b"x")
    objects = [{"Key": "here"}, {"Key": "absent"}, {"Key": "here2", "VersionId": "not-a-version"}]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    assert "Deleted" not in deleted
    (error,) = deleted["Errors"]
    assert error["Key"] == "here2" and error["Code"] in ("NoSuchVersion", "InvalidArgument")


@pytest.mark.parametrize("size", [0, 100, 2 * MEBIBYTE + 3])
def test_a_copy_has_content_and_headers(s3: BaseClient, bucket: str, size: int) -> None:
    body = content("copied", size)
    s3.put_object(Bucket=bucket, Key="a ö+%", Body=body, Metadata={"m": "1"}, ContentType="text/a", CacheControl="c")
    copied = s3.copy_object(Bucket=bucket, Key="target", CopySource={"Bucket": bucket, "Key": "a ö+%"})
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="target")
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentType"], got["CacheControl"]) == ({"m": "1"}, "text/a", "c")
    s3.delete_object(Bucket=bucket, Key="a ö+%")
    assert s3.get_object(Bucket=bucket, Key="target")["Body"].read() == body


def test_a_copy_may_replace_headers(s3: BaseClient, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**source, Body=b"x", Metadata={"old": "1"}, ContentType="text/old")
    for target in ("other", "k"):
        s3.copy_object(
            Bucket=bucket,
            Key=target,
            CopySource=source,
            MetadataDirective="REPLACE",
            Metadata={"new": "2"},
            ContentType="text/new",
        )
        head = s3.head_object(Bucket=bucket, Key=target)
        assert (head["Metadata"], head["ContentType"]) == ({"new": "2"}, "text/new")
        assert s3.get_object(Bucket=bucket, Key=target)["Body"].read() == b"x"


def test_attributes_of_a_simple_object(s3: BaseClient, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert found["ETag"] == put["ETag"].strip('"')
    assert (found["ObjectSize"], found["StorageClass"]) == (5, "STANDARD")
    assert found["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
    assert "ObjectParts" not in found and found["LastModified"]
    only = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in only and only["ObjectSize"] == 5
