"""Configuration that a bucket or object doesn't have: AWS's own answers to reads, 501 to what Anode doesn't do yet."""

from __future__ import annotations

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from node import Node
from signing import Request, Signer

MISSING = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
    "get_bucket_ownership_controls": "OwnershipControlsNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
}
EMPTY = {
    "get_bucket_logging": "LoggingEnabled",
    "get_bucket_accelerate_configuration": "Status",
    "get_bucket_notification_configuration": "TopicConfigurations",
    "get_bucket_versioning": "Status",
}
NOT_IMPLEMENTED = [
    ("GET", "inventory"),
    ("GET", "metrics"),
    ("GET", "analytics"),
    ("PUT", "replication"),
]
NOT_IMPLEMENTED_OF_OBJECTS = [
    ("GET", "torrent"),
    ("POST", "restore"),
    ("POST", "select"),
]


@pytest.mark.parametrize("operation", MISSING)
def test_a_missing_configuration_has_the_code_of_aws(s3: BaseClient, bucket: str, operation: str) -> None:
    with pytest.raises(ClientError) as missing:
        getattr(s3, operation)(Bucket=bucket)
    answer = missing.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (404, MISSING[operation])


@pytest.mark.parametrize("operation", EMPTY)
def test_an_empty_configuration_is_a_document(s3: BaseClient, bucket: str, operation: str) -> None:
    assert EMPTY[operation] not in getattr(s3, operation)(Bucket=bucket)


def test_the_owner_pays_and_has_all(s3: BaseClient, bucket: str) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for acl in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        (grant,) = acl["Grants"]
        assert (grant["Permission"], grant["Grantee"]["ID"]) == ("FULL_CONTROL", acl["Owner"]["ID"])


def test_configuration_of_an_object(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    for call in (s3.get_object_retention, s3.get_object_legal_hold):
        with pytest.raises(ClientError) as missing:
            call(Bucket=bucket, Key="k")
        assert missing.value.response["Error"]["Code"] == "InvalidRequest"
    for call in (s3.get_object_tagging, s3.get_object_acl):
        with pytest.raises(ClientError) as absent:
            call(Bucket=bucket, Key="absent")
        assert absent.value.response["Error"]["Code"] == "NoSuchKey"


@pytest.mark.parametrize("name", ["bucket", "object"])
def test_the_acl_that_everything_has_can_be_put_back_and_no_other_be_set(
    s3: BaseClient, bucket: str, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    of = {"Bucket": bucket} if name == "bucket" else {"Bucket": bucket, "Key": "k"}
    get, put = getattr(s3, f"get_{name}_acl"), getattr(s3, f"put_{name}_acl")
    for canned in ("private", "bucket-owner-full-control"):
        put(**of, ACL=canned)
    read = get(**of)
    acl = {"Owner": read["Owner"], "Grants": read["Grants"]}
    put(**of, AccessControlPolicy=acl)
    everybody = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
    wider = acl | {"Grants": [*acl["Grants"], {"Grantee": everybody, "Permission": "READ"}]}
    grant = f"id={acl['Owner']['ID']}"
    for other in ({"ACL": "public-read"}, {"AccessControlPolicy": wider}, {"GrantRead": grant}):
        with pytest.raises(ClientError) as refused:
            put(**of, **other)
        answer = refused.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert answer["Error"]["Code"] == "AccessControlListNotSupported"
    assert get(**of)["Grants"] == acl["Grants"]


def test_an_acl_of_what_is_not_there(s3: BaseClient, bucket: str) -> None:
    with pytest.raises(ClientError) as absent:
        s3.put_object_acl(Bucket=bucket, Key="absent", ACL="private")
    assert absent.value.response["Error"]["Code"] == "NoSuchKey"


def test_an_acl_comes_in_one_way(node: Node, signer: Signer, bucket: str) -> None:
    for headers, body, refusal in [
        ({}, b"", (400, "MissingSecurityHeader")),
        ({"x-amz-acl": "private"}, b"<AccessControlPolicy/>", (400, "UnexpectedContent")),
        ({}, b"<AccessControlPolicy/>", (400, "MalformedACLError")),
    ]:
        put = Request("PUT", f"/{bucket}", (("acl", ""),), headers, body)
        assert wire.exchange(node.port, signer.sign(put)).refusal == refusal


def test_what_is_configured_is_shown_until_it_is_deleted(s3: BaseClient, bucket: str) -> None:
    block = {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block
    s3.delete_public_access_block(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchPublicAccessBlockConfiguration"):
        s3.get_public_access_block(Bucket=bucket)
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rules
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == "Enabled"
    logging = {"TargetBucket": bucket, "TargetPrefix": "log/"}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": logging})
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == logging
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_a_configuration_that_can_not_be_is_refused(s3: BaseClient, bucket: str) -> None:
    logging = {"LoggingEnabled": {"TargetBucket": "no-such-bucket", "TargetPrefix": ""}}
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=logging)
    with pytest.raises(ClientError, match="MalformedXML"):
        s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"})
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.put_public_access_block(Bucket="no-such-bucket", PublicAccessBlockConfiguration={})


def test_a_bucket_made_again_is_configured_anew(s3: BaseClient, bucket: str) -> None:
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket=bucket)


@pytest.mark.parametrize(("method", "subresource"), NOT_IMPLEMENTED)
def test_what_is_not_there_yet_answers_501(
    node: Node, signer: Signer, bucket: str, method: str, subresource: str
) -> None:
    body = b"<X/>" if method == "PUT" else b""
    answer = wire.exchange(node.port, signer.sign(Request(method, f"/{bucket}", ((subresource, ""),), body=body)))
    assert answer.refusal == (501, "NotImplemented")


@pytest.mark.parametrize(("method", "subresource"), NOT_IMPLEMENTED_OF_OBJECTS)
def test_what_is_not_there_yet_for_objects_answers_501(
    s3: BaseClient, node: Node, signer: Signer, bucket: str, method: str, subresource: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"unchanged")
    body = b"<X/>" if method in ("PUT", "POST") else b""
    answer = wire.exchange(node.port, signer.sign(Request(method, f"/{bucket}/k", ((subresource, ""),), body=body)))
    assert answer.refusal == (501, "NotImplemented")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"unchanged"
