"""Buckets: created, found, listed in pages, refused under wrong names, deleted only when empty."""

from __future__ import annotations

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import bucket_name
from node import Node
from signing import Request, Signer


def refusal(call, **arguments: object) -> tuple[int, str]:
    """Status and code that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_a_bucket_from_creation_to_deletion(s3: BaseClient) -> None:
    name = bucket_name()
    assert refusal(s3.head_bucket, Bucket=name) == (404, "404")
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert name in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert refusal(s3.create_bucket, Bucket=name) == (409, "BucketAlreadyOwnedByYou")
    s3.delete_bucket(Bucket=name)
    assert refusal(s3.head_bucket, Bucket=name) == (404, "404")
    assert refusal(s3.delete_bucket, Bucket=name) == (404, "NoSuchBucket")


def test_a_bucket_with_objects_is_not_deleted(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.put_object(Bucket=bucket, Key="still/writable", Body=b"x")
    for key in ("k", "still/writable"):
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x") == (404, "NoSuchBucket")


def test_a_bucket_made_again_is_empty(s3: BaseClient, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.put_object(Bucket=bucket, Key="k", Body=b"again")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"again"


def test_buckets_are_listed_in_pages_and_by_prefix(s3: BaseClient) -> None:
    prefix = bucket_name()
    names = [f"{prefix}-{number:02}" for number in range(7)]
    for name in names:
        s3.create_bucket(Bucket=name)
    found: list[str] = []
    arguments: dict[str, object] = {"Prefix": prefix, "MaxBuckets": 3}
    while True:
        page = s3.list_buckets(**arguments)
        assert len(page["Buckets"]) <= 3 and page["Prefix"] == prefix
        found += [each["Name"] for each in page["Buckets"]]
        if "ContinuationToken" not in page:
            break
        arguments["ContinuationToken"] = page["ContinuationToken"]
    assert found == names
    assert s3.list_buckets()["Owner"]["ID"]


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "-start", "end-", "a..b", "192.168.5.4", "xn--a", "a-s3alias", "sp%20ace"],
)
def test_a_wrong_name_is_refused(node: Node, signer: Signer, name: str) -> None:
    for request in (Request("PUT", f"/{name}"), Request("GET", f"/{name}"), Request("PUT", f"/{name}/key", body=b"x")):
        assert wire.exchange(node.port, signer.sign(request)).refusal == (400, "InvalidBucketName")


def test_operations_on_an_absent_bucket_say_so(s3: BaseClient) -> None:
    absent = {"Bucket": bucket_name()}
    item = absent | {"Key": "k"}
    for call, arguments in (
        (s3.list_objects, absent),
        (s3.list_objects_v2, absent),
        (s3.list_multipart_uploads, absent),
        (s3.get_bucket_location, absent),
        (s3.get_bucket_policy, absent),
        (s3.get_object, item),
        (s3.put_object, item | {"Body": b"x"}),
        (s3.delete_object, item),
        (s3.create_multipart_upload, item),
        (s3.delete_objects, absent | {"Delete": {"Objects": [{"Key": "k"}]}}),
    ):
        assert refusal(call, **arguments) == (404, "NoSuchBucket"), call


def test_a_location_constraint_is_read(s3: BaseClient, node: Node, signer: Signer) -> None:
    body = b"<CreateBucketConfiguration><LocationConstraint></LocationConstraint></CreateBucketConfiguration>"
    name = bucket_name()
    assert wire.exchange(node.port, signer.sign(Request("PUT", f"/{name}", body=body))).status == 200
    for wrong in (b"<CreateBucketConfiguration>", b"not xml", b"<Other/>"):
        answer = wire.exchange(node.port, signer.sign(Request("PUT", f"/{bucket_name()}", body=wrong)))
        assert answer.refusal == (400, "MalformedXML"), wrong
