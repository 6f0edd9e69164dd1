"""Errors: each wrong request gets AWS's code and status, in a document that names the request."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import bucket_name
from node import Node
from signing import Request, Signer

Call = Callable[[BaseClient, str], object]

TABLE: dict[str, tuple[Call, int, str]] = {
    "get of an absent key": (lambda s3, b: s3.get_object(Bucket=b, Key="absent"), 404, "NoSuchKey"),
    "head of an absent key": (lambda s3, b: s3.head_object(Bucket=b, Key="absent"), 404, "404"),
    "attributes of an absent key": (
        lambda s3, b: s3.get_object_attributes(Bucket=b, Key="absent", ObjectAttributes=["ETag"]),
        404,
        "NoSuchKey",
    ),
    "unknown attribute": (
        lambda s3, b: s3.get_object_attributes(Bucket=b, Key="k", ObjectAttributes=["Color"]),
        400,
        "InvalidArgument",
    ),
    "copy of an absent key": (
        lambda s3, b: s3.copy_object(Bucket=b, Key="t", CopySource={"Bucket": b, "Key": "absent"}),
        404,
        "NoSuchKey",
    ),
    "copy from an absent bucket": (
        lambda s3, b: s3.copy_object(Bucket=b, Key="t", CopySource={"Bucket": f"{b}-x", "Key": "k"}),
        404,
        "NoSuchBucket",
    ),
    "copy onto itself": (
        lambda s3, b: s3.copy_object(Bucket=b, Key="k", CopySource={"Bucket": b, "Key": "k"}),
        400,
        "InvalidRequest",
    ),
    "copy source without a key": (
        lambda s3, b: s3.copy_object(Bucket=b, Key="t", CopySource=b),
        400,
        "InvalidArgument",
    ),
    "unknown directive": (
        lambda s3, b: s3.copy_object(Bucket=b, Key="t", CopySource=f"{b}/k", MetadataDirective="MERGE"),
        400,
        "InvalidArgument",
    ),
    "metadata too large": (
        lambda s3, b: s3.put_object(Bucket=b, Key="k", Metadata={"a": "x" * 2048}),
        400,
        "MetadataTooLarge",
    ),
    "unknown storage class": (
        lambda s3, b: s3.put_object(Bucket=b, Key="k", StorageClass="PLATINUM"),
        400,
        "InvalidStorageClass",
    ),
    "public acl": (
        lambda s3, b: s3.put_object(Bucket=b, Key="k", ACL="public-read"),
        400,
        "AccessControlListNotSupported",
    ),
    "tags of an object": (lambda s3, b: s3.put_object(Bucket=b, Key="k", Tagging="a=b&a=c"), 400, "InvalidTag"),
    "encryption": (
        lambda s3, b: s3.put_object(Bucket=b, Key="k", ServerSideEncryption="AES192"),
        400,
        "InvalidEncryptionAlgorithmError",
    ),
    "object lock": (
        lambda s3, b: s3.put_object(Bucket=b, Key="k", ObjectLockLegalHoldStatus="ON"),
        400,
        "InvalidRequest",
    ),
    "unknown version": (lambda s3, b: s3.get_object(Bucket=b, Key="k", VersionId="no-such"), 400, "InvalidArgument"),
    "range and part": (
        lambda s3, b: s3.get_object(Bucket=b, Key="k", Range="bytes=0-1", PartNumber=1),
        400,
        "InvalidRequest",
    ),
    "too many keys to delete": (
        lambda s3, b: s3.delete_objects(Bucket=b, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]}),
        400,
        "MalformedXML",
    ),
    "no keys to delete": (lambda s3, b: s3.delete_objects(Bucket=b, Delete={"Objects": []}), 400, "MalformedXML"),
    "part of no upload": (
        lambda s3, b: s3.upload_part(Bucket=b, Key="k", UploadId="made-up", PartNumber=1, Body=b"x"),
        404,
        "NoSuchUpload",
    ),
    "completion of no upload": (
        lambda s3, b: s3.complete_multipart_upload(
            Bucket=b, Key="k", UploadId="made-up", MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]}
        ),
        404,
        "NoSuchUpload",
    ),
    "abort of no upload": (
        lambda s3, b: s3.abort_multipart_upload(Bucket=b, Key="k", UploadId="made-up"),
        404,
        "NoSuchUpload",
    ),
    "parts of no upload": (lambda s3, b: s3.list_parts(Bucket=b, Key="k", UploadId="made-up"), 404, "NoSuchUpload"),
    "another owner expected": (
        lambda s3, b: s3.head_bucket(Bucket=b, ExpectedBucketOwner="000000000001"),
        403,
        "403",
    ),
}


@pytest.fixture(scope="module")
def filled(s3: BaseClient, node: Node) -> str:
    """A bucket with the object `k`, which no wrong request changes."""
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"unchanged")
    return name


@pytest.mark.parametrize("name", TABLE)
def test_a_wrong_request_gets_its_code(s3: BaseClient, filled: str, name: str) -> None:
    call, status, code = TABLE[name]
    with pytest.raises(ClientError) as refused:
        call(s3, filled)
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    assert s3.get_object(Bucket=filled, Key="k")["Body"].read() == b"unchanged"


def test_an_error_document_names_the_request(node: Node, signer: Signer, filled: str) -> None:
    answer = wire.exchange(node.port, signer.sign(Request("GET", f"/{filled}/ab%26sent")))
    assert answer.headers["content-type"] == "application/xml"
    assert answer.element("Key") == "ab&sent"
    assert answer.element("Resource") == f"/{filled}/ab%26sent"
    assert answer.element("RequestId") == answer.headers["x-amz-request-id"]
    assert answer.element("HostId") == answer.headers["x-amz-id-2"]
    assert answer.element("Message")


def test_request_ids_differ(node: Node, signer: Signer, filled: str) -> None:
    request = signer.sign(Request("GET", f"/{filled}/absent"))
    with wire.Connection(node.port) as connection:
        identities = {connection.exchange(request).headers["x-amz-request-id"] for _ in range(20)}
    assert len(identities) == 20


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        (("PUT", "/", ()), 405, "MethodNotAllowed"),
        (("POST", "/{bucket}/k", ()), 405, "MethodNotAllowed"),
        (("DELETE", "/", ()), 405, "MethodNotAllowed"),
        (("PATCH", "/{bucket}/k", ()), 405, "MethodNotAllowed"),
        (("HEAD", "/", ()), 405, None),
    ],
)
def test_a_method_that_has_no_meaning_is_refused(
    node: Node, signer: Signer, filled: str, request_line: tuple, status: int, code: str | None
) -> None:
    method, path, query = request_line
    answer = wire.exchange(node.port, signer.sign(Request(method, path.format(bucket=filled), query)))
    assert answer.refusal == (status, code)


def test_unknown_parameters_are_ignored(node: Node, signer: Signer, filled: str) -> None:
    query = (("x-id", "GetObject"), ("unknown", "1"), ("another", ""))
    answer = wire.exchange(node.port, signer.sign(Request("GET", f"/{filled}/k", query)))
    assert (answer.status, answer.body) == (200, b"unchanged")
