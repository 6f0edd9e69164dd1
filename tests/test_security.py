"""Attacks known from the field's published advisories: each is refused, and leaves everything as it was."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import bucket_name, s3_client
from content import content
from node import ACCESS_KEY, SECRET_KEY, Node
from signing import STREAMING, STREAMING_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Chunked, Request, Signer

MODES = [UNSIGNED, None, STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER]
DELETION = b"<Delete><Object><Key>victim</Key></Object></Delete>"
COMPLETION = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
VICTIM = b"what nobody may change"


@pytest.fixture
def victim(s3: BaseClient, bucket: str) -> tuple[str, str]:
    """A bucket with the object `victim` and an upload to it; the upload's id."""
    s3.put_object(Bucket=bucket, Key="victim", Body=VICTIM)
    return bucket, s3.create_multipart_upload(Bucket=bucket, Key="victim")["UploadId"]


def write_routes(bucket: str, upload: str) -> list[Request]:
    """A request for every operation that writes."""
    part = (("partNumber", "1"), ("uploadId", upload))
    source = {"x-amz-copy-source": f"/{bucket}/victim"}
    return [
        Request("PUT", f"/{bucket}-new"),
        Request("DELETE", f"/{bucket}"),
        Request("POST", f"/{bucket}", (("delete", ""),), {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, DELETION),
        Request("PUT", f"/{bucket}/victim", body=b"changed"),
        Request("PUT", f"/{bucket}/copy", headers=source),
        Request("DELETE", f"/{bucket}/victim"),
        Request("POST", f"/{bucket}/victim", (("uploads", ""),)),
        Request("PUT", f"/{bucket}/victim", part, body=b"part"),
        Request("PUT", f"/{bucket}/victim", part, source),
        Request("POST", f"/{bucket}/victim", (("uploadId", upload),), body=COMPLETION),
        Request("DELETE", f"/{bucket}/victim", (("uploadId", upload),)),
    ]


def sign_in_mode(signer: Signer, request: Request, mode: str | None) -> Request:
    """Signs a request in one of the five payload modes."""
    if mode in (UNSIGNED, None):
        return signer.sign(request, mode)
    trailer = None if mode == STREAMING else ("x-amz-checksum-crc32", "AAAAAA==")
    return Chunked(mode, request.body, trailer).sign(signer, request)


def assert_unchanged(s3: BaseClient, bucket: str, upload: str) -> None:
    """The bucket holds what it held."""
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["victim"]
    assert s3.get_object(Bucket=bucket, Key="victim")["Body"].read() == VICTIM
    assert [each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="victim", UploadId=upload)
    with pytest.raises(ClientError):
        s3.head_bucket(Bucket=f"{bucket}-new")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("access_key", "code"), [(ACCESS_KEY, "SignatureDoesNotMatch"), ("AKIAMADEUP", "InvalidAccessKeyId")]
)
def test_a_made_up_signature_writes_nothing(
    node: Node, s3: BaseClient, victim: tuple[str, str], mode: str | None, access_key: str, code: str
) -> None:
    forger = Signer(node.address, access_key, "made-up-secret")
    for request in write_routes(*victim):
        answer = wire.exchange(node.port, sign_in_mode(forger, request, mode))
        assert answer.refusal == (403, code), (request.method, request.target)
    assert_unchanged(s3, *victim)


@pytest.mark.parametrize("mode", [UNSIGNED, UNSIGNED_TRAILER, STREAMING, STREAMING_TRAILER])
def test_no_signature_writes_nothing(node: Node, s3: BaseClient, victim: tuple[str, str], mode: str) -> None:
    for request in write_routes(*victim):
        signed = sign_in_mode(Signer(node.address), request, mode)
        headers = {name: value for name, value in signed.headers.items() if name != "authorization"}
        answer = wire.exchange(node.port, replace(signed, headers=headers))
        assert answer.status in (400, 403) and answer.code in ("AccessDenied", "InvalidRequest"), answer
    assert_unchanged(s3, *victim)


@pytest.mark.parametrize("mode", MODES)
def test_a_presigned_url_made_up_writes_nothing(
    node: Node, s3: BaseClient, victim: tuple[str, str], mode: str | None
) -> None:
    forger = Signer(node.address, secret_key="made-up-secret")
    for request in write_routes(*victim):
        asked = request if mode is None else replace(request, headers=request.headers | {"x-amz-content-sha256": mode})
        answer = wire.exchange(node.port, forger.presign(asked))
        assert answer.status in (400, 403), (request.method, request.target, answer)
    assert_unchanged(s3, *victim)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-copy-source", "/{bucket}/victim"),
        ("x-amz-meta-added", "1"),
        ("x-amz-acl", "private"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-storage-class", "STANDARD"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-security-token", "made-up"),
        ("X-AMZ-META-ADDED", "1"),
    ],
)
def test_a_header_added_to_a_presigned_url(
    node: Node, s3: BaseClient, signer: Signer, victim: tuple[str, str], name: str, value: str
) -> None:
    bucket, upload = victim
    presigned = signer.presign(Request("PUT", f"/{bucket}/new", body=b"x"))
    headers = presigned.headers | {name: value.format(bucket=bucket)}
    answer = wire.exchange(node.port, replace(presigned, headers=headers))
    assert answer.status == 403, answer
    assert_unchanged(s3, bucket, upload)


def test_a_parameter_added_to_a_presigned_url(
    node: Node, signer: Signer, s3: BaseClient, victim: tuple[str, str]
) -> None:
    bucket, upload = victim
    presigned = signer.presign(Request("DELETE", f"/{bucket}/victim", (("uploadId", "other"),)))
    for query in ((*presigned.query, ("uploadId", upload)), presigned.query[1:], (("uploads", ""), *presigned.query)):
        assert wire.exchange(node.port, replace(presigned, query=query)).status in (400, 403)
    assert_unchanged(s3, bucket, upload)


def test_dots_stay_in_their_bucket(node: Node, s3: BaseClient, signer: Signer, victim: tuple[str, str]) -> None:
    bucket, upload = victim
    other = bucket_name()
    s3.create_bucket(Bucket=other)
    for path in (
        f"/{other}/../{bucket}/victim",
        f"/{other}/%2e%2e/{bucket}/victim",
        f"/{other}/..%2f{bucket}%2fvictim",
    ):
        for request in (Request("GET", path), Request("DELETE", path)):
            assert wire.exchange(node.port, signer.sign(request)).status in (403, 404, 204), path
    dotted = f"../{bucket}/victim"
    s3.delete_objects(Bucket=other, Delete={"Objects": [{"Key": dotted}, {"Key": f"/{bucket}/victim"}]})
    for source in (f"{other}/{dotted}", f"/{other}/../{bucket}/victim"):
        with pytest.raises(ClientError) as absent:
            s3.copy_object(Bucket=other, Key="stolen", CopySource=source)
        assert absent.value.response["Error"]["Code"] == "NoSuchKey"
    assert_unchanged(s3, bucket, upload)


@pytest.mark.parametrize(
    "prologue",
    [
        b'<!DOCTYPE x [<!ENTITY e "victim">]>',
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
        b'<?xml version="1.0"?><!DOCTYPE x>',
    ],
)
def test_xml_with_a_doctype_is_refused(
    node: Node, s3: BaseClient, signer: Signer, victim: tuple[str, str], prologue: bytes
) -> None:
    bucket, upload = victim
    for path, query, document in (
        (f"/{bucket}", (("delete", ""),), DELETION.replace(b"victim", b"&e;")),
        (f"/{bucket}/victim", (("uploadId", upload),), COMPLETION),
    ):
        body = prologue + document
        headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        answer = wire.exchange(node.port, signer.sign(Request("POST", path, query, headers, body)))
        assert answer.refusal == (400, "MalformedXML")
    assert_unchanged(s3, bucket, upload)


def test_huge_and_deep_xml_is_refused(node: Node, s3: BaseClient, signer: Signer, victim: tuple[str, str]) -> None:
    bucket, upload = victim
    for body in (b"<Delete>" * 100_000, b"<Delete>" + b" " * (5 << 20), b"<Delete><Object><Key>" + b"k" * 200_000):
        headers = {"x-amz-checksum-crc32": "AAAAAA=="}
        answer = wire.exchange(node.port, signer.sign(Request("POST", f"/{bucket}", (("delete", ""),), headers, body)))
        assert answer.status == 400, answer
    assert_unchanged(s3, bucket, upload)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/x",
        "/admin",
        "/_admin",
        "/minio/admin/v3/info",
        "/v1/status",
        "/bootstrap",
        "/debug/pprof",
        "/health",
        "/health/x",
    ],
)
def test_no_route_answers_without_credentials(node: Node, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = wire.exchange(node.port, Request(method, path, headers={"host": node.address}))
        # A POST that is no form is refused as such (412) before anybody asks who sent it.
        is_no_form = (method, answer.status) == ("POST", 412)
        assert is_no_form or answer.status in (400, 403, 404, 405), (method, path, answer)
        assert SECRET_KEY.encode() not in answer.body and ACCESS_KEY.encode() not in answer.body


def test_health_tells_nothing_else(node: Node) -> None:
    for probe in ("live", "ready"):
        answer = wire.exchange(node.port, Request("GET", f"/health/{probe}", headers={"host": node.address}))
        assert answer.status == 200 and len(answer.body) < 200 and ACCESS_KEY.encode() not in answer.body


def test_metrics_are_only_read_and_tell_no_names(node: Node, victim: tuple[str, str]) -> None:
    """From this machine, as every test asks; what others get is in test_metrics.py."""
    bucket, upload = victim
    answer = wire.exchange(node.port, Request("GET", "/metrics", headers={"host": node.address}))
    assert answer.status == 200
    for name in (bucket, upload, "victim", ACCESS_KEY, SECRET_KEY, str(node.data)):
        assert name.encode() not in answer.body, name
    for method, status in (("POST", 412), ("PUT", 403), ("DELETE", 404)):
        refused = wire.exchange(node.port, Request(method, "/metrics", headers={"host": node.address}))
        assert refused.status == status, (method, refused)


def test_the_secret_is_in_no_log_and_no_answer(make_node: Callable[..., Node]) -> None:
    node = make_node("--log", "trace")
    node.start()
    client, signer = s3_client(node), Signer(node.address)
    client.create_bucket(Bucket="watched")
    client.put_object(Bucket="watched", Key="k", Body=content("watched", 3_000_000))
    client.get_object(Bucket="watched", Key="k")["Body"].read()
    requests = [
        signer.sign(Request("GET", "/absent")),
        signer.presign(Request("GET", "/watched/k")),
        Signer(node.address, secret_key="wrong").sign(Request("GET", "/watched/k")),
        Signer(node.address, shift_seconds=9999).sign(Request("GET", "/watched/k")),
        Request("GET", "/watched", headers={"host": node.address, "authorization": "AWS4-HMAC-SHA256 broken"}),
        Chunked(STREAMING, b"x" * 100).sign(Signer(node.address, secret_key="wrong"), Request("PUT", "/watched/k")),
    ]
    answers = [wire.exchange(node.port, request) for request in requests]
    assert node.stop() == 0
    node.start()
    assert node.stop() == 0
    logged = node.log() + node.output()
    assert len(logged) > 200, "nothing was logged, so nothing was tested"
    for hidden in (SECRET_KEY, SECRET_KEY.encode().hex(), requests[1].target.rsplit("=", 1)[1]):
        assert hidden not in logged
    assert not any(SECRET_KEY.encode() in answer.body for answer in answers)


def test_made_credentials_are_not_to_be_guessed(make_node: Callable[..., Node]) -> None:
    node = make_node(environment={})
    node.start()
    for access_key, secret_key in (("minioadmin", "minioadmin"), ("admin", "admin"), ("anode", "anode"), ("", "")):
        answer = wire.exchange(node.port, Signer(node.address, access_key or "x", secret_key).sign(Request("GET", "/")))
        assert answer.refusal == (403, "InvalidAccessKeyId")


def test_the_data_directory_is_for_its_owner_only(make_node: Callable[..., Node]) -> None:
    node = make_node(environment={})
    node.start()
    node.stop()
    for path in [node.data, *node.data.rglob("*")]:
        shared = path.stat().st_mode & 0o077
        inside_private = any(
            parent.stat().st_mode & 0o077 == 0 for parent in path.parents if node.data in [parent, *parent.parents]
        )
        assert shared == 0 or inside_private, f"{path} may be read by others, and it may hold credentials"
