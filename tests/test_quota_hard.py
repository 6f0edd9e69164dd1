"""Hard quotas: never exceeded, by whatever way something is written, and nothing is refused that there is room for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

import wire
from clients import bucket_name, s3_client
from forms import Form
from node import Node
from signing import UNSIGNED, Request, Signer

MEBIBYTE = 1 << 20


def quota(node: Node, bucket: str, method: str = "GET", body: bytes = b"") -> wire.Response:
    return wire.exchange(node.port, Signer(node.address).sign(Request(method, f"/{bucket}", (("quota", ""),), body=body)))


def set_hard(node: Node, bucket: str, **limits: int) -> None:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in limits.items())
    body = f"<QuotaConfiguration><Hard>{inside}</Hard></QuotaConfiguration>".encode()
    answer = quota(node, bucket, "PUT", body)
    assert answer.status == 200, answer


def used(node: Node, bucket: str) -> tuple[int, int]:
    """Bytes with those of parts, and versions."""
    answer = quota(node, bucket)
    assert answer.status == 200, answer
    inside = wire.Response(200, {}, (answer.element("Usage") or "").encode())
    value = {name: int(inside.element(name) or -1) for name in ("Bytes", "UploadBytes", "Versions")}
    return value["Bytes"] + value["UploadBytes"], value["Versions"]


def is_refused(write: Callable[[], object]) -> bool:
    """Whether a quota refuses it; nothing else may."""
    try:
        write()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "QuotaExceeded", error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        return True
    return False


def test_a_bucket_takes_all_of_its_quota_and_not_a_byte_more(node: Node, s3: BaseClient, bucket: str) -> None:
    set_hard(node, bucket, Bytes=10 * MEBIBYTE)
    put = lambda key, length: lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"q" * length)  # noqa: E731
    assert not is_refused(put("large", 9 * MEBIBYTE))
    for number in range(16):
        assert not is_refused(put(f"small-{number}", MEBIBYTE // 16)), number
    assert used(node, bucket) == (10 * MEBIBYTE, 17)
    assert is_refused(put("more", 1))
    assert not is_refused(put("empty", 0)), "it takes no bytes"
    # What is there may be written again, smaller or as large, but not larger.
    assert not is_refused(put("small-3", MEBIBYTE // 16))
    assert is_refused(put("small-3", MEBIBYTE // 16 + 1))
    assert not is_refused(put("small-3", 1))
    assert not is_refused(put("other", MEBIBYTE // 16 - 1))
    assert is_refused(put("more", 1))
    s3.delete_object(Bucket=bucket, Key="large")
    assert is_refused(put("more", 9 * MEBIBYTE + 1))
    assert not is_refused(put("more", 9 * MEBIBYTE))
    assert used(node, bucket)[0] == 10 * MEBIBYTE


def test_objects_are_limited_by_their_versions(node: Node, s3: BaseClient, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    set_hard(node, bucket, Objects=20)
    put = lambda key: lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"v")  # noqa: E731
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    for number in range(19):
        assert not is_refused(put("k" if number % 2 else f"k{number}")), number
    assert is_refused(put("k"))
    assert is_refused(put("another"))
    # Delete markers are always taken, and free nothing.
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    for number in range(30):
        s3.delete_object(Bucket=bucket, Key=f"absent-{number}")
    assert is_refused(put("another"))
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    assert not is_refused(put("another"))
    assert is_refused(put("another"))
    assert used(node, bucket)[1] == 20


def test_every_way_of_writing_is_held_to_it(node: Node, s3: BaseClient, bucket: str) -> None:
    length = 5 * MEBIBYTE
    s3.put_object(Bucket=bucket, Key="source", Body=b"s" * length)
    set_hard(node, bucket, Bytes=2 * length + 10, Objects=3)
    copy = lambda key: lambda: s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "source"})  # noqa: E731
    upload = s3.create_multipart_upload(Bucket=bucket, Key="u")["UploadId"]
    name = {"Bucket": bucket, "Key": "u", "UploadId": upload}
    part = lambda number, length: s3.upload_part(**name, PartNumber=number, Body=b"p" * length)["ETag"]  # noqa: E731
    etag = part(1, length)
    assert is_refused(copy("copy"))
    assert is_refused(lambda: part(2, 11))
    second = part(2, 10)
    assert is_refused(lambda: s3.upload_part_copy(**name, PartNumber=3, CopySource={"Bucket": bucket, "Key": "source"}))
    assert not is_refused(lambda: s3.put_object(Bucket=bucket, Key="a", Body=b""))
    posted = Form(bucket, (("key", "posted"),), data=b"f")
    assert posted.send(node.port).refusal == (403, "QuotaExceeded")
    # A completion takes no bytes, but it makes an object.
    assert not is_refused(lambda: s3.put_object(Bucket=bucket, Key="b", Body=b""))
    parts = [{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": second}]
    complete = lambda: s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})  # noqa: E731
    assert is_refused(complete)
    s3.delete_object(Bucket=bucket, Key="b")
    assert not is_refused(complete)
    assert used(node, bucket) == (2 * length + 10, 3)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "u"}, {"Key": "a"}]})
    assert not is_refused(copy("copy"))
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"s" * length


def test_a_quota_is_raised_lowered_and_removed_at_once(node: Node, s3: BaseClient, bucket: str) -> None:
    put = lambda key, length: lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"r" * length)  # noqa: E731
    for number in range(20):
        put(f"k{number}", 100)()
    set_hard(node, bucket, Bytes=1_000)
    # Nothing goes, and nothing grows; also not what takes the place of what was deleted.
    assert used(node, bucket) == (2_000, 20)
    assert b"<HardExceeded>true</HardExceeded>" in quota(node, bucket).body
    assert is_refused(put("k0", 101))
    assert not is_refused(put("k0", 99))
    for number in range(1, 10):
        s3.delete_object(Bucket=bucket, Key=f"k{number}")
        assert is_refused(put(f"k{number}", 100)), number
    assert used(node, bucket)[0] == 1_099
    s3.delete_object(Bucket=bucket, Key="k10")
    assert not is_refused(put("k10", 1))
    assert is_refused(put("k11", 101))
    assert not is_refused(put("k10", 0))
    assert not is_refused(put("k11", 101))
    set_hard(node, bucket, Bytes=1_500)
    assert not is_refused(put("k12", 600))
    assert is_refused(put("k13", 101))
    assert quota(node, bucket, "DELETE").status == 204
    assert not is_refused(put("k14", 100_000))
    assert not is_refused(lambda: [put(f"many-{number}", 1_000)() for number in range(20)])
    set_hard(node, bucket, Objects=5)
    assert is_refused(put("more", 0))
    soft = b"<QuotaConfiguration><Soft><Bytes>1</Bytes></Soft></QuotaConfiguration>"
    assert quota(node, bucket, "PUT", soft).status == 200
    assert not is_refused(put("more", 0))


def test_a_full_bucket_refuses_before_the_body_is_read(node: Node, s3: BaseClient, bucket: str) -> None:
    set_hard(node, bucket, Bytes=1_000)
    s3.put_object(Bucket=bucket, Key="k", Body=b"b" * 400)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = (("partNumber", "1"), ("uploadId", upload))
    for query, length, status in ((), 1_001, 403), ((), 1_000, 100), (part, 601, 403), (part, 600, 100):
        headers = {"expect": "100-continue", "content-length": str(length)}
        request = Request("PUT", f"/{bucket}/k", query, headers)
        with wire.Connection(node.port) as connection:
            connection.send(Signer(node.address).sign(request, UNSIGNED).encode())
            answer = connection.response()
        assert answer.status == status, (length, answer)


def fill(s3: BaseClient, bucket: str, prefix: str, length: int, count: int) -> int:
    """Writes until it is refused, on many connections; how many writes were taken."""

    def write(number: int) -> bool:
        return not is_refused(lambda: s3.put_object(Bucket=bucket, Key=f"{prefix}-{number}", Body=b"c" * length))

    with ThreadPoolExecutor(16) as pool:
        return sum(pool.map(write, range(count)))


@pytest.mark.parametrize(("length", "most"), [(1_000, 60_000), (200_000, 2_500_000)])
def test_many_writers_fill_a_bucket_exactly(make_node: Callable[..., Node], length: int, most: int) -> None:
    node = make_node()
    node.start()
    s3 = s3_client(node, max_pool_connections=16)
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    set_hard(node, bucket, Bytes=most)
    taken = fill(s3, bucket, "k", length, 2 * most // length)
    assert taken == most // length
    assert used(node, bucket) == (taken * length, taken)
    assert sum(node.figures("anode_quota_refusals_total")) >= taken
    assert node.log().count("a bucket has reached its quota") == 1, node.log_tail()
    # Objects that come and go make room for each other.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: s3.delete_object(Bucket=bucket, Key=f"k-{number}"), range(2 * most // length)))
    assert used(node, bucket) == (0, 0)
    assert fill(s3, bucket, "l", length, 2 * most // length) == taken
    assert node.stop() == 0


def test_a_kill_leaves_no_more_than_the_quota_and_all_of_its_room(make_node: Callable[..., Node]) -> None:
    node = make_node()
    node.start()
    bucket = bucket_name()
    s3_client(node).create_bucket(Bucket=bucket)
    # So little that nearly every write has the room dealt out anew: the kill comes between freeze and grant now and then.
    most = 30_000
    set_hard(node, bucket, Bytes=most)
    for turn in range(6):
        s3 = s3_client(node, max_pool_connections=16)
        over = threading.Event()

        def write(number: int, turn: int = turn, s3: BaseClient = s3, over: threading.Event = over) -> None:
            while not over.is_set():
                try:
                    s3.put_object(Bucket=bucket, Key=f"{number}-{turn % 2}", Body=b"k" * (1 + 700 * number % 9_000))
                    s3.delete_object(Bucket=bucket, Key=f"{(number + 1) % 16}-{(turn + 1) % 2}")
                except ClientError as error:
                    assert error.response["Error"]["Code"] in {"QuotaExceeded", "ServiceUnavailable"}, error
                except BotoCoreError:
                    return

        writers = [threading.Thread(target=write, args=(number,)) for number in range(16)]
        for writer in writers:
            writer.start()
        time.sleep(0.7 + 0.13 * turn)
        node.kill()
        over.set()
        for writer in writers:
            writer.join()
        node.start()
        held = used(node, bucket)[0]
        assert held <= most, turn
        s3 = s3_client(node)
        put = lambda length, key="rest", s3=s3: lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"r" * length)  # noqa: E731
        # In every group of objects, whether it was left frozen or not.
        for number in range(min(20, most - held)):
            assert not is_refused(put(1, f"each-{number}")), (turn, number)
        for number in range(20):
            s3.delete_object(Bucket=bucket, Key=f"each-{number}")
        left = most - used(node, bucket)[0]
        assert is_refused(put(left + 1)), turn
        assert not is_refused(put(left)), turn
        assert used(node, bucket)[0] == most, turn
        s3.delete_object(Bucket=bucket, Key="rest")
    assert node.stop() == 0
