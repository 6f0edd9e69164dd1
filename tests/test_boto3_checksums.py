"""Checksums: every algorithm, sent, verified, kept and given back; for simple objects, parts and whole uploads."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable

import pytest
from awscrt import checksums
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from clients import s3_client
from content import MEBIBYTE, content
from node import Node

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
SIZES = [0, 5, 40_000, 2 * MEBIBYTE + 1]


def base64_digest(algorithm: str, data: bytes) -> str:
    """A checksum as S3 writes it."""
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


@pytest.mark.parametrize("size", SIZES)
def test_the_default_checksum_of_sdks_is_kept(s3: BaseClient, bucket: str, size: int) -> None:
    body = content("default", size)
    expected = base64_digest("CRC32", body)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert (put["ChecksumCRC32"], put["ChecksumType"]) == (expected, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ChecksumCRC32"], got["Body"].read()) == (expected, body)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_checksum_comes_back_where_it_is_asked_for(s3: BaseClient, bucket: str, algorithm: str, size: int) -> None:
    body = content(algorithm, size)
    expected = base64_digest(algorithm, body)
    name = f"Checksum{algorithm}"
    assert s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)[name] == expected
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (expected, "FULL_OBJECT")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == expected
    assert name not in s3.head_object(Bucket=bucket, Key="k")
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert attributes["Checksum"] == {name: expected, "ChecksumType": "FULL_OBJECT"}
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


@pytest.mark.parametrize("size", [5, 2 * MEBIBYTE])
@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_wrong_checksum_stores_nothing(s3: BaseClient, bucket: str, algorithm: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    wrong = {f"Checksum{algorithm}": base64_digest(algorithm, b"other")}
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=content("wrong", size), **wrong)
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (base64.b64encode(hashlib.md5(b"other").digest()).decode(), "BadDigest"),
        ("not base64", "InvalidDigest"),
        (base64.b64encode(b"short").decode(), "InvalidDigest"),
    ],
)
def test_content_md5_is_checked(s3: BaseClient, bucket: str, value: str, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentMD5=value)
    assert refused.value.response["Error"]["Code"] == code
    right = base64.b64encode(hashlib.md5(b"body").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentMD5=right)


def test_an_object_without_a_checksum_gets_one(node: Node, bucket: str) -> None:
    # AWS computes CRC64NVME itself since 2025, where a client sends nothing.
    plain = s3_client(node, request_checksum_calculation="when_required")
    put = plain.put_object(Bucket=bucket, Key="k", Body=b"plain")
    assert put["ChecksumCRC64NVME"] == base64_digest("CRC64NVME", b"plain")


def test_a_copy_keeps_the_checksum_or_gets_the_one_asked_for(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"copied", ChecksumAlgorithm="SHA1")
    source = {"Bucket": bucket, "Key": "k"}
    kept = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)["CopyObjectResult"]
    assert kept["ChecksumSHA1"] == base64_digest("SHA1", b"copied")
    changed = s3.copy_object(Bucket=bucket, Key="changed", CopySource=source, ChecksumAlgorithm="CRC32C")
    assert changed["CopyObjectResult"]["ChecksumCRC32C"] == base64_digest("CRC32C", b"copied")
    head = s3.head_object(Bucket=bucket, Key="changed", ChecksumMode="ENABLED")
    assert "ChecksumSHA1" not in head and "ChecksumCRC32C" in head


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32C", "COMPOSITE"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
    ],
)
def test_the_checksum_of_an_upload(s3: BaseClient, bucket: str, algorithm: str, kind: str) -> None:
    name = f"Checksum{algorithm}"
    bodies = [content("one", 5 * MEBIBYTE), content("two", 100_001)]
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == (algorithm, kind)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": created["UploadId"]}
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        assert part[name] == base64_digest(algorithm, body)
        parts.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    listed = s3.list_parts(**upload)
    assert [part[name] for part in listed["Parts"]] == [part[name] for part in parts]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    if kind == "FULL_OBJECT":
        expected = base64_digest(algorithm, b"".join(bodies))
    else:
        digests = b"".join(DIGESTS[algorithm](body) for body in bodies)
        expected = base64_digest(algorithm, digests) + "-2"
    assert (done[name], done["ChecksumType"]) == (expected, kind)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (expected, kind)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectParts"])
    assert attributes["Checksum"] == {name: expected.removesuffix("-2"), "ChecksumType": kind}
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2


def test_a_completion_with_a_wrong_checksum_is_refused(s3: BaseClient, bucket: str) -> None:
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    upload = {"Bucket": bucket, "Key": "k", "UploadId": created["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"part", ChecksumAlgorithm="CRC32")
    right = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}
    wrong = right | {"ChecksumCRC32": base64_digest("CRC32", b"other")}
    with pytest.raises(ClientError) as refused:
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [wrong]})
    assert refused.value.response["Error"]["Code"] == "InvalidPart"
    with pytest.raises(ClientError) as refused:
        s3.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [right]}, ChecksumCRC32=base64_digest("CRC32", b"other")
        )
    assert refused.value.response["Error"]["Code"] == "BadDigest"
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [right]})
