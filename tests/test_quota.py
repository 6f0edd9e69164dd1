"""How much is in a bucket, exactly and at once; and soft quotas, which warn."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.client import BaseClient

import wire
from clients import bucket_name, s3_client
from node import Node
from signing import Request, Signer

FIELDS = ("Objects", "Versions", "DeleteMarkers", "Bytes", "UploadBytes")
MEBIBYTE = 1 << 20
WARNS_SECONDS = 25.0


def quota(node: Node, bucket: str, method: str = "GET", body: bytes = b"") -> wire.Response:
    return wire.exchange(node.port, Signer(node.address).sign(Request(method, f"/{bucket}", (("quota", ""),), body=body)))


def used(node: Node, bucket: str) -> tuple[int, ...]:
    """Objects, versions, delete markers, bytes, and bytes of parts."""
    answer = quota(node, bucket)
    assert answer.status == 200, answer
    inside = wire.Response(200, {}, (answer.element("Usage") or "").encode())
    return tuple(int(inside.element(name) or -1) for name in FIELDS)


def soft(**limits: int) -> bytes:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in limits.items())
    return f"<QuotaConfiguration><Soft>{inside}</Soft></QuotaConfiguration>".encode()


def test_everything_counts_once(node: Node, s3: BaseClient, bucket: str) -> None:
    assert used(node, bucket) == (0, 0, 0, 0, 0)
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x" * number)
    assert used(node, bucket) == (20, 20, 0, 190, 0)
    s3.put_object(Bucket=bucket, Key="k19", Body=b"")
    s3.put_object(Bucket=bucket, Key="large", Body=b"y" * (3 * MEBIBYTE))
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "large"})
    assert used(node, bucket) == (22, 22, 0, 171 + 6 * MEBIBYTE, 0)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{number}"} for number in range(25)]})
    s3.delete_object(Bucket=bucket, Key="copy")
    s3.delete_object(Bucket=bucket, Key="absent")
    assert used(node, bucket) == (1, 1, 0, 3 * MEBIBYTE, 0)


def test_versions_and_markers_count(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"123")["VersionId"]
    assert used(node, bucket) == (1, 2, 0, 8, 0)
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert used(node, bucket) == (0, 2, 1, 8, 0)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert used(node, bucket) == (1, 2, 0, 8, 0)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert used(node, bucket) == (1, 1, 0, 5, 0)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert used(node, bucket) == (1, 1, 0, 1, 0)
    s3.delete_object(Bucket=bucket, Key="k")
    assert used(node, bucket) == (0, 0, 1, 0, 0)


def test_parts_count_until_they_are_an_object(node: Node, s3: BaseClient, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="u")["UploadId"]
    name = {"Bucket": bucket, "Key": "u", "UploadId": upload}
    etags = [s3.upload_part(**name, PartNumber=number, Body=b"p" * (5 * MEBIBYTE + number))["ETag"] for number in (1, 2, 3)]
    s3.upload_part(**name, PartNumber=3, Body=b"p" * 7)
    assert used(node, bucket) == (0, 0, 0, 0, 10 * MEBIBYTE + 10)
    parts = [{"PartNumber": number, "ETag": etags[number - 1]} for number in (1, 2)]
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    assert used(node, bucket) == (1, 1, 0, 10 * MEBIBYTE + 3, 0)
    other = s3.create_multipart_upload(Bucket=bucket, Key="v")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="v", UploadId=other, PartNumber=1, Body=b"12")
    assert used(node, bucket)[4] == 2
    s3.abort_multipart_upload(Bucket=bucket, Key="v", UploadId=other)
    assert used(node, bucket)[4] == 0


def test_figures_are_exact_after_a_kill(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3 = s3_client(node, max_pool_connections=16)
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    for turn in range(3):
        with ThreadPoolExecutor(16) as pool:
            keys = [f"{number}" for number in range(120)]
            list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"z" * (int(key) + turn)), keys))
            list(pool.map(lambda key: s3.delete_object(Bucket=bucket, Key=key), keys[turn::3]))
        node.kill()
        node.start()
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        total = sum(entry["Size"] for entry in listed)
        assert used(node, bucket) == (len(listed), len(listed), 0, total, 0), turn
    assert node.stop() == 0


def test_a_quota_comes_back_and_warns(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3 = s3_client(node)
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    assert b"Soft>" not in quota(node, bucket).body
    assert quota(node, bucket, "PUT", soft(Bytes=10, Objects=100)).status == 200
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = quota(node, bucket)
    assert b"<Soft><Bytes>10</Bytes><Objects>100</Objects></Soft>" in answer.body
    assert answer.element("SoftExceeded") == "false"
    # It warns, and refuses nothing.
    s3.put_object(Bucket=bucket, Key="l", Body=b"0")
    answer = quota(node, bucket)
    assert answer.element("SoftExceeded") == "true"
    assert quota(node, bucket, "PUT", answer.body).status == 200
    deadline = time.monotonic() + WARNS_SECONDS
    while "holds more than its quota" not in node.log() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert re.search(f"holds more than its quota.*{bucket}", node.log()), node.log_tail()
    assert node.figures("anode_buckets_over_quota") == [1.0]
    assert quota(node, bucket, "DELETE").status == 204
    assert b"Soft>" not in quota(node, bucket).body
    assert node.stop() == 0


def test_metrics_tell_of_all_buckets(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    s3 = s3_client(node)
    for name, count in (("first", 3), ("second", 5)):
        s3.create_bucket(Bucket=name)
        for number in range(count):
            s3.put_object(Bucket=name, Key=str(number), Body=b"ab")
    assert sum(node.figures("anode_objects")) == 8
    assert sum(node.figures("anode_versions_held_bytes")) == 16
    node.kill()
    node.start()
    assert sum(node.figures("anode_objects")) == 8
    assert node.stop() == 0


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        (b"<QuotaConfiguration/>", (400, "MalformedXML")),
        (b"<QuotaConfiguration><Soft><Bytes>-1</Bytes></Soft></QuotaConfiguration>", (400, "MalformedXML")),
        (b"<QuotaConfiguration><Hard><Bytes>1</Bytes><Bytes>1</Bytes></Hard></QuotaConfiguration>", (400, "MalformedXML")),
    ],
)
def test_what_is_no_quota_is_refused(node: Node, bucket: str, document: bytes, refusal: tuple[int, str]) -> None:
    assert quota(node, bucket, "PUT", document).refusal == refusal


def test_a_quota_is_of_a_bucket_and_not_for_everybody(node: Node, bucket: str) -> None:
    assert quota(node, "no-such-bucket").refusal == (404, "NoSuchBucket")
    unsigned = wire.exchange(node.port, Request("GET", f"/{bucket}", (("quota", ""),), {"host": node.address}))
    assert unsigned.refusal == (403, "AccessDenied")
