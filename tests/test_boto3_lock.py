"""Object lock through boto3: what is locked stays, whoever asks and in whatever way."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from clients import bucket_name, s3_client
from node import Node


@pytest.fixture
def lockable(s3: BaseClient) -> str:
    """A bucket whose versions can be locked."""
    name = bucket_name()
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def later(days: int) -> datetime.datetime:
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).replace(microsecond=0)


def refusal(call: Callable[..., object], **arguments: object) -> tuple[int, str]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


DENIED = (403, "AccessDenied")


def test_a_bucket_made_with_lock_keeps_versions(s3: BaseClient, lockable: str) -> None:
    assert s3.get_bucket_versioning(Bucket=lockable)["Status"] == "Enabled"
    found = s3.get_object_lock_configuration(Bucket=lockable)["ObjectLockConfiguration"]
    assert found == {"ObjectLockEnabled": "Enabled"}
    suspended = {"Status": "Suspended"}
    call = {"Bucket": lockable, "VersioningConfiguration": suspended}
    assert refusal(s3.put_bucket_versioning, **call) == (409, "InvalidBucketState")


def test_lock_comes_to_a_bucket_with_versions_alone(s3: BaseClient, bucket: str) -> None:
    put = {"Bucket": bucket, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    assert refusal(s3.put_object_lock_configuration, **put) == (409, "InvalidBucketState")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for call in (s3.get_object_retention, s3.get_object_legal_hold):
        assert refusal(call, Bucket=bucket, Key="k") == (400, "InvalidRequest")
    assert refusal(s3.put_object, Bucket=bucket, Key="k", ObjectLockLegalHoldStatus="ON") == (400, "InvalidRequest")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**put)
    s3.put_object(Bucket=bucket, Key="k", Body=b"y", ObjectLockLegalHoldStatus="ON")


@pytest.mark.parametrize(
    ("retention", "code"),
    [
        ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": -1}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": "abc", "Days": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
    ],
)
def test_a_default_that_can_not_be_is_refused(s3: BaseClient, lockable: str, retention: dict, code: str) -> None:
    put = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    call = {"Bucket": lockable, "ObjectLockConfiguration": put}
    assert refusal(s3.put_object_lock_configuration, **call) == (400, code)


def test_new_versions_get_the_default(s3: BaseClient, lockable: str) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
    put = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=lockable, ObjectLockConfiguration=put)
    assert s3.get_object_lock_configuration(Bucket=lockable)["ObjectLockConfiguration"] == put
    version = s3.put_object(Bucket=lockable, Key="k", Body=b"x")["VersionId"]
    head = s3.head_object(Bucket=lockable, Key="k")
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert abs(head["ObjectLockRetainUntilDate"] - later(2)) < datetime.timedelta(minutes=5)
    s3.copy_object(Bucket=lockable, Key="copy", CopySource=f"{lockable}/k")
    assert s3.head_object(Bucket=lockable, Key="copy")["ObjectLockMode"] == "GOVERNANCE"
    upload = s3.create_multipart_upload(Bucket=lockable, Key="m")["UploadId"]
    part = s3.upload_part(Bucket=lockable, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=lockable, Key="m", UploadId=upload, MultipartUpload=parts)
    assert s3.head_object(Bucket=lockable, Key="m")["ObjectLockMode"] == "GOVERNANCE"
    assert refusal(s3.delete_object, Bucket=lockable, Key="k", VersionId=version) == DENIED


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_retention_keeps_a_version(s3: BaseClient, lockable: str, mode: str) -> None:
    until = later(1)
    lock = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until}
    version = s3.put_object(Bucket=lockable, Key="k", Body=b"kept", **lock)["VersionId"]
    which = {"Bucket": lockable, "Key": "k", "VersionId": version}
    assert s3.get_object_retention(**which)["Retention"] == {"Mode": mode, "RetainUntilDate": until}
    assert refusal(s3.delete_object, **which) == DENIED
    several = s3.delete_objects(
        Bucket=lockable, Delete={"Objects": [{"Key": "k", "VersionId": version}, {"Key": "absent"}]}
    )
    assert [error["Code"] for error in several["Errors"]] == ["AccessDenied"] and len(several["Deleted"]) == 1
    # Hiding it or writing over it takes nothing away.
    s3.put_object(Bucket=lockable, Key="k", Body=b"over")
    marker = s3.delete_object(Bucket=lockable, Key="k")["VersionId"]
    assert s3.get_object(**which)["Body"].read() == b"kept"
    s3.delete_object(Bucket=lockable, Key="k", VersionId=marker)
    if mode == "COMPLIANCE":
        assert refusal(s3.delete_object, **which, BypassGovernanceRetention=True) == DENIED
    else:
        s3.delete_object(**which, BypassGovernanceRetention=True)
        assert refusal(s3.get_object, **which) == (404, "NoSuchVersion")


def test_retention_is_made_longer_but_not_shorter(s3: BaseClient, lockable: str) -> None:
    s3.put_object(Bucket=lockable, Key="k", Body=b"x")
    which = {"Bucket": lockable, "Key": "k"}
    assert refusal(s3.get_object_retention, **which) == (404, "NoSuchObjectLockConfiguration")

    def retain(mode: str, days: int, **more: bool) -> None:
        retention = {"Mode": mode, "RetainUntilDate": later(days)}
        s3.put_object_retention(**which, Retention=retention, **more)

    retain("GOVERNANCE", 5)
    retain("GOVERNANCE", 6)
    assert refusal(retain, mode="GOVERNANCE", days=4) == DENIED
    assert refusal(retain, mode="COMPLIANCE", days=9) == DENIED
    retain("GOVERNANCE", 4, BypassGovernanceRetention=True)
    assert refusal(s3.put_object_retention, **which, Retention={}) == DENIED
    s3.put_object_retention(**which, Retention={}, BypassGovernanceRetention=True)
    assert refusal(s3.get_object_retention, **which) == (404, "NoSuchObjectLockConfiguration")
    retain("COMPLIANCE", 5)
    retain("COMPLIANCE", 6)
    assert refusal(retain, mode="COMPLIANCE", days=5, BypassGovernanceRetention=True) == DENIED
    assert s3.get_object_retention(**which)["Retention"]["Mode"] == "COMPLIANCE"
    past = {"Mode": "COMPLIANCE", "RetainUntilDate": later(-1)}
    assert refusal(s3.put_object_retention, **which, Retention=past) == (400, "InvalidArgument")


def test_a_legal_hold_keeps_a_version_until_it_is_off(s3: BaseClient, lockable: str) -> None:
    version = s3.put_object(Bucket=lockable, Key="k", Body=b"x")["VersionId"]
    which = {"Bucket": lockable, "Key": "k", "VersionId": version}
    assert refusal(s3.get_object_legal_hold, **which) == (404, "NoSuchObjectLockConfiguration")
    s3.put_object_legal_hold(**which, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**which)["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(**which)["ObjectLockLegalHoldStatus"] == "ON"
    assert refusal(s3.delete_object, **which, BypassGovernanceRetention=True) == DENIED
    assert refusal(s3.put_object_legal_hold, **which, LegalHold={"Status": "abc"}) == (400, "MalformedXML")
    s3.put_object_legal_hold(**which, LegalHold={"Status": "OFF"})
    s3.delete_object(**which)


@pytest.mark.parametrize(
    "headers",
    [
        {"ObjectLockMode": "GOVERNANCE"},
        {"ObjectLockRetainUntilDate": later(1)},
        {"ObjectLockMode": "NONE", "ObjectLockRetainUntilDate": later(1)},
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later(-1)},
        {"ObjectLockLegalHoldStatus": "maybe"},
    ],
)
def test_a_lock_that_can_not_be_is_refused(s3: BaseClient, lockable: str, headers: dict) -> None:
    put = {"Bucket": lockable, "Key": "k", "Body": b"x"}
    assert refusal(s3.put_object, **put, **headers) == (400, "InvalidArgument")
    assert "Contents" not in s3.list_objects_v2(Bucket=lockable)


def test_locks_hold_after_kill_and_restart(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3, bucket = s3_client(node), bucket_name()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    node.kill()
    node.start()
    which = {"Bucket": bucket, "Key": "k", "VersionId": version}
    s3 = s3_client(node)
    assert refusal(s3.delete_object, **which) == DENIED
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    assert s3.get_object(**which)["Body"].read() == b"x"
