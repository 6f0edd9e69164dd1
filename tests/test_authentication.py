"""Who may: each refusal of a signature in the header, by status and code, and what is let through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from botocore.client import BaseClient

import wire
from clients import bucket_name
from node import Node
from signing import ALGORITHM, EMPTY_SHA256, Request, Signer

GET = Request("GET", "/")


def authorization(request: Request, change: Callable[[str], str]) -> Request:
    """The request with its Authorization header changed."""
    return replace(request, headers=request.headers | {"authorization": change(request.headers["authorization"])})


def refused(node: Node, request: Request) -> tuple[int, str | None]:
    """Status and code of the answer."""
    return wire.exchange(node.port, request).refusal


def test_a_right_signature_is_let_through_for_any_region(node: Node) -> None:
    for region in ("us-east-1", "eu-central-1", "auto", "x"):
        assert refused(node, Signer(node.address, region=region).sign(GET)) == (200, None), region


def test_clocks_may_differ_by_15_minutes(node: Node) -> None:
    for seconds in (-870, 870):
        assert refused(node, Signer(node.address, shift_seconds=seconds).sign(GET)) == (200, None)
    for seconds in (-930, 930, -86_400 * 400):
        answer = wire.exchange(node.port, Signer(node.address, shift_seconds=seconds).sign(GET))
        assert answer.refusal == (403, "RequestTimeTooSkewed")
        assert answer.element("ServerTime") and answer.element("MaxAllowedSkewMilliseconds") == "900000"


def test_anonymous_requests_are_denied(node: Node, bucket: str) -> None:
    headers = {"host": node.address}
    for method, path in (("GET", "/"), ("GET", f"/{bucket}"), ("PUT", f"/{bucket}/k"), ("DELETE", f"/{bucket}")):
        assert refused(node, Request(method, path, headers=headers)) == (403, "AccessDenied"), (method, path)


def test_anonymous_requests_learn_nothing_of_what_is_in_a_bucket(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {"host": node.address}
    for key in ("k", "absent"):
        answer = wire.exchange(node.port, Request("GET", f"/{bucket}/{key}", headers=headers))
        assert answer.refusal == (403, "AccessDenied")
    # Which buckets there are whoever tries to make them learns, at AWS as here.
    absent = wire.exchange(node.port, Request("GET", f"/{bucket_name()}/k", headers=headers))
    assert absent.refusal == (404, "NoSuchBucket")


def test_an_unknown_access_key(node: Node) -> None:
    answer = wire.exchange(node.port, Signer(node.address, access_key="AKIAUNKNOWN").sign(GET))
    assert answer.refusal == (403, "InvalidAccessKeyId")
    assert answer.element("AWSAccessKeyId") == "AKIAUNKNOWN"


def test_a_wrong_secret_gets_what_was_to_be_signed(node: Node) -> None:
    answer = wire.exchange(node.port, Signer(node.address, secret_key="wrong").sign(GET))
    assert answer.refusal == (403, "SignatureDoesNotMatch")
    assert answer.element("StringToSign").startswith(ALGORITHM)
    assert answer.element("CanonicalRequest").startswith("GET\n/\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda request: replace(request, method="HEAD"),
        lambda request: replace(request, path="/other"),
        lambda request: replace(request, query=(("prefix", "other"),)),
        lambda request: replace(request, query=(*request.query, ("max-keys", "1"))),
        lambda request: replace(request, headers=request.headers | {"host": "other"}),
        lambda request: replace(request, headers=request.headers | {"x-amz-meta-a": "other"}),
        lambda request: replace(request, headers=request.headers | {"x-amz-content-sha256": "0" * 64}),
        lambda request: authorization(request, lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")),
        lambda request: authorization(request, lambda text: text.replace("us-east-1", "us-east-2")),
        lambda request: authorization(request, lambda text: text[:-1]),
        lambda request: authorization(request, lambda text: text[:-64] + "Z" * 64),
    ],
)
def test_anything_changed_after_signing(node: Node, signer: Signer, bucket: str, change) -> None:
    request = Request("GET", f"/{bucket}", (("prefix", "p"),), {"x-amz-meta-a": "1"})
    answer = wire.exchange(node.port, change(signer.sign(request)))
    assert answer.status == 403 and answer.code in ("SignatureDoesNotMatch", None), answer


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("Credential=", "Credentials="),
        lambda text: text.replace(", SignedHeaders=", ", Signed="),
        lambda text: text[: text.rindex(",")],
        lambda text: text + ", Signature=0",
        lambda text: text.replace("/aws4_request", "/aws5_request"),
        lambda text: text.replace("/us-east-1/s3/", "/us-east-1/"),
        lambda text: text.replace("/s3/", "/ec2/"),
        lambda text: text.replace("Credential=AKIABLACKBOXTESTS/20", "Credential=AKIABLACKBOXTESTS/19"),
        lambda text: text.replace("host;", "Host;"),
        lambda text: text.replace("host;", "host;;"),
        lambda _text: ALGORITHM,
        lambda _text: f"{ALGORITHM} garbage",
    ],
)
def test_a_malformed_authorization_header(node: Node, signer: Signer, change) -> None:
    assert refused(node, authorization(signer.sign(GET), change)) == (400, "AuthorizationHeaderMalformed")


def test_other_ways_to_sign_are_refused_by_name(node: Node, signer: Signer) -> None:
    version_2 = authorization(signer.sign(GET), lambda _text: "AWS AKIABLACKBOXTESTS:c2lnbmF0dXJl")
    answer = wire.exchange(node.port, version_2)
    assert answer.refusal == (400, "InvalidRequest") and "Version 2" in answer.element("Message")
    by_query = (("AWSAccessKeyId", "AKIABLACKBOXTESTS"), ("Expires", "9999999999"), ("Signature", "c2ln"))
    answer = wire.exchange(node.port, Request("GET", "/", by_query, {"host": node.address}))
    assert answer.refusal == (400, "InvalidRequest") and "Version 2" in answer.element("Message")
    for other in ("Basic dXNlcjpwYXNz", "Bearer token", "AWS4-ECDSA-P256-SHA256 Credential=x"):
        request = signer.sign(GET)
        changed = replace(request, headers=request.headers | {"authorization": other})
        assert refused(node, changed) == (400, "InvalidArgument"), other


def test_header_and_query_together(node: Node, signer: Signer) -> None:
    presigned = signer.presign(GET)
    both = replace(presigned, headers=signer.sign(presigned).headers)
    assert refused(node, both) == (400, "InvalidArgument")


@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-amz-copy-source", "x-amz-acl", "x-amz-security-token"])
def test_an_x_amz_header_that_was_not_signed(node: Node, signer: Signer, bucket: str, name: str) -> None:
    request = Request("PUT", f"/{bucket}/k", headers={name: f"{bucket}/other"}, body=b"x")
    answer = wire.exchange(node.port, signer.sign(request, unsigned=(name,)))
    assert answer.refusal == (403, "AccessDenied")
    assert answer.element("HeadersNotSigned") == name


def test_a_host_that_was_not_signed(node: Node, signer: Signer) -> None:
    assert refused(node, signer.sign(GET, unsigned=("host",))) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("absent", "refusal"),
    [("x-amz-date", (403, "AccessDenied")), ("x-amz-content-sha256", (400, "InvalidRequest"))],
)
def test_a_header_that_is_needed(node: Node, signer: Signer, absent: str, refusal: tuple[int, str]) -> None:
    signed = signer.sign(GET, unsigned=(absent,))
    left = {name: value for name, value in signed.headers.items() if name != absent}
    assert refused(node, replace(signed, headers=left)) == refusal


@pytest.mark.parametrize("date", ["20240101", "2024-01-01T00:00:00Z", "20241301T000000Z", "now", ""])
def test_a_malformed_date(node: Node, signer: Signer, date: str) -> None:
    signed = signer.sign(GET)
    answer = wire.exchange(node.port, replace(signed, headers=signed.headers | {"x-amz-date": date}))
    assert answer.status in (400, 403) and answer.code in ("AccessDenied", "AuthorizationHeaderMalformed")


def test_a_session_token_of_nobody(node: Node, signer: Signer) -> None:
    request = Request("GET", "/", headers={"x-amz-security-token": "made-up"})
    assert refused(node, signer.sign(request)) == (400, "InvalidToken")


def test_the_configured_region_is_the_only_one(make_node: Callable[..., Node]) -> None:
    node = make_node("--region", "eu-central-1")
    node.start()
    assert refused(node, Signer(node.address, region="eu-central-1").sign(GET)) == (200, None)
    answer = wire.exchange(node.port, Signer(node.address).sign(GET))
    assert answer.refusal == (400, "AuthorizationHeaderMalformed")
    assert answer.element("Region") == "eu-central-1"
    answer = wire.exchange(node.port, Signer(node.address).presign(GET))
    assert answer.refusal == (400, "AuthorizationQueryParametersError")


def test_an_empty_body_may_be_signed_as_such(node: Node, signer: Signer) -> None:
    assert refused(node, signer.sign(GET, EMPTY_SHA256)) == (200, None)
    assert refused(node, signer.sign(GET, "UNSIGNED-PAYLOAD")) == (200, None)
