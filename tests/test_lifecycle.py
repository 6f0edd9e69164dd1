"""Lifecycle: rules that come back, what is refused, and what goes when it is due."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable

import pytest
from botocore.client import BaseClient

from clients import bucket_name, code_of, s3_client
from node import Node

PAST = "2020-01-01T00:00:00Z"
WAIT_SECONDS = 30.0


def rule(**more: object) -> dict:
    return {"ID": "rule", "Status": "Enabled", "Filter": {"Prefix": ""}} | more


def put_rules(s3: BaseClient, bucket: str, *rules: dict) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def test_rules_come_back_and_go(s3: BaseClient, bucket: str) -> None:
    assert code_of(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"
    rules = [
        rule(ID="days", Filter={"Prefix": "a/"}, Expiration={"Days": 3}),
        rule(ID="tag", Filter={"Tag": {"Key": "a", "Value": "1"}}, Expiration={"Days": 4}, Status="Disabled"),
        rule(
            ID="all",
            Filter={"And": {"Prefix": "b", "Tags": [{"Key": "a", "Value": "1"}], "ObjectSizeGreaterThan": 7}},
            NoncurrentVersionExpiration={"NoncurrentDays": 5, "NewerNoncurrentVersions": 2},
        ),
        rule(ID="uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 6}),
        rule(ID="markers", Expiration={"ExpiredObjectDeleteMarker": True}),
    ]
    put_rules(s3, bucket, *rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    unnamed = rule(Expiration={"Days": 3})
    del unnamed["ID"]
    put_rules(s3, bucket, unnamed, unnamed)
    named = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert len({entry["ID"] for entry in named}) == 2
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert code_of(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([rule(Expiration={"Days": 0})], "InvalidArgument"),
        ([rule(Expiration={"Days": 1}), rule(Expiration={"Days": 2})], "InvalidArgument"),
        ([rule(ID="x" * 256, Expiration={"Days": 1})], "InvalidArgument"),
        ([rule(Status="enabled", Expiration={"Days": 1})], "MalformedXML"),
        ([rule()], "InvalidRequest"),
        ([rule(Expiration={"Date": "2030-01-01T01:00:00Z"})], "InvalidArgument"),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])], "InvalidStorageClass"),
    ],
)
def test_what_is_no_rule_is_refused(s3: BaseClient, bucket: str, rules: list[dict], code: str) -> None:
    assert code_of(put_rules, s3, bucket, *rules) == code
    assert code_of(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"


def test_responses_say_when_an_object_goes(s3: BaseClient, bucket: str) -> None:
    put_rules(s3, bucket, rule(ID="two words", Filter={"Prefix": "a/"}, Expiration={"Date": "2100-01-01T00:00:00Z"}))
    put = s3.put_object(Bucket=bucket, Key="a/k", Body=b"x")
    said = 'expiry-date="Fri, 01 Jan 2100 00:00:00 GMT", rule-id="two%20words"'
    assert put["Expiration"] == said
    assert s3.get_object(Bucket=bucket, Key="a/k")["Expiration"] == said
    assert s3.head_object(Bucket=bucket, Key="a/k")["Expiration"] == said
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    assert "Expiration" not in s3.get_object(Bucket=bucket, Key="b")


def test_what_is_due_goes_and_the_rest_stays(make_node: Callable[..., Node]) -> None:
    node = make_node("--lifecycle-period", "1s")
    node.start()
    s3, plain, versioned = s3_client(node), bucket_name(), bucket_name()
    s3.create_bucket(Bucket=plain)
    s3.create_bucket(Bucket=versioned, ObjectLockEnabledForBucket=True)
    for bucket in (plain, versioned):
        for nth in range(300):
            s3.put_object(Bucket=bucket, Key=f"old/{nth:03}", Body=b"x")
        s3.put_object(Bucket=bucket, Key="old/large", Body=b"x" * 50_000)
        s3.put_object(Bucket=bucket, Key="old/tagged", Body=b"x", Tagging="keep=yes")
        s3.put_object(Bucket=bucket, Key="new", Body=b"x")
    tagged = {"And": {"Prefix": "old/", "ObjectSizeLessThan": 1000}}
    # A marker that is alone goes, one that hides something stays.
    marker = s3.delete_object(Bucket=versioned, Key="alone")["VersionId"]
    due = rule(Filter=tagged, Expiration={"Date": PAST})
    markers = rule(ID="markers", Expiration={"ExpiredObjectDeleteMarker": True})
    put_rules(s3, plain, due)
    put_rules(s3, versioned, due, markers)

    def keys(bucket: str) -> list[str]:
        return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and len(keys(plain)) + len(keys(versioned)) > 4:
        time.sleep(0.2)
    assert keys(plain) == keys(versioned) == ["new", "old/large"]
    listed = s3.list_object_versions(Bucket=versioned, MaxKeys=1000)
    assert len(listed["Versions"]) == 303 and len(listed["DeleteMarkers"]) == 301
    assert marker not in [entry["VersionId"] for entry in listed["DeleteMarkers"]]
    assert sum(node.figures("anode_lifecycle_expired_objects_total")) == 602
    assert sum(node.figures("anode_lifecycle_removed_versions_total")) == 1
    assert s3.get_object(Bucket=plain, Key="new")["Body"].read() == b"x"


def test_all_that_makes_an_object_says_when_it_goes(s3: BaseClient, bucket: str) -> None:
    put_rules(
        s3,
        bucket,
        rule(ID="e one", Filter={"Prefix": "e/"}, Expiration={"Days": 3}),
        rule(ID="tagged", Filter={"Tag": {"Key": "a", "Value": "1"}}, Expiration={"Days": 2}),
    )
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    source = {"Bucket": bucket, "Key": "source"}
    copied = s3.copy_object(Bucket=bucket, Key="e/copy", CopySource=source)
    assert re.fullmatch('expiry-date="[A-Z][a-z]{2}, .* 00:00:00 GMT", rule-id="e%20one"', copied["Expiration"])
    assert copied["Expiration"] == s3.head_object(Bucket=bucket, Key="e/copy")["Expiration"]
    assert "Expiration" not in s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    for key, tagging, rule_id in (("e/u", "", "e%20one"), ("e/t", "a=1", "tagged"), ("u", "", None)):
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key, Tagging=tagging)["UploadId"]
        name = {"Bucket": bucket, "Key": key, "UploadId": upload}
        parts = [{"PartNumber": 1, "ETag": s3.upload_part(**name, PartNumber=1, Body=b"p")["ETag"]}]
        completed = s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
        assert completed.get("Expiration") == s3.head_object(Bucket=bucket, Key=key).get("Expiration"), key
        assert ("Expiration" in completed) == (rule_id is not None)
        assert rule_id is None or f'rule-id="{rule_id}"' in completed["Expiration"]
        again = s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
        assert again.get("Expiration") == completed.get("Expiration"), key


def test_an_upload_says_when_it_is_ended(s3: BaseClient, bucket: str) -> None:
    put_rules(
        s3,
        bucket,
        rule(ID="later", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 9}),
        rule(ID="first", Filter={"Prefix": "a"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}),
        rule(ID="off", Status="Disabled", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    )
    for key, rule_id, days in (("a", "first", 2), ("b", "later", 9)):
        begun = s3.create_multipart_upload(Bucket=bucket, Key=key)
        assert begun["AbortRuleId"] == rule_id
        left = begun["AbortDate"] - datetime.datetime.now(datetime.UTC)
        assert datetime.timedelta(days=days) < left <= datetime.timedelta(days=days + 1)
        assert begun["AbortDate"].time() == datetime.time()
        listed = s3.list_parts(Bucket=bucket, Key=key, UploadId=begun["UploadId"])
        assert (listed["AbortDate"], listed["AbortRuleId"]) == (begun["AbortDate"], rule_id)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a")
    assert "AbortDate" not in begun and "AbortRuleId" not in begun
