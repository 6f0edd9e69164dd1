"""Conditional reads (RFC 9110) and conditional writes, the latter also from many writers at once."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FUTURE = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)
OTHER = '"00000000000000000000000000000000"'


def refusal(call, **arguments: object) -> tuple[int, str]:
    """Status and code that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.fixture
def etag(s3: BaseClient, bucket: str) -> str:
    """The entity tag of the object `k`."""
    return s3.put_object(Bucket=bucket, Key="k", Body=b"value")["ETag"]


def test_reads_whose_conditions_hold(s3: BaseClient, bucket: str, etag: str) -> None:
    for conditions in (
        {"IfMatch": etag},
        {"IfMatch": "*"},
        {"IfMatch": f"{OTHER}, {etag}"},
        {"IfNoneMatch": OTHER},
        {"IfModifiedSince": PAST},
        {"IfUnmodifiedSince": FUTURE},
        {"IfMatch": etag, "IfUnmodifiedSince": PAST},
        {"IfNoneMatch": OTHER, "IfModifiedSince": FUTURE},
    ):
        assert s3.get_object(Bucket=bucket, Key="k", **conditions)["Body"].read() == b"value", conditions
        s3.head_object(Bucket=bucket, Key="k", **conditions)


@pytest.mark.parametrize("name", ["get_object", "head_object"])
def test_reads_of_what_the_client_has_answer_304(s3: BaseClient, bucket: str, etag: str, name: str) -> None:
    for conditions in (
        {"IfNoneMatch": etag},
        {"IfNoneMatch": "*"},
        {"IfNoneMatch": f"W/{etag}"},
        {"IfModifiedSince": FUTURE},
        {"IfNoneMatch": etag, "IfModifiedSince": PAST},
    ):
        with pytest.raises(ClientError) as refused:
            getattr(s3, name)(Bucket=bucket, Key="k", **conditions)
        metadata = refused.value.response["ResponseMetadata"]
        assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]["etag"]) == (304, etag), conditions


def test_reads_whose_conditions_fail_answer_412(s3: BaseClient, bucket: str, etag: str) -> None:
    for conditions in (
        {"IfMatch": OTHER},
        {"IfUnmodifiedSince": PAST},
        {"IfMatch": OTHER, "IfNoneMatch": etag},
        {"IfUnmodifiedSince": PAST, "IfModifiedSince": FUTURE},
    ):
        assert refusal(s3.get_object, Bucket=bucket, Key="k", **conditions) == (412, "PreconditionFailed"), conditions
        assert refusal(s3.head_object, Bucket=bucket, Key="k", **conditions) == (412, "412"), conditions


def test_put_if_absent(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="new", Body=b"1", IfNoneMatch="*")
    again = refusal(s3.put_object, Bucket=bucket, Key="new", Body=b"2", IfNoneMatch="*")
    assert again == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"1"
    s3.delete_object(Bucket=bucket, Key="new")
    s3.put_object(Bucket=bucket, Key="new", Body=b"3", IfNoneMatch="*")


def test_put_if_match(s3: BaseClient, bucket: str, etag: str) -> None:
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfMatch=etag)["ETag"]
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x", IfMatch=etag) == (412, "PreconditionFailed")
    assert refusal(s3.put_object, Bucket=bucket, Key="none", Body=b"x", IfMatch=etag) == (404, "NoSuchKey")
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"] == second


def test_delete_if_match(s3: BaseClient, bucket: str, etag: str) -> None:
    assert refusal(s3.delete_object, Bucket=bucket, Key="k", IfMatch=OTHER) == (412, "PreconditionFailed")
    s3.head_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert refusal(s3.head_object, Bucket=bucket, Key="k") == (404, "404")


def test_a_copy_obeys_conditions_on_its_source(s3: BaseClient, bucket: str, etag: str) -> None:
    arguments = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    for conditions in (
        {"CopySourceIfMatch": OTHER},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfUnmodifiedSince": PAST},
        {"CopySourceIfModifiedSince": FUTURE},
    ):
        assert refusal(s3.copy_object, **arguments, **conditions) == (412, "PreconditionFailed"), conditions
    assert refusal(s3.head_object, Bucket=bucket, Key="copy") == (404, "404")
    s3.copy_object(**arguments, CopySourceIfMatch=etag, CopySourceIfUnmodifiedSince=PAST)


def test_a_copy_obeys_conditions_on_its_target(s3: BaseClient, bucket: str, etag: str) -> None:
    arguments = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    s3.copy_object(**arguments, IfNoneMatch="*")
    assert refusal(s3.copy_object, **arguments, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refusal(s3.copy_object, **arguments, IfMatch=OTHER) == (412, "PreconditionFailed")


def test_a_completion_obeys_its_condition(s3: BaseClient, bucket: str, etag: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    part = s3.upload_part(**arguments, PartNumber=1, Body=b"last part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]}
    complete = s3.complete_multipart_upload
    assert refusal(complete, **arguments, MultipartUpload=parts, IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refusal(complete, **arguments, MultipartUpload=parts, IfMatch=OTHER) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"value"
    complete(**arguments, MultipartUpload=parts, IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"last part"


def test_of_many_writers_that_create_one_wins(s3: BaseClient, bucket: str) -> None:
    def create(number: int) -> int:
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
            return number
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
            return -1

    with ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(create, range(64)) if number >= 0]
    assert len(winners) == 1
    assert s3.get_object(Bucket=bucket, Key="lock")["Body"].read() == str(winners[0]).encode()


def test_counting_by_compare_and_swap_loses_nothing(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def increment(_number: int) -> None:
        while True:
            got = s3.get_object(Bucket=bucket, Key="counter")
            value = int(got["Body"].read()) + 1
            try:
                s3.put_object(Bucket=bucket, Key="counter", Body=str(value).encode(), IfMatch=got["ETag"])
                return
            except ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(40)))
    assert s3.get_object(Bucket=bucket, Key="counter")["Body"].read() == b"40"


def test_if_range_serves_the_range_or_the_whole(s3: BaseClient, bucket: str, etag: str) -> None:
    def get(if_range: str) -> tuple[int, bytes]:
        add = lambda request, **_: request.headers.add_header("If-Range", if_range)  # noqa: E731
        s3.meta.events.register("before-sign.s3.GetObject", add, unique_id="if-range")
        try:
            got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1")
        finally:
            s3.meta.events.unregister("before-sign.s3.GetObject", unique_id="if-range")
        return got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()

    assert get(etag) == (206, b"va")
    assert get(OTHER) == (200, b"value")
