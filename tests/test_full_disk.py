"""A file system that runs full: writes are refused in time, deletes go on and bring the space back, nothing is lost.

Two ways to fill it: by objects alone, up to the refusal; and by another program, whose file takes every byte that is
left, also while the node is down. One shard's margins are made for file systems of gigabytes: this one has just enough.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator

import pytest

import filesystem
import wire
from content import MEBIBYTE, content
from filesystem import FileSystem, make_image
from node import Node
from signing import Request, Signer
from writers import BUCKET, create_bucket

IMAGE_BYTES = 1 << 30
LARGE_BYTES = MEBIBYTE + 77
SMALL_BYTES = 20_000
# Per large object: so both kinds are a good part of what is stored.
SMALL_COUNT = 8
OBJECTS_MAX = 20_000
SPACE_SECONDS = 90.0
SEGMENT_BYTES = 64 * MEBIBYTE
# Where space is short, segments are rewritten that are less than this live.
LIVE_SHARE = 0.9
TIDY_FIGURES = (
    "anode_space_short",
    "anode_pending_delete_bytes",
    "anode_index_tombstones",
    "anode_segment_held_bytes",
    "anode_segment_needed_bytes",
)
SAMPLE_EVERY = 7

MakeNode = Callable[..., Node]


@pytest.fixture(params=filesystem.KINDS)
def node(request: pytest.FixtureRequest, make_node: MakeNode) -> Iterator[Node]:
    """A node that serves from a small file system of its own."""
    filesystem.require()
    node = make_node()
    files = FileSystem(request.param, make_image(node.directory / "image", IMAGE_BYTES), node.data)
    try:
        files.make()
        files.mount()
        node.start()
        create_bucket(node)
        yield node
    finally:
        if node.is_running():
            node.kill()
        files.remove()


class Client:
    """Puts, gets and deletes objects whose content is that of their keys."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.signer = Signer(node.address)
        self.sizes: dict[str, int] = {}
        self.number = 0

    def ask(self, request: Request) -> wire.Response:
        """One request on a connection of its own: the node may have been started again."""
        return wire.exchange(self.node.port, self.signer.sign(request))

    def put(self, size: int) -> bool:
        """Puts the next object; false where it is refused for want of space, and by nothing else."""
        key = f"object-{self.number:06}"
        answer = self.ask(Request("PUT", f"/{BUCKET}/{key}", body=content(key, size)))
        if answer.status != 200:
            assert answer.refusal == (507, "InsufficientStorage"), answer
            return False
        self.sizes[key] = size
        self.number += 1
        return True

    def fill(self) -> None:
        """Puts large and small objects until either is refused."""
        for number in range(OBJECTS_MAX):
            if not self.put(LARGE_BYTES if number % (SMALL_COUNT + 1) == 0 else SMALL_BYTES):
                return
        raise AssertionError(f"{self.number} objects fit into {IMAGE_BYTES} bytes")

    def delete(self, every: int) -> None:
        """Deletes the keys whose number is not a multiple, so that no segment goes by itself."""
        for key in list(self.sizes):
            if int(key[-6:]) % every:
                answer = self.ask(Request("DELETE", f"/{BUCKET}/{key}"))
                assert answer.status == 204, answer
                del self.sizes[key]

    def wait_for_space(self) -> None:
        """Waits until a put is taken, what was deleted is gone, and most of what is kept is needed."""
        deadline = time.monotonic() + SPACE_SECONDS
        while not (self.put(LARGE_BYTES) and self.is_tidy()):
            assert time.monotonic() < deadline, f"no space came back:\n{self.node.log_tail()}"
            time.sleep(0.5)

    def is_tidy(self) -> bool:
        """Whether every shard takes writes, nothing waits for reclaim, and none holds more than it needs and two segments.

        What it needs leaves out what the memtable's tombstones let go of: what is live doesn't, until they are flushed.
        """
        short, pending, tombstones, held, needed = map(self.node.figures, TIDY_FIGURES)
        allowed = [needed_bytes / LIVE_SHARE + 2 * SEGMENT_BYTES for needed_bytes in needed]
        return not any(short + pending + tombstones) and all(map(float.__le__, held, allowed))

    def check(self) -> None:
        """Some objects are what they were, and what was deleted is gone."""
        for number in range(0, self.number, SAMPLE_EVERY):
            key = f"object-{number:06}"
            answer = self.ask(Request("GET", f"/{BUCKET}/{key}"))
            if key in self.sizes:
                assert answer.status == 200 and answer.body == content(key, self.sizes[key]), key
            else:
                assert answer.refusal == (404, "NoSuchKey"), answer


def take_all(node: Node) -> None:
    """Another program's file, that takes what is left."""
    with open(node.data / "another-program", "ab", buffering=0) as file:
        piece = bytes(MEBIBYTE)
        while True:
            try:
                file.write(piece)
                os.fdatasync(file)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                if len(piece) == 4096:
                    return
                piece = piece[: max(4096, len(piece) // 16)]


def test_deleted_objects_make_room_again_and_again(node: Node) -> None:
    client = Client(node)
    deleted = 0
    for _round in range(3):
        before = client.number
        client.fill()
        # The rest is in segments that are partly live.
        assert client.number - before > deleted / 2, (client.number - before, deleted)
        assert "the data directory is nearly full" in node.log(), node.log_tail()
        client.check()
        held = len(client.sizes)
        client.delete(every=4)
        deleted = held - len(client.sizes)
        client.wait_for_space()
    assert "the data directory has space again" in node.log(), node.log_tail()
    client.check()
    assert node.stop() == 0, node.log_tail()


def test_a_disk_that_another_program_filled_serves_deletes_also_after_a_start(node: Node) -> None:
    client = Client(node)
    client.fill()
    take_all(node)
    assert not client.put(LARGE_BYTES) and not client.put(SMALL_BYTES)
    client.check()
    node.kill()
    node.start()
    client.check()
    assert not client.put(SMALL_BYTES)
    client.delete(every=10)
    client.wait_for_space()
    client.check()
    # Removing what is not ours works, too.
    (node.data / "another-program").unlink()
    take_all(node)
    assert not client.put(SMALL_BYTES)
    (node.data / "another-program").unlink()
    client.wait_for_space()
    client.check()
    assert node.stop() == 0, node.log_tail()
