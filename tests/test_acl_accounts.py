"""ACLs between accounts: grants by canonical id and e-mail address, and whose an object is."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from botocore.client import BaseClient

import iam
from clients import bucket_name, code_of, s3_client
from node import Node

DENIED = "AccessDenied"


@dataclass(frozen=True)
class Account:
    """Another account: its ids, and a client of its root."""

    canonical_id: str
    name: str
    email: str
    s3: BaseClient
    iam: BaseClient


def make_account(node: Node, email: str) -> Account:
    """Has the node's root make an account."""
    name = iam.unique("account")
    _, canonical_id, keys = iam.make_account(node, name, email)
    return Account(canonical_id, name, email, keys.client(node), keys.client(node, "iam"))


@pytest.fixture(scope="module")
def s3(acl_node: Node) -> BaseClient:
    return s3_client(acl_node)


@pytest.fixture(scope="module")
def other(acl_node: Node) -> Account:
    return make_account(acl_node, "other@example.com")


@pytest.fixture(scope="module")
def third(acl_node: Node) -> Account:
    return make_account(acl_node, "")


@pytest.fixture
def bucket(s3: BaseClient) -> str:
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    return name


# What each permission on a bucket lets its grantee do: list, put, read the ACL, replace the ACL.
BUCKET_GRANTS = {
    "READ": (True, False, False, False),
    "WRITE": (False, True, False, False),
    "READ_ACP": (False, False, True, False),
    "WRITE_ACP": (False, False, False, True),
    "FULL_CONTROL": (True, True, True, True),
}


@pytest.mark.parametrize("permission", BUCKET_GRANTS)
def test_a_grant_of_a_bucket_is_for_its_grantee(
    s3: BaseClient, other: Account, third: Account, bucket: str, permission: str
) -> None:
    acl = s3.get_bucket_acl(Bucket=bucket)
    grantee = {"Type": "CanonicalUser", "ID": other.canonical_id}
    grants = [*acl["Grants"], {"Grantee": grantee, "Permission": permission}]
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": acl["Owner"], "Grants": grants})
    shown = s3.get_bucket_acl(Bucket=bucket)["Grants"][1]
    assert shown == {"Grantee": grantee | {"DisplayName": other.name}, "Permission": permission}
    calls = (
        ("list_objects_v2", {}),
        ("put_object", {"Key": "k", "Body": b"x"}),
        ("get_bucket_acl", {}),
        ("put_bucket_acl", {"ACL": "private"}),
    )
    for may, (name, arguments) in zip(BUCKET_GRANTS[permission], calls, strict=True):
        assert code_of(getattr(third.s3, name), Bucket=bucket, **arguments) == DENIED
        if may:
            getattr(other.s3, name)(Bucket=bucket, **arguments)
        else:
            assert code_of(getattr(other.s3, name), Bucket=bucket, **arguments) == DENIED
    assert s3.get_bucket_acl(Bucket=bucket)["Owner"] == acl["Owner"]


# What each permission on an object lets its grantee do: read, read the ACL, replace the ACL.
OBJECT_GRANTS = {
    "READ": (True, False, False),
    "WRITE": (False, False, False),
    "READ_ACP": (False, True, False),
    "WRITE_ACP": (False, False, True),
    "FULL_CONTROL": (True, True, True),
}


@pytest.mark.parametrize("permission", OBJECT_GRANTS)
def test_a_grant_of_an_object_is_for_its_grantee(
    s3: BaseClient, other: Account, third: Account, bucket: str, permission: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    acl = s3.get_object_acl(Bucket=bucket, Key="k")
    grantee = {"Type": "CanonicalUser", "ID": other.canonical_id}
    grants = [*acl["Grants"], {"Grantee": grantee, "Permission": permission}]
    written = {"Owner": acl["Owner"], "Grants": grants}
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=written)
    calls = (("get_object", {}), ("get_object_acl", {}), ("put_object_acl", {"AccessControlPolicy": written}))
    for may, (name, arguments) in zip(OBJECT_GRANTS[permission], calls, strict=True):
        assert code_of(getattr(third.s3, name), Bucket=bucket, Key="k", **arguments) == DENIED
        if may:
            getattr(other.s3, name)(Bucket=bucket, Key="k", **arguments)
        else:
            assert code_of(getattr(other.s3, name), Bucket=bucket, Key="k", **arguments) == DENIED
    assert code_of(other.s3.put_object, Bucket=bucket, Key="k", Body=b"y") == DENIED
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Owner"] == acl["Owner"]


def test_an_address_stands_for_its_account(s3: BaseClient, other: Account, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead=f'emailAddress="{other.email}"')
    (grant,) = s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    expected = {"Type": "CanonicalUser", "ID": other.canonical_id, "DisplayName": other.name}
    assert grant == {"Grantee": expected, "Permission": "READ"}
    assert other.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    # It was granted to nobody else, not to the owner either.
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == DENIED
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]
    taken = {"Owner": {"ID": other.canonical_id}, "Grants": []}
    assert code_of(s3.put_object_acl, Bucket=bucket, Key="k", AccessControlPolicy=taken) == DENIED
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Owner"] == owner


def test_every_account_is_authenticated(s3: BaseClient, other: Account, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="authenticated-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="authenticated-read")
    s3.put_object(Bucket=bucket, Key="shut", Body=b"x")
    assert other.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert len(other.s3.list_objects(Bucket=bucket)["Contents"]) == 2
    assert code_of(other.s3.get_object, Bucket=bucket, Key="shut") == DENIED
    assert code_of(other.s3.get_object, Bucket=bucket, Key="absent") == "NoSuchKey"
    block = {"IgnorePublicAcls": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert code_of(other.s3.get_object, Bucket=bucket, Key="k") == DENIED


def test_whoever_puts_an_object_owns_it(s3: BaseClient, other: Account, bucket: str) -> None:
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    other.s3.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    other.s3.put_object(Bucket=bucket, Key="read", Body=b"x", ACL="bucket-owner-read")
    other.s3.put_object(Bucket=bucket, Key="shared", Body=b"x", ACL="bucket-owner-full-control")
    assert code_of(s3.get_object, Bucket=bucket, Key="theirs") == DENIED
    for key in ("read", "shared"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    assert code_of(s3.put_object_acl, Bucket=bucket, Key="read", ACL="public-read") == DENIED
    them = {"ID": other.canonical_id, "DisplayName": other.name}
    assert s3.get_object_acl(Bucket=bucket, Key="shared")["Owner"] == them
    s3.put_object_acl(Bucket=bucket, Key="shared", ACL="public-read")
    # The canned ACL has no grant for the bucket's owner, who wrote it.
    assert code_of(s3.get_object_acl, Bucket=bucket, Key="shared") == DENIED
    for each in s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]:
        assert each["Owner"] == them
    other.s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/theirs")
    assert other.s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x"
    upload = other.s3.create_multipart_upload(Bucket=bucket, Key="joined")["UploadId"]
    (listed,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (listed["Owner"], listed["Initiator"]) == (them, them)
    other.s3.abort_multipart_upload(Bucket=bucket, Key="joined", UploadId=upload)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"ours")
    assert s3.get_object(Bucket=bucket, Key="theirs")["Body"].read() == b"ours"
    s3.delete_object(Bucket=bucket, Key="read")


def test_a_grant_to_an_account_is_for_those_whom_it_lets(
    acl_node: Node, s3: BaseClient, other: Account, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead=f"id={other.canonical_id}")
    other.iam.create_user(UserName="reader")
    key = other.iam.create_access_key(UserName="reader")["AccessKey"]
    reader = iam.Keys.of(key).client(acl_node)
    assert code_of(reader.get_object, Bucket=bucket, Key="k") == DENIED
    other.iam.attach_user_policy(UserName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(reader.get_object, Bucket=bucket, Key="k") == DENIED


def test_names_of_buckets_are_taken_across_accounts(s3: BaseClient, other: Account, bucket: str) -> None:
    assert code_of(other.s3.create_bucket, Bucket=bucket) == "BucketAlreadyExists"
    assert code_of(other.s3.delete_bucket, Bucket=bucket) == DENIED
    own = bucket_name()
    other.s3.create_bucket(Bucket=own, ACL="public-read")
    acl = other.s3.get_bucket_acl(Bucket=own)
    assert acl["Owner"] == {"ID": other.canonical_id, "DisplayName": other.name}
    assert s3.list_objects(Bucket=own)["Name"] == own
    assert code_of(s3.get_bucket_acl, Bucket=own) == DENIED
