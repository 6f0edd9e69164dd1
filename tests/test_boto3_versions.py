"""Versions through boto3: what is kept, what is current, what is listed and deleted, over restarts too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from clients import bucket_name, s3_client
from content import MEBIBYTE, content
from node import Node


@pytest.fixture
def versioned(s3: BaseClient, bucket: str) -> str:
    """A bucket that keeps versions."""
    set_versioning(s3, bucket, "Enabled")
    return bucket


def set_versioning(s3: BaseClient, bucket: str, wanted: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": wanted})


def put(s3: BaseClient, bucket: str, key: str, body: bytes) -> str:
    return s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]


def refused(status: int, code: str, call: Callable[..., object], **arguments: object) -> dict:
    with pytest.raises(ClientError) as refusal:
        call(**arguments)
    answer = refusal.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    return answer["ResponseMetadata"]["HTTPHeaders"]


def listed(s3: BaseClient, bucket: str, **arguments: object) -> list[tuple[str, str, bool, bool]]:
    """Key, version, whether it is the latest, whether it is a marker: in the order of the pages."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **arguments):
        entries = [(entry, False) for entry in page.get("Versions", [])]
        entries += [(entry, True) for entry in page.get("DeleteMarkers", [])]
        found += [(entry["Key"], entry["VersionId"], entry["IsLatest"], marker) for entry, marker in entries]
    return found


def test_a_bucket_says_what_it_does(s3: BaseClient, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended", "Enabled"):
        set_versioning(s3, bucket, status)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    refused(400, "MalformedXML", set_versioning, s3=s3, bucket=bucket, wanted="Off")
    refused(404, "NoSuchBucket", set_versioning, s3=s3, bucket="no-such-bucket", wanted="Enabled")


def test_a_bucket_without_versioning_shows_no_versions(s3: BaseClient, bucket: str) -> None:
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert "VersionId" not in s3.get_object(Bucket=bucket, Key="k")
    assert "VersionId" not in s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert listed(s3, bucket) == [("k", "null", True, False)]
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"x"
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert listed(s3, bucket) == []


@pytest.mark.parametrize("size", [0, 100, 40_000, 2 * MEBIBYTE + 5])
def test_every_version_is_kept_byte_for_byte(s3: BaseClient, versioned: str, size: int) -> None:
    bodies = {put(s3, versioned, "k", body): body for body in (content(f"{size}-{nth}", size) for nth in range(4))}
    for version, body in bodies.items():
        got = s3.get_object(Bucket=versioned, Key="k", VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (body, version)
        assert s3.head_object(Bucket=versioned, Key="k", VersionId=version)["ContentLength"] == size
    newest = list(bodies)[-1]
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == newest
    order = list(reversed(bodies))
    assert listed(s3, versioned) == [("k", version, version == newest, False) for version in order]


def test_a_delete_hides_and_its_marker_can_be_taken_away(s3: BaseClient, versioned: str) -> None:
    version = put(s3, versioned, "k", b"kept")
    marker = s3.delete_object(Bucket=versioned, Key="k")
    assert marker["DeleteMarker"] and marker["VersionId"] != version
    headers = refused(404, "NoSuchKey", s3.get_object, Bucket=versioned, Key="k")
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", marker["VersionId"])
    headers = refused(405, "MethodNotAllowed", s3.get_object, Bucket=versioned, Key="k", VersionId=marker["VersionId"])
    assert (headers["x-amz-delete-marker"], headers["allow"]) == ("true", "DELETE")
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    assert sorted(listed(s3, versioned)) == sorted(
        [("k", marker["VersionId"], True, True), ("k", version, False, False)]
    )
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=version)["Body"].read() == b"kept"
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker["VersionId"])
    assert gone["DeleteMarker"] and gone["VersionId"] == marker["VersionId"]
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == version
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=versioned)["Contents"]] == ["k"]


def test_the_version_before_becomes_current(s3: BaseClient, versioned: str) -> None:
    versions = [put(s3, versioned, "k", b"%d" % nth) for nth in range(3)]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=versions[2])
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"1"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=versions[0])
    assert listed(s3, versioned) == [("k", versions[1], True, False)]
    # What isn't there is deleted already.
    again = s3.delete_object(Bucket=versioned, Key="k", VersionId=versions[0])
    assert again["VersionId"] == versions[0] and "DeleteMarker" not in again
    refused(404, "NoSuchVersion", s3.get_object, Bucket=versioned, Key="k", VersionId=versions[0])
    refused(400, "InvalidArgument", s3.get_object, Bucket=versioned, Key="k", VersionId="no version")


def test_null_versions_are_replaced_and_the_others_stay(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    set_versioning(s3, bucket, "Enabled")
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    first = put(s3, bucket, "k", b"first")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"before"
    set_versioning(s3, bucket, "Suspended")
    assert put(s3, bucket, "k", b"suspended") == "null"
    assert listed(s3, bucket) == [("k", "null", True, False), ("k", first, False, False)]
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"suspended"
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert (marker["DeleteMarker"], marker["VersionId"]) == (True, "null")
    assert sorted(listed(s3, bucket)) == sorted([("k", "null", True, True), ("k", first, False, False)])
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_several_versions_are_deleted_at_once(s3: BaseClient, versioned: str) -> None:
    versions = [put(s3, versioned, "k", b"%d" % nth) for nth in range(5)]
    s3.put_object(Bucket=versioned, Key="other", Body=b"x")
    objects = [{"Key": "k", "VersionId": version} for version in reversed(versions[1:])] + [{"Key": "other"}]
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": objects})
    assert "Errors" not in answer and len(answer["Deleted"]) == 5
    marker = answer["Deleted"][-1]
    assert marker["DeleteMarker"] and marker["Key"] == "other" and "VersionId" not in marker
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == versions[0]
    answer = s3.delete_objects(
        Bucket=versioned, Delete={"Objects": [{"Key": "other", "VersionId": marker["DeleteMarkerVersionId"]}]}
    )
    assert answer["Deleted"][0]["DeleteMarker"]
    assert s3.get_object(Bucket=versioned, Key="other")["Body"].read() == b"x"


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_pages_of_any_size_join_to_the_whole(s3: BaseClient, versioned: str, page: int) -> None:
    expected = []
    for key in ("a", "a/b", "dir/one", "dir/two", "z"):
        versions = [put(s3, versioned, key, b"%d" % nth) for nth in range(3)]
        expected += [(key, version, nth == 0, False) for nth, version in enumerate(reversed(versions))]
    assert listed(s3, versioned, PaginationConfig={"PageSize": page}) == expected
    in_dir = [entry for entry in expected if entry[0].startswith("dir/")]
    assert listed(s3, versioned, Prefix="dir/", PaginationConfig={"PageSize": page}) == in_dir
    prefixes, keys = set(), set()
    paginator = s3.get_paginator("list_object_versions")
    for found in paginator.paginate(Bucket=versioned, Delimiter="/", PaginationConfig={"PageSize": page}):
        prefixes |= {entry["Prefix"] for entry in found.get("CommonPrefixes", [])}
        keys |= {entry["Key"] for entry in found.get("Versions", [])}
    assert (prefixes, keys) == ({"a/", "dir/"}, {"a", "z"})


def test_markers_go_on_behind_a_key_or_a_version(s3: BaseClient, versioned: str) -> None:
    versions = [put(s3, versioned, "k", b"%d" % nth) for nth in range(3)]
    last = put(s3, versioned, "l", b"x")
    behind = s3.list_object_versions(Bucket=versioned, KeyMarker="k", VersionIdMarker=versions[2])
    assert [entry["VersionId"] for entry in behind["Versions"]] == [versions[1], versions[0], last]
    assert [entry["IsLatest"] for entry in behind["Versions"]] == [False, False, True]
    behind = s3.list_object_versions(Bucket=versioned, KeyMarker="k")
    assert [entry["VersionId"] for entry in behind["Versions"]] == [last]
    refused(400, "InvalidArgument", s3.list_object_versions, Bucket=versioned, VersionIdMarker=versions[2])


def test_copies_and_uploads_make_versions(s3: BaseClient, versioned: str) -> None:
    first = put(s3, versioned, "k", b"first")
    put(s3, versioned, "k", b"second")
    copy = s3.copy_object(
        Bucket=versioned, Key="k", CopySource={"Bucket": versioned, "Key": "k", "VersionId": first}
    )
    assert copy["CopySourceVersionId"] == first and copy["VersionId"] != first
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"first"
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"third")
    done = s3.complete_multipart_upload(
        Bucket=versioned,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == done["VersionId"]
    put(s3, versioned, "k", b"fourth")
    got = s3.get_object(Bucket=versioned, Key="k", VersionId=done["VersionId"])
    assert got["Body"].read() == b"third"
    assert len(listed(s3, versioned)) == 5
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    source = {"Bucket": versioned, "Key": "k"}
    refused(404, "NoSuchKey", s3.copy_object, Bucket=versioned, Key="l", CopySource=source)
    source["VersionId"] = marker
    refused(400, "InvalidRequest", s3.copy_object, Bucket=versioned, Key="l", CopySource=source)


def test_conditions_are_about_the_current_version(s3: BaseClient, versioned: str) -> None:
    put(s3, versioned, "k", b"one")
    refused(412, "PreconditionFailed", s3.put_object, Bucket=versioned, Key="k", Body=b"two", IfNoneMatch="*")
    s3.delete_object(Bucket=versioned, Key="k")
    # Behind a delete marker there is no object.
    etag = s3.put_object(Bucket=versioned, Key="k", Body=b"two", IfNoneMatch="*")["ETag"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"three", IfMatch=etag)
    refused(412, "PreconditionFailed", s3.put_object, Bucket=versioned, Key="k", Body=b"four", IfMatch=etag)
    assert len(listed(s3, versioned)) == 4


def test_a_bucket_with_versions_or_markers_is_not_empty(s3: BaseClient, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    version = put(s3, bucket, "k", b"x")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    refused(409, "BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    refused(409, "BucketNotEmpty", s3.delete_bucket, Bucket=bucket)
    # The refused deletion has changed nothing.
    put(s3, bucket, "l", b"x")
    for key, version, _, _ in listed(s3, bucket):
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert marker and listed(s3, bucket) == []


def test_versions_are_there_after_kill_and_restart(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3, bucket = s3_client(node), bucket_name()
    s3.create_bucket(Bucket=bucket)
    set_versioning(s3, bucket, "Enabled")
    bodies = {}
    for nth in range(12):
        body = content(f"restart-{nth}", [10, 50_000, MEBIBYTE + 1][nth % 3])
        bodies[put(s3, bucket, f"key-{nth % 2}", body)] = (f"key-{nth % 2}", body)
    s3.delete_object(Bucket=bucket, Key="key-0")
    before = listed(s3, bucket)
    node.kill()
    node.start()
    s3 = s3_client(node)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert listed(s3, bucket) == before
    for version, (key, body) in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read() == body
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="key-0")
