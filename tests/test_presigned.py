"""Presigned URLs of boto3, fetched by a client that knows nothing of S3; and what they refuse."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from botocore.client import BaseClient

import wire
from clients import s3_client
from content import content
from node import Node
from signing import Request, Signer


@pytest.fixture(scope="module")
def urls(node: Node) -> BaseClient:
    """boto3 that presigns by version 4; by default it does so by version 2 for any endpoint but AWS's."""
    return s3_client(node, signature_version="s3v4")


def fetch(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of a plain HTTP request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("key", ["plain", "a b+c%d/é//😀", "../x"])
def test_put_get_head_and_delete_by_url(urls: BaseClient, bucket: str, key: str) -> None:
    def url(operation: str) -> str:
        return urls.generate_presigned_url(operation, {"Bucket": bucket, "Key": key}, ExpiresIn=60)

    body = content("presigned", 100_000)
    assert fetch(url("put_object"), "PUT", body, Content_Type="text/plain")[0] == 200
    assert fetch(url("get_object")) == (200, body)
    assert fetch(url("head_object"), "HEAD") == (200, b"")
    assert fetch(url("delete_object"), "DELETE")[0] == 204
    assert fetch(url("get_object"))[0] == 404


def test_headers_that_were_signed_must_be_sent(urls: BaseClient, bucket: str) -> None:
    arguments = {"Bucket": bucket, "Key": "k", "ContentType": "text/plain", "Metadata": {"a": "1"}}
    url = urls.generate_presigned_url("put_object", arguments)
    assert fetch(url, "PUT", b"x", Content_Type="text/plain", x_amz_meta_a="1")[0] == 200
    assert fetch(url, "PUT", b"x", Content_Type="text/html", x_amz_meta_a="1")[0] == 403
    assert fetch(url, "PUT", b"x", Content_Type="text/plain", x_amz_meta_a="2")[0] == 403
    assert fetch(url, "PUT", b"x", Content_Type="text/plain")[0] == 403


def test_overrides_are_part_of_the_signature(s3: BaseClient, urls: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    arguments = {"Bucket": bucket, "Key": "k", "ResponseContentDisposition": 'attachment; filename="a b"'}
    url = urls.generate_presigned_url("get_object", arguments)
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="a b"'
    assert fetch(url.replace("attachment", "inline"))[0] == 403


@pytest.mark.parametrize(
    ("expires", "status", "code"),
    [
        ("1", 200, None),
        ("604800", 200, None),
        ("604801", 400, "AuthorizationQueryParametersError"),
        ("0", 400, "AuthorizationQueryParametersError"),
        ("-1", 400, "AuthorizationQueryParametersError"),
        ("soon", 400, "AuthorizationQueryParametersError"),
        ("99999999999999999999", 400, "AuthorizationQueryParametersError"),
    ],
)
def test_how_long_a_url_may_be_valid(
    s3: BaseClient, node: Node, signer: Signer, bucket: str, expires: str, status: int, code: str | None
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = wire.exchange(node.port, signer.presign(Request("GET", f"/{bucket}/k"), expires))
    assert answer.refusal == (status, code)


def test_an_expired_url_is_refused(node: Node, bucket: str) -> None:
    late = Signer(node.address, shift_seconds=-120)
    answer = wire.exchange(node.port, late.presign(Request("GET", f"/{bucket}/k"), "60"))
    assert answer.refusal == (403, "AccessDenied")
    assert answer.element("Message") == "Request has expired"
    early = Signer(node.address, shift_seconds=3600)
    answer = wire.exchange(node.port, early.presign(Request("GET", f"/{bucket}/k"), "60"))
    assert answer.refusal == (403, "AccessDenied")


def test_each_part_of_a_url_is_needed_and_signed(node: Node, signer: Signer, bucket: str) -> None:
    signed = signer.presign(Request("GET", f"/{bucket}/k", (("versionId", "null"),)))
    for name, _ in signed.query:
        left = tuple(pair for pair in signed.query if pair[0] != name)
        answer = wire.exchange(node.port, Request("GET", signed.path, left, signed.headers))
        assert answer.status in (400, 403), name
        twice = (*signed.query, (name, dict(signed.query)[name]))
        answer = wire.exchange(node.port, Request("GET", signed.path, twice, signed.headers))
        assert answer.status in (400, 403), name
    for method, path in (
        ("GET", f"/{bucket}/other"),
        ("PUT", signed.path),
        ("DELETE", signed.path),
        ("GET", f"/{bucket}"),
    ):
        answer = wire.exchange(node.port, Request(method, path, signed.query, signed.headers))
        assert answer.refusal == (403, "SignatureDoesNotMatch"), (method, path)


def test_version_2_is_refused_by_name(s3: BaseClient, bucket: str) -> None:
    status, body = fetch(s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}))
    assert status == 400 and b"Signature Version 2" in body
