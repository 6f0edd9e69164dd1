"""Random operations on buckets, held against a plain model of what S3 says they do.

A failing sequence prints its seed; `ANODE_TEST_SEED=SEED ANODE_TEST_SEQUENCES=1` runs it again. The last buckets are looked at once
more after kill -9.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from clients import bucket_name, s3_client
from model import Bucket, Upload, Version
from node import Node

SEQUENCES = int(os.environ.get("ANODE_TEST_SEQUENCES", "10"))
STEPS = 70
KEPT = 4
KEYS = ["a", "a/", "a/b", "a/b/c", "a0", "b", "b/\N{LATIN SMALL LETTER U WITH DIAERESIS}", "b/\U0001f600", "c d+%", "z"]
ENTRY = ["Key", "VersionId", "IsLatest"]
PREFIXES = ["", "", "a", "a/", "b/", "x"]


class Sequence:
    """One run over two buckets: one that may change its versioning, one with object lock."""

    def __init__(self, s3: BaseClient, seed: int) -> None:
        self.s3, self.random, self.steps = s3, random.Random(seed), []
        self.buckets = [Bucket(bucket_name()), Bucket(bucket_name(), has_lock=True)]
        for bucket in self.buckets:
            s3.create_bucket(Bucket=bucket.name, ObjectLockEnabledForBucket=bucket.has_lock)
            if self.random.random() < 0.4 and not bucket.has_lock:
                self.set_versioning(bucket)

    def run(self) -> None:
        """Takes all steps and looks at all there is, now and then and in the end."""
        actions: list[tuple[Callable[[Bucket], None], int]] = [
            (self.put, 12),
            (self.delete, 5),
            (self.delete_version, 4),
            (self.delete_many, 3),
            (self.copy, 5),
            (self.begin_upload, 3),
            (self.put_part, 4),
            (self.end_upload, 3),
            (self.change_tags, 4),
            (self.hold, 3),
            (self.set_versioning, 1),
            (self.read, 8),
            (self.list, 5),
        ]
        for _ in range(STEPS):
            act = self.random.choices([one for one, _ in actions], [weight for _, weight in actions])[0]
            act(self.random.choice(self.buckets))
        self.check()

    def check(self) -> None:
        """Everything that can be read is as the model has it."""
        for bucket in self.buckets:
            for page in (1, 3, 1000):
                self.check_lists(bucket, page, "", None)
            for key in bucket.keys:
                for version in bucket.keys[key]:
                    self.check_read(bucket, key, version.id)
                self.check_read(bucket, key, None)

    # What is asked of S3, and what has to come of it.

    def call(self, operation: str, error: str | None = None, **arguments: Any) -> dict:
        """Makes a call, which has to be refused so where `error` is given."""
        shown = {name: value for name, value in arguments.items() if name != "Body"}
        self.steps.append(f"{operation} {shown} -> {error}")
        try:
            answer = getattr(self.s3, operation)(**arguments)
        except ClientError as refusal:
            code = refusal.response["Error"]["Code"]
            assert code == error, f"refused by {code}"
            return refusal.response
        assert error is None, f"{error} was expected: {answer}"
        return answer

    def key(self) -> str:
        return self.random.choice(KEYS)

    def body(self) -> bytes:
        size = self.random.choice([0, 1, self.random.randrange(300), 4096, 33_000, 1_100_000 if self.random.random() < 0.1 else 7])
        return self.random.randbytes(size)

    def tags(self) -> dict[str, str]:
        return {name: self.random.choice(["", "1", "x y"]) for name in "ab" if self.random.random() < 0.4}

    def condition(self, bucket: Bucket, key: str) -> tuple[dict[str, str], str | None]:
        """A condition of a write, and how it is refused."""
        current = bucket.current(key)
        drawn = self.random.random()
        if drawn < 0.75:
            return {}, None
        if drawn < 0.85:
            return {"IfNoneMatch": "*"}, "PreconditionFailed" if current else None
        etag = current.etag if current and self.random.random() < 0.6 else "0" * 32
        refused = "NoSuchKey" if current is None else "PreconditionFailed" if etag != current.etag else None
        return {"IfMatch": f'"{etag}"'}, refused

    def some_version(self, bucket: Bucket) -> tuple[str, Version] | None:
        there = [(key, version) for key in sorted(bucket.keys) for version in bucket.keys[key]]
        return self.random.choice(there) if there else None

    def stored(self, bucket: Bucket, key: str, version: Version, answer: dict) -> None:
        """Takes a new version into the model; the server has named it."""
        shown = answer.get("VersionId")
        assert (shown is None) == (bucket.versioning == "Off"), shown
        assert (shown == "null") == (bucket.versioning == "Suspended"), shown
        version.id = shown or "null"
        bucket.store(key, version)

    def put(self, bucket: Bucket) -> None:
        key, body, tags = self.key(), self.body(), self.tags()
        condition, refused = self.condition(bucket, key)
        metadata = {"m": str(self.random.randrange(9))} if self.random.random() < 0.3 else {}
        arguments: dict = {"Metadata": metadata, "Tagging": urlencode(tags)} | condition
        is_held = bucket.has_lock and self.random.random() < 0.2
        if is_held:
            arguments["ObjectLockLegalHoldStatus"] = "ON"
        answer = self.call("put_object", refused, Bucket=bucket.name, Key=key, Body=body, **arguments)
        if refused is None:
            etag = hashlib.md5(body).hexdigest()
            assert answer["ETag"] == f'"{etag}"'
            self.stored(bucket, key, Version(body, etag, tags, metadata, is_held), answer)

    def delete(self, bucket: Bucket) -> None:
        key = self.key()
        answer = self.call("delete_object", Bucket=bucket.name, Key=key)
        self.hidden(bucket, key, answer.get("DeleteMarker", False), answer.get("VersionId"))

    def hidden(self, bucket: Bucket, key: str, is_marker: bool, shown: str | None) -> None:
        assert is_marker == (bucket.versioning != "Off")
        assert (shown == "null") == (bucket.versioning == "Suspended")
        bucket.hide(key, shown or "null")

    def delete_version(self, bucket: Bucket) -> None:
        found = self.some_version(bucket)
        if found is None:
            return
        key, version = found
        if self.random.random() < 0.1:
            self.call("delete_object", Bucket=bucket.name, Key=f"{key}-none", VersionId=version.id)
        refused = "AccessDenied" if version.is_held else None
        answer = self.call("delete_object", refused, Bucket=bucket.name, Key=key, VersionId=version.id)
        if refused is None:
            assert answer.get("DeleteMarker", False) == version.is_marker
            bucket.remove(key, version)

    def delete_many(self, bucket: Bucket) -> None:
        named: dict[tuple[str, str | None], Version | None] = {}
        for _ in range(self.random.randrange(1, 5)):
            found = self.some_version(bucket)
            if self.random.random() < 0.5 or found is None:
                named[(self.key(), None)] = None
            else:
                named[(found[0], found[1].id)] = found[1]
        # Of a null version and of what hides it, whichever comes first changes the other.
        keys = [key for key, _ in named]
        named = {one: version for one, version in named.items() if keys.count(one[0]) == 1}
        if not named:
            return
        objects = [{"Key": key} | ({"VersionId": name} if name else {}) for key, name in named]
        answer = self.call("delete_objects", Bucket=bucket.name, Delete={"Objects": objects})
        done = {one["Key"]: one for one in answer.get("Deleted", [])}
        errors = {one["Key"]: one["Code"] for one in answer.get("Errors", [])}
        held = {key: "AccessDenied" for (key, _), version in named.items() if version and version.is_held}
        assert errors == held and set(done) == {key for key, _ in named} - set(held), answer
        for (key, _), version in named.items():
            one = done.get(key, {})
            if version is None:
                self.hidden(bucket, key, one.get("DeleteMarker", False), one.get("DeleteMarkerVersionId"))
            elif not version.is_held:
                assert one["VersionId"] == version.id and one.get("DeleteMarker", False) == version.is_marker
                bucket.remove(key, version)

    def copy(self, bucket: Bucket) -> None:
        origin, key = self.random.choice(self.buckets), self.key()
        found, source = self.some_version(origin), self.key()
        name: dict[str, str] = {}
        version, refused = origin.current(source), None
        if found and self.random.random() < 0.5:
            source, version = found
            name = {"VersionId": version.id}
        if version is None or version.is_marker:
            refused = "InvalidRequest" if version else "NoSuchKey"
        replaces = self.random.random() < 0.4 or (origin is bucket and source == key)
        metadata, tags = {"m": "new"}, self.tags()
        more: dict = {"MetadataDirective": "REPLACE", "Metadata": metadata} if replaces else {}
        retags = self.random.random() < 0.3
        if retags:
            more |= {"TaggingDirective": "REPLACE", "Tagging": urlencode(tags)}
        where = {"Bucket": origin.name, "Key": source} | name
        answer = self.call("copy_object", refused, Bucket=bucket.name, Key=key, CopySource=where, **more)
        if refused is None and version is not None:
            etag = hashlib.md5(version.body).hexdigest()
            assert answer["CopyObjectResult"]["ETag"] == f'"{etag}"'
            new = Version(version.body, etag, tags if retags else version.tags, metadata if replaces else version.metadata)
            self.stored(bucket, key, new, answer)

    def begin_upload(self, bucket: Bucket) -> None:
        key, tags = self.key(), self.tags()
        answer = self.call("create_multipart_upload", Bucket=bucket.name, Key=key, Tagging=urlencode(tags))
        bucket.uploads[answer["UploadId"]] = Upload(key, tags)

    def some_upload(self, bucket: Bucket) -> dict[str, str] | None:
        if not bucket.uploads:
            return None
        upload = self.random.choice(list(bucket.uploads))
        return {"Bucket": bucket.name, "Key": bucket.uploads[upload].key, "UploadId": upload}

    def put_part(self, bucket: Bucket) -> None:
        name = self.some_upload(bucket)
        if name:
            number, body = self.random.choice([1, 2, 77]), self.body()
            answer = self.call("upload_part", **name, PartNumber=number, Body=body)
            assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
            bucket.uploads[name["UploadId"]].parts[number] = body

    def end_upload(self, bucket: Bucket) -> None:
        name = self.some_upload(bucket)
        if not name:
            return
        upload = bucket.uploads[name["UploadId"]]
        listed = self.call("list_parts", **name).get("Parts", [])
        assert [(one["PartNumber"], one["Size"]) for one in listed] == [
            (number, len(body)) for number, body in sorted(upload.parts.items())
        ]
        if self.random.random() < 0.3 or not upload.parts:
            self.call("abort_multipart_upload", **name)
            del bucket.uploads[name["UploadId"]]
            self.call("list_parts", "NoSuchUpload", **name)
            return
        # One part alone may be as small as these.
        number = self.random.choice(list(upload.parts))
        body, condition = upload.parts[number], self.condition(bucket, name["Key"])
        digest = hashlib.md5(body)
        parts = {"Parts": [{"PartNumber": number, "ETag": digest.hexdigest()}]}
        arguments = name | {"MultipartUpload": parts}
        answer = self.call("complete_multipart_upload", condition[1], **arguments, **condition[0])
        if condition[1] is None:
            etag = f"{hashlib.md5(digest.digest()).hexdigest()}-1"
            assert answer["ETag"] == f'"{etag}"'
            del bucket.uploads[name["UploadId"]]
            self.stored(bucket, name["Key"], Version(body, etag, upload.tags), answer)
            again = self.call("complete_multipart_upload", **arguments)
            assert (again["ETag"], again.get("VersionId")) == (answer["ETag"], answer.get("VersionId"))

    def change_tags(self, bucket: Bucket) -> None:
        found = self.some_version(bucket)
        if found is None:
            return
        key, version = found
        tags = self.tags()
        name = {"Bucket": bucket.name, "Key": key, "VersionId": version.id}
        refused = "MethodNotAllowed" if version.is_marker else None
        if self.random.random() < 0.3:
            self.call("delete_object_tagging", refused, **name)
            tags = {}
        else:
            pairs = [{"Key": one, "Value": value} for one, value in tags.items()]
            self.call("put_object_tagging", refused, **name, Tagging={"TagSet": pairs})
        if refused is None:
            version.tags = tags

    def hold(self, bucket: Bucket) -> None:
        found = self.some_version(bucket) if bucket.has_lock else None
        if found is None:
            return
        key, version = found
        name = {"Bucket": bucket.name, "Key": key, "VersionId": version.id}
        refused, is_held = "MethodNotAllowed" if version.is_marker else None, self.random.random() < 0.4
        self.call("put_object_legal_hold", refused, **name, LegalHold={"Status": "ON" if is_held else "OFF"})
        if refused is None:
            version.is_held = is_held
            assert self.call("get_object_legal_hold", **name)["LegalHold"]["Status"] == ("ON" if is_held else "OFF")

    def set_versioning(self, bucket: Bucket) -> None:
        if not bucket.has_lock:
            status = self.random.choice(["Enabled", "Suspended"])
            self.call("put_bucket_versioning", Bucket=bucket.name, VersioningConfiguration={"Status": status})
            bucket.versioning = status
        shown = self.call("get_bucket_versioning", Bucket=bucket.name).get("Status", "Off")
        assert shown == bucket.versioning

    # What can be read, and what has to be there.

    def read(self, bucket: Bucket) -> None:
        found = self.some_version(bucket)
        if found and self.random.random() < 0.5:
            self.check_read(bucket, found[0], found[1].id)
        else:
            self.check_read(bucket, self.key(), None)

    def check_read(self, bucket: Bucket, key: str, name: str | None) -> None:
        version = bucket.named(key, name)
        arguments = {"Bucket": bucket.name, "Key": key} | ({"VersionId": name} if name else {})
        if version is None or version.is_marker:
            refused = "MethodNotAllowed" if name else "NoSuchKey"
            response = self.call("get_object", refused, **arguments)
            fields = response["ResponseMetadata"]["HTTPHeaders"]
            assert ("x-amz-delete-marker" in fields) == (version is not None)
            return
        answer = self.call("get_object", **arguments)
        assert answer["Body"].read() == version.body
        assert (answer["ETag"], answer["Metadata"]) == (f'"{version.etag}"', version.metadata)
        assert answer.get("TagCount", 0) == len(version.tags)
        assert answer.get("VersionId") == (None if bucket.versioning == "Off" else version.id)
        assert answer.get("ObjectLockLegalHoldStatus", "OFF") == ("ON" if version.is_held else "OFF")
        tags = self.call("get_object_tagging", **arguments)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == version.tags

    def list(self, bucket: Bucket) -> None:
        page = self.random.choice([1, 2, 3, 5, 1000])
        self.check_lists(bucket, page, self.random.choice(PREFIXES), self.random.choice([None, "/", "b"]))

    def check_lists(self, bucket: Bucket, page: int, prefix: str, delimiter: str | None) -> None:
        name: dict = {"Bucket": bucket.name, "Prefix": prefix} | ({"Delimiter": delimiter} if delimiter else {})
        current = bucket.listed(prefix, delimiter)
        token: dict = {}
        found: list[tuple[str, str | None]] = []
        while True:
            answer = self.call("list_objects_v2", **name, MaxKeys=page, **token)
            found += entries(answer, page, "Contents", lambda one: one["ETag"].strip('"'))
            if not answer["IsTruncated"]:
                break
            token = {"ContinuationToken": answer["NextContinuationToken"]}
        assert found == current, "list_objects_v2"
        token, older = {}, {"Versions": [], "DeleteMarkers": [], "CommonPrefixes": []}
        while True:
            answer = self.call("list_object_versions", **name, MaxKeys=page, **token)
            count = 0
            for element, fields in (("Versions", ENTRY), ("DeleteMarkers", ENTRY), ("CommonPrefixes", ["Prefix"])):
                of_page = [tuple(one[field] for field in fields) for one in answer.get(element, [])]
                older[element] += of_page
                count += len(of_page)
            assert count <= page and (count or not answer["IsTruncated"])
            if not answer["IsTruncated"]:
                break
            token = {"KeyMarker": answer["NextKeyMarker"]}
            if "NextVersionIdMarker" in answer:
                token["VersionIdMarker"] = answer["NextVersionIdMarker"]
        assert older == bucket.listed_versions(prefix, delimiter), "list_object_versions"
        token, uploads = {}, []
        while True:
            answer = self.call("list_multipart_uploads", **name, MaxUploads=page, **token)
            uploads += entries(answer, page, "Uploads", lambda one: one["UploadId"])
            if not answer["IsTruncated"]:
                break
            token = {"KeyMarker": answer["NextKeyMarker"]}
            if answer.get("NextUploadIdMarker"):
                token["UploadIdMarker"] = answer["NextUploadIdMarker"]
        # Those of one key come as they were begun, within a millisecond in any order.
        assert [one for one, _ in uploads] == [one for one, _ in bucket.listed_uploads(prefix, delimiter)]
        assert sorted(map(str, uploads)) == sorted(map(str, bucket.listed_uploads(prefix, delimiter)))


def entries(answer: dict, page: int, element: str, value: Callable[[dict], str]) -> list[tuple[str, str | None]]:
    """Keys and common prefixes of a page, in their order."""
    found: list[tuple[str, str | None]] = [(one["Key"], value(one)) for one in answer.get(element, [])]
    found += [(one["Prefix"], None) for one in answer.get("CommonPrefixes", [])]
    assert len(found) <= page and (found or not answer["IsTruncated"])
    return sorted(found, key=lambda one: one[0].encode())


def test_random_operations_do_what_the_model_says(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3 = s3_client(node)
    first = int(os.environ.get("ANODE_TEST_SEED", str(random.SystemRandom().randrange(1 << 40))))
    kept: list[Sequence] = []
    for seed in range(first, first + SEQUENCES):
        sequence = Sequence(s3, seed)
        try:
            sequence.run()
        except BaseException:
            print(f"ANODE_TEST_SEED={seed}", *sequence.steps[-40:], sep="\n")
            raise
        kept = [*kept, sequence][-KEPT:]
    node.kill()
    node.start()
    for sequence in kept:
        sequence.check()
