"""Objects of a storage class lie in the directory that the class has, and everything says which class they are of."""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import filesystem
from clients import bucket_name, code_of, s3_client
from filesystem import FileSystem, make_image
from node import Node, run_anode
from test_volume_tool import BUCKET, flushed

MakeNode = Callable[..., Node]

MIB = 1 << 20
COLD = "STANDARD_IA"
# Below what stays in memory, above it, and more than one chunk.
SIZES = {"tiny": 100, "middling": 50_000, "large": 3 * MIB + 17}


def content(name: str, length: int) -> bytes:
    """Bytes that only this name has."""
    return random.Random(name).randbytes(length)


def segments(directory: Path) -> list[Path]:
    """The data segments of a directory."""
    return sorted(directory.glob("shard-*/segments/segment-*"))


def holds(directory: Path, needle: bytes) -> bool:
    """Whether a data segment or log of a directory has these bytes."""
    return any(needle in path.read_bytes() for path in directory.glob("shard-*/*/*") if path.is_file())


@pytest.fixture
def cold(make_node: MakeNode) -> Node:
    """A node, not started, with a directory for a storage class: `cold` beside its data."""
    node = make_node()
    node.arguments += ["--data-class", f"{COLD}={node.directory / 'cold'}"]
    return node


def client(node: Node) -> tuple[BaseClient, str]:
    """boto3, and a new bucket."""
    s3 = s3_client(node)
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    return s3, bucket


@pytest.mark.parametrize("encryption", [{}, {"ServerSideEncryption": "AES256"}], ids=["plain", "encrypted"])
def test_objects_of_a_class_lie_in_its_directory(cold: Node, encryption: dict[str, str]) -> None:
    cold.start()
    s3, bucket = client(cold)
    for name, length in SIZES.items():
        body = content(name, length)
        s3.put_object(Bucket=bucket, Key=f"cold/{name}", Body=body, StorageClass=COLD, **encryption)
        s3.put_object(Bucket=bucket, Key=f"warm/{name}", Body=body, **encryption)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="cold/parts", StorageClass=COLD, **encryption)["UploadId"]
    parts = [content(f"part {number}", length) for number, length in ((1, 5 * MIB), (2, 20))]
    tags = [
        s3.upload_part(Bucket=bucket, Key="cold/parts", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    assert s3.list_parts(Bucket=bucket, Key="cold/parts", UploadId=upload)["StorageClass"] == COLD
    named = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(Bucket=bucket, Key="cold/parts", UploadId=upload, MultipartUpload={"Parts": named})
    s3.copy_object(
        Bucket=bucket, Key="cold/copy", CopySource=f"{bucket}/warm/large", StorageClass=COLD, **encryption
    )
    if not encryption:
        for name in SIZES:
            needle = content(name, SIZES[name])[:90]
            assert holds(cold.directory / "cold", needle) and holds(cold.data, needle), name
        assert holds(cold.directory / "cold", parts[1]) and not holds(cold.data, parts[1])

    def look() -> None:
        for name, length in SIZES.items():
            for prefix in ("cold", "warm"):
                assert s3.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read() == content(name, length)
        assert s3.get_object(Bucket=bucket, Key="cold/parts")["Body"].read() == b"".join(parts)
        assert s3.get_object(Bucket=bucket, Key="cold/copy")["Body"].read() == content("large", SIZES["large"])
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        versions = s3.list_object_versions(Bucket=bucket)["Versions"]
        for entry in listed + versions:
            expected = COLD if entry["Key"].startswith("cold/") else "STANDARD"
            assert entry["StorageClass"] == expected, entry["Key"]
            head = s3.head_object(Bucket=bucket, Key=entry["Key"])
            assert head.get("StorageClass", "STANDARD") == expected
            attributes = s3.get_object_attributes(Bucket=bucket, Key=entry["Key"], ObjectAttributes=["StorageClass"])
            assert attributes["StorageClass"] == expected

    look()
    cold.kill()
    cold.start()
    look()


def test_a_class_without_a_directory_is_refused_where_others_have_one(cold: Node, s3: BaseClient, bucket: str) -> None:
    cold.start()
    other, own = client(cold)
    put = {"Bucket": own, "Key": "key", "Body": b"x"}
    for name in ("GLACIER_IR", "GLACIER", "made-up"):
        assert code_of(other.put_object, StorageClass=name, **put) == "InvalidStorageClass"
        upload = {"Bucket": own, "Key": "key", "StorageClass": name}
        assert code_of(other.create_multipart_upload, **upload) == "InvalidStorageClass"
    for name in ("STANDARD", "REDUCED_REDUNDANCY"):
        other.put_object(StorageClass=name, **put)
        assert other.head_object(Bucket=own, Key="key").get("StorageClass", "STANDARD") == name
    # Where none has one it is a name that the object keeps.
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", StorageClass="GLACIER_IR")
    assert s3.head_object(Bucket=bucket, Key="key")["StorageClass"] == "GLACIER_IR"


def fails(node: Node, *arguments: str) -> str:
    """What a start says that is refused."""
    serve = ["serve", "--data", str(node.data), "--listen", "127.0.0.1:0"]
    done = run_anode(*serve, *arguments, environment=node.environment)
    assert done.returncode != 0, done.stdout
    return done.stderr + done.stdout


def test_directories_that_are_not_that_of_the_class_are_refused(cold: Node, make_node: MakeNode) -> None:
    cold.start()
    s3, bucket = client(cold)
    s3.put_object(Bucket=bucket, Key="key", Body=content("key", 50_000), StorageClass=COLD)
    assert cold.stop() == 0
    directory = cold.directory / "cold"
    assert "--data-class" in fails(cold)
    empty = cold.directory / "empty"
    assert "is empty" in fails(cold, "--data-class", f"{COLD}={empty}")
    assert f"is the directory of storage class {COLD}" in fails(cold, "--data-class", f"GLACIER_IR={directory}")
    assert "GLACIER is no storage class" in fails(cold, "--data-class", f"GLACIER={empty}")
    stranger = make_node()
    assert "of another node" in fails_at_start(stranger, f"{COLD}={directory}")
    as_volume = fails(cold, "--data", str(directory), "--data-class", f"GLACIER_IR={empty}")
    assert "is the directory of storage class" in as_volume
    cold.start()
    assert s3_client(cold).get_object(Bucket=bucket, Key="key")["Body"].read() == content("key", 50_000)


def fails_at_start(node: Node, directory: str) -> str:
    """The same of a node that has its own data."""
    node.start()
    assert node.stop() == 0
    return fails(node, "--data-class", directory)


def check(node: Node, *arguments: str) -> tuple[int, dict[str, object]]:
    """`anode volume check`."""
    done = run_anode("volume", "check", "--data", str(node.data), *arguments, "--json")
    return done.returncode, json.loads(done.stdout) if done.stdout else {"refused": done.stderr}


def test_the_volume_tool_finds_and_takes_out_damage_in_the_directory_of_a_class(cold: Node) -> None:
    cold.arguments += ["--memory", "256MiB"]
    cold.start()
    s3, bucket = client(cold)
    s3.create_bucket(Bucket=BUCKET)
    for name in ("whole", "hit"):
        s3.put_object(Bucket=bucket, Key=name, Body=content(name, 200_000), StorageClass=COLD)
    flushed(cold, s3)
    assert cold.stop() == 0
    directory = cold.directory / "cold"
    named = ["--data-class", f"{COLD}={directory}"]
    assert check(cold, *named)[0] == 0
    needle = content("hit", 200_000)[100_000:100_100]
    for path in segments(directory):
        found = path.read_bytes().find(needle)
        if found >= 0:
            with path.open("r+b") as file:
                file.seek(found)
                file.write(b"damage")
    code, report = check(cold, *named)
    assert code == 1 and "hit" in json.dumps(report) and "whole" not in json.dumps(report)
    code, report = check(cold, *named, "--set-aside")
    assert code == 1, report
    assert check(cold, *named)[0] == 0
    cold.start()
    s3 = s3_client(cold)
    assert s3.get_object(Bucket=bucket, Key="whole")["Body"].read() == content("whole", 200_000)
    assert code_of(s3.get_object, Bucket=bucket, Key="hit") == "NoSuchKey"
    assert cold.stop() == 0
    shown = run_anode("volume", "inspect", "--data", str(cold.data), *named, "segments").stdout
    assert f"storage class {COLD}" in shown
    code, report = check(cold)
    assert code == 2 and "--data-class" in str(report)


@pytest.fixture(params=filesystem.KINDS)
def apart(request: pytest.FixtureRequest, make_node: MakeNode) -> Iterator[tuple[Node, FileSystem]]:
    """A node, not started, whose class has a file system of its own."""
    filesystem.require()
    node = make_node()
    node.directory.mkdir(parents=True)
    directory = node.directory / "cold"
    node.arguments += ["--data-class", f"{COLD}={directory}"]
    system = FileSystem(request.param, make_image(node.directory / "image", 1 << 30), directory)
    try:
        system.make()
        system.mount()
        yield node, system
    finally:
        if node.is_running():
            node.kill()
        system.remove()


def test_a_failed_directory_of_a_class_hits_nothing_else(apart: tuple[Node, FileSystem]) -> None:
    node, system = apart
    node.start()
    s3, bucket = client(node)
    kept = {f"kept {number}": content(f"kept {number}", 50_000) for number in range(20)}
    for key, body in kept.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, StorageClass=COLD)
    system.cut_power()
    lost = [
        code_of(s3.put_object, Bucket=bucket, Key=f"lost {number}", Body=b"x" * 50_000, StorageClass=COLD)
        for number in range(40)
    ]
    assert set(lost) == {"ServiceUnavailable"}, lost
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"warm {number}", Body=content(f"warm {number}", 50_000))
    for number in range(20):
        body = s3.get_object(Bucket=bucket, Key=f"warm {number}")["Body"].read()
        assert body == content(f"warm {number}", 50_000)
    assert "the directory of a storage class has failed" in node.log()
    node.kill()
    system.unmount()
    system.mount()
    node.start()
    s3 = s3_client(node)
    for key, body in kept.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    s3.put_object(Bucket=bucket, Key="again", Body=b"x" * 50_000, StorageClass=COLD)


def test_a_full_directory_of_a_class_refuses_and_takes_again_what_deletes_made_room_for(make_node: MakeNode) -> None:
    filesystem.require()
    node = make_node()
    node.directory.mkdir(parents=True)
    directory = node.directory / "cold"
    node.arguments += ["--data-class", f"{COLD}={directory}"]
    system = FileSystem("ext4", make_image(node.directory / "image", 2 << 30), directory)
    try:
        system.make()
        system.mount()
        node.start()
        s3, bucket = client(node)
        count = 0
        while count < 400:
            body = content(str(count), 8 * MIB)
            refused = put(s3, bucket, str(count), body)
            if refused:
                break
            count += 1
        assert refused == "InsufficientStorage" and count > 50, (refused, count)
        s3.put_object(Bucket=bucket, Key="warm", Body=content("warm", 8 * MIB))
        for number in range(count):
            s3.delete_object(Bucket=bucket, Key=str(number))
        os.sync()
        wait_until_taken(s3, bucket)
    finally:
        if node.is_running():
            node.kill()
        system.remove()
        shutil.rmtree(node.directory, ignore_errors=True)


def put(s3: BaseClient, bucket: str, key: str, body: bytes) -> str:
    """Puts an object of the class; the code of the error where it is refused."""
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body, StorageClass=COLD)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def wait_until_taken(s3: BaseClient, bucket: str) -> None:
    """Puts until one is taken; the test's own limit of time ends it else."""
    for number in range(10_000):
        body = content(f"again {number}", 8 * MIB)
        if not put(s3, bucket, "again", body):
            return
    pytest.fail("no space came back")


RULE = {"ID": "move", "Status": "Enabled", "Filter": {"ObjectSizeGreaterThan": 0}}
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def transition(**more: object) -> dict[str, object]:
    """A lifecycle configuration that moves everything of before today."""
    rule = RULE | {"Transitions": [{"Date": LONG_AGO, "StorageClass": COLD}]} | more
    return {"Rules": [rule]}


def moved(node: Node) -> float:
    """How many objects lifecycle has moved."""
    return sum(node.figures("anode_lifecycle_moved_objects_total"))


def wait_for_moves(node: Node, count: int) -> None:
    """Waits until lifecycle has moved so many."""
    deadline = time.monotonic() + 60
    while moved(node) < count:
        assert time.monotonic() < deadline, f"{moved(node)} of {count} were moved"
        time.sleep(0.1)


def test_what_expires_does_not_wait_for_a_class_that_takes_nothing(apart: tuple[Node, FileSystem]) -> None:
    node, system = apart
    node.arguments += ["--lifecycle-period", "1s"]
    node.start()
    s3, bucket = client(node)
    for number in range(16):
        for kind in ("moves", "goes"):
            s3.put_object(Bucket=bucket, Key=f"{kind}/{number}", Body=content(str(number), 50_000))
    system.cut_power()
    expires = {"ID": "go", "Status": "Enabled", "Filter": {"Prefix": "goes/"}, "Expiration": {"Date": LONG_AGO}}
    small_too = {"And": {"Prefix": "moves/", "ObjectSizeGreaterThan": 0}}
    moves = RULE | {"Transitions": [{"Date": LONG_AGO, "StorageClass": COLD}], "Filter": small_too}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [moves, expires]})
    deadline = time.monotonic() + 60
    while s3.list_objects_v2(Bucket=bucket, Prefix="goes/")["KeyCount"]:
        assert time.monotonic() < deadline, node.log_tail()
        time.sleep(0.1)
    for number in range(16):
        found = s3.get_object(Bucket=bucket, Key=f"moves/{number}")
        assert found["Body"].read() == content(str(number), 50_000) and "StorageClass" not in found
    assert moved(node) == 0 and "nothing more goes to a storage class" in node.log()


@pytest.mark.parametrize("encryption", [{}, {"ServerSideEncryption": "AES256"}], ids=["plain", "encrypted"])
def test_lifecycle_moves_bytes_and_nothing_else_changes(cold: Node, encryption: dict[str, str]) -> None:
    cold.arguments += ["--lifecycle-period", "1s"]
    cold.start()
    s3, bucket = client(cold)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for name, length in SIZES.items():
        s3.put_object(
            Bucket=bucket, Key=name, Body=content(name, length), Tagging="a=b", Metadata={"c": "d"}, **encryption
        )
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **encryption)["UploadId"]
    parts = [content(f"part {number}", length) for number, length in ((1, 5 * MIB), (2, 5 * MIB + 3), (3, 70_000))]
    named = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": named})
    keys = [*SIZES, "empty", "parts"]
    told = ("ETag", "LastModified", "VersionId", "ContentLength", "Metadata", "ServerSideEncryption")

    def said(key: str) -> list[object]:
        head = s3.head_object(Bucket=bucket, Key=key)
        return [head.get(name) for name in told] + [s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]]

    before = {key: said(key) for key in keys}
    stream = s3.get_object(Bucket=bucket, Key="parts")["Body"]
    begun = stream.read(1000)
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration=transition(Filter={"ObjectSizeLessThan": 1 << 40})
    )
    wait_for_moves(cold, len(keys))
    assert begun + stream.read() == b"".join(parts), "a reader of before goes on"

    def look() -> None:
        for key in keys:
            assert s3.head_object(Bucket=bucket, Key=key)["StorageClass"] == COLD, key
            assert said(key) == before[key]
        for name, length in SIZES.items():
            assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == content(name, length)
        for number, part in enumerate(parts, 1):
            assert s3.get_object(Bucket=bucket, Key="parts", PartNumber=number)["Body"].read() == part
        assert {entry["StorageClass"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {COLD}

    look()
    if not encryption:
        assert holds(cold.directory / "cold", parts[2]) and holds(cold.directory / "cold", content("tiny", 100))
    cold.kill()
    cold.start()
    look()
    assert moved(cold) == 0, "what is there already isn't moved again"


def test_noncurrent_versions_move_and_the_current_one_stays(cold: Node) -> None:
    cold.arguments += ["--lifecycle-period", "1s"]
    cold.start()
    s3, bucket = client(cold)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [
        s3.put_object(Bucket=bucket, Key="key", Body=content(str(number), 200_000))["VersionId"] for number in range(3)
    ]
    cold_ir = {"NoncurrentDays": 0, "StorageClass": "INTELLIGENT_TIERING"}
    rule = RULE | {"NoncurrentVersionTransitions": [cold_ir]}
    asked = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [rule]}}
    assert code_of(s3.put_bucket_lifecycle_configuration, **asked) == "InvalidStorageClass"
    assert cold.stop() == 0
    cold.arguments += ["--data-class", f"INTELLIGENT_TIERING={cold.directory / 'tiered'}"]
    cold.start()
    s3 = s3_client(cold)
    s3.put_bucket_lifecycle_configuration(**asked)
    wait_for_moves(cold, 2)
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    classes = {entry["VersionId"]: entry["StorageClass"] for entry in listed}
    assert [classes[version] for version in versions] == ["INTELLIGENT_TIERING"] * 2 + ["STANDARD"]
    for number, version in enumerate(versions):
        body = s3.get_object(Bucket=bucket, Key="key", VersionId=version)["Body"].read()
        assert body == content(str(number), 200_000)


def test_what_is_written_while_it_is_moved_is_never_lost(cold: Node) -> None:
    cold.arguments += ["--lifecycle-period", "1s"]
    cold.start()
    s3, bucket = client(cold)
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=transition())
    for number in range(60):
        for key in range(3):
            body = content(f"{key} {number}", 300_000)
            s3.put_object(Bucket=bucket, Key=str(key), Body=body)
            assert s3.get_object(Bucket=bucket, Key=str(key))["Body"].read() == body
        time.sleep(0.05)
    wait_for_moves(cold, 3)
    for key in range(3):
        assert s3.get_object(Bucket=bucket, Key=str(key))["Body"].read() == content(f"{key} 59", 300_000)
