"""Server-side encryption: with customers' keys, the node's and named ones, through all that reads, writes and copies objects."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from clients import bucket_name, s3_client
from content import MEBIBYTE, content
from forms import Form, send
from forms import body as form_body
from node import Node

FRAME = 65_520
CHUNK = 16 * FRAME
SIZES = (0, 1, 32_752, 32_753, FRAME - 1, FRAME, FRAME + 1, CHUNK - 1, CHUNK, CHUNK + 1, 20 * MEBIBYTE)


def customer(name: str, prefix: str = "") -> dict[str, object]:
    """The arguments of a customer's key; boto3 adds its MD5."""
    key = hashlib.sha256(name.encode()).digest()
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": key}


def as_text(key: dict[str, object]) -> dict[str, object]:
    """The same as it is sent, for operations whose keys boto3 leaves as they are."""
    key, digest = key["SSECustomerKey"], hashlib.md5(key["SSECustomerKey"]).digest()
    text, digest = base64.b64encode(key).decode(), base64.b64encode(digest).decode()
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": text, "SSECustomerKeyMD5": digest}


MODES: dict[str, dict[str, object]] = {
    "plain": {},
    "managed": {"ServerSideEncryption": "AES256"},
    "named": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "testkey-1"},
    "customer": customer("one"),
}
ENCRYPTED = ("managed", "named", "customer")


def to_read(mode: str, prefix: str = "") -> dict[str, object]:
    """What a read of an object that was written so has to bring."""
    return customer("one", prefix) if mode == "customer" else {}


def shown(mode: str, answer: dict) -> None:
    """A response says how the object is encrypted."""
    expected = {
        "plain": (None, None, None),
        "managed": ("AES256", None, None),
        "named": ("aws:kms", "testkey-1", None),
        "customer": (None, None, "AES256"),
    }[mode]
    names = ("ServerSideEncryption", "SSEKMSKeyId", "SSECustomerAlgorithm")
    assert tuple(answer.get(name) for name in names) == expected
    if mode == "customer":
        digest = hashlib.md5(customer("one")["SSECustomerKey"]).digest()
        assert answer["SSECustomerKeyMD5"] == base64.b64encode(digest).decode()


def refusal(call: Callable[..., object], *arguments: object, **named: object) -> tuple[int, str]:
    """Status and code that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(*arguments, **named)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def write_keys(path: Path, *names: str) -> Path:
    """A file of master keys, each made of its name; `name=other` has the key that is made of `other`."""
    lines = []
    for name in names:
        name, _, seed = name.partition("=")
        key = base64.b64encode(hashlib.sha256(f"master {seed or name}".encode()).digest()).decode()
        lines.append(f"{name} {key}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def keyed(workspace: Path) -> Iterator[Node]:
    """A node with named keys."""
    keys = write_keys(workspace / "master-keys", "first", "testkey-1", "testkey-2")
    node = Node(workspace / "keyed", ["--master-key-file", str(keys)])
    node.start()
    yield node
    assert node.stop() == 0, node.log_tail()
    assert "panicked" not in node.log(), node.log_tail()


@pytest.fixture(scope="module")
def client(keyed: Node) -> BaseClient:
    return s3_client(keyed)


@pytest.fixture
def place(client: BaseClient) -> str:
    """An empty bucket of the node with named keys."""
    name = bucket_name()
    client.create_bucket(Bucket=name)
    return name


def set_default(client: BaseClient, bucket: str, **rule: object) -> None:
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


@pytest.mark.parametrize("mode", MODES)
def test_objects_of_every_size_come_back(client: BaseClient, place: str, mode: str) -> None:
    for size in SIZES:
        body = content(f"{mode} {size}", size)
        named = {"Bucket": place, "Key": str(size)}
        put = client.put_object(**named, Body=body, **MODES[mode])
        shown(mode, put)
        got = client.get_object(**named, **to_read(mode))
        assert (got["ContentLength"], got["Body"].read()) == (size, body), size
        assert got["ETag"] == put["ETag"]
        shown(mode, got)
        head = client.head_object(**named, **to_read(mode))
        assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])
        shown(mode, head)
        has_digest = put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert has_digest == (mode in ("plain", "managed"))
    listed = client.list_objects_v2(Bucket=place)["Contents"]
    assert {entry["Key"]: entry["Size"] for entry in listed} == {str(size): size for size in SIZES}


@pytest.mark.parametrize("mode", ENCRYPTED)
def test_ranges_are_those_of_what_was_written(client: BaseClient, place: str, mode: str) -> None:
    size = 3 * CHUNK + 12_345
    body = content(mode, size)
    named = {"Bucket": place, "Key": "k", **to_read(mode)}
    client.put_object(Bucket=place, Key="k", Body=body, **MODES[mode])
    edges = (0, 1, FRAME, CHUNK, CHUNK + FRAME, 2 * CHUNK, size)
    for start in (edge + offset for edge in edges for offset in (-1, 0, 1)):
        for length in (1, 2, FRAME, CHUNK + 1, size):
            if not 0 <= start < size:
                continue
            got = client.get_object(**named, Range=f"bytes={start}-{start + length - 1}")
            assert got["Body"].read() == body[start : start + length], (start, length)
            assert got["ContentRange"] == f"bytes {start}-{min(start + length, size) - 1}/{size}"
    assert client.get_object(**named, Range="bytes=-7")["Body"].read() == body[-7:]
    assert refusal(client.get_object, **named, Range=f"bytes={size}-") == (416, "InvalidRange")
    several = client.get_object(**named, Range=f"bytes=5-6,{FRAME - 1}-{FRAME},{2 * CHUNK - 1}-{2 * CHUNK + 1}")
    text = several["Body"].read()
    for start, end in ((5, 7), (FRAME - 1, FRAME + 1), (2 * CHUNK - 1, 2 * CHUNK + 2)):
        assert body[start:end] in text
    part = client.get_object(**named, PartNumber=1)
    assert part["Body"].read() == body


def upload(
    client: BaseClient, bucket: str, key: str, mode: str, bodies: dict[int, bytes]
) -> dict:
    """An object in parts."""
    created = client.create_multipart_upload(Bucket=bucket, Key=key, **MODES[mode])
    shown(mode, created)
    identity = {"Bucket": bucket, "Key": key, "UploadId": created["UploadId"]}
    parts = []
    for number, body in bodies.items():
        put = client.upload_part(**identity, PartNumber=number, Body=body, **to_read(mode))
        shown(mode, put)
        parts.append({"PartNumber": number, "ETag": put["ETag"]})
    done = client.complete_multipart_upload(**identity, MultipartUpload={"Parts": parts})
    if mode != "customer":
        shown(mode, done)
    return done


@pytest.mark.parametrize("mode", ENCRYPTED)
def test_parts_become_one_object(client: BaseClient, place: str, mode: str) -> None:
    bodies = {
        2: content(f"{mode} 2", 5 * MEBIBYTE),
        3: content(f"{mode} 3", 6 * CHUNK + 3),
        9: content(f"{mode} 9", 77),
    }
    done = upload(client, place, "k", mode, bodies)
    whole = b"".join(bodies.values())
    named = {"Bucket": place, "Key": "k", **to_read(mode)}
    got = client.get_object(**named)
    assert (got["ETag"], got["Body"].read()) == (done["ETag"], whole)
    shown(mode, got)
    for number, body in bodies.items():
        part = client.get_object(**named, PartNumber=number)
        assert (part["PartsCount"], part["Body"].read()) == (3, body)
    edge = len(bodies[2])
    for start, end in ((edge - 1, edge + 1), (edge - FRAME, edge + CHUNK), (len(whole) - 78, len(whole))):
        got = client.get_object(**named, Range=f"bytes={start}-{end - 1}")
        assert got["Body"].read() == whole[start:end]
    named = {"Bucket": place, "Key": "k", **(as_text(customer("one")) if mode == "customer" else {})}
    attributes = client.get_object_attributes(**named, ObjectAttributes=["ObjectSize", "ObjectParts"])
    assert (attributes["ObjectSize"], attributes["ObjectParts"]["TotalPartsCount"]) == (len(whole), 3)


def test_a_part_replaces_another_and_an_upload_ends_without_an_object(client: BaseClient, place: str) -> None:
    created = client.create_multipart_upload(Bucket=place, Key="k", **MODES["managed"])
    identity = {"Bucket": place, "Key": "k", "UploadId": created["UploadId"]}
    client.upload_part(**identity, PartNumber=1, Body=content("before", 2 * MEBIBYTE))
    after = content("after", 3 * MEBIBYTE)
    put = client.upload_part(**identity, PartNumber=1, Body=after)
    assert client.list_parts(**identity)["Parts"][0]["Size"] == len(after)
    parts = [{"PartNumber": 1, "ETag": put["ETag"]}]
    client.complete_multipart_upload(**identity, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == after
    created = client.create_multipart_upload(Bucket=place, Key="gone", **MODES["managed"])
    identity = {"Bucket": place, "Key": "gone", "UploadId": created["UploadId"]}
    client.upload_part(**identity, PartNumber=1, Body=after)
    client.abort_multipart_upload(**identity)
    assert refusal(client.list_parts, **identity) == (404, "NoSuchUpload")


@pytest.mark.parametrize("source", MODES)
@pytest.mark.parametrize("target", MODES)
def test_copies_are_encrypted_as_the_copy_asks(client: BaseClient, place: str, source: str, target: str) -> None:
    for size in (5, CHUNK + 9):
        body = content(f"{source} {target} {size}", size)
        client.put_object(Bucket=place, Key="source", Body=body, **MODES[source])
        copied = client.copy_object(
            Bucket=place,
            Key="target",
            CopySource={"Bucket": place, "Key": "source"},
            **MODES[target],
            **to_read(source, "CopySource"),
        )
        shown(target, copied)
        got = client.get_object(Bucket=place, Key="target", **to_read(target))
        assert got["Body"].read() == body
        shown(target, got)
    body = content("part", 6 * MEBIBYTE)
    client.put_object(Bucket=place, Key="source", Body=body, **MODES[source])
    created = client.create_multipart_upload(Bucket=place, Key="target", **MODES[target])
    identity = {"Bucket": place, "Key": "target", "UploadId": created["UploadId"]}
    first = {"CopySource": {"Bucket": place, "Key": "source"}, "CopySourceRange": f"bytes=9-{5 * MEBIBYTE + 99}"}
    keys = to_read(target) | to_read(source, "CopySource")
    part = client.upload_part_copy(**identity, PartNumber=1, **first, **keys)
    shown(target, part)
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    client.complete_multipart_upload(**identity, MultipartUpload={"Parts": parts})
    got = client.get_object(Bucket=place, Key="target", **to_read(target))
    assert got["Body"].read() == body[9 : 5 * MEBIBYTE + 100]


def test_an_object_is_encrypted_anew_by_a_copy_onto_itself(client: BaseClient, place: str) -> None:
    client.put_object(Bucket=place, Key="k", Body=b"body")
    onto_itself = {"Bucket": place, "Key": "k", "CopySource": {"Bucket": place, "Key": "k"}}
    assert refusal(client.copy_object, **onto_itself) == (400, "InvalidRequest")
    client.copy_object(**onto_itself, **customer("one"))
    client.copy_object(**onto_itself, **customer("two"), **customer("one", "CopySource"))
    assert refusal(client.get_object, Bucket=place, Key="k", **customer("one")) == (403, "AccessDenied")
    assert client.get_object(Bucket=place, Key="k", **customer("two"))["Body"].read() == b"body"


def test_a_customer_must_bring_the_key(client: BaseClient, place: str) -> None:
    named = {"Bucket": place, "Key": "k"}
    client.put_object(**named, Body=b"body", **customer("one"))
    client.put_object(Bucket=place, Key="plain", Body=b"body")
    attributes = {"ObjectAttributes": ["ObjectSize"]}
    for call, more in ((client.get_object, {}), (client.head_object, {}), (client.get_object_attributes, attributes)):
        one, two = as_text(customer("one")), as_text(customer("two"))
        assert refusal(call, **named, **more)[0] == 400
        assert refusal(call, **named, **more, **two)[0] == 403
        assert refusal(call, Bucket=place, Key="plain", **more, **one)[0] == 400
        call(**named, **more, **one)
    assert refusal(client.get_object, **named) == (400, "InvalidRequest")
    source = {"Bucket": place, "Key": "copy", "CopySource": named}
    assert refusal(client.copy_object, **source) == (400, "InvalidRequest")
    assert refusal(client.copy_object, **source, **customer("two", "CopySource")) == (403, "AccessDenied")
    plain = source | {"CopySource": {"Bucket": place, "Key": "plain"}}
    assert refusal(client.copy_object, **plain, **customer("one", "CopySource")) == (400, "InvalidRequest")
    # Whoever has no key may still remove it.
    client.delete_object(**named)


def test_a_key_that_is_none_is_refused(client: BaseClient, place: str) -> None:
    sent: dict[str, str] = {}

    def add(params: dict, **_: object) -> None:
        params["headers"].update(sent)

    prefix = "x-amz-server-side-encryption-customer-"
    key = base64.b64encode(b"k" * 32).decode()
    digest = base64.b64encode(hashlib.md5(b"k" * 32).digest()).decode()
    client.meta.events.register("before-call.s3.PutObject", add, unique_id="add")
    try:
        for headers, code in (
            ({"algorithm": "AES256"}, "InvalidArgument"),
            ({"key": key, "key-md5": digest}, "InvalidArgument"),
            ({"algorithm": "AES256", "key": key}, "InvalidArgument"),
            ({"algorithm": "AES256", "key": key, "key-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"),
            ({"algorithm": "AES256", "key": key[:20], "key-md5": digest}, "InvalidArgument"),
            ({"algorithm": "AES192", "key": key, "key-md5": digest}, "InvalidEncryptionAlgorithmError"),
        ):
            sent.clear()
            sent.update({prefix + name: value for name, value in headers.items()})
            assert refusal(client.put_object, Bucket=place, Key="k", Body=b"x") == (400, code), headers
    finally:
        client.meta.events.unregister("before-call.s3.PutObject", unique_id="add")
    assert "KeyCount" in (listed := client.list_objects_v2(Bucket=place)) and listed["KeyCount"] == 0


def test_parts_come_with_the_key_of_their_upload(client: BaseClient, place: str) -> None:
    created = client.create_multipart_upload(Bucket=place, Key="k", **customer("one"))
    part = {"Bucket": place, "Key": "k", "UploadId": created["UploadId"], "PartNumber": 1, "Body": b"part"}
    assert refusal(client.upload_part, **part) == (400, "InvalidRequest")
    assert refusal(client.upload_part, **part, **customer("two")) == (400, "InvalidRequest")
    put = client.upload_part(**part, **customer("one"))
    whole = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": put["ETag"]}]}}
    done = {name: part[name] for name in ("Bucket", "Key", "UploadId")} | whole
    assert refusal(client.complete_multipart_upload, **done, **customer("two")) == (400, "InvalidRequest")
    client.complete_multipart_upload(**done, **customer("one"))
    assert client.get_object(Bucket=place, Key="k", **customer("one"))["Body"].read() == b"part"
    created = client.create_multipart_upload(Bucket=place, Key="k", **MODES["managed"])
    part["UploadId"] = created["UploadId"]
    assert refusal(client.upload_part, **part, **customer("one")) == (400, "InvalidRequest")


def test_a_bucket_encrypts_what_does_not_ask(client: BaseClient, place: str) -> None:
    missing = (404, "ServerSideEncryptionConfigurationNotFoundError")
    assert refusal(client.get_bucket_encryption, Bucket=place) == missing
    set_default(client, place, ApplyServerSideEncryptionByDefault={"SSEAlgorithm": "AES256"})
    rule = client.get_bucket_encryption(Bucket=place)["ServerSideEncryptionConfiguration"]["Rules"]
    expected = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
    assert rule == [expected]
    shown("managed", client.put_object(Bucket=place, Key="k", Body=b"body"))
    shown("managed", client.get_object(Bucket=place, Key="k"))
    copy = {"Bucket": place, "Key": "copy", "CopySource": {"Bucket": place, "Key": "k"}}
    shown("managed", client.copy_object(**copy))
    created = client.create_multipart_upload(Bucket=place, Key="k")
    shown("managed", created)
    client.abort_multipart_upload(Bucket=place, Key="k", UploadId=created["UploadId"])
    shown("customer", client.put_object(Bucket=place, Key="k", Body=b"body", **customer("one")))

    by_name = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "testkey-1"}
    set_default(client, place, ApplyServerSideEncryptionByDefault=by_name, BucketKeyEnabled=True)
    put = client.put_object(Bucket=place, Key="k", Body=b"body")
    shown("named", put)
    assert put["BucketKeyEnabled"] is True
    # A key that isn't there shows when it is used.
    unknown = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "nobody"}
    set_default(client, place, ApplyServerSideEncryptionByDefault=unknown)
    assert refusal(client.put_object, Bucket=place, Key="k", Body=b"") == (400, "KMS.NotFoundException")
    client.delete_bucket_encryption(Bucket=place)
    assert refusal(client.get_bucket_encryption, Bucket=place) == missing
    shown("plain", client.put_object(Bucket=place, Key="k", Body=b"body"))


def test_named_keys(client: BaseClient, place: str) -> None:
    named = {"Bucket": place, "Key": "k"}
    kms = {"ServerSideEncryption": "aws:kms"}
    absent = (400, "KMS.NotFoundException")
    assert refusal(client.put_object, **named, Body=b"", **kms, SSEKMSKeyId="nobody") == absent
    # There is no key aws/s3, which is AWS's own.
    assert refusal(client.put_object, **named, Body=b"", **kms) == absent
    context = base64.b64encode(json.dumps({"project": "x"}).encode()).decode()
    more = {"SSEKMSKeyId": "testkey-2", "SSEKMSEncryptionContext": context, "BucketKeyEnabled": True}
    put = client.put_object(**named, Body=b"body", **kms, **more)
    assert {name: put[name] for name in more} == more
    got = client.get_object(**named)
    assert (got["Body"].read(), got["SSEKMSKeyId"], got["BucketKeyEnabled"]) == (b"body", "testkey-2", True)
    bad = {"SSEKMSKeyId": "testkey-2", "SSEKMSEncryptionContext": "e30"}
    assert refusal(client.put_object, **named, Body=b"", **kms, **bad) == (400, "InvalidArgument")
    alone = {"SSEKMSKeyId": "testkey-2"}
    assert refusal(client.put_object, **named, Body=b"", **alone) == (400, "InvalidArgument")
    twice = {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "testkey-2"}
    assert refusal(client.put_object, **named, Body=b"", **twice) == (501, "NotImplemented")
    # Parts may say again what their upload said.
    client.meta.events.register("before-call.s3.UploadPart", repeat_kms, unique_id="repeat")
    try:
        upload(client, place, "parts", "named", {1: b"part"})
    finally:
        client.meta.events.unregister("before-call.s3.UploadPart", unique_id="repeat")
    assert client.get_object(Bucket=place, Key="parts")["Body"].read() == b"part"
    # What an object is encrypted with is not for a read to say.
    client.meta.events.register("before-call.s3.HeadObject", repeat_kms, unique_id="repeat")
    try:
        assert refusal(client.head_object, **named)[0] == 400
    finally:
        client.meta.events.unregister("before-call.s3.HeadObject", unique_id="repeat")


def repeat_kms(params: dict, **_: object) -> None:
    params["headers"]["x-amz-server-side-encryption"] = "aws:kms"


def test_customers_keys_can_be_blocked(client: BaseClient, place: str) -> None:
    set_default(client, place, BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]})
    assert refusal(client.put_object, Bucket=place, Key="k", Body=b"", **customer("one")) == (403, "AccessDenied")
    client.put_object(Bucket=place, Key="k", Body=b"")


def test_versions_are_encrypted_each_on_its_own(client: BaseClient, place: str) -> None:
    client.put_bucket_versioning(Bucket=place, VersioningConfiguration={"Status": "Enabled"})
    bodies = {mode: content(f"version {mode}", CHUNK + 5) for mode in MODES}
    versions = {
        mode: client.put_object(Bucket=place, Key="k", Body=body, **MODES[mode])["VersionId"]
        for mode, body in bodies.items()
    }
    for mode, version in versions.items():
        got = client.get_object(Bucket=place, Key="k", VersionId=version, **to_read(mode))
        assert got["Body"].read() == bodies[mode]
        shown(mode, got)
    assert refusal(client.get_object, Bucket=place, Key="k")[0] == 400
    client.delete_object(Bucket=place, Key="k", VersionId=versions["customer"])
    assert client.get_object(Bucket=place, Key="k")["Body"].read() == bodies["named"]


def test_forms_and_presigned_urls(client: BaseClient, place: str, keyed: Node) -> None:
    key = customer("one")["SSECustomerKey"]
    digest = base64.b64encode(hashlib.md5(key).digest()).decode()
    prefix = "x-amz-server-side-encryption-customer-"
    fields = {prefix + "algorithm": "AES256", prefix + "key": base64.b64encode(key).decode(), prefix + "key-md5": digest}
    answer = Form(place, data=b"from a form").with_fields(**fields).send(keyed.port)
    assert answer.status == 204
    assert answer.headers[prefix + "algorithm"] == "AES256"
    assert client.get_object(Bucket=place, Key="k", **customer("one"))["Body"].read() == b"from a form"
    named = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "testkey-1"}
    assert Form(place, data=b"named").with_fields(**named).send(keyed.port).status == 204
    shown("named", client.get_object(Bucket=place, Key="k"))

    # What a header asks for is not passed over, though fields would have to ask.
    sent = form_body(Form(place).signed(), b"x")
    asked = send(keyed.port, place, sent, x_amz_server_side_encryption="AES256")
    assert asked.refusal == (400, "InvalidRequest")

    signer = s3_client(keyed, signature_version="s3v4")
    arguments = {"Bucket": place, "Key": "url", **customer("one")}
    for method, operation, data in (("PUT", "put_object", b"by url"), ("GET", "get_object", None)):
        url = signer.generate_presigned_url(operation, arguments)
        request = urllib.request.Request(url, data=data, method=method, headers=fields)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200
            assert data or answer.read() == b"by url"


def test_policies_can_ask_for_encryption(client: BaseClient, place: str) -> None:
    def deny(operator: str, key: str, value: str) -> dict:
        condition = {operator: {f"s3:x-amz-server-side-encryption{key}": value}}
        arn = f"arn:aws:s3:::{place}/*"
        return {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": arn, "Condition": condition}

    def put_policy(*statements: dict) -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        client.put_bucket_policy(Bucket=place, Policy=policy)

    denied = (403, "AccessDenied")
    named = {"Bucket": place, "Key": "k", "Body": b"x"}
    put_policy(deny("StringNotEquals", "", "AES256"), deny("Null", "", "true"))
    assert refusal(client.put_object, **named) == denied
    assert refusal(client.put_object, **named, **MODES["named"]) == denied
    assert refusal(client.put_object, **named, ServerSideEncryption="AES192") == denied
    shown("managed", client.put_object(**named, **MODES["managed"]))
    put_policy(deny("StringNotEquals", "-aws-kms-key-id", "testkey-1"))
    assert refusal(client.put_object, **named, ServerSideEncryption="aws:kms", SSEKMSKeyId="testkey-2") == denied
    shown("named", client.put_object(**named, **MODES["named"]))
    put_policy(deny("Null", "-customer-algorithm", "true"))
    assert refusal(client.put_object, **named, **MODES["managed"]) == denied
    shown("customer", client.put_object(**named, **MODES["customer"]))


def stored(directory: Path) -> bytes:
    """Every byte below a directory."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


def test_no_byte_of_it_is_on_disk_and_it_is_all_there_after_a_restart(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    keys = write_keys(tmp_path / "keys", "first", "testkey-1")
    node = make_node("--master-key-file", str(keys))
    node.start()
    client, bucket = s3_client(node), bucket_name()
    client.create_bucket(Bucket=bucket)
    sizes = {"small": 1000, "inline": 32_000, "large": 3 * MEBIBYTE}
    bodies = {(mode, name): content(f"disk {mode} {name}", size) for mode in MODES for name, size in sizes.items()}
    for (mode, name), body in bodies.items():
        client.put_object(Bucket=bucket, Key=f"{mode} {name}", Body=body, **MODES[mode])
    created = client.create_multipart_upload(Bucket=bucket, Key="upload", **MODES["customer"])
    part = content("disk part", 6 * MEBIBYTE)
    identity = {"Bucket": bucket, "Key": "upload", "UploadId": created["UploadId"]}
    put = client.upload_part(**identity, PartNumber=1, Body=part, **customer("one"))
    assert node.stop() == 0
    bytes_on_disk = stored(node.data)
    for (mode, name), body in bodies.items():
        for at in (0, len(body) // 2, len(body) - 32):
            assert (body[at : at + 32] in bytes_on_disk) == (mode == "plain"), (mode, name, at)
    assert part[4096:4128] not in bytes_on_disk
    for secret in (customer("one")["SSECustomerKey"], hashlib.sha256(b"master first").digest()):
        for form in (secret, base64.b64encode(secret), secret.hex().encode()):
            assert form not in bytes_on_disk + node.log().encode() + node.output().encode()

    # Another key comes first; both are still asked.
    write_keys(keys, "first=other", "testkey-1", "first")
    node.start()
    for (mode, name), body in bodies.items():
        got = client.get_object(Bucket=bucket, Key=f"{mode} {name}", **to_read(mode))
        assert got["Body"].read() == body
    parts = [{"PartNumber": 1, "ETag": put["ETag"]}]
    client.complete_multipart_upload(**identity, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket=bucket, Key="upload", **customer("one"))["Body"].read() == part
    client.put_object(Bucket=bucket, Key="rotated", Body=b"new", **MODES["managed"])
    assert node.stop() == 0

    write_keys(keys, "first=other")
    node.start()
    assert client.get_object(Bucket=bucket, Key="rotated")["Body"].read() == b"new"
    assert refusal(client.get_object, Bucket=bucket, Key="managed small") == (500, "InternalError")
    assert refusal(client.get_object, Bucket=bucket, Key="named small") == (400, "KMS.NotFoundException")
    assert client.head_object(Bucket=bucket, Key="named small")["SSEKMSKeyId"] == "testkey-1"
    assert node.stop() == 0


def test_a_key_is_made_where_none_is_given(make_node: Callable[..., Node], tmp_path: Path) -> None:
    node = make_node()
    node.start()
    client, bucket = s3_client(node), bucket_name()
    client.create_bucket(Bucket=bucket)
    body = content("made", CHUNK + 7)
    shown("managed", client.put_object(Bucket=bucket, Key="k", Body=body, **MODES["managed"]))
    kms = refusal(client.put_object, Bucket=bucket, Key="k", Body=b"", **MODES["named"])
    assert kms == (400, "KMS.NotFoundException")
    node.kill()
    node.start()
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert node.stop() == 0
    # With a file, too, what was encrypted with the key that was made can be read.
    keys = write_keys(tmp_path / "keys", "first")
    node.arguments += ["--master-key-file", str(keys)]
    node.start()
    client.put_object(Bucket=bucket, Key="new", Body=b"new", **MODES["managed"])
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert node.stop() == 0


def test_customers_keys_over_plain_http_are_a_setting(make_node: Callable[..., Node]) -> None:
    node = make_node("--plain-customer-keys", "off")
    node.start()
    client, bucket = s3_client(node), bucket_name()
    client.create_bucket(Bucket=bucket)
    put = refusal(client.put_object, Bucket=bucket, Key="k", Body=b"", **customer("one"))
    assert put == (400, "InvalidRequest")
    client.put_object(Bucket=bucket, Key="k", Body=b"", **MODES["managed"])
    source = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "k"}}
    copy = refusal(client.copy_object, **source, **customer("one", "CopySource"))
    assert copy == (400, "InvalidRequest")


@pytest.mark.parametrize("text", ["", "name\n", "name c2hvcnQ=\n", "name !\n"])
def test_a_file_of_keys_that_can_not_be_read_is_refused(
    make_node: Callable[..., Node], tmp_path: Path, text: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(text)
    node = make_node("--master-key-file", str(keys))
    node.launch()
    assert node.wait() != 0
    assert f"master key file {keys}" in node.log() and os.fspath(keys) in node.log()
    keys.unlink()
    node.launch()
    assert node.wait() != 0 and f"master key file {keys}" in node.log()
