"""s3cmd: put, get, cp, mv, modify, sync, ls, info, del, with multipart uploads, as people configure it for another
endpoint.

Its cp, mv and modify put back the ACL that they read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import clients
from clients import bucket_name
from content import MEBIBYTE, content, tree_digests
from node import ACCESS_KEY, SECRET_KEY, Node

S3cmd = Callable[..., str]

CONFIGURATION = """[default]
access_key = {access_key}
secret_key = {secret_key}
host_base = {address}
host_bucket = {address}
use_https = False
multipart_chunk_size_mb = 5
"""


@pytest.fixture
def s3cmd(node: Node, home: Path) -> S3cmd:
    """Runs s3cmd; its standard output."""
    path = home / "s3cfg"
    path.write_text(CONFIGURATION.format(access_key=ACCESS_KEY, secret_key=SECRET_KEY, address=node.address))
    variables = clients.environment(home)
    # With these it would not read its own configuration.
    del variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]

    def run(*arguments: str | Path) -> str:
        command = ["s3cmd", "--config", path, "--no-progress", *arguments]
        done = clients.run(command, variables)
        assert b"ERROR" not in done.stderr, done.stderr
        return done.stdout.decode()

    return run


def test_a_bucket_from_mb_to_rb(s3cmd: S3cmd) -> None:
    name = bucket_name()
    s3cmd("mb", f"s3://{name}")
    assert f"s3://{name}" in s3cmd("ls")
    s3cmd("rb", f"s3://{name}")
    assert f"s3://{name}" not in s3cmd("ls")


@pytest.mark.parametrize("size", [0, 1000, 17 * MEBIBYTE])
def test_put_and_get(s3cmd: S3cmd, bucket: str, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content("s3cmd", size))
    s3cmd("put", source, f"s3://{bucket}/a b+ü")
    s3cmd("get", f"s3://{bucket}/a b+ü", target)
    assert target.read_bytes() == source.read_bytes()
    assert re.search(rf"\s{size}\s+s3://{bucket}/a b\+ü", s3cmd("ls", f"s3://{bucket}"))


def test_info_reads_every_configuration(s3cmd: S3cmd, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"info")
    s3cmd("put", "--add-header", "x-amz-meta-color: blue", tmp_path / "file", f"s3://{bucket}/k")
    about_bucket, about_object = s3cmd("info", f"s3://{bucket}"), s3cmd("info", f"s3://{bucket}/k")
    assert "Location:  us-east-1" in about_bucket and "CORS:" in about_bucket and "Policy:" in about_bucket
    assert "x-amz-meta-color: blue" in about_object and "File size: 4" in about_object


@pytest.mark.parametrize("size", [1000, 17 * MEBIBYTE])
def test_cp_mv_and_modify(s3cmd: S3cmd, bucket: str, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content("s3cmd", size))
    s3cmd("put", source, f"s3://{bucket}/first")
    s3cmd("cp", f"s3://{bucket}/first", f"s3://{bucket}/second")
    s3cmd("mv", f"s3://{bucket}/second", f"s3://{bucket}/third")
    s3cmd("modify", "--add-header", "x-amz-meta-color: green", f"s3://{bucket}/third")
    keys = re.findall(rf"s3://{bucket}/(\S+)", s3cmd("ls", f"s3://{bucket}"))
    assert keys == ["first", "third"]
    assert "x-amz-meta-color: green" in s3cmd("info", f"s3://{bucket}/third")
    s3cmd("get", f"s3://{bucket}/third", target)
    assert target.read_bytes() == source.read_bytes()


def test_sync_and_del(s3cmd: S3cmd, bucket: str, tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    for number in range(25):
        path = tree / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(str(number), 1 + number * 50))
    back.mkdir()
    s3cmd("sync", f"{tree}/", f"s3://{bucket}/tree/")
    s3cmd("sync", f"s3://{bucket}/tree/", f"{back}/")
    assert tree_digests(back) == tree_digests(tree)
    assert "upload:" not in s3cmd("sync", f"{tree}/", f"s3://{bucket}/tree/")
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
    assert s3cmd("ls", "--recursive", f"s3://{bucket}") == ""


def test_multipart_uploads_are_listed_and_aborted(s3cmd: S3cmd, bucket: str, s3) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="left/over")["UploadId"]
    assert upload in s3cmd("multipart", f"s3://{bucket}")
    s3cmd("abortmp", f"s3://{bucket}/left/over", upload)
    assert upload not in s3cmd("multipart", f"s3://{bucket}")
