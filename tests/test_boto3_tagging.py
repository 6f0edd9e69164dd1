"""Tags of objects and buckets through boto3."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from botocore.client import BaseClient

from clients import code_of


def tag_set(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(s3: BaseClient, bucket: str, key: str, **which: str) -> list[dict[str, str]]:
    return s3.get_object_tagging(Bucket=bucket, Key=key, **which)["TagSet"]


def test_tags_are_put_replaced_and_deleted(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 5000)
    before = s3.head_object(Bucket=bucket, Key="k")
    assert tags_of(s3, bucket, "k") == [] and "TagCount" not in s3.get_object(Bucket=bucket, Key="k")
    for tags in (tag_set(a="1", b="zwei Wörter"), tag_set(c="")):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
        assert tags_of(s3, bucket, "k") == tags
    after = s3.get_object(Bucket=bucket, Key="k")
    assert (after["TagCount"], after["Body"].read()) == (1, b"x" * 5000)
    assert after["LastModified"] == before["LastModified"]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags_of(s3, bucket, "k") == []
    missing = {"Bucket": bucket, "Key": "missing"}
    assert code_of(s3.get_object_tagging, **missing) == "NoSuchKey"
    assert code_of(s3.put_object_tagging, **missing, Tagging={"TagSet": tag_set(a="1")}) == "NoSuchKey"
    assert code_of(s3.delete_object_tagging, **missing) == "NoSuchKey"


def test_tags_come_with_an_object(s3: BaseClient, bucket: str) -> None:
    tags = {"a": "1", "b c": "d+e&f="}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging=urlencode({"a": "1", "b c": "d+e="}))
    assert tags_of(s3, bucket, "k") == tag_set(**{"a": "1", "b c": "d+e="})
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"y", Tagging=urlencode(tags)) == "InvalidTag"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    # An overwrite takes them along.
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    assert tags_of(s3, bucket, "k") == []
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", Tagging="a=1")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=parts)
    assert tags_of(s3, bucket, "m") == tag_set(a="1")
    s3.put_object_tagging(Bucket=bucket, Key="m", Tagging={"TagSet": tag_set(a="2")})
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == b"x"


def test_copies_take_tags_along_or_replace_them(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=source)
    assert tags_of(s3, bucket, "copied") == tag_set(a="1")
    s3.copy_object(Bucket=bucket, Key="replaced", CopySource=source, TaggingDirective="REPLACE", Tagging="b=2")
    assert tags_of(s3, bucket, "replaced") == tag_set(b="2")
    # The metadata directive says nothing about tags.
    s3.copy_object(Bucket=bucket, Key="meta", CopySource=source, MetadataDirective="REPLACE", Tagging="c=3")
    assert tags_of(s3, bucket, "meta") == tag_set(a="1")


def test_each_version_has_tags_of_its_own(s3: BaseClient, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=b"x" * size)["VersionId"] for size in (10, 50_000)]
    for version in versions:
        tags = {"TagSet": tag_set(version=version)}
        put = s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=version, Tagging=tags)
        assert put["VersionId"] == version
    for version, size in zip(versions, (10, 50_000), strict=True):
        assert tags_of(s3, bucket, "k", VersionId=version) == tag_set(version=version)
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() == b"x" * size
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert code_of(s3.get_object_tagging, Bucket=bucket, Key="k") == "NoSuchKey"
    tags = {"TagSet": tag_set(a="1")}
    for call in (s3.get_object_tagging, s3.delete_object_tagging):
        assert code_of(call, Bucket=bucket, Key="k", VersionId=marker) == "MethodNotAllowed"
    assert code_of(s3.put_object_tagging, Bucket=bucket, Key="k", VersionId=marker, Tagging=tags) == "MethodNotAllowed"
    assert code_of(s3.get_object_tagging, Bucket=bucket, Key="k", VersionId="0" * 32) == "NoSuchVersion"


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": f"k{nth}", "Value": "v"} for nth in range(11)],
        tag_set(**{"k" * 129: "v"}),
        tag_set(k="v" * 257),
        tag_set(k="v") * 2,
        tag_set(**{"aws:k": "v"}),
        tag_set(**{"k|": "v"}),
    ],
)
def test_what_no_tags_are_is_refused(s3: BaseClient, bucket: str, tags: list[dict[str, str]]) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": tags}) == "InvalidTag"
    assert tags_of(s3, bucket, "k") == []


def test_a_bucket_has_up_to_50_tags(s3: BaseClient, bucket: str) -> None:
    assert code_of(s3.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"
    tags = [{"Key": f"k{nth}", "Value": "v" * nth} for nth in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    too_many = {"TagSet": [*tags, {"Key": "k50", "Value": ""}]}
    assert code_of(s3.put_bucket_tagging, Bucket=bucket, Tagging=too_many) == "InvalidTag"
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    assert code_of(s3.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"
