"""Bucket policies: who may do what without a signature, what the owner is denied, and what can't be put."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import code_of
from forms import Form
from node import Node
from signing import Request

def statement(bucket: str, *actions: str, effect: str = "Allow", path: str = "/*", **more: object) -> dict:
    arn = f"arn:aws:s3:::{bucket}{path}"
    return {"Effect": effect, "Principal": "*", "Action": list(actions), "Resource": arn} | more


def put_policy(s3: BaseClient, bucket: str, *statements: dict) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)


def anonymous(node: Node, method: str, target: str, body: bytes = b"", **headers: str) -> wire.Response:
    path, _, query = target.partition("?")
    pairs = tuple((name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair))
    request = Request(method, path, pairs, {"host": node.address}, body).with_headers(**headers)
    return wire.exchange(node.port, request)


DENIED = (403, "AccessDenied")


def test_a_policy_comes_back_as_it_was_put(s3: BaseClient, bucket: str) -> None:
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement(bucket, "s3:GetObject")]}, indent=3)
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    s3.delete_bucket_policy(Bucket=bucket)
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"
    assert code_of(s3.get_bucket_policy_status, Bucket=bucket) == "NoSuchBucketPolicy"


def test_what_is_no_policy_is_refused(s3: BaseClient, bucket: str) -> None:
    for text in (
        "",
        "{}",
        json.dumps({"Version": "2012-10-17", "Statement": [statement("other-bucket", "s3:GetObject")]}),
        json.dumps({"Statement": [statement(bucket, "s3:GetObject", Condition={"Maybe": {"s3:prefix": "a"}})]}),
    ):
        assert code_of(s3.put_bucket_policy, Bucket=bucket, Policy=text) in ("MalformedPolicy", "MissingRequestBodyError")
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == "NoSuchBucketPolicy"


def test_everybody_may_read_what_a_policy_lets_them(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="public/k", Body=b"open")
    s3.put_object(Bucket=bucket, Key="k", Body=b"shut")
    put_policy(s3, bucket, statement(bucket, "s3:GetObject", path="/public/*"))
    answer = anonymous(node, "GET", f"/{bucket}/public/k")
    assert (answer.status, answer.body) == (200, b"open")
    assert anonymous(node, "HEAD", f"/{bucket}/public/k").status == 200
    for method, target in (
        ("GET", f"/{bucket}/k"),
        ("GET", f"/{bucket}?list-type=2"),
        ("PUT", f"/{bucket}/public/k"),
        ("DELETE", f"/{bucket}/public/k"),
        ("GET", f"/{bucket}/public/k?tagging"),
        ("GET", f"/{bucket}/public/k?versionId=null"),
        ("GET", f"/{bucket}?policy"),
        # Who may not list isn't told what isn't there.
        ("GET", f"/{bucket}/public/absent"),
    ):
        assert anonymous(node, method, target).refusal == DENIED, (method, target)
    overridden = anonymous(node, "GET", f"/{bucket}/public/k?response-content-type=text/html")
    assert overridden.refusal == (400, "InvalidRequest")
    put_policy(s3, bucket, statement(bucket, "s3:GetObject"), statement(bucket, "s3:ListBucket", path=""))
    assert anonymous(node, "GET", f"/{bucket}/public/absent").refusal == (404, "NoSuchKey")
    assert b"<Key>public/k</Key>" in anonymous(node, "GET", f"/{bucket}?list-type=2").body


def test_everybody_may_write_what_a_policy_lets_them(node: Node, s3: BaseClient, bucket: str) -> None:
    put_policy(s3, bucket, statement(bucket, "s3:PutObject", "s3:DeleteObject", path="/in/*"))
    assert anonymous(node, "PUT", f"/{bucket}/in/k", b"dropped").status == 200
    assert s3.get_object(Bucket=bucket, Key="in/k")["Body"].read() == b"dropped"
    tagged = anonymous(node, "PUT", f"/{bucket}/in/k", b"tagged", x_amz_tagging="a=1")
    assert tagged.refusal == DENIED
    copied = anonymous(node, "PUT", f"/{bucket}/in/copy", x_amz_copy_source=f"/{bucket}/in/k")
    assert copied.refusal == DENIED
    delete = b"<Delete><Object><Key>in/k</Key></Object><Object><Key>k</Key></Object></Delete>"
    digest = {"content_md5": base64.b64encode(hashlib.md5(delete).digest()).decode()}
    answer = anonymous(node, "POST", f"/{bucket}?delete", delete, **digest)
    assert answer.status == 200 and answer.element("Code") == "AccessDenied"
    assert answer.body.count(b"<Deleted>") == 1
    assert code_of(s3.get_object, Bucket=bucket, Key="in/k") == "NoSuchKey"


def test_conditions_narrow_a_policy(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="open=yes")
    s3.put_object(Bucket=bucket, Key="l", Body=b"x", Tagging="open=no")

    def read(key: str, **headers: str) -> int:
        return anonymous(node, "GET", f"/{bucket}/{key}", **headers).status

    tagged = {"StringEquals": {"s3:ExistingObjectTag/open": "yes"}}
    put_policy(s3, bucket, statement(bucket, "s3:GetObject", Condition=tagged))
    assert (read("k"), read("l"), read("absent")) == (200, 403, 403)
    here, elsewhere = {"aws:SourceIp": "127.0.0.0/8"}, {"aws:SourceIp": "192.0.2.0/24"}
    put_policy(s3, bucket, statement(bucket, "s3:GetObject", Condition={"IpAddress": here}))
    assert read("k") == 200
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    put_policy(s3, bucket, statement(bucket, "s3:GetObject", Condition={"IpAddress": elsewhere}))
    assert read("k") == 403
    referer = {"StringLike": {"aws:Referer": "http://www.example.com/*"}}
    put_policy(s3, bucket, statement(bucket, "s3:GetObject", Condition=referer))
    assert (read("k"), read("k", referer="http://www.example.com/page")) == (403, 200)
    prefix = {"StringEquals": {"s3:prefix": "dir/"}}
    put_policy(s3, bucket, statement(bucket, "s3:ListBucket", path="", Condition=prefix))
    assert anonymous(node, "GET", f"/{bucket}?prefix=dir/").status == 200
    assert anonymous(node, "GET", f"/{bucket}").refusal == DENIED


def test_a_deny_is_for_the_owner_too_but_never_shuts_it_out(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object(Bucket=bucket, Key="l", Body=b"x")
    put_policy(s3, bucket, statement(bucket, "s3:DeleteObject", effect="Deny", path="/k"))
    assert code_of(s3.delete_object, Bucket=bucket, Key="k") == "AccessDenied"
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "l"}]})
    assert [entry["Key"] for entry in answer["Deleted"]] == ["l"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [("k", "AccessDenied")]
    put_policy(s3, bucket, statement(bucket, "s3:*", effect="Deny"), statement(bucket, "*", effect="Deny", path=""))
    for call in (s3.list_objects_v2, s3.get_bucket_versioning, s3.head_bucket):
        assert code_of(call, Bucket=bucket) in ("AccessDenied", "403")
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    assert "Deny" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_denied_source_is_not_copied(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="secret", Body=b"x")
    put_policy(s3, bucket, statement(bucket, "s3:GetObject", effect="Deny", path="/secret"))
    source = {"Bucket": bucket, "Key": "secret"}
    assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source) == "AccessDenied"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    part = {"Bucket": bucket, "Key": "copy", "UploadId": upload, "PartNumber": 1, "CopySource": source}
    assert code_of(s3.upload_part_copy, **part) == "AccessDenied"


def test_public_policies_can_be_blocked(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    put_policy(s3, bucket, statement(bucket, "s3:GetObject"))
    assert anonymous(node, "GET", f"/{bucket}/k").status == 200
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    assert anonymous(node, "GET", f"/{bucket}/k").refusal == DENIED
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    with pytest.raises(ClientError, match="AccessDenied"):
        put_policy(s3, bucket, statement(bucket, "s3:GetObject"))
    # What was there stays.
    assert anonymous(node, "GET", f"/{bucket}/k").status == 200


def test_an_unsigned_form_needs_a_policy_too(node: Node, s3: BaseClient, bucket: str) -> None:
    def send() -> wire.Response:
        parts = (("key", "in/k"), ("file", "from a form"))
        lines = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts]
        body = ("".join(lines) + "--b--\r\n").encode()
        headers = {"content_type": "multipart/form-data; boundary=b"}
        return anonymous(node, "POST", f"/{bucket}", body, **headers)

    assert send().refusal == DENIED
    put_policy(s3, bucket, statement(bucket, "s3:PutObject", path="/in/*"))
    assert send().status == 204
    assert s3.get_object(Bucket=bucket, Key="in/k")["Body"].read() == b"from a form"
    assert Form(bucket).send(node.port).status == 204


def test_nobody_but_the_owner_gets_at_a_policy(node: Node, s3: BaseClient, bucket: str) -> None:
    put_policy(s3, bucket, statement(bucket, "s3:*"), statement(bucket, "s3:*", path=""))
    for method in ("GET", "PUT", "DELETE"):
        answer = anonymous(node, method, f"/{bucket}?policy", b"{}" if method == "PUT" else b"")
        assert answer.refusal == (405, "MethodNotAllowed"), (method, answer)
    assert "s3:*" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert anonymous(node, "GET", "/no-such-bucket-here/k").refusal == (404, "NoSuchBucket")
    assert anonymous(node, "PUT", "/no-such-bucket-here").refusal == DENIED


def test_tags_and_versions_are_asked_about_whatever_way_they_come(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")["VersionId"]
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    put_policy(s3, bucket, statement(bucket, "s3:PutObjectTagging", effect="Deny"))
    assert Form(bucket).with_fields(tagging=tags).send(node.port).refusal == DENIED
    assert Form(bucket).send(node.port).status == 204
    source = {"Bucket": bucket, "Key": "k", "VersionId": version}
    assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source) == "AccessDenied"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, TaggingDirective="REPLACE")
    only = {"StringEquals": {"s3:VersionId": version}}
    denied = ("s3:DeleteObjectVersion", "s3:GetObjectVersion")
    put_policy(s3, bucket, statement(bucket, *denied, effect="Deny", Condition=only))
    assert code_of(s3.get_object, Bucket=bucket, Key="k", VersionId=version) == "AccessDenied"
    replaced = {"TaggingDirective": "REPLACE"}
    assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source, **replaced) == "AccessDenied"
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert [entry["Code"] for entry in answer["Errors"]] == ["AccessDenied"]
