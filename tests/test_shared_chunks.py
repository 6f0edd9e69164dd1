"""Equal chunks of a placement group are stored once: equal parts of one upload take the space of one."""

from __future__ import annotations

import re
from collections.abc import Callable

from botocore.client import BaseClient

from clients import s3_client
from content import content
from node import Node, run_anode

MakeNode = Callable[..., Node]
BUCKET = "shared"
PART = 5 << 20
PARTS = 40
FILL_BYTES = 30_000
UNITS = {"B": 1 / (1 << 20), "KiB": 1 / 1024, "MiB": 1.0}


def upload(s3: BaseClient, key: str, parts: list[bytes]) -> None:
    """One object of these parts."""
    identifier = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    named = []
    for number, body in enumerate(parts, 1):
        part = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=identifier, PartNumber=number, Body=body)
        named.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=identifier, MultipartUpload={"Parts": named})


def flushed(node: Node, s3: BaseClient) -> float:
    """Small objects until every shard has a table; says how many MiB that took."""
    for round_index in range(40):
        for number in range(100):
            s3.put_object(Bucket=BUCKET, Key=f"fill/{round_index:02}/{number:04}", Body=bytes(FILL_BYTES))
        tables = list(node.data.glob("shard-*/tables/table-*"))
        if len({table.parent for table in tables}) == len(list(node.data.glob("shard-*/tables"))):
            return (round_index + 1) * 100 * FILL_BYTES / (1 << 20)
    raise AssertionError("no shard flushes")


def live_mebibytes(node: Node) -> float:
    """What the tables of a stopped node refer to in segments."""
    done = run_anode("volume", "inspect", "--data", str(node.data), "segments")
    assert done.returncode == 0, done
    sums = re.findall(r"refer to, ([0-9.]+) (B|KiB|MiB) in use", done.stdout)
    assert sums, done.stdout
    return sum(float(figure) * UNITS[unit] for figure, unit in sums)


def test_equal_parts_of_an_upload_take_the_space_of_one(
    make_node: MakeNode, record_property: Callable[[str, object], None]
) -> None:
    node = make_node("--memory", "256MiB")
    node.start()
    s3 = s3_client(node)
    s3.create_bucket(Bucket=BUCKET)
    equal = [content("equal", PART)] * PARTS
    different = [content(f"different {number}", PART) for number in range(2)]
    upload(s3, "equal", equal)
    upload(s3, "different", different)
    filled = flushed(node, s3)
    assert node.stop() == 0
    live = live_mebibytes(node)
    sent = (PARTS + len(different)) * PART >> 20
    record_property("measured", f"{live:.1f} MiB are live, {filled:.1f} of them fill, of {sent} MiB sent in parts")
    once = (1 + len(different)) * PART / (1 << 20)
    # Headers take a little; what fills the index is small beside what was sent.
    assert once <= live < (once + filled) * 1.05 < sent, (live, filled)

    # A restart replays what is not flushed and finds the counts; the last reference alone frees the bytes.
    node.start()
    s3 = s3_client(node)
    upload(s3, "again", equal[:2])
    s3.delete_object(Bucket=BUCKET, Key="equal")
    assert s3.get_object(Bucket=BUCKET, Key="different")["Body"].read() == b"".join(different)
    assert s3.get_object(Bucket=BUCKET, Key="again")["Body"].read() == b"".join(equal[:2])
    node.kill()
    node.start()
    assert s3_client(node).get_object(Bucket=BUCKET, Key="again")["Body"].read() == b"".join(equal[:2])
