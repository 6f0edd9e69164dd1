"""Bytes for objects: reproducible from a name, not compressible, never equal for two names."""

from __future__ import annotations

import hashlib
from pathlib import Path

MEBIBYTE = 1 << 20


def content(name: str, size: int) -> bytes:
    """`size` bytes that belong to `name`."""
    return hashlib.shake_128(name.encode()).digest(size)


def tree_digests(root: Path) -> dict[str, str]:
    """Every file below `root` by its relative path, with the SHA-256 of its content."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
