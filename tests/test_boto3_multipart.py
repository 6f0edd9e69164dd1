"""Multipart uploads from their start to their end, and everything that may go wrong between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from content import MEBIBYTE, content


@dataclass
class Upload:
    """An upload under way."""

    s3: BaseClient
    bucket: str
    key: str = "k"
    identity: dict[str, str] = field(init=False)
    parts: dict[int, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        created = self.s3.create_multipart_upload(Bucket=self.bucket, Key=self.key, ChecksumAlgorithm="CRC32")
        self.identity = {"Bucket": self.bucket, "Key": self.key, "UploadId": created["UploadId"]}

    def put(self, number: int, body: bytes) -> None:
        """Uploads a part."""
        part = self.s3.upload_part(**self.identity, PartNumber=number, Body=body)
        self.parts[number] = {"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}

    def complete(self, *numbers: int) -> dict:
        """Completes it with these parts, or with all in order."""
        chosen = [self.parts[number] for number in numbers or sorted(self.parts)]
        return self.s3.complete_multipart_upload(**self.identity, MultipartUpload={"Parts": chosen})


def refusal(call, *arguments: object, **named: object) -> tuple[int, str]:
    """Status and code that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(*arguments, **named)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_parts_in_any_order_become_one_object(s3: BaseClient, bucket: str) -> None:
    bodies = {1: content("1", 5 * MEBIBYTE), 7: content("7", 5 * MEBIBYTE + 333), 10_000: content("10000", 1)}
    upload = Upload(s3, bucket)
    for number in (10_000, 1, 7):
        upload.put(number, bodies[number])
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    done = upload.complete()
    digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies.values())).hexdigest()
    assert done["ETag"] == f'"{digest}-3"'
    assert (done["Bucket"], done["Key"]) == (bucket, "k") and done["Location"].endswith(f"/{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ETag"], got["Body"].read()) == (done["ETag"], b"".join(bodies.values()))


def test_headers_of_the_creation_are_those_of_the_object(s3: BaseClient, bucket: str) -> None:
    created = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"a": "b"}, ContentType="text/x")
    identity = {"Bucket": bucket, "Key": "k", "UploadId": created["UploadId"]}
    part = s3.upload_part(**identity, PartNumber=1, Body=b"x")
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    s3.complete_multipart_upload(**identity, MultipartUpload={"Parts": parts})
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["Metadata"], head["ContentType"]) == ({"a": "b"}, "text/x")


def test_a_part_uploaded_again_is_replaced(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, content("first", 6 * MEBIBYTE))
    upload.put(1, content("second", 5 * MEBIBYTE))
    upload.put(2, b"end")
    upload.complete()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == content("second", 5 * MEBIBYTE) + b"end"


def test_a_completion_may_leave_parts_out(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number in (1, 2, 3):
        upload.put(number, content(str(number), 5 * MEBIBYTE))
    upload.complete(1, 3)
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 10 * MEBIBYTE


def test_parts_can_be_read_one_by_one(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    bodies = {1: content("one", 5 * MEBIBYTE), 2: content("two", 777)}
    for number, body in bodies.items():
        upload.put(number, body)
    upload.complete()
    for number, body in bodies.items():
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (got["Body"].read(), got["PartsCount"], got["ContentLength"]) == (body, 2, len(body))
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=2)["ContentLength"] == 777
    assert refusal(s3.get_object, Bucket=bucket, Key="k", PartNumber=3) == (416, "InvalidPartNumber")


def test_part_1_of_a_simple_object_is_the_object(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"simple")
    assert s3.get_object(Bucket=bucket, Key="k", PartNumber=1)["Body"].read() == b"simple"
    assert refusal(s3.get_object, Bucket=bucket, Key="k", PartNumber=2) == (416, "InvalidPartNumber")


def test_ranges_over_the_edges_of_parts(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    bodies = [content("x", 5 * MEBIBYTE + 11), content("y", 5 * MEBIBYTE + 7), content("z", 99)]
    for number, body in enumerate(bodies, 1):
        upload.put(number, body)
    upload.complete()
    whole = b"".join(bodies)
    edge = len(bodies[0])
    for first, last in [(edge - 1, edge), (edge, edge), (edge - 5, edge + 5 * MEBIBYTE + 20), (0, len(whole) - 1)]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == whole[first : last + 1], (first, last)


def test_parts_are_listed_in_pages(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    numbers = [1, 2, 3, 50, 9_999]
    for number in numbers:
        upload.put(number, content(str(number), 10 + number))
    first = s3.list_parts(**upload.identity, MaxParts=3)
    assert (first["IsTruncated"], first["NextPartNumberMarker"]) == (True, 3)
    second = s3.list_parts(**upload.identity, MaxParts=3, PartNumberMarker=3)
    assert not second["IsTruncated"]
    listed = first["Parts"] + second["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(number, 10 + number) for number in numbers]
    assert [part["ETag"] for part in listed] == [upload.parts[number]["ETag"] for number in numbers]
    assert all(part["LastModified"] for part in listed) and first["StorageClass"] == "STANDARD"


def test_uploads_are_listed_in_pages(s3: BaseClient, bucket: str) -> None:
    names = ["a", "a/1", "a/2", "b", "b", "b", "c/1/x", "d"]
    uploads = sorted((upload.key, upload.identity["UploadId"]) for upload in [Upload(s3, bucket, key) for key in names])
    for page_size in (1000, 1, 3):
        found: list[tuple[str, str]] = []
        arguments: dict[str, object] = {}
        while True:
            page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=page_size, **arguments)
            found += [(each["Key"], each["UploadId"]) for each in page.get("Uploads", [])]
            assert len(page.get("Uploads", [])) <= page_size
            if not page["IsTruncated"]:
                break
            arguments = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert sorted(found) == uploads and [key for key, _ in found] == names, page_size
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [each["Prefix"] for each in grouped["CommonPrefixes"]] == ["a/", "c/"]
    assert [each["Key"] for each in grouped["Uploads"]] == ["a", "b", "b", "b", "d"]
    below = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [each["Key"] for each in below["Uploads"]] == ["a/1", "a/2"]


def test_an_aborted_upload_is_gone(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, content("aborted", 5 * MEBIBYTE))
    s3.abort_multipart_upload(**upload.identity)
    assert refusal(upload.put, 2, b"late") == (404, "NoSuchUpload")
    assert refusal(upload.complete) == (404, "NoSuchUpload")
    assert refusal(s3.list_parts, **upload.identity) == (404, "NoSuchUpload")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_completion_may_be_repeated(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"only")
    first = upload.complete()
    assert upload.complete()["ETag"] == first["ETag"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"only"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_repeated_completion_brings_nothing_back(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"old")
    upload.complete()
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    try:
        upload.complete()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchUpload"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


def test_two_uploads_of_one_key_are_apart(s3: BaseClient, bucket: str) -> None:
    first, second = Upload(s3, bucket), Upload(s3, bucket)
    first.put(1, b"first")
    second.put(1, b"second")
    first.complete()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"
    second.complete()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_parts_are_copied_from_objects(s3: BaseClient, bucket: str) -> None:
    body = content("source", 12 * MEBIBYTE)
    s3.put_object(Bucket=bucket, Key="source é", Body=body)
    source = {"Bucket": bucket, "Key": "source é"}
    upload = Upload(s3, bucket)
    ranges = {1: (0, 5 * MEBIBYTE), 2: (5 * MEBIBYTE, 11 * MEBIBYTE + 3)}
    for number, (first, end) in ranges.items():
        copied = s3.upload_part_copy(
            **upload.identity, PartNumber=number, CopySource=source, CopySourceRange=f"bytes={first}-{end - 1}"
        )["CopyPartResult"]
        assert copied["ETag"] == f'"{hashlib.md5(body[first:end]).hexdigest()}"' and copied["LastModified"]
        upload.parts[number] = {"PartNumber": number, "ETag": copied["ETag"]}
    whole = s3.upload_part_copy(**upload.identity, PartNumber=3, CopySource=source)["CopyPartResult"]
    upload.parts[3] = {"PartNumber": 3, "ETag": whole["ETag"]}
    upload.complete()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body[: 11 * MEBIBYTE + 3] + body


def test_a_part_copy_checks_its_source(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = Upload(s3, bucket)

    def copy(key: str, **named: str) -> tuple[int, str]:
        source = {"Bucket": bucket, "Key": key}
        return refusal(s3.upload_part_copy, **upload.identity, PartNumber=1, CopySource=source, **named)

    assert copy("absent") == (404, "NoSuchKey")
    assert copy("source", CopySourceRange="bytes=5-10") == (400, "InvalidArgument")
    assert copy("source", CopySourceRange="bytes=5-") == (400, "InvalidArgument")
    assert copy("source", CopySourceIfMatch='"00000000000000000000000000000000"') == (412, "PreconditionFailed")
    absent = {"Bucket": f"{bucket}-x", "Key": "source"}
    refused = refusal(s3.upload_part_copy, **upload.identity, PartNumber=1, CopySource=absent)
    assert refused == (404, "NoSuchBucket")


def test_wrong_completions_are_refused_and_change_nothing(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, content("small", 5 * MEBIBYTE - 1))
    upload.put(2, b"end")
    assert refusal(upload.complete, 1, 2) == (400, "EntityTooSmall")
    assert refusal(upload.complete, 2, 1) == (400, "InvalidPartOrder")
    assert refusal(upload.complete, 1, 1) == (400, "InvalidPartOrder")
    upload.parts[3] = {"PartNumber": 3, "ETag": upload.parts[1]["ETag"]}
    assert refusal(upload.complete, 3) == (400, "InvalidPart")
    upload.parts[1] = dict(upload.parts[1], ETag='"00000000000000000000000000000000"')
    assert refusal(upload.complete, 1) == (400, "InvalidPart")
    empty = refusal(s3.complete_multipart_upload, **upload.identity, MultipartUpload={"Parts": []})
    assert empty == (400, "MalformedXML")
    assert len(s3.list_parts(**upload.identity)["Parts"]) == 2
    upload.complete(2)


def test_part_numbers_out_of_bounds_are_refused(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number in (0, -1, 10_001):
        assert refusal(upload.put, number, b"x") == (400, "InvalidArgument"), number


def test_an_upload_belongs_to_its_key(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.identity["Key"] = "other"
    assert refusal(upload.put, 1, b"x") == (404, "NoSuchUpload")
    assert refusal(s3.abort_multipart_upload, **upload.identity) == (404, "NoSuchUpload")


def test_attributes_name_the_parts(s3: BaseClient, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, content("1", 5 * MEBIBYTE))
    upload.put(4, content("4", 44))
    upload.complete()
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "ObjectSize"], MaxParts=1)
    parts = found["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["IsTruncated"]) == (2, True)
    assert [part["Size"] for part in parts["Parts"]] == [5 * MEBIBYTE]
    assert found["ObjectSize"] == 5 * MEBIBYTE + 44
