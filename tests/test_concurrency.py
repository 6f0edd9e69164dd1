"""Many clients at once: no reader sees a mixture, no listing skips a key, no bucket is deleted under an object."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import bucket_name
from content import MEBIBYTE, content
from node import Node
from signing import UNSIGNED, Request, Signer


@contextmanager
def meanwhile(work, count: int = 1) -> Iterator[None]:
    """Repeats `work(number of the thread, number of the turn)` in threads until the block ends."""
    ended = threading.Event()

    def repeat(thread: int) -> None:
        turn = 0
        while not ended.is_set():
            work(thread, turn)
            turn += 1

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(repeat, thread) for thread in range(count)]
        try:
            yield
        finally:
            ended.set()
        for each in running:
            each.result()


@pytest.mark.parametrize("size", [1000, 40_000, 3 * MEBIBYTE])
def test_readers_see_whole_versions(s3: BaseClient, bucket: str, size: int) -> None:
    def write(_thread: int, turn: int) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=content(str(turn % 5), size + turn % 5))

    write(0, 0)
    with meanwhile(write):
        for turn in range(60 if size < MEBIBYTE else 25):
            got = s3.get_object(Bucket=bucket, Key="k")
            body = got["Body"].read()
            assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', turn
            assert body == content(str(len(body) - size), len(body))


@pytest.mark.parametrize("change", ["overwrite", "delete"])
def test_a_slow_reader_gets_what_it_began_to_read(
    s3: BaseClient, node: Node, signer: Signer, bucket: str, change: str
) -> None:
    body = content("slow", 24 * MEBIBYTE)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    with wire.Connection(node.port, timeout=60) as connection:
        connection.send(signer.sign(Request("GET", f"/{bucket}/k")).encode())
        head = connection.response_head()
        first = connection.take(100_000)
        if change == "delete":
            s3.delete_object(Bucket=bucket, Key="k")
        else:
            s3.put_object(Bucket=bucket, Key="k", Body=b"new")
        # Gives whatever reclaims space something to do, and something to reuse it for.
        for number in range(10):
            s3.put_object(Bucket=bucket, Key="other", Body=content(str(number), 5 * MEBIBYTE))
        rest = connection.take(int(head.headers["content-length"]) - len(first))
    assert first + rest == body


def test_listings_keep_what_stays_while_others_come_and_go(s3: BaseClient, bucket: str) -> None:
    staying = [f"{number:03}-stays" for number in range(0, 300, 3)]
    for key in staying:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")

    def churn(thread: int, turn: int) -> None:
        key = f"{(turn * 7) % 300:03}-comes-{thread}"
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
        s3.delete_object(Bucket=bucket, Key=key)

    with meanwhile(churn, 3):
        for page_size in (7, 50, 1000):
            for _ in range(4):
                pages = s3.get_paginator("list_objects_v2").paginate(
                    Bucket=bucket, PaginationConfig={"PageSize": page_size}
                )
                found = [each["Key"] for page in pages for each in page.get("Contents", [])]
                assert found == sorted(set(found)), "a key came twice or out of order"
                assert [key for key in found if key.endswith("-stays")] == staying


def test_a_bucket_is_not_deleted_under_an_object(node: Node, signer: Signer) -> None:
    with ThreadPoolExecutor(2) as pool:
        for turn in range(40):
            name = bucket_name()
            assert wire.exchange(node.port, signer.sign(Request("PUT", f"/{name}"))).status == 200
            put = signer.sign(Request("PUT", f"/{name}/k{turn}", body=b"x" * (turn * 2000)), UNSIGNED)
            delete = signer.sign(Request("DELETE", f"/{name}"))
            stored, deleted = pool.map(lambda request: wire.exchange(node.port, request), (put, delete))
            got = wire.exchange(node.port, signer.sign(Request("GET", f"/{name}/k{turn}")))
            if deleted.status == 204:
                assert stored.refusal == got.refusal == (404, "NoSuchBucket"), turn
            else:
                assert deleted.refusal == (409, "BucketNotEmpty") and stored.status == got.status == 200, turn


def test_of_many_creators_of_a_bucket_one_wins(s3: BaseClient) -> None:
    name = bucket_name()

    def create(_number: int) -> bool:
        try:
            s3.create_bucket(Bucket=name)
            return True
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("BucketAlreadyOwnedByYou", "OperationAborted")
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_of_many_completions_of_an_upload_all_agree(s3: BaseClient, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    part = s3.upload_part(**arguments, PartNumber=1, Body=b"part")
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]

    def end(number: int) -> str:
        try:
            if number % 4 == 3:
                s3.abort_multipart_upload(**arguments)
                return "aborted"
            return s3.complete_multipart_upload(**arguments, MultipartUpload={"Parts": parts})["ETag"]
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(8) as pool:
        ends = set(pool.map(end, range(16)))
    etags = {each for each in ends if each.startswith('"')}
    assert len(etags) <= 1 and ends <= etags | {"aborted", "NoSuchUpload"}
    there = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    assert there == len(etags)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
