"""Forms that are refused: nobody's, others', those that their policy doesn't let pass, and broken ones. None stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from botocore.client import BaseClient

import forms
import wire
from forms import Form, body, expiration, request, send
from node import ACCESS_KEY, Node
from signing import Request, Signer

KEY = {"key": "k"}


@pytest.fixture(autouse=True)
def nothing_is_stored(s3: BaseClient, bucket: str) -> Iterator[None]:
    """Holds each of these tests to its subject."""
    yield
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_who_does_not_sign_is_denied(node: Node, bucket: str) -> None:
    signed = dict(Form(bucket).signed())
    for fields in ([("key", "k")], [("key", "k"), ("policy", signed["policy"])]):
        assert send(node.port, bucket, body(fields, b"x")).refusal == (403, "AccessDenied")
    assert Form(bucket).send(node.port, policy=None).refusal == (400, "InvalidArgument")


@pytest.mark.parametrize("version", [2, 4])
def test_a_wrong_signature_is_denied(node: Node, bucket: str, version: int) -> None:
    form = Form(bucket, version=version)
    name = "signature" if version == 2 else "x-amz-signature"
    right = dict(form.signed())[name]
    answers = [
        replace(form, secret_key="another").send(node.port),
        form.send(node.port, **{name: right[::-1]}),
        form.send(node.port, **{name: ""}),
        form.send(node.port, policy=dict(Form(bucket, expires=expiration(900)).signed())["policy"]),
        form.send(node.port, policy=dict(form.signed())["policy"][:-2]),
    ]
    for answer in answers:
        assert answer.refusal == (403, "SignatureDoesNotMatch"), answer
    assert answers[0].element("AWSAccessKeyId") == ACCESS_KEY
    stranger = replace(form, access_key="AKIANOBODY").send(node.port)
    assert stranger.refusal == (403, "InvalidAccessKeyId")
    assert stranger.element("AWSAccessKeyId") == "AKIANOBODY"


@pytest.mark.parametrize(
    ("version", "name", "shown"),
    [
        (4, "x-amz-signature", "X-Amz-Signature"),
        (4, "x-amz-algorithm", "X-Amz-Algorithm"),
        (4, "x-amz-credential", "X-Amz-Credential"),
        (4, "x-amz-date", "X-Amz-Date"),
        (2, "signature", "Signature"),
        (2, "AWSAccessKeyId", "AWSAccessKeyId"),
    ],
)
def test_a_field_of_the_signature_is_missing(node: Node, bucket: str, version: int, name: str, shown: str) -> None:
    answer = Form(bucket, version=version).send(node.port, **{name: None})
    assert answer.refusal == (400, "InvalidArgument")
    assert (answer.element("ArgumentName"), shown in answer.element("Message")) == (shown, True)


def test_two_signatures_or_one_in_the_head(node: Node, bucket: str) -> None:
    two = dict(Form(bucket, version=2).signed())
    answer = Form(bucket).send(node.port, AWSAccessKeyId=two["AWSAccessKeyId"], signature=two["signature"])
    assert answer.refusal == (400, "InvalidArgument")
    signer = Signer(node.address)
    sent = request(bucket, body(Form(bucket).signed(), b"x"))
    sent = replace(sent, headers={"content-type": sent.headers["content-type"]})
    for signed in (signer.sign(sent), signer.presign(sent)):
        assert wire.exchange(node.port, signed).refusal == (400, "InvalidRequest")
    digest = send(node.port, bucket, body(Form(bucket).signed(), b"x"), x_amz_content_sha256="0" * 64)
    assert digest.refusal == (400, "InvalidRequest")
    token = Form(bucket).with_fields(x_amz_security_token="t").send(node.port)
    assert token.refusal == (400, "InvalidToken")


def test_an_expired_policy(node: Node, bucket: str) -> None:
    answer = Form(bucket, expires=expiration(-1)).send(node.port)
    assert answer.refusal == (403, "AccessDenied")
    assert answer.element("Message") == "Invalid according to Policy: Policy expired."


def test_a_policy_is_for_its_bucket(node: Node, s3: BaseClient, bucket: str) -> None:
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    signed = Form(other, (("key", "k"), ("bucket", other))).signed()
    answer = send(node.port, bucket, body(signed, b"x"))
    assert answer.refusal == (403, "AccessDenied")
    assert f'["eq", "$bucket", "{other}"]' in answer.element("Message")
    unbound = Form(bucket, conditions=(KEY,)).send(node.port)
    assert unbound.refusal == (403, "AccessDenied")
    assert unbound.element("Message") == "Invalid according to Policy: Extra input fields: bucket"
    assert s3.list_objects_v2(Bucket=other)["KeyCount"] == 0
    s3.delete_bucket(Bucket=other)
    assert Form(other).send(node.port).refusal == (404, "NoSuchBucket")


@pytest.mark.parametrize(
    ("field", "condition"),
    [
        (("x-amz-meta-foo", "barclamp"), {"x-amz-meta-foo": ""}),
        (("x-amz-meta-foo", "barclamp"), ["starts-with", "$x-amz-meta-foo", "Bar"]),
        (("x-amz-meta-foo", "barclamp"), ["eq", "x-amz-meta-foo", "barclamp"]),
        (("x-ignore-x", ""), ["starts-with", "$x-amz-meta-foo", "bar"]),
        (("Content-Type", "image/png,text/plain"), ["starts-with", "$Content-Type", "image/"]),
        (("acl", "private"), {"acl": "public-read"}),
        (("x-ignore-x", ""), ["content-length-range", "a", "b"]),
        (("x-amz-meta-foo", "uncovered"), ["starts-with", "$x-amz-meta-fo", ""]),
        (("success_action_redirect", "http://evil/"), {"success_action_status": ""}),
        (("x-amz-website-redirect-location", "/x"), ["starts-with", "$key", ""]),
    ],
)
def test_what_the_policy_does_not_let_pass(
    node: Node, bucket: str, field: tuple[str, str], condition: object
) -> None:
    answer = Form(bucket, (("key", "k"), field), ({"bucket": bucket}, KEY, condition)).send(node.port)
    assert answer.refusal == (403, "AccessDenied")
    assert answer.element("Message").startswith("Invalid according to Policy: ")


def test_a_field_added_or_changed_on_its_way(node: Node, bucket: str) -> None:
    added = Form(bucket).send(node.port, x_amz_meta_added="1")
    assert added.element("Message") == "Invalid according to Policy: Extra input fields: x-amz-meta-added"
    changed = Form(bucket, conditions=({"bucket": bucket}, KEY)).send(node.port, key="other")
    assert changed.refusal == (403, "AccessDenied")
    assert '["eq", "$key", "k"]' in changed.element("Message")
    # A second field of the same name is one list with the first, and no way around it.
    fields = [*Form(bucket, conditions=({"bucket": bucket}, KEY)).signed(), ("KEY", "other")]
    assert send(node.port, bucket, body(fields, b"x")).refusal == (403, "AccessDenied")


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "no json",
        "[]",
        {"conditions": []},
        {"expiration": "2033-01-01T00:00:00Z"},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": {}},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": [{}]},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": [{"acl": "a", "key": "k"}]},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": [["eq", "$key"]]},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": [["near", "$key", "k"]]},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": [["content-length-range", 0]]},
        {"expiration": "2033-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 0]]},
        {"EXPIRATION": "2033-01-01T00:00:00Z", "conditions": []},
        {"expiration": "2033-01-01T00:00:00Z", "CONDITIONS": []},
        {"expiration": "2033-01-01 00:00:00+00:00", "conditions": []},
        {"expiration": 5, "conditions": []},
    ],
)
def test_what_is_no_policy(node: Node, bucket: str, policy: object) -> None:
    answer = Form(bucket, policy=policy).send(node.port)
    assert answer.refusal == (400, "InvalidPolicyDocument")
    assert answer.element("Message").startswith("Invalid Policy: ")


def test_a_key_is_needed_and_checked(node: Node, bucket: str) -> None:
    answer = Form(bucket, ()).send(node.port)
    assert (answer.refusal, answer.element("ArgumentName")) == ((400, "InvalidArgument"), "key")
    assert Form(bucket, (("key", "${filename}"),), filename="").send(node.port).refusal == (400, "InvalidArgument")
    assert Form(bucket, (("key", "k" * 1025),)).send(node.port).refusal == (400, "KeyTooLongError")


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("tagging", "<Tagging/>", (400, "MalformedXML")),
        ("acl", "public-read", (400, "AccessControlListNotSupported")),
        ("acl", "nonsense", (400, "InvalidArgument")),
        ("x-amz-server-side-encryption", "aws:kms:dsse", (501, "NotImplemented")),
        ("x-amz-tagging", "a=b&a=b", (400, "InvalidTag")),
        ("x-amz-object-lock-mode", "GOVERNANCE", (400, "InvalidArgument")),
        ("x-amz-storage-class", "FakeClass", (400, "InvalidStorageClass")),
        ("x-amz-expected-bucket-owner", "000000000000", (403, "AccessDenied")),
        ("Content-Type", "text/plain\r\nx: y", (400, "InvalidArgument")),
        ("x-amz-meta-a b", "1", (400, "InvalidArgument")),
        ("x-amz-meta-a", "x" * 2048, (400, "MetadataTooLarge")),
    ],
)
def test_what_can_not_be_stored_as_asked(
    node: Node, bucket: str, name: str, value: str, refusal: tuple[int, str]
) -> None:
    assert Form(bucket, (("key", "k"), (name, value))).send(node.port).refusal == refusal
    if name.startswith("x-amz-server"):
        sent = body(Form(bucket).signed(), b"x")
        assert send(node.port, bucket, sent, **{name: value}).refusal == refusal


def test_what_is_no_form(node: Node, bucket: str) -> None:
    sent = body(Form(bucket).signed(), b"x")
    for kind in ("text/html", "multipart/mixed; boundary=a", "application/x-www-form-urlencoded", ""):
        answer = send(node.port, bucket, sent, content_type=kind)
        assert answer.refusal == (412, "PreconditionFailed")
        assert answer.element("Condition") == "Bucket POST must be of the enclosure-type multipart/form-data"
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=other"):
        assert send(node.port, bucket, sent, content_type=kind).refusal == (400, "MalformedPOSTRequest")


def test_a_form_without_a_file_or_an_end(node: Node, bucket: str) -> None:
    without = send(node.port, bucket, body(Form(bucket).signed(), None))
    assert (without.refusal, without.element("ArgumentName")) == ((400, "InvalidArgument"), "file")
    sent = body(Form(bucket).signed(), b"x" * 100_000)
    for cut in (0, 1, 100, len(sent) - 90_000, len(sent) - 10, len(sent) - 3):
        assert send(node.port, bucket, sent[:cut]).refusal == (400, "MalformedPOSTRequest"), cut
    behind = sent.removesuffix(b"--\r\n") + b"x--\r\n"
    assert send(node.port, bucket, behind).refusal == (400, "MalformedPOSTRequest")
    with wire.Connection(node.port) as connection:
        connection.send(request(bucket, sent).encode()[:-50_000])
        connection.finish()
        connection.take_rest()


def test_fields_before_the_file_are_few(node: Node, bucket: str) -> None:
    large = Form(bucket).with_fields(x_ignore_a="x" * 20_000).send(node.port)
    assert large.refusal == (400, "MaxPostPreDataLengthExceeded")
    assert large.element("MaxPostPreDataLengthBytes") == "20480"
    # A file under another name is a field, and is not gathered either.
    sent = body(Form(bucket).signed(), b"x" * 200_000).replace(b'name="file"', b'name="upload"')
    with wire.Connection(node.port) as connection:
        assert connection.exchange(request(bucket, sent)).refusal == (400, "MaxPostPreDataLengthExceeded")
        # What was refused is read to its end, and the connection goes on.
        assert connection.exchange(Request("GET", "/health/live", headers={"host": "h"})).status == 200


def test_broken_heads_of_fields(node: Node, bucket: str) -> None:
    sent = body(Form(bucket).signed(), b"x")
    key = b'Content-Disposition: form-data; name="key"'
    assert key in sent
    for broken in (
        b"Content-Disposition: form-data",
        b'Content-Disposition: attachment; name="key"',
        b'Content-Disposition: form-data; name="key"; name="other"',
        b'Content-Disposition: form-data; name="key',
        key + b"\r\nContent-Transfer-Encoding: base64",
        key + b"\r\n folded: 1",
        key + b"\n",
        b"x: y",
    ):
        answer = send(node.port, bucket, sent.replace(key, broken))
        assert answer.refusal == (400, "MalformedPOSTRequest"), broken
    answer = send(node.port, bucket, sent.replace(b"\r\n\r\nk\r\n", b"\r\n\r\n\xff\r\n"))
    assert answer.refusal == (400, "MalformedPOSTRequest")


def test_an_object_is_no_place_for_a_form(node: Node, bucket: str) -> None:
    sent = body(Form(bucket).signed(), b"x")
    assert send(node.port, f"{bucket}/k", sent).refusal == (405, "MethodNotAllowed")
    assert send(node.port, "", sent).refusal == (405, "MethodNotAllowed")
    assert forms.BOUNDARY.encode() in sent
