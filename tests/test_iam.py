"""Users, groups, keys, policies, roles and accounts, and what they let whom do."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import re
import subprocess
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import clients
import wire
from clients import code_of
from iam import ALL_OF_S3, Keys, allow, call, deny, document, make_account, make_user, unique
from node import ROOT, Node
from signing import Request, Signer


@pytest.fixture(scope="module")
def iam(node: Node) -> BaseClient:
    return Keys().client(node, "iam")


@pytest.fixture(scope="module")
def sts(node: Node) -> BaseClient:
    return Keys().client(node, "sts")


def test_a_user_may_do_what_its_policies_allow_and_no_more(node: Node, iam: BaseClient, s3: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam)
    user = keys.client(node)
    s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    assert code_of(user.list_buckets) == "AccessDenied"
    assert code_of(user.get_object, Bucket=bucket, Key="a/k") == "AccessDenied"
    readable = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/a/*")
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(readable))
    assert user.get_object(Bucket=bucket, Key="a/k")["Body"].read() == b"x"
    assert code_of(user.get_object, Bucket=bucket, Key="b/k") == "AccessDenied"
    assert code_of(user.put_object, Bucket=bucket, Key="a/k", Body=b"") == "AccessDenied"
    # Whoever may not list isn't told what isn't there.
    assert code_of(user.get_object, Bucket=bucket, Key="a/none") == "AccessDenied"
    iam.attach_user_policy(UserName=name, PolicyArn=ALL_OF_S3)
    user.put_object(Bucket=bucket, Key="a/k", Body=b"y")
    assert code_of(user.get_object, Bucket=bucket, Key="a/none") == "NoSuchKey"
    denied = document(readable, deny("s3:PutObject", f"arn:aws:s3:::{bucket}/a/*"))
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=denied)
    assert code_of(user.put_object, Bucket=bucket, Key="a/k", Body=b"z") == "AccessDenied"
    user.put_object(Bucket=bucket, Key="b/k", Body=b"z")
    assert [one["Name"] for one in user.list_buckets()["Buckets"] if one["Name"] == bucket] == [bucket]


def test_groups_and_managed_policies_count(node: Node, iam: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam)
    user = keys.client(node)
    group, policy = unique("group"), unique("policy")
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=name)
    own = f"arn:aws:s3:::{bucket}/${{aws:username}}/*"
    arn = iam.create_policy(PolicyName=policy, PolicyDocument=document(allow("s3:PutObject", own)))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName=group, PolicyArn=arn)
    user.put_object(Bucket=bucket, Key=f"{name}/k", Body=b"")
    assert code_of(user.put_object, Bucket=bucket, Key="other/k", Body=b"") == "AccessDenied"
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(deny("s3:*")), SetAsDefault=True)
    assert code_of(user.put_object, Bucket=bucket, Key=f"{name}/k", Body=b"") == "AccessDenied"
    assert code_of(iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    user.put_object(Bucket=bucket, Key=f"{name}/k", Body=b"")
    assert [one["UserName"] for one in iam.get_group(GroupName=group)["Users"]] == [name]
    assert [one["GroupName"] for one in iam.list_groups_for_user(UserName=name)["Groups"]] == [group]
    assert [one["GroupName"] for one in iam.list_entities_for_policy(PolicyArn=arn)["PolicyGroups"]] == [group]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert code_of(iam.delete_group, GroupName=group) == "DeleteConflict"
    assert code_of(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.remove_user_from_group(GroupName=group, UserName=name)
    assert code_of(user.put_object, Bucket=bucket, Key=f"{name}/k", Body=b"") == "AccessDenied"
    iam.detach_group_policy(GroupName=group, PolicyArn=arn)
    iam.delete_group(GroupName=group)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)
    assert code_of(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"


def test_a_permissions_boundary_bounds(node: Node, iam: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam, allow("s3:*"))
    user = keys.client(node)
    user.put_object(Bucket=bucket, Key="k", Body=b"")
    iam.put_user_permissions_boundary(
        UserName=name, PermissionsBoundary="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    )
    user.get_object(Bucket=bucket, Key="k")
    assert code_of(user.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"
    iam.delete_user_permissions_boundary(UserName=name)
    user.put_object(Bucket=bucket, Key="k", Body=b"")


def test_a_bucket_s_policy_can_let_a_user_in_and_keep_it_out(
    node: Node, iam: BaseClient, s3: BaseClient, bucket: str
) -> None:
    name, keys = make_user(iam)
    user = keys.client(node)
    arn = iam.get_user(UserName=name)["User"]["Arn"]
    account = arn.split(":")[4]
    for principal, lets in ((arn, True), (account, False), ("*", True), (f"arn:aws:iam::{account}:user/other", False)):
        grant = allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": principal})
        s3.put_bucket_policy(Bucket=bucket, Policy=document(grant))
        if lets:
            user.put_object(Bucket=bucket, Key="k", Body=b"")
        else:
            # An account that is let in says itself who of it may.
            assert code_of(user.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied", principal
    iam.attach_user_policy(UserName=name, PolicyArn=ALL_OF_S3)
    s3.put_bucket_policy(
        Bucket=bucket, Policy=document(deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": arn}))
    )
    assert code_of(user.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"
    s3.put_object(Bucket=bucket, Key="k", Body=b"")


def test_keys_are_changed_switched_off_and_end(node: Node, iam: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam, allow("s3:*"))
    second = iam.create_access_key(UserName=name)["AccessKey"]
    assert code_of(iam.create_access_key, UserName=name) == "LimitExceeded"
    Keys.of(second).client(node).put_object(Bucket=bucket, Key="k", Body=b"")
    iam.update_access_key(UserName=name, AccessKeyId=keys.access_key, Status="Inactive")
    assert code_of(keys.client(node).list_buckets) == "InvalidAccessKeyId"
    iam.update_access_key(UserName=name, AccessKeyId=keys.access_key, Status="Active")
    keys.client(node).list_buckets()
    iam.delete_access_key(UserName=name, AccessKeyId=keys.access_key)
    assert code_of(keys.client(node).list_buckets) == "InvalidAccessKeyId"
    listed = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert [(one["AccessKeyId"], one["Status"]) for one in listed] == [(second["AccessKeyId"], "Active")]
    assert code_of(iam.delete_user, UserName=name) == "DeleteConflict"
    iam.delete_access_key(UserName=name, AccessKeyId=second["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="own")
    iam.delete_user(UserName=name)
    assert code_of(iam.get_user, UserName=name) == "NoSuchEntity"


def test_names_that_are_taken_or_wrong_are_refused(iam: BaseClient) -> None:
    name = unique("User")
    iam.create_user(UserName=name, Path="/a/", Tags=[{"Key": "k", "Value": "v"}])
    assert code_of(iam.create_user, UserName=name.lower()) == "EntityAlreadyExists"
    assert code_of(iam.create_user, UserName="a/b") == "ValidationError"
    found = iam.get_user(UserName=name)["User"]
    assert (found["Path"], found["Tags"]) == ("/a/", [{"Key": "k", "Value": "v"}])
    assert found["Arn"].endswith(f":user/a/{name}") and found["UserId"].startswith("AIDA")
    for text in ("", "{}", document({"Effect": "Allow", "Action": "s3:*"}), document(allow("s3:*", Principal="*"))):
        code = code_of(iam.put_user_policy, UserName=name, PolicyName="p", PolicyDocument=text or " ")
        assert code in ("MalformedPolicyDocument", "ValidationError"), text
    long = document(*[allow("s3:GetObject", f"arn:aws:s3:::{'b' * 50}/{place}") for place in range(30)])
    assert code_of(iam.put_user_policy, UserName=name, PolicyName="p", PolicyDocument=long) == "LimitExceeded"
    assert code_of(iam.attach_user_policy, UserName=name, PolicyArn="arn:aws:iam::aws:policy/None") == "NoSuchEntity"
    assert code_of(iam.put_user_policy, UserName="nobody", PolicyName="p", PolicyDocument=long) == "NoSuchEntity"
    iam.update_user(UserName=name, NewUserName=f"{name}-new")
    assert code_of(iam.get_user, UserName=name) == "NoSuchEntity"
    iam.put_user_policy(UserName=f"{name}-new", PolicyName="p", PolicyDocument=document(allow("s3:GetObject")))
    got = iam.get_user_policy(UserName=f"{name}-new", PolicyName="p")["PolicyDocument"]
    assert got["Statement"][0]["Action"] == "s3:GetObject"


def test_lists_come_in_pages(iam: BaseClient) -> None:
    path = f"/{unique('p')}/"
    names = sorted(unique("u") for _ in range(5))
    for name in names:
        iam.create_user(UserName=name, Path=path)
    pages = iam.get_paginator("list_users").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2})
    sizes = [[one["UserName"] for one in page["Users"]] for page in pages]
    assert sizes == [names[:2], names[2:4], names[4:]]


def test_a_user_manages_others_only_where_it_may(node: Node, iam: BaseClient) -> None:
    name, keys = make_user(iam, allow("iam:GetUser"), allow("iam:CreateUser", "arn:aws:iam::*:user/team/*"))
    own = keys.client(node, "iam")
    assert own.get_user()["User"]["UserName"] == name
    own.create_user(UserName=unique("u"), Path="/team/")
    assert code_of(own.create_user, UserName=unique("u")) == "AccessDenied"
    assert code_of(own.list_users) == "AccessDenied"
    assert code_of(own.attach_user_policy, UserName=name, PolicyArn=ALL_OF_S3) == "AccessDenied"


def test_no_spelling_of_a_name_gets_round_a_deny(node: Node, iam: BaseClient) -> None:
    kept, group = unique("kept"), unique("kept")
    iam.create_user(UserName=kept, Path="/ops/")
    iam.create_group(GroupName=group, Path="/ops/")
    _, keys = make_user(iam, allow("iam:*"), deny("iam:*", "arn:aws:iam::*:*/ops/*"))
    own = keys.client(node, "iam")
    own.create_user(UserName=unique("u"))
    for name in (kept, kept.upper(), kept.title()):
        assert code_of(own.create_access_key, UserName=name) == "AccessDenied", name
        assert code_of(own.delete_user, UserName=name) == "AccessDenied", name
    for name in (group, group.upper()):
        assert code_of(own.attach_group_policy, GroupName=name, PolicyArn=ALL_OF_S3) == "AccessDenied", name
    iam.create_access_key(UserName=kept.upper())


def test_only_some_calls_mean_who_asks_where_no_user_is_named(node: Node, iam: BaseClient) -> None:
    _, keys = make_user(iam, allow("iam:*"))
    signer = Signer(node.address, keys.access_key, keys.secret_key, service="iam")
    group = unique("group")
    iam.create_group(GroupName=group)
    for form, status in (
        ("Action=GetUser", 200),
        ("Action=ListAccessKeys", 200),
        ("Action=DeleteUser", 400),
        (f"Action=AddUserToGroup&GroupName={group}", 400),
        (f"Action=AttachUserPolicy&PolicyArn={ALL_OF_S3}", 400),
    ):
        request = Request("POST", "/", (), {"content-type": "application/x-www-form-urlencoded"}, form.encode())
        answer = wire.exchange(node.port, signer.sign(request))
        assert answer.status == status, (form, answer.body)


def trust(*principals: str, action: str = "sts:AssumeRole", **more: object) -> str:
    return document({"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": action} | more)


def test_a_role_is_assumed_and_narrowed(node: Node, iam: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam)
    arn = iam.get_user(UserName=name)["User"]["Arn"]
    role = unique("role")
    outsider = make_user(iam)[1]
    role_arn = iam.create_role(
        RoleName=role, AssumeRolePolicyDocument=trust(arn, Condition={"StringEquals": {"sts:ExternalId": "xy"}})
    )["Role"]["Arn"]
    iam.put_role_policy(
        RoleName=role, PolicyName="own", PolicyDocument=document(allow(["s3:PutObject", "s3:GetObject"]))
    )
    as_user = keys.client(node, "sts")
    wanted = {"RoleArn": role_arn, "RoleSessionName": "s1", "ExternalId": "xy"}
    assert code_of(as_user.assume_role, RoleArn=role_arn, RoleSessionName="s1") == "AccessDenied"
    assert code_of(outsider.client(node, "sts").assume_role, **wanted) == "AccessDenied"
    answer = as_user.assume_role(**wanted)
    assert answer["AssumedRoleUser"]["Arn"].endswith(f":assumed-role/{role}/s1")
    left = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(minutes=58) < left < datetime.timedelta(minutes=61)
    session = Keys.of(answer["Credentials"])
    identity = session.client(node, "sts").get_caller_identity()
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    session.client(node).put_object(Bucket=bucket, Key="k", Body=b"x")
    link = session.client(node).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert urllib.request.urlopen(link, timeout=30).read() == b"x"
    assert code_of(session.client(node).delete_object, Bucket=bucket, Key="k") == "AccessDenied"
    narrow = document(allow("s3:*", f"arn:aws:s3:::{bucket}/a/*"))
    narrowed = Keys.of(as_user.assume_role(**wanted, Policy=narrow)["Credentials"]).client(node)
    narrowed.put_object(Bucket=bucket, Key="a/k", Body=b"")
    assert code_of(narrowed.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"
    # What a policy of the session allows isn't allowed by the role for that.
    assert code_of(narrowed.delete_object, Bucket=bucket, Key="a/k") == "AccessDenied"
    forged = Keys(session.access_key, session.secret_key, session.token[:-2] + "AA").client(node)
    assert code_of(forged.get_object, Bucket=bucket, Key="k") == "InvalidToken"
    bare = Keys(session.access_key, session.secret_key).client(node)
    assert code_of(bare.get_object, Bucket=bucket, Key="k") == "InvalidAccessKeyId"
    mixed = Keys(keys.access_key, keys.secret_key, session.token).client(node)
    assert code_of(mixed.get_object, Bucket=bucket, Key="k") == "InvalidToken"
    iam.delete_role_policy(RoleName=role, PolicyName="own")
    assert code_of(session.client(node).get_object, Bucket=bucket, Key="k") == "AccessDenied"
    iam.delete_role(RoleName=role)
    assert code_of(session.client(node).get_object, Bucket=bucket, Key="k") == "InvalidToken"


def test_credentials_for_a_while_are_their_user_s(node: Node, iam: BaseClient, sts: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam)
    as_user = keys.client(node, "sts")
    session = Keys.of(as_user.get_session_token(DurationSeconds=900)["Credentials"])
    identity = session.client(node, "sts").get_caller_identity()
    assert identity["Arn"].endswith(f":user/{name}")
    own = session.client(node)
    assert code_of(own.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(allow(["s3:PutObject", "iam:*", "sts:*"])))
    own.put_object(Bucket=bucket, Key="k", Body=b"")
    assert code_of(own.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    # Not for IAM, and not for more of its kind.
    keys.client(node, "iam").get_user()
    assert code_of(session.client(node, "iam").get_user) == "AccessDenied"
    assert code_of(session.client(node, "sts").get_session_token) == "AccessDenied"
    assert code_of(as_user.get_session_token, DurationSeconds=129_601) == "ValidationError"
    assert code_of(as_user.get_session_token, SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456") == "ValidationError"
    bare = Keys(session.access_key, session.secret_key).client(node)
    assert code_of(bare.put_object, Bucket=bucket, Key="k") == "InvalidAccessKeyId"
    # The user is the same by another name, and gone with itself.
    renamed = unique("renamed")
    iam.update_user(UserName=name, NewUserName=renamed)
    assert session.client(node, "sts").get_caller_identity()["Arn"].endswith(f":user/{renamed}")
    own.put_object(Bucket=bucket, Key="k", Body=b"")
    iam.delete_access_key(UserName=renamed, AccessKeyId=keys.access_key)
    iam.delete_user_policy(UserName=renamed, PolicyName="own")
    iam.delete_user(UserName=renamed)
    assert code_of(own.put_object, Bucket=bucket, Key="k") == "InvalidToken"
    answer = sts.get_session_token(DurationSeconds=7_200)["Credentials"]
    assert answer["Expiration"] - datetime.datetime.now(datetime.UTC) < datetime.timedelta(minutes=61)
    root = Keys.of(answer)
    assert root.client(node, "sts").get_caller_identity()["Arn"].endswith(":root")
    assert root.client(node).list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert code_of(root.client(node, "iam").list_users) == "AccessDenied"


def test_a_group_keeps_its_users_by_another_name(node: Node, iam: BaseClient, bucket: str) -> None:
    group, other = unique("group"), unique("other")
    iam.create_group(GroupName=group)
    iam.create_group(GroupName=other)
    name, keys = make_user(iam)
    iam.add_user_to_group(GroupName=group, UserName=name)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=document(allow("s3:PutObject")))
    assert code_of(iam.update_group, GroupName=group, NewGroupName=other) == "EntityAlreadyExists"
    assert code_of(iam.update_group, GroupName=unique("absent"), NewGroupName=unique("g")) == "NoSuchEntity"
    renamed = unique("renamed")
    iam.update_group(GroupName=group, NewGroupName=renamed, NewPath="/teams/")
    found = iam.get_group(GroupName=renamed)
    assert found["Group"]["Arn"].endswith(f":group/teams/{renamed}")
    assert [user["UserName"] for user in found["Users"]] == [name]
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName=name)["Groups"]] == [renamed]
    keys.client(node).put_object(Bucket=bucket, Key="k", Body=b"")
    assert code_of(iam.get_group, GroupName=group) == "NoSuchEntity"
    iam.update_group(GroupName=renamed, NewGroupName=renamed.upper())
    assert iam.list_groups_for_user(UserName=name)["Groups"][0]["GroupName"] == renamed.upper()


def test_who_renames_needs_the_permission_for_both_names(node: Node, iam: BaseClient) -> None:
    name, keys = make_user(iam)
    target, group = unique("target"), unique("group")
    iam.create_user(UserName=target)
    iam.create_group(GroupName=group)
    account = iam.get_user(UserName=name)["User"]["Arn"].split(":")[4]
    may = lambda sort, which: f"arn:aws:iam::{account}:{sort}/{which}"  # noqa: E731
    policy = document(
        allow("iam:UpdateUser", [may("user", target), may("user", f"{target}-*")])
        | {"Sid": "Users"},
        allow("iam:UpdateGroup", [may("group", group), may("group", f"{group}-*")]),
    )
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    own = keys.client(node, "iam")
    assert code_of(own.update_user, UserName=target, NewUserName=unique("admin")) == "AccessDenied"
    assert code_of(own.update_user, UserName=target, NewPath="/admins/") == "AccessDenied"
    assert code_of(own.update_group, GroupName=group, NewGroupName=unique("admins")) == "AccessDenied"
    own.update_user(UserName=target, NewUserName=f"{target}-b")
    own.update_group(GroupName=group, NewGroupName=f"{group}-b")


def test_who_one_is(node: Node, iam: BaseClient, sts: BaseClient) -> None:
    identity = sts.get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{identity['Account']}:root"
    name, keys = make_user(iam)
    assert keys.client(node, "sts").get_caller_identity()["Arn"].endswith(f":user/{name}")
    wrong = Keys(keys.access_key, "wrong" * 8)
    assert code_of(wrong.client(node, "sts").get_caller_identity) == "SignatureDoesNotMatch"
    assert code_of(Keys("AKIANOBODY", "x" * 40).client(node, "sts").get_caller_identity) == "InvalidClientTokenId"
    anonymous = Request("POST", "/", (), {"content-type": "application/x-www-form-urlencoded"}, b"Action=ListUsers")
    refused = wire.exchange(node.port, anonymous.with_headers(host=node.address))
    assert (refused.status, b"MissingAuthenticationToken" in refused.body) == (403, True)
    unknown = Signer(node.address, service="iam").sign(
        Request("POST", "/", (), {"content-type": "application/x-www-form-urlencoded"}, b"Action=MakeTea")
    )
    assert b"InvalidAction" in wire.exchange(node.port, unknown).body


def test_an_account_has_its_own_buckets_and_users(node: Node, iam: BaseClient, s3: BaseClient, bucket: str) -> None:
    account, canonical, root = make_account(node, unique("acme"))
    other, other_iam = root.client(node), root.client(node, "iam")
    theirs = clients.bucket_name()
    other.create_bucket(Bucket=theirs)
    listed = other.list_buckets()
    assert [one["Name"] for one in listed["Buckets"]] == [theirs]
    assert listed["Owner"]["ID"] == canonical
    assert theirs not in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert code_of(s3.create_bucket, Bucket=theirs) == "BucketAlreadyExists"
    assert code_of(other.create_bucket, Bucket=theirs) == "BucketAlreadyOwnedByYou"
    for client, name in ((s3, theirs), (other, bucket)):
        assert code_of(client.list_objects_v2, Bucket=name) == "AccessDenied"
        assert code_of(client.put_object, Bucket=name, Key="k", Body=b"") == "AccessDenied"
        assert code_of(client.delete_bucket, Bucket=name) == "AccessDenied"
    assert code_of(s3.head_bucket, Bucket=theirs) == "403"
    assert code_of(other.list_objects_v2, Bucket=theirs, ExpectedBucketOwner="000000000000") == "AccessDenied"
    other.list_objects_v2(Bucket=theirs, ExpectedBucketOwner=account)
    # Both have to let: the owner by the bucket's policy, the other account its user.
    name, keys = make_user(other_iam)
    user = keys.client(node)
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=document(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": account})),
    )
    other.put_object(Bucket=bucket, Key="k", Body=b"")
    assert code_of(user.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"
    other_iam.attach_user_policy(UserName=name, PolicyArn=ALL_OF_S3)
    user.put_object(Bucket=bucket, Key="k", Body=b"")
    assert code_of(user.get_bucket_policy, Bucket=bucket) == "AccessDenied"
    # Its root is no operator, and IAM of one account is not that of another.
    assert code_of(iam.get_user, UserName=name) == "NoSuchEntity"
    body = b"Action=ListAccounts"
    request = Request("POST", "/", (), {"content-type": "application/x-www-form-urlencoded"}, body)
    signer = Signer(node.address, root.access_key, root.secret_key, service="iam")
    assert wire.exchange(node.port, signer.sign(request)).status == 403


def test_an_account_goes_when_nothing_is_left_of_it(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    first = Keys().client(node, "sts").get_caller_identity()["Account"]
    account, _, root = make_account(node, "acme")
    theirs, their_iam = root.client(node), root.client(node, "iam")
    second = Keys.of(their_iam.create_access_key()["AccessKey"])
    session = Keys.of(root.client(node, "sts").get_session_token()["Credentials"])
    name = clients.bucket_name()
    policy = f"arn:aws:iam::{account}:policy/p"
    made = {
        "buckets": (lambda: theirs.create_bucket(Bucket=name), lambda: theirs.delete_bucket(Bucket=name)),
        "users": (lambda: their_iam.create_user(UserName="u"), lambda: their_iam.delete_user(UserName="u")),
        "groups": (lambda: their_iam.create_group(GroupName="g"), lambda: their_iam.delete_group(GroupName="g")),
        "roles": (
            lambda: their_iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(account)),
            lambda: their_iam.delete_role(RoleName="r"),
        ),
        "policies": (
            lambda: their_iam.create_policy(PolicyName="p", PolicyDocument=document(allow("s3:*"))),
            lambda: their_iam.delete_policy(PolicyArn=policy),
        ),
    }
    for what, (make, remove) in made.items():
        make()
        answer = call(node, "DeleteAccount", AccountId=account)
        assert answer.status == 409 and b"DeleteConflict" in answer.body and what.encode() in answer.body, answer.body
        remove()
    for keys, which, status in ((root, account, 403), (None, first, 403), (None, "000000000000", 404)):
        assert call(node, "DeleteAccount", keys, AccountId=which).status == status
    theirs.list_buckets()
    assert call(node, "DeleteAccount", AccountId=account).status == 200
    assert call(node, "DeleteAccount", AccountId=account).status == 404
    for _ in range(2):
        for keys in (root, second):
            assert code_of(keys.client(node).list_buckets) == "InvalidAccessKeyId"
            assert code_of(keys.client(node).create_bucket, Bucket=name) == "InvalidAccessKeyId"
        assert code_of(session.client(node).list_buckets) == "InvalidToken"
        assert b"acme" not in call(node, "ListAccounts").body
        node.kill()
        node.start()
    # Its name is free again; it is another account then.
    again, _, _ = make_account(node, "acme")
    assert again != account


def test_what_was_made_outlives_a_kill(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    iam = Keys().client(node, "iam")
    _, keys = make_user(iam, allow("s3:*"))
    bucket = clients.bucket_name()
    keys.client(node).create_bucket(Bucket=bucket)
    account, _, root = make_account(node, unique("acme"))
    role = iam.create_role(
        RoleName="r", AssumeRolePolicyDocument=trust(Keys().client(node, "sts").get_caller_identity()["Account"])
    )["Role"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=ALL_OF_S3)
    answer = Keys().client(node, "sts").assume_role(RoleArn=role, RoleSessionName="s1")
    node.kill()
    node.start()
    keys.client(node).put_object(Bucket=bucket, Key="k", Body=b"")
    assert root.client(node, "sts").get_caller_identity()["Account"] == account
    Keys.of(answer["Credentials"]).client(node).get_object(Bucket=bucket, Key="k")
    secrets = [keys.secret_key, root.secret_key, answer["Credentials"]["SecretAccessKey"]]
    assert not [secret for secret in secrets if secret in node.log()]


def test_keys_end_when_they_shall(node: Node, iam: BaseClient) -> None:
    name, _ = make_user(iam, allow("s3:*"))
    body = f"Action=CreateAccessKey&UserName={name}&ExpiresInSeconds=60".encode()
    request = Request("POST", "/", (), {"content-type": "application/x-www-form-urlencoded"}, body)
    answer = wire.exchange(node.port, Signer(node.address, service="iam").sign(request))
    assert b"<ExpirationDate>" in answer.body
    refused = Request("POST", "/", (), request.headers, body.replace(b"=60", b"=1"))
    assert wire.exchange(node.port, Signer(node.address, service="iam").sign(refused)).status == 400


def test_the_aws_cli_manages_users(node: Node, home: Path) -> None:
    def aws(*arguments: str) -> dict:
        command = [clients.aws_version_2(), "--endpoint-url", node.endpoint, "--output", "json", *arguments]
        done = subprocess.run(command, env=clients.environment(home), capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or b"{}")

    name = unique("cli")
    assert aws("iam", "create-user", "--user-name", name)["User"]["UserName"] == name
    aws("iam", "attach-user-policy", "--user-name", name, "--policy-arn", ALL_OF_S3)
    made = aws("iam", "create-access-key", "--user-name", name)["AccessKey"]
    assert Keys.of(made).client(node).list_buckets()["Buckets"] is not None
    assert name in [user["UserName"] for user in aws("iam", "list-users")["Users"]]


def operations() -> list[tuple[str, str, str]]:
    """The rows of docs/api.md that a test holds against the table of operations: name, request, action."""
    rows = re.findall(r"^\| (\w+) \| `([^`]+)`(?:[^|]*)\| `(s3:\w+)`", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    return [row for row in rows if row[0] != "PostObject"]


# One table maps operations to actions, and every route passes through it.
@pytest.mark.parametrize(("name", "target", "action"), operations())
def test_each_operation_is_denied_without_its_action(
    node: Node, iam: BaseClient, bucket: str, name: str, target: str, action: str
) -> None:
    method, _, path = target.partition(" ")
    path, _, query = path.replace("{bucket}", bucket).replace("{key}", "k").partition("?")
    pairs = tuple((part.partition("=")[0], part.partition("=")[2] or "") for part in query.split("&") if part)
    pairs = tuple((key, "00" * 16 if key == "uploadId" else value) for key, value in pairs)
    headers = {"x-amz-copy-source": f"{bucket}/k"} if "Copy" in name else {}
    if name == "UploadPartCopy" or name == "UploadPart":
        pairs = (("partNumber", "1"), *pairs)
    statuses = []
    for statements in ([allow("s3:*"), deny(action)], [allow("s3:*")]):
        _, keys = make_user(iam, *statements)
        signer = Signer(node.address, keys.access_key, keys.secret_key)
        body = b"<Delete><Object><Key>k</Key></Object></Delete>" if name == "DeleteObjects" else b""
        sent = {**headers, "content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()} if body else headers
        answer = wire.exchange(node.port, signer.sign(Request(method, path, pairs, sent, body)))
        if name == "DeleteObjects":
            statuses.append(403 if b"AccessDenied" in answer.body else answer.status)
        else:
            statuses.append(answer.status)
    assert statuses[0] == 403, (name, statuses)
    assert statuses[1] != 403, (name, statuses)


def test_whoever_was_denied_learns_it_at_once(node: Node, iam: BaseClient, bucket: str) -> None:
    name, keys = make_user(iam, allow("s3:*"))
    user = keys.client(node)
    for _ in range(20):
        user.put_object(Bucket=bucket, Key="k", Body=b"")
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(deny("s3:*")))
        for _ in range(3):
            # Each on a connection, and so perhaps a shard, of its own.
            assert code_of(keys.client(node).put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(allow("s3:*")))


def test_changes_at_once_are_all_kept(node: Node, iam: BaseClient) -> None:
    path = f"/{unique('p')}/"
    names = [unique("u") for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Keys().client(node, "iam").create_user(UserName=name, Path=path), names))
        same = list(pool.map(lambda _: _create_or_code(node, f"{path.strip('/')}-same"), range(8)))
    assert {user["UserName"] for user in iam.list_users(PathPrefix=path)["Users"]} == set(names)
    assert sorted(same) == ["EntityAlreadyExists"] * 7 + ["made"]


def _create_or_code(node: Node, name: str) -> str:
    try:
        Keys().client(node, "iam").create_user(UserName=name)
    except ClientError as refusal:
        return refusal.response["Error"]["Code"]
    return "made"
