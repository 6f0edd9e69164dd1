"""Cross-origin requests, as browsers send them: preflights without a signature, and headers on every response."""

from __future__ import annotations

import pytest
from botocore.client import BaseClient

import wire
from node import Node
from signing import Request, Signer

RULES = [
    {
        "AllowedMethods": ["GET", "PUT"],
        "AllowedOrigins": ["https://*.example.test"],
        "AllowedHeaders": ["x-amz-*", "content-type"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    },
    {"AllowedMethods": ["HEAD"], "AllowedOrigins": ["*"]},
]
ORIGIN = "https://app.example.test"


@pytest.fixture
def shared(s3: BaseClient, bucket: str) -> str:
    """A bucket that pages of other origins may use."""
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    return bucket


def preflight(node: Node, path: str, **headers: str) -> wire.Response:
    request = Request("OPTIONS", path, headers={"host": node.address}).with_headers(**headers)
    return wire.exchange(node.port, request)


def asked(method: str, headers: str = "", origin: str = ORIGIN) -> dict[str, str]:
    fields = {"Origin": origin, "Access_Control_Request_Method": method}
    return fields | ({"Access_Control_Request_Headers": headers} if headers else {})


def test_a_configuration_comes_back(s3: BaseClient, shared: str) -> None:
    assert s3.get_bucket_cors(Bucket=shared)["CORSRules"] == RULES
    s3.delete_bucket_cors(Bucket=shared)
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=shared)


def test_a_preflight_is_answered_by_the_rule_that_fits(node: Node, shared: str) -> None:
    for path in (f"/{shared}/k", f"/{shared}", f"/{shared}/absent?uploads"):
        answer = preflight(node, path, **asked("PUT", "Content-Type, X-Amz-Date"))
        assert answer.status == 200, answer
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-methods"] == "GET, PUT"
        assert answer.headers["access-control-allow-headers"] == "content-type, x-amz-date"
        assert answer.headers["access-control-expose-headers"] == "ETag"
        assert answer.headers["access-control-max-age"] == "600"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in answer.headers["vary"]


def test_a_preflight_that_no_rule_fits_is_refused(node: Node, shared: str) -> None:
    for fields, status in (
        (asked("DELETE"), 403),
        (asked("PUT", "authorization"), 403),
        (asked("GET", origin="https://example.test.evil"), 403),
        (asked("PATCH"), 400),
        ({"Origin": ORIGIN}, 400),
        ({"Access_Control_Request_Method": "GET"}, 400),
    ):
        answer = preflight(node, f"/{shared}/k", **fields)
        assert answer.status == status, (fields, answer)
        assert "access-control-allow-origin" not in answer.headers
    assert preflight(node, "/no-such-bucket/k", **asked("GET")).status == 404


def test_a_bucket_without_rules_lets_nobody_in(node: Node, bucket: str) -> None:
    answer = preflight(node, f"/{bucket}/k", **asked("GET"))
    assert (answer.status, b"AccessForbidden" in answer.body) == (403, True)


@pytest.mark.parametrize(("key", "status"), [("k", 200), ("absent", 404)])
def test_every_response_says_who_may_have_it(node: Node, signer: Signer, shared: str, key: str, status: int) -> None:
    request = Request("GET", f"/{shared}/{key}", headers={"Origin": ORIGIN})
    answer = wire.exchange(node.port, signer.sign(request))
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    # A refusal of an unsigned request can be read by the page, too.
    answer = wire.exchange(node.port, Request("GET", f"/{shared}/{key}", headers={"host": node.address, "Origin": ORIGIN}))
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (403, ORIGIN)
    other = Request("GET", f"/{shared}/{key}", headers={"Origin": "https://elsewhere.test"})
    assert "access-control-allow-origin" not in wire.exchange(node.port, signer.sign(other)).headers
    head = wire.exchange(node.port, signer.sign(Request("HEAD", f"/{shared}/{key}", headers={"Origin": "https://elsewhere.test"})))
    assert head.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in head.headers
