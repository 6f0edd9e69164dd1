"""Browsers upload with forms: what a form stores, and how it is answered."""

from __future__ import annotations

import base64
import hashlib
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.client import BaseClient

import forms
import wire
from clients import s3_client
from content import MEBIBYTE, content
from forms import Form, body, request, send
from node import Node
from signing import Request


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("size", [0, 1, 32_768, 32_769, 3 * MEBIBYTE + 17])
def test_the_file_is_stored_as_it_is(node: Node, s3: BaseClient, bucket: str, size: int, version: int) -> None:
    data = content("form", size)
    answer = Form(bucket, data=data, version=version).send(node.port)
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    assert (answer.refusal, answer.headers["etag"]) == ((204, None), etag), answer
    assert answer.headers["location"] == f"http://localhost:9000/{bucket}/k"
    assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT" and answer.headers["x-amz-checksum-crc64nvme"]
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ETag"], got["ContentType"]) == (data, etag, "binary/octet-stream")


def test_a_file_that_looks_like_the_end_of_itself(node: Node, s3: BaseClient, bucket: str) -> None:
    almost = f"\r\n--{forms.BOUNDARY[:-1]}\r\n--\r\n\r".encode()
    data = almost * 3 + content("almost", 70_000) + almost
    assert Form(bucket, data=data).send(node.port).status == 204
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data


@pytest.mark.parametrize("pause_after", [1, 100, 1000, 1190, 1200])
def test_a_form_may_come_in_pieces(node: Node, s3: BaseClient, bucket: str, pause_after: int) -> None:
    sent = request(bucket, body(Form(bucket).signed(), b"in pieces"), expect="100-continue").encode()
    head, rest = sent.split(b"\r\n\r\n", 1)
    with wire.Connection(node.port) as connection:
        connection.send(head + b"\r\n\r\n")
        assert connection.response_head().status == 100
        connection.send(rest[:pause_after])
        for at in range(pause_after, len(rest), 7):
            connection.send(rest[at : at + 7])
        assert connection.response("POST").status == 204
        # The connection goes on.
        assert connection.exchange(Request("GET", "/health/live", headers={"host": "h"})).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"in pieces"


def test_a_form_may_come_in_chunks_of_http(node: Node, s3: BaseClient, bucket: str) -> None:
    content_bytes = body(Form(bucket).signed(), b"chunked")
    chunks = b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in (content_bytes[:50], content_bytes[50:]))
    answer = send(node.port, bucket, chunks + b"0\r\n\r\n", transfer_encoding="chunked")
    assert answer.status == 204
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"chunked"


def test_fields_may_have_names_of_files(node: Node, s3: BaseClient, bucket: str) -> None:
    """As Python's requests sends them; what is the file, its name alone says."""
    sent = body(Form(bucket, (("key", "${filename}"),)).signed(), b"x", "real.txt")
    for name in (b"key", b"policy", b"x-amz-signature"):
        sent = sent.replace(b'name="%b"' % name, b'name="%b"; filename="%b"' % (name, name))
    assert send(node.port, bucket, sent).status == 204
    assert s3.get_object(Bucket=bucket, Key="real.txt")["Body"].read() == b"x"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_posts_of_boto3(node: Node, s3: BaseClient, bucket: str, version: str) -> None:
    client = s3_client(node, signature_version=version)
    post = client.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields={"Content-Type": "text/plain", "success_action_status": "201"},
        Conditions=[["starts-with", "$Content-Type", "text/"], {"success_action_status": "201"}],
    )
    sent = body(list(post["fields"].items()), b"by boto3", "a file.txt")
    kind = f"multipart/form-data; boundary={forms.BOUNDARY}"
    with urllib.request.urlopen(urllib.request.Request(post["url"], sent, {"Content-Type": kind}), timeout=20) as answer:
        assert answer.status == 201
        assert b"<Key>up/a file.txt</Key>" in answer.read()
    got = s3.get_object(Bucket=bucket, Key="up/a file.txt")
    assert (got["Body"].read(), got["ContentType"]) == (b"by boto3", "text/plain")


def test_fields_are_the_headers_of_the_object(node: Node, s3: BaseClient, bucket: str) -> None:
    form = Form(bucket).with_fields(
        Content_Type="text/plain; charset=utf-8",
        Cache_Control="max-age=5",
        Content_Disposition='attachment; filename="a b"',
        Content_Encoding="gzip",
        Content_Language="fr",
        Expires="Thu, 01 Dec 2033 16:00:00 GMT",
        x_amz_meta_Name="value",
        x_amz_meta_umlaut="ÄMÄZÕÑ",
        x_amz_storage_class="STANDARD_IA",
        acl="private",
        x_ignore_me="whatever",
    )
    assert form.send(node.port).refusal == (204, None)
    got = s3.head_object(Bucket=bucket, Key="k")
    assert (got["ContentType"], got["CacheControl"]) == ("text/plain; charset=utf-8", "max-age=5")
    assert (got["ContentDisposition"], got["ContentEncoding"]) == ('attachment; filename="a b"', "gzip")
    assert (got["ContentLanguage"], got["StorageClass"]) == ("fr", "STANDARD_IA")
    assert got["ExpiresString"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    assert got["Metadata"]["name"] == "value" and got["Metadata"]["umlaut"].startswith("=?UTF-8?B?")


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        ("a.txt", "u/a.txt"),
        ("/tmp/d/a b.txt", "u/a b.txt"),
        ("C:\\d\\ä.txt", "u/ä.txt"),
        ("", "u/"),
        (None, "u/${filename}"),
    ],
)
def test_the_name_of_the_file_in_the_key(
    node: Node, s3: BaseClient, bucket: str, filename: str | None, key: str
) -> None:
    form = Form(bucket, (("key", "u/${filename}"),), filename=filename)
    assert form.send(node.port).status == 204
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_the_policy_sees_the_name_of_the_file(node: Node, bucket: str) -> None:
    conditions = ({"bucket": bucket}, ["starts-with", "$key", "u/a"])
    form = Form(bucket, (("key", "u/${filename}"),), conditions)
    assert form.send(node.port).refusal == (403, "AccessDenied")
    assert Form(bucket, (("key", "u/${filename}"),), conditions, filename="abc").send(node.port).status == 204


def test_names_and_operators_have_no_case(node: Node, s3: BaseClient, bucket: str) -> None:
    conditions = (
        {"bUcKeT": bucket},
        ["StArTs-WiTh", "$KeY", "foo"],
        {"AcL": "private"},
        ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/plain"],
    )
    fields = (("kEy", "foo.txt"), ("aCl", "private"), ("Content-Type", "text/plain"))
    signed = dict(Form(bucket, fields, conditions, version=2).signed())
    renamed = {"policy": "pOLICy", "AWSAccessKeyId": "aWSAccessKeyId"}
    sent = [(renamed.get(name, name), value) for name, value in signed.items()]
    assert send(node.port, bucket, body(sent, b"x")).status == 204
    assert s3.head_object(Bucket=bucket, Key="foo.txt")["ContentType"] == "text/plain"


def test_escapes_in_a_policy(node: Node, s3: BaseClient, bucket: str) -> None:
    conditions = ({"bucket": bucket}, ["starts-with", "$key", "\\$foo"])
    assert Form(bucket, (("key", "\\$foo.txt"),), conditions).send(node.port).status == 204
    assert s3.head_object(Bucket=bucket, Key="\\$foo.txt")["ContentLength"] == 8


@pytest.mark.parametrize(("status", "expected"), [("200", 200), ("204", 204), ("404", 204), ("", 204)])
def test_the_status_of_success(node: Node, bucket: str, status: str, expected: int) -> None:
    answer = Form(bucket, (("key", "k"), ("success_action_status", status))).send(node.port)
    assert (answer.status, answer.body) == (expected, b"")
    assert answer.headers["etag"] == f'"{hashlib.md5(b"the file").hexdigest()}"'


def test_a_document_of_success(node: Node, bucket: str) -> None:
    answer = Form(bucket, (("key", "a/ü&+"), ("success_action_status", "201"))).send(node.port)
    etag = f'"{hashlib.md5(b"the file").hexdigest()}"'
    assert (answer.status, answer.headers["content-type"]) == (201, "application/xml")
    location = f"http://localhost:9000/{bucket}/a%2F%C3%BC%26%2B"
    assert (answer.element("Location"), answer.headers["location"]) == (location, location)
    assert (answer.element("Bucket"), answer.element("Key")) == (bucket, "a/ü&+")
    assert (answer.element("ETag"), answer.headers["etag"]) == (etag, etag)
    assert b"xmlns" not in answer.body


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
def test_a_redirect(node: Node, bucket: str, name: str) -> None:
    form = Form(bucket, (("key", "a/ü +"), (name, "http://example.com/done?a=1#f"), ("success_action_status", "201")))
    answer = form.send(node.port)
    url = urlsplit(answer.headers["location"])
    assert (answer.status, answer.body, url.netloc, url.path) == (303, b"", "example.com", "/done")
    etag = f'"{hashlib.md5(b"the file").hexdigest()}"'
    assert parse_qs(url.query) == {"a": ["1"], "bucket": [bucket], "key": ["a/ü +"], "etag": [etag]}
    assert url.fragment == "f" and "etag=%22" in url.query


@pytest.mark.parametrize("url", ["/relative", "javascript:alert(1)", "http://", "http://h/\r\nx: y"])
def test_a_redirect_that_is_none_is_ignored(node: Node, bucket: str, url: str) -> None:
    answer = Form(bucket, (("key", "k"), ("success_action_redirect", url))).send(node.port)
    assert (answer.status, answer.headers.get("x")) == (204, None)


def test_what_follows_the_file_is_ignored(node: Node, s3: BaseClient, bucket: str) -> None:
    signed = Form(bucket).signed()
    late = body([("key", "late"), ("x-amz-meta-late", "1"), ("submit", "x" * 30_000)], b"second", "second")
    early = body(signed, b"first").removesuffix(f"--{forms.BOUNDARY}--\r\n".encode())
    with wire.Connection(node.port) as connection:
        assert connection.exchange(request(bucket, early + late)).status == 204
        assert connection.exchange(Request("GET", "/health/live", headers={"host": "h"})).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_the_size_may_be_bounded(node: Node, bucket: str) -> None:
    def sized(size: int, *bounds: object) -> wire.Response:
        conditions = ({"bucket": bucket}, {"key": "k"}, ["content-length-range", *bounds])
        return Form(bucket, conditions=conditions, data=b"x" * size).send(node.port)

    for size in (5, 10):
        assert sized(size, 5, 10).status == sized(size, "5", "10").status == 204
    small, large = sized(4, 5, 10), sized(11, 5, 10)
    assert (small.refusal, large.refusal) == ((400, "EntityTooSmall"), (400, "EntityTooLarge"))
    assert (small.element("ProposedSize"), small.element("MinSizeAllowed")) == ("4", "5")
    assert large.element("MaxSizeAllowed") == "10"
    assert sized(3 * MEBIBYTE, 0, 2 * MEBIBYTE).refusal == (400, "EntityTooLarge")
    assert sized(3 * MEBIBYTE, 4 * MEBIBYTE, 5 * MEBIBYTE).refusal == (400, "EntityTooSmall")


def test_checksums_and_conditions_are_fields(node: Node, s3: BaseClient, bucket: str) -> None:
    digest = base64.b64encode(hashlib.sha256(b"sum").digest()).decode()
    assert Form(bucket, data=b"sun").send(node.port, x_amz_checksum_sha256=digest).refusal == (400, "BadDigest")
    answer = Form(bucket, data=b"sum").send(node.port, x_amz_checksum_sha256=digest)
    assert (answer.status, answer.headers["x-amz-checksum-sha256"]) == (204, digest)
    assert Form(bucket, data=b"sum").send(node.port, x_amz_checksum_sha256="x").refusal == (400, "InvalidRequest")
    md5 = base64.b64encode(hashlib.md5(b"sum").digest()).decode()
    assert Form(bucket, data=b"sum").with_fields(Content_MD5=md5).send(node.port).status == 204
    assert Form(bucket, data=b"sun").with_fields(Content_MD5=md5).send(node.port).refusal == (400, "BadDigest")
    once = Form(bucket, data=b"again").with_fields(If_None_Match="*").send(node.port)
    assert once.refusal == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"sum"


def test_tags_and_locks_may_be_fields(node: Node, s3: BaseClient, bucket: str) -> None:
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    assert Form(bucket).with_fields(tagging=tags).send(node.port).status == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    locked = Form(bucket).with_fields(x_amz_object_lock_legal_hold="ON")
    assert locked.send(node.port).refusal == (400, "InvalidRequest")
