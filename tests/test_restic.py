"""restic: this repository is backed up, changed, backed up again, checked with all its data and restored the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import clients
from content import MEBIBYTE, content, tree_digests
from node import ROOT, Node

LEFT_OUT = shutil.ignore_patterns("target", "data", ".tools", "node_modules", "__pycache__", "*.lock")


@pytest.fixture
def restic(node: Node, home: Path, bucket: str, tmp_path: Path):
    """Runs restic on a repository in the bucket."""
    variables = clients.environment(home) | {
        "RESTIC_REPOSITORY": f"s3:{node.endpoint}/{bucket}/backup",
        "RESTIC_PASSWORD": "a password for a test",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    return lambda *arguments: clients.run(["restic", *arguments], variables).stdout.decode()


def test_back_up_check_and_restore(restic, tmp_path: Path) -> None:
    source = tmp_path / "repository"
    # A copy, since the repository itself may change while it is tested.
    shutil.copytree(ROOT, source, ignore=LEFT_OUT, symlinks=True)
    (source / "large").write_bytes(content("restic", 30 * MEBIBYTE))
    restic("init")
    restic("backup", str(source))
    first = tree_digests(source)

    (source / "large").write_bytes(content("restic", 31 * MEBIBYTE))
    (source / "README.md").unlink(missing_ok=True)
    restic("backup", str(source))
    second = tree_digests(source)
    restic("check", "--read-data")

    restic("restore", "latest", "--target", str(tmp_path / "restored"))
    assert tree_digests(tmp_path / "restored" / source.relative_to("/")) == second
    oldest = restic("snapshots", "--compact", "--path", str(source)).split("\n")[2].split()[0]
    restic("restore", oldest, "--target", str(tmp_path / "oldest"))
    assert tree_digests(tmp_path / "oldest" / source.relative_to("/")) == first

    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
