"""aws-cli, both versions: the one of the system, and the newest one with today's checksums and conditions."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

import clients
from clients import bucket_name
from content import MEBIBYTE, content, tree_digests
from node import Node


class Aws:
    """aws-cli for one node."""

    def __init__(self, program: Path, node: Node, home: Path) -> None:
        self.command = [program, "--endpoint-url", node.endpoint]
        self.variables = clients.environment(home)
        # Version 1 would presign by signature version 2 for any endpoint but AWS's.
        (home / "aws-config").write_text("[default]\ns3 =\n    signature_version = s3v4\n")

    def __call__(self, *arguments: str | Path, status: int = 0, stdin: bytes = b"") -> str:
        """Runs a command; its standard output."""
        return self.run(*arguments, status=status, stdin=stdin).decode()

    def run(self, *arguments: str | Path, status: int = 0, stdin: bytes = b"") -> bytes:
        """The same, as bytes."""
        return clients.run([*self.command, *arguments], self.variables, status, stdin).stdout


@pytest.fixture(params=["version 1", "version 2"])
def aws(request: pytest.FixtureRequest, node: Node, home: Path) -> Aws:
    """Each aws-cli."""
    program = clients.aws_version_1() if request.param == "version 1" else clients.aws_version_2()
    assert program is not None
    return Aws(program, node, home)


@pytest.fixture
def newest(node: Node, home: Path) -> Aws:
    """The aws-cli that knows conditional writes."""
    return Aws(clients.aws_version_1(), node, home)


def test_a_bucket_from_mb_to_rb(aws: Aws, tmp_path: Path) -> None:
    name = bucket_name()
    assert f"make_bucket: {name}" in aws("s3", "mb", f"s3://{name}")
    assert name in aws("s3", "ls")
    (tmp_path / "file").write_text("x")
    aws("s3", "cp", tmp_path / "file", f"s3://{name}/a/b")
    assert "BucketNotEmpty" not in aws("s3", "rb", f"s3://{name}", "--force")
    assert name not in aws("s3", "ls")


@pytest.mark.parametrize("size", [0, 1000, 20 * MEBIBYTE])
def test_cp_there_and_back(aws: Aws, bucket: str, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content("cp", size))
    aws("s3", "cp", source, f"s3://{bucket}/dir/file with spaces+ü.bin")
    aws("s3", "cp", f"s3://{bucket}/dir/file with spaces+ü.bin", target)
    assert target.read_bytes() == source.read_bytes()
    aws("s3", "cp", f"s3://{bucket}/dir/file with spaces+ü.bin", f"s3://{bucket}/copy")
    aws("s3", "mv", f"s3://{bucket}/copy", tmp_path / "moved")
    assert (tmp_path / "moved").read_bytes() == source.read_bytes()
    listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket))
    assert [(each["Key"], each["Size"]) for each in listed["Contents"]] == [("dir/file with spaces+ü.bin", size)]


def test_cp_from_and_to_a_pipe(aws: Aws, bucket: str) -> None:
    body = content("pipe", 12 * MEBIBYTE)
    aws("s3", "cp", "-", f"s3://{bucket}/piped", stdin=body)
    assert aws.run("s3", "cp", f"s3://{bucket}/piped", "-") == body


def test_sync_ls_and_recursive_rm(aws: Aws, bucket: str, tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    for number in range(60):
        path = tree / f"d{number % 4}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(str(number), number * 100))
    aws("s3", "sync", tree, f"s3://{bucket}/tree")
    assert aws("s3", "sync", tree, f"s3://{bucket}/tree") == "", "a second sync has nothing to do"
    aws("s3", "sync", f"s3://{bucket}/tree", back)
    assert tree_digests(back) == tree_digests(tree)
    (tree / "d1" / "file 1").unlink()
    aws("s3", "sync", "--delete", tree, f"s3://{bucket}/tree")
    listing = aws("s3", "ls", "--recursive", "--summarize", f"s3://{bucket}/")
    assert "Total Objects: 59" in listing
    assert [line.split()[1] for line in aws("s3", "ls", f"s3://{bucket}/tree/").splitlines()] == [
        "d0/",
        "d1/",
        "d2/",
        "d3/",
    ]
    aws("s3", "rm", "--recursive", f"s3://{bucket}/tree")
    assert aws("s3", "ls", f"s3://{bucket}/", status=0) == ""


def test_a_presigned_url_is_fetched(aws: Aws, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"presigned by the cli")
    aws("s3", "cp", tmp_path / "file", f"s3://{bucket}/a b")
    url = aws("s3", "presign", f"s3://{bucket}/a b", "--expires-in", "60").strip()
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == b"presigned by the cli"


def test_conditional_writes(newest: Aws, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"first")
    arguments = ["s3api", "put-object", "--bucket", bucket, "--key", "lock", "--body", str(tmp_path / "file")]
    etag = json.loads(newest(*arguments, "--if-none-match", "*"))["ETag"]
    newest(*arguments, "--if-none-match", "*", status=254 if _is_version_2(newest) else 255)
    newest(*arguments, "--if-match", etag)
    assert json.loads(newest("s3api", "head-object", "--bucket", bucket, "--key", "lock"))["ETag"] == etag


def _is_version_2(aws: Aws) -> bool:
    return aws("--version").startswith("aws-cli/2")


def test_lower_level_commands(aws: Aws, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(content("part", 5 * MEBIBYTE))
    target = ["--bucket", bucket, "--key", "k"]
    upload = json.loads(aws("s3api", "create-multipart-upload", *target))["UploadId"]
    target_of_upload = [*target, "--upload-id", upload]
    part = json.loads(aws("s3api", "upload-part", *target_of_upload, "--part-number", "1", "--body", tmp_path / "part"))
    assert len(json.loads(aws("s3api", "list-parts", *target_of_upload))["Parts"]) == 1
    assert len(json.loads(aws("s3api", "list-multipart-uploads", "--bucket", bucket))["Uploads"]) == 1
    chosen = {name: value for name, value in part.items() if name == "ETag" or name in ("ChecksumCRC32",)}
    parts = json.dumps({"Parts": [chosen | {"PartNumber": 1}]})
    aws("s3api", "complete-multipart-upload", *target_of_upload, "--multipart-upload", parts)
    aws("s3api", "get-object", *target, "--range", "bytes=10-19", tmp_path / "range")
    assert (tmp_path / "range").read_bytes() == content("part", 5 * MEBIBYTE)[10:20]
    aws("s3api", "delete-objects", "--bucket", bucket, "--delete", '{"Objects": [{"Key": "k"}]}')
    aws("s3api", "delete-bucket", "--bucket", bucket)
