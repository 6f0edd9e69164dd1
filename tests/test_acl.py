"""ACLs of buckets, objects and versions where ownership lets them count, and what keeps them from counting."""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore import UNSIGNED
from botocore.client import BaseClient
from botocore.config import Config

from clients import bucket_name, code_of, s3_client
from node import Node

GROUPS = "http://acs.amazonaws.com/groups/"
EVERYBODY = f"{GROUPS}global/AllUsers"
ACCOUNTS = f"{GROUPS}global/AuthenticatedUsers"
ANONYMOUS = "65a011a29cdf8ec533ec3d1ccaae921c"
DENIED = "AccessDenied"


def anonymous_client(node: Node) -> BaseClient:
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=node.endpoint, region_name="us-east-1", config=config)


def granted(acl: dict) -> list[tuple[str, str]]:
    """Grants as pairs: a URI or "owner" or an id, and the permission."""

    def grantee(of: dict) -> str:
        return of.get("URI") or ("owner" if of["ID"] == acl["Owner"]["ID"] else of["ID"])

    return [(grantee(grant["Grantee"]), grant["Permission"]) for grant in acl["Grants"]]


def block(s3: BaseClient, bucket: str, **flags: bool) -> None:
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=flags)


def own(s3: BaseClient, bucket: str, ownership: str) -> None:
    rules = {"Rules": [{"ObjectOwnership": ownership}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


@pytest.fixture(scope="module")
def s3(acl_node: Node) -> BaseClient:
    return s3_client(acl_node)


@pytest.fixture(scope="module")
def anybody(acl_node: Node) -> BaseClient:
    return anonymous_client(acl_node)


@pytest.fixture
def bucket(s3: BaseClient) -> str:
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    return name


CANNED = {
    "private": [],
    "public-read": [(EVERYBODY, "READ")],
    "public-read-write": [(EVERYBODY, "READ"), (EVERYBODY, "WRITE")],
    "authenticated-read": [(ACCOUNTS, "READ")],
}


@pytest.mark.parametrize("name", CANNED)
def test_canned_acls_come_back_however_they_are_asked_for(s3: BaseClient, bucket: str, name: str) -> None:
    expected = [*CANNED[name], ("owner", "FULL_CONTROL")]
    made = bucket_name()
    s3.create_bucket(Bucket=made, ACL=name)
    s3.put_bucket_acl(Bucket=bucket, ACL=name)
    for each in (made, bucket):
        assert granted(s3.get_bucket_acl(Bucket=each)) == expected
    s3.put_object(Bucket=bucket, Key="put", Body=b"x", ACL=name)
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/put", ACL=name)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="joined", ACL=name)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="joined", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="joined", UploadId=upload, MultipartUpload=parts)
    s3.put_object(Bucket=bucket, Key="later", Body=b"x")
    assert granted(s3.get_object_acl(Bucket=bucket, Key="later")) == [("owner", "FULL_CONTROL")]
    s3.put_object_acl(Bucket=bucket, Key="later", ACL=name)
    for key in ("put", "copied", "joined", "later"):
        assert granted(s3.get_object_acl(Bucket=bucket, Key=key)) == expected, key
    # A copy has an ACL of its own.
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/put")
    assert granted(s3.get_object_acl(Bucket=bucket, Key="plain")) == [("owner", "FULL_CONTROL")]
    assert s3.get_object(Bucket=bucket, Key="later")["Body"].read() == b"x"


def test_a_form_can_name_an_acl(s3: BaseClient, anybody: BaseClient, bucket: str) -> None:
    fields, conditions = {"acl": "public-read"}, [{"acl": "public-read"}]
    form = s3.generate_presigned_post(bucket, "k", Fields=fields, Conditions=conditions)
    boundary = "frontier"
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {**form["fields"], "file": "bytes"}.items()
    )
    request = Request(
        form["url"],
        data=(body + f"--{boundary}--\r\n").encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    assert urlopen(request).status == 204
    assert anybody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"bytes"


def test_headers_and_documents_grant(s3: BaseClient, bucket: str) -> None:
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]
    grants = {"GrantRead": f'uri="{EVERYBODY}"', "GrantWriteACP": f"id={owner['ID']}", "GrantFullControl": f"id={owner['ID']}"}
    expected = [(EVERYBODY, "READ"), ("owner", "WRITE_ACP"), ("owner", "FULL_CONTROL")]
    s3.put_bucket_acl(Bucket=bucket, **grants)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **grants)
    for acl in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        assert granted(acl) == expected
        written = {"Owner": acl["Owner"], "Grants": acl["Grants"][:2]}
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=written)
    assert granted(s3.get_object_acl(Bucket=bucket, Key="k")) == expected[:2]
    none = {"Owner": owner, "Grants": []}
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=none)
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"] == []
    # The owner granted himself nothing: he may mend that, and nothing else that ACLs are about.
    assert code_of(s3.put_object, Bucket=bucket, Key="new", Body=b"x") == DENIED
    assert code_of(s3.list_objects_v2, Bucket=bucket) == DENIED
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_object(Bucket=bucket, Key="new", Body=b"x")


def test_what_is_no_acl_is_refused(s3: BaseClient, bucket: str) -> None:
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]

    def document(grantee: dict, count: int = 1) -> dict:
        return {"Owner": owner, "Grants": [{"Grantee": grantee, "Permission": "READ"}] * count}

    own_id = {"Type": "CanonicalUser", "ID": owner["ID"]}
    for written, code in (
        (document({"Type": "CanonicalUser", "ID": "_foo"}), "InvalidArgument"),
        (document({"Type": "Group", "URI": f"{GROUPS}global/Nobody"}), "InvalidArgument"),
        (document({"Type": "AmazonCustomerByEmail", "EmailAddress": "a@b.invalid"}), "UnresolvableGrantByEmailAddress"),
        (document(own_id, 101), "MalformedACLError"),
        ({"Owner": {"ID": "_foo"}, "Grants": []}, DENIED),
    ):
        assert code_of(s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=written) == code
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=document(own_id, 100))
    assert len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 100
    s3.put_bucket_acl(Bucket=bucket, ACL="log-delivery-write")
    assert (f"{GROUPS}s3/LogDelivery", "WRITE") in granted(s3.get_bucket_acl(Bucket=bucket))
    assert code_of(s3.put_object, Bucket=bucket, Key="k", ACL="log-delivery-write") == "InvalidArgument"
    assert code_of(s3.put_object, Bucket=bucket, Key="k", ACL="private", GrantRead="id=1") == "InvalidRequest"


@pytest.mark.parametrize("object_acl", ["private", "public-read", "public-read-write", "authenticated-read"])
@pytest.mark.parametrize("bucket_acl", ["private", "public-read", "public-read-write", "authenticated-read"])
def test_who_may_what(s3: BaseClient, anybody: BaseClient, bucket: str, bucket_acl: str, object_acl: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL=bucket_acl)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL=object_acl)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    lists, reads = bucket_acl.startswith("public"), object_acl.startswith("public")
    writes = bucket_acl == "public-read-write"
    for may, call, arguments in (
        (lists, anybody.list_objects, {}),
        (lists, anybody.list_objects_v2, {}),
        (lists, anybody.list_object_versions, {}),
        (lists, anybody.list_multipart_uploads, {}),
        (lists, anybody.head_bucket, {}),
        (reads, anybody.get_object, {"Key": "k"}),
        (reads, anybody.get_object_attributes, {"Key": "k", "ObjectAttributes": ["ETag"]}),
        (False, anybody.get_object, {"Key": "plain"}),
        (False, anybody.get_object_acl, {"Key": "k"}),
        (False, anybody.put_object_acl, {"Key": "k", "ACL": "public-read"}),
        (False, anybody.get_object_tagging, {"Key": "k"}),
        (False, anybody.get_bucket_acl, {}),
        (False, anybody.put_bucket_acl, {"ACL": "public-read"}),
        (False, anybody.get_bucket_policy, {}),
        (False, anybody.delete_bucket, {}),
        (writes, anybody.put_object, {"Key": "new", "Body": b"x"}),
        (writes, anybody.put_object, {"Key": "plain", "Body": b"x"}),
        (writes, anybody.delete_object, {"Key": "k"}),
    ):
        if may:
            call(Bucket=bucket, **arguments)
        else:
            code = code_of(call, Bucket=bucket, **arguments)
            assert code in (DENIED, "403", "MethodNotAllowed"), (call, arguments)
    absent = "NoSuchKey" if lists else DENIED
    assert code_of(anybody.get_object, Bucket=bucket, Key="absent") == absent


def test_who_puts_an_object_owns_it(s3: BaseClient, anybody: BaseClient, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    anybody.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    s3.put_object(Bucket=bucket, Key="ours", Body=b"x")
    assert anybody.get_object(Bucket=bucket, Key="theirs")["Body"].read() == b"x"
    for call in (s3.get_object, s3.get_object_acl, s3.head_object):
        assert code_of(call, Bucket=bucket, Key="theirs") in (DENIED, "403")
    assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=f"{bucket}/theirs") == DENIED
    us = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    for page in (
        s3.list_objects(Bucket=bucket)["Contents"],
        s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"],
        s3.list_object_versions(Bucket=bucket)["Versions"],
    ):
        assert {each["Key"]: each["Owner"]["ID"] for each in page} == {"ours": us, "theirs": ANONYMOUS}
    upload = anybody.create_multipart_upload(Bucket=bucket, Key="joined")["UploadId"]
    (listed,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (listed["Owner"]["ID"], listed["Initiator"]["ID"]) == (ANONYMOUS, ANONYMOUS)
    part = anybody.upload_part(Bucket=bucket, Key="joined", UploadId=upload, PartNumber=1, Body=b"x")
    assert anybody.list_parts(Bucket=bucket, Key="joined", UploadId=upload)["Owner"]["ID"] == ANONYMOUS
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    anybody.complete_multipart_upload(Bucket=bucket, Key="joined", UploadId=upload, MultipartUpload=parts)
    assert code_of(s3.get_object, Bucket=bucket, Key="joined") == DENIED
    # A policy speaks for objects of the bucket's owner alone.
    arn = f"arn:aws:s3:::{bucket}/*"
    allow = f'{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"{arn}"}}}}'
    s3.put_bucket_policy(Bucket=bucket, Policy=allow)
    assert anybody.get_object(Bucket=bucket, Key="ours")["Body"].read() == b"x"
    assert code_of(s3.get_object, Bucket=bucket, Key="theirs") == DENIED
    # The owner of a bucket can remove whatever is in it, and take all of it over.
    s3.delete_object(Bucket=bucket, Key="joined")
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    own(s3, bucket, "BucketOwnerEnforced")
    assert s3.get_object(Bucket=bucket, Key="theirs")["Body"].read() == b"x"
    assert granted(s3.get_object_acl(Bucket=bucket, Key="theirs")) == [("owner", "FULL_CONTROL")]
    assert s3.list_objects(Bucket=bucket)["Contents"][1]["Owner"]["ID"] == us


def test_full_control_gives_an_object_away_where_that_is_preferred(s3: BaseClient, anybody: BaseClient) -> None:
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket, ObjectOwnership="BucketOwnerPreferred", ACL="public-read-write")
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    us = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    give = {"ACL": "bucket-owner-full-control"}
    anybody.put_object(Bucket=bucket, Key="given", Body=b"x", **give)
    anybody.put_object(Bucket=bucket, Key="kept", Body=b"x")
    assert granted(s3.get_object_acl(Bucket=bucket, Key="given")) == [("owner", "FULL_CONTROL")]
    assert code_of(s3.get_object, Bucket=bucket, Key="kept") == DENIED
    own(s3, bucket, "ObjectWriter")
    anybody.put_object(Bucket=bucket, Key="shared", Body=b"x", **give)
    acl = s3.get_object_acl(Bucket=bucket, Key="shared")
    assert acl["Owner"]["ID"] == ANONYMOUS
    assert granted(acl) == [(us, "FULL_CONTROL"), ("owner", "FULL_CONTROL")]
    assert s3.get_object(Bucket=bucket, Key="shared")["Body"].read() == b"x"


def test_an_explicit_deny_is_stronger_than_a_grant(s3: BaseClient, anybody: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    arn = f"arn:aws:s3:::{bucket}/*"
    deny = f'{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"{arn}"}}}}'
    s3.put_bucket_policy(Bucket=bucket, Policy=deny)
    for client in (s3, anybody):
        assert code_of(client.get_object, Bucket=bucket, Key="k") == DENIED


def test_public_acls_can_be_blocked_and_ignored(s3: BaseClient, anybody: BaseClient, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    block(s3, bucket, BlockPublicAcls=True)
    for acl in ("public-read", "public-read-write", "authenticated-read"):
        assert code_of(s3.put_bucket_acl, Bucket=bucket, ACL=acl) == DENIED
        assert code_of(s3.put_object_acl, Bucket=bucket, Key="k", ACL=acl) == DENIED
        assert code_of(s3.put_object, Bucket=bucket, Key="new", ACL=acl) == DENIED
        assert code_of(s3.create_multipart_upload, Bucket=bucket, Key="new", ACL=acl) == DENIED
        copy = {"Key": "new", "CopySource": f"{bucket}/k", "ACL": acl}
        assert code_of(s3.copy_object, Bucket=bucket, **copy) == DENIED
    s3.put_object(Bucket=bucket, Key="new", Body=b"x", ACL="private")
    # What was granted before goes on.
    assert anybody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    block(s3, bucket, IgnorePublicAcls=True)
    assert code_of(anybody.get_object, Bucket=bucket, Key="k") == DENIED
    assert code_of(anybody.list_objects, Bucket=bucket) == DENIED
    assert (EVERYBODY, "READ") in granted(s3.get_object_acl(Bucket=bucket, Key="k"))
    s3.delete_public_access_block(Bucket=bucket)
    assert len(anybody.list_objects(Bucket=bucket)["Contents"]) == 2


def test_each_version_has_an_acl_of_its_own(s3: BaseClient, anybody: BaseClient, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2"))
    s3.put_object_acl(Bucket=bucket, Key="k", VersionId=first, ACL="public-read")
    assert anybody.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
    for arguments in ({}, {"VersionId": second}):
        assert code_of(anybody.get_object, Bucket=bucket, Key="k", **arguments) == DENIED
    assert len(s3.get_object_acl(Bucket=bucket, Key="k", VersionId=first)["Grants"]) == 2
    s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert anybody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_a_bucket_made_again_is_not_another(s3: BaseClient) -> None:
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket, ACL="public-read")
    assert code_of(s3.create_bucket, Bucket=bucket) == "BucketAlreadyExists"
    assert code_of(s3.create_bucket, Bucket=bucket, ACL="public-read") == "BucketAlreadyOwnedByYou"
    assert (EVERYBODY, "READ") in granted(s3.get_bucket_acl(Bucket=bucket))


def test_acls_of_a_bucket_keep_ownership_from_being_enforced(s3: BaseClient, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    with_acl = "InvalidBucketAclWithObjectOwnership"
    assert code_of(s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=rules) == with_acl
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    own(s3, bucket, "BucketOwnerEnforced")
    assert code_of(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == "AccessControlListNotSupported"
    assert code_of(s3.put_object, Bucket=bucket, Key="k", ACL="public-read") == "AccessControlListNotSupported"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    name = bucket_name()
    enforced = {"Bucket": name, "ObjectOwnership": "BucketOwnerEnforced"}
    assert code_of(s3.create_bucket, **enforced, ACL="public-read") == with_acl
    s3.create_bucket(**enforced, ACL="private")
    assert code_of(s3.create_bucket, Bucket=bucket_name(), ObjectOwnership="Mine") == "InvalidArgument"


def test_acls_count_for_nothing_unless_they_are_let(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3, anybody, bucket = s3_client(node), anonymous_client(node), bucket_name()
    assert code_of(s3.create_bucket, Bucket=bucket, ACL="public-read") == "InvalidBucketAclWithObjectOwnership"
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter", ACL="public-read-write")
    anybody.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    assert node.stop() == 0
    node.start()
    assert (EVERYBODY, "WRITE") in granted(s3.get_bucket_acl(Bucket=bucket))
    assert anybody.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert code_of(s3.get_object, Bucket=bucket, Key="theirs") == DENIED
    # Without a rule of its own the bucket is as the node has it: ACLs are kept, and say nothing.
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert code_of(anybody.get_object, Bucket=bucket, Key="k") == DENIED
    assert code_of(anybody.put_object, Bucket=bucket, Key="k", Body=b"x") == DENIED
    assert s3.get_object(Bucket=bucket, Key="theirs")["Body"].read() == b"x"
    assert granted(s3.get_bucket_acl(Bucket=bucket)) == [("owner", "FULL_CONTROL")]
