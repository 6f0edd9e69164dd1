"""SSE-KMS with keys of a service outside the node: asked as AWS KMS is, its refusals passed on, its keys kept nowhere."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.client import BaseClient

import kms
from clients import bucket_name, code_of, s3_client
from content import content
from kms import ARN, KeyService
from node import Node, run_anode

MINE = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "mine"}


@dataclass
class World:
    node: Node
    service: KeyService
    s3: BaseClient


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[World]:
    # A module's fixture may be made twice, where its tests are mixed with those of others.
    directory = Path(tempfile.mkdtemp(prefix="kms-", dir=workspace))
    credentials, keys = directory / "credentials", directory / "keys"
    credentials.write_text(f"{kms.ACCESS_KEY}\n{kms.SECRET_KEY}\n")
    keys.write_text(f"local {base64.b64encode(b'1' * 32).decode()}\n")
    with KeyService() as service:
        settings = ["--kms-endpoint", service.url, "--kms-region", kms.REGION, "--kms-key", "default-key"]
        settings += ["--kms-credentials-file", str(credentials), "--master-key-file", str(keys)]
        node = Node(directory / "key-service", [*settings, "--log", "anode=debug"])
        node.start()
        yield World(node, service, s3_client(node))
        log = node.log()
        for key in service.made:
            assert base64.b64encode(key).decode() not in log and key.hex() not in log
        assert kms.SECRET_KEY not in log
        assert node.stop() == 0, node.log_tail()
        assert "panicked" not in log


@pytest.fixture
def bucket(world: World) -> str:
    name = bucket_name()
    world.s3.create_bucket(Bucket=name)
    world.service.calls.clear()
    return name


def test_each_object_has_a_key_of_the_service(world: World, bucket: str) -> None:
    s3, service = world.s3, world.service
    for size in (0, 7, 100_000, 3_000_000):
        service.calls.clear()
        name, body = {"Bucket": bucket, "Key": f"a/{size}"}, content("kms", size)
        arn = f"arn:aws:s3:::{bucket}/a/{size}"
        stored = s3.put_object(**name, Body=body, **MINE)
        assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", f"{ARN}mine")
        found = s3.get_object(**name)
        assert found["Body"].read() == body and found["SSEKMSKeyId"] == f"{ARN}mine"
        asked = [(action, one["EncryptionContext"]) for action, one in service.calls]
        assert asked == [("GenerateDataKey", {"aws:s3:arn": arn}), ("Decrypt", {"aws:s3:arn": arn})]
        assert s3.head_object(**name)["SSEKMSKeyId"] == f"{ARN}mine" and len(service.calls) == 2
    assert len(set(service.made)) == len(service.made)
    context = base64.b64encode(json.dumps({"who": "me"}).encode()).decode()
    s3.put_object(Bucket=bucket, Key="c", Body=b"x", SSEKMSEncryptionContext=context, **MINE)
    assert service.calls[-1][1]["EncryptionContext"] == {"who": "me", "aws:s3:arn": f"arn:aws:s3:::{bucket}/c"}
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"x"


def test_copies_parts_and_defaults_have_keys_of_their_own(world: World, bucket: str) -> None:
    s3, service, large = world.s3, world.service, content("kms", 5 << 20)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    upload = {"Bucket": bucket, "Key": "u"}
    upload |= {"UploadId": s3.create_multipart_upload(**upload)["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, large), (2, b"end"))
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert [one["KeyId"] for action, one in service.calls if action == "GenerateDataKey"] == ["default-key"]
    ranged = s3.get_object(Bucket=bucket, Key="u", Range=f"bytes={len(large) - 1}-{len(large) + 1}")
    assert ranged["Body"].read() == large[-1:] + b"en"
    for key, how in (("copy", MINE), ("local", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "local"})):
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "u"}, **how)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == large + b"end"
    service.calls.clear()
    # The file's own keys, and those of SSE-S3, need no service.
    s3.get_object(Bucket=bucket, Key="local")["Body"].read()
    s3.put_object(Bucket=bucket, Key="s3", Body=b"x", ServerSideEncryption="AES256")
    assert service.calls == []


def test_refusals_of_the_service_are_passed_on(world: World, bucket: str) -> None:
    s3, service = world.s3, world.service
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **MINE)
    unknown = MINE | {"SSEKMSKeyId": "nobody"}
    assert code_of(s3.put_object, Bucket=bucket, Key="n", Body=b"x", **unknown) == "KMS.NotFoundException"
    for fault, code in (
        ("DisabledException", "KMS.DisabledException"),
        ("KMSInvalidStateException", "KMS.KMSInvalidStateException"),
        ("AccessDeniedException", "AccessDenied"),
        ("InvalidCiphertextException", "ServiceUnavailable"),
    ):
        service.status["mine"] = fault
        assert code_of(s3.get_object, Bucket=bucket, Key="k") == code
        assert code_of(s3.put_object, Bucket=bucket, Key="n", Body=b"x", **MINE) == code
    service.status.clear()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert code_of(s3.get_object, Bucket=bucket, Key="n") == "NoSuchKey"


def test_a_service_that_is_not_well_is_asked_again_in_bounds(world: World, bucket: str) -> None:
    s3, service = world.s3, world.service
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **MINE)
    busy = (400, {"__type": "ThrottlingException"})
    for fault in (busy, (500, {"__type": "KMSInternalException"}), (0, {}), (200, {"KeyId": "x"})):
        service.calls.clear()
        service.faults = [fault]
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x", fault
        assert len(service.calls) <= 2
    service.calls.clear()
    service.faults = [busy] * 10
    assert code_of(s3.get_object, Bucket=bucket, Key="k") == "ServiceUnavailable"
    assert len(service.calls) == 3
    service.faults = []
    # What is refused isn't asked again.
    service.calls.clear()
    assert code_of(s3.put_object, Bucket=bucket, Key="n", Body=b"x", **(MINE | {"SSEKMSKeyId": "nobody"}))
    assert len(service.calls) == 1


def test_objects_outlive_a_kill_and_say_where_their_keys_are(world: World, bucket: str, make_node: Callable[..., Node]) -> None:
    world.s3.put_object(Bucket=bucket, Key="k", Body=b"x", **MINE)
    world.node.kill()
    world.node.start()
    assert world.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    arguments = world.node.arguments
    world.node.stop()
    at = arguments.index("--kms-endpoint")
    world.node.arguments = arguments[:at] + arguments[at + 8 :]
    world.node.start()
    assert code_of(world.s3.get_object, Bucket=bucket, Key="k") == "KMS.NotFoundException"
    assert world.s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 1
    world.node.stop()
    world.node.arguments = arguments
    world.node.start()
    assert world.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["--kms-endpoint", "http://kms.example.com", "--kms-credentials-file", "f"], "https://"),
        (["--kms-endpoint", "https://kms.example.com"], "--kms-credentials-file"),
        (["--kms-key", "k"], "--kms-endpoint"),
        (["--kms-endpoint", "https://kms.example.com", "--kms-credentials-file", "/none"], "/none"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, settings: list[str], says: str) -> None:
    checked = run_anode("config", "check", "--data", str(tmp_path), *settings)
    assert checked.returncode != 0 and says in checked.stderr + checked.stdout
