"""rclone: a tree of 2,000 files is synced there and back and is the same, by rclone's own check and byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

import clients
from content import MEBIBYTE, content, tree_digests
from node import Node

FILE_COUNT = 2000
# Small parts, so that the large files are uploaded in several.
OPTIONS = ["--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", "--transfers", "8", "--checkers", "8", "--retries", "1"]
STRANGE_NAMES = [
    "a b",
    "a+b",
    "a%20b",
    "ü/日本語",
    "😀",
    "#hash",
    "q?uestion",
    "&amp;",
    "trailing.",
    "=x=",
    "tilde~",
    "(1)",
    "'q'",
]


def make_tree(root: Path) -> None:
    """Files of many sizes in many directories, some with names that need escaping."""
    sizes = [0, 1, 100, 4096, 5000, 33_000]
    names = [
        f"dir{number % 40:02}/sub{number % 7}/file{number:04}" for number in range(FILE_COUNT - len(STRANGE_NAMES) - 2)
    ]
    for number, name in enumerate([*names, *STRANGE_NAMES]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(name, sizes[number % len(sizes)]))
    (root / "large").write_bytes(content("large", 11 * MEBIBYTE))
    (root / "exactly").write_bytes(content("exactly", 10 * MEBIBYTE))


@pytest.fixture
def rclone(node: Node, home: Path):
    """Runs rclone; its standard output."""
    variables = clients.rclone_environment(node, home)

    def run(*arguments: str | Path) -> str:
        return clients.run(["rclone", *arguments, *OPTIONS], variables).stdout.decode()

    return run


def test_a_tree_there_and_back(rclone, bucket: str, tmp_path: Path) -> None:
    source, target, remote = tmp_path / "source", tmp_path / "target", f"anode:{bucket}/tree"
    make_tree(source)
    expected = tree_digests(source)
    assert len(expected) == FILE_COUNT
    rclone("sync", source, remote)
    rclone("check", source, remote)
    rclone("check", "--download", source / "dir01", f"{remote}/dir01")
    rclone("sync", remote, target)
    assert tree_digests(target) == expected
    assert rclone("lsf", "--recursive", "--files-only", remote).count("\n") == FILE_COUNT

    (source / "dir02" / "sub0").rename(source / "renamed")
    (source / "large").write_bytes(content("changed", 11 * MEBIBYTE))
    rclone("sync", source, remote)
    rclone("check", source, remote)
    rclone("copy", f"{remote}/renamed", f"anode:{bucket}/server-side")
    rclone("check", source / "renamed", f"anode:{bucket}/server-side")
    rclone("purge", f"anode:{bucket}/tree")
    assert rclone("lsf", f"anode:{bucket}") == "server-side/\n"


def test_streams_and_single_objects(rclone, bucket: str, node: Node, home: Path) -> None:
    body = content("stream", 7 * MEBIBYTE)
    variables = clients.rclone_environment(node, home)
    clients.run(["rclone", "rcat", f"anode:{bucket}/stream", *OPTIONS], variables, stdin=body)
    assert clients.run(["rclone", "cat", f"anode:{bucket}/stream"], variables).stdout == body
    ranged = clients.run(["rclone", "cat", "--offset", "1000", "--count", "10", f"anode:{bucket}/stream"], variables)
    assert ranged.stdout == body[1000:1010]
    assert rclone("size", f"anode:{bucket}").splitlines()[0] == "Total objects: 1 (1)"
