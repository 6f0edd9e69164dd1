"""A disk that fails, forgets or lies, below ext4 and XFS: never wrong bytes, and nothing acknowledged is lost.

The faults are `faulty_device.py`'s, aimed by what is read or written: bytes of an object, or the magic of a kind of file.

- Reads that fail, bits that flip, writes of objects that were acknowledged and dropped: the objects hit are refused and
  named in the log, all others are served, and the node stays up.
- A write or flush that fails once: the node ends and says at which file, instead of trying it again, which would
  succeed. From the sound device it recovers all that it acknowledged.
- Writes of the node's own files that were acknowledged and dropped: the next start is refused, with the file.

ANODE_TEST_SEED says which of the writes it is.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

import filesystem
import wire
from content import MEBIBYTE, content
from faulty_device import FaultyDevice
from filesystem import FileSystem, make_image
from node import Node
from signing import UNSIGNED, Request, Signer
from writers import (
    BUCKET,
    LargeWriter,
    Ledger,
    MultipartWriter,
    SmallWriter,
    Writer,
    check,
    check_listing,
    create_bucket,
    join_writers,
    listed_keys,
)

SEED = int(os.environ.get("ANODE_TEST_SEED", "5"))
FILL_BYTES = 30_000
FILL_ROUND = 200
FILL_ROUNDS_MAX = 20
# Writes before the fault.
WRITTEN_BEFORE = 20
# A failure ends the node long before.
END_SECONDS = 30.0

MakeNode = Callable[..., Node]


class Volume:
    """A file system on a faulty device, as the data directory of a node."""

    def __init__(self, kind: str, node: Node) -> None:
        self.device = FaultyDevice(make_image(node.directory / "image"), node.directory / "device")
        self.files = FileSystem(kind, self.device.path, node.data)

    def renew(self) -> None:
        """A sound device, and a file system that has replayed its log. The node is gone."""
        self.files.unmount()
        self.device.heal()
        self.files.mount()

    def close(self) -> None:
        """Ends everything."""
        self.files.remove()
        self.device.close()


@pytest.fixture(params=filesystem.KINDS)
def faulty(request: pytest.FixtureRequest, make_node: MakeNode) -> Iterator[tuple[Node, Volume]]:
    """A node, not started, whose data directory is on a faulty device."""
    filesystem.require()
    print(f"replay with ANODE_TEST_SEED={SEED}")
    # With this memory a shard flushes its index after 16 MiB of small objects. Scrub reads what nobody asked for: a
    # fault would strike there.
    node = make_node("--memory", "256MiB", "--scrub-period", "off")
    node.directory.mkdir(parents=True)
    volume = Volume(request.param, node)
    try:
        volume.files.make()
        volume.files.mount()
        yield node, volume
        assert "panicked" not in node.log(), node.log_tail()
    finally:
        if node.is_running():
            node.kill()
        volume.close()


@dataclass(frozen=True)
class Victim:
    """An object with a mark, which is in no other one: what a fault is aimed at."""

    key: str
    size: int
    mark_at: int

    @property
    def mark(self) -> bytes:
        """Short, so that one of its repetitions is within a sector."""
        return content(f"mark of {self.key}", 16)

    @property
    def body(self) -> bytes:
        """The mark is there a few times, one behind the other."""
        body = content(self.key, self.size)
        marks = self.mark * 4
        return body[: self.mark_at] + marks + body[self.mark_at + len(marks) :]


# The mark is in the second chunk; it is on no sector of a neighbour.
LARGE = Victim("victim/large", 3 * MEBIBYTE + 17, MEBIBYTE + 300_000)
SMALL = Victim("victim/small", FILL_BYTES, FILL_BYTES // 2)
VICTIMS = (LARGE, SMALL)


class Client:
    """One who reads and writes objects, a connection each."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.signer = Signer(node.address)

    def send(self, method: str, key: str, body: bytes = b"", **headers: str) -> wire.Response:
        """Sends one request and reads the answer."""
        request = Request(method, f"/{BUCKET}/{key}", headers=headers, body=body)
        return wire.exchange(self.node.port, self.signer.sign(request, UNSIGNED))

    def put(self, key: str, body: bytes) -> None:
        """Puts an object."""
        answer = self.send("PUT", key, body)
        assert answer.status == 200, answer

    def count_served(self, objects: dict[str, bytes]) -> int:
        """How many objects are served; all others are refused as damaged, and none has wrong bytes."""
        served = 0
        with wire.Connection(self.node.port) as connection:
            for key, body in objects.items():
                answer = connection.exchange(self.signer.sign(Request("GET", f"/{BUCKET}/{key}")))
                assert answer.refusal == (500, "InternalError") or answer.body == body, (key, answer.status)
                served += answer.status == 200
        return served

    def check_served(self, objects: dict[str, bytes]) -> None:
        """Holds objects to their bytes."""
        assert self.count_served(objects) == len(objects)

    def check_refused(self, victim: Victim, reason: str) -> None:
        """An object is refused where it is hit, with no byte of what lies there."""
        logged = len(self.node.log())
        whole = self.begin_get(victim.key)
        assert victim.body.startswith(whole) and len(whole) <= victim.mark_at, (victim, len(whole))
        sector = victim.mark_at // 4096 * 4096
        answer = self.send("GET", victim.key, range=f"bytes={sector}-{sector + 9999}")
        assert answer.status in (500, 503) and reason in answer.element("Message"), answer
        assert self.send("HEAD", victim.key).status == 200
        log = self.node.log()[logged:]
        assert f"{BUCKET}/{victim.key}" in log and "segments/segment-" in log, log

    def begin_get(self, key: str) -> bytes:
        """All that comes of an object whose GET fails: once there is a status, the connection ends early."""
        request = self.signer.sign(Request("GET", f"/{BUCKET}/{key}", headers={"connection": "close"}))
        with wire.Connection(self.node.port) as connection:
            connection.send(request.encode())
            head = connection.response_head()
            body = connection.take_rest()
        if head.status == 200:
            assert len(body) < int(head.headers["content-length"]), "nothing tells that bytes are missing"
            return body
        assert head.status in (500, 503), head
        return b""


def fill(client: Client) -> dict[str, bytes]:
    """Small objects until every shard has flushed its index: what was put before is in tables and segments."""
    node, written = client.node, {}
    for turn in range(FILL_ROUNDS_MAX):
        with wire.Connection(node.port) as connection:
            for number in range(FILL_ROUND):
                key = f"fill/{turn:02}/{number:04}"
                written[key] = content(key, FILL_BYTES)
                put = Request("PUT", f"/{BUCKET}/{key}", body=written[key])
                assert connection.exchange(client.signer.sign(put, UNSIGNED)).status == 200
        tables = {table.parent for table in node.data.glob("shard-*/tables/table-*")}
        if len(tables) == len(list(node.data.glob("shard-*/tables"))):
            return written
    raise AssertionError("no shard flushes")


def prepare(node: Node, before: Callable[[], None]) -> tuple[Client, dict[str, bytes]]:
    """A node that was restarted with victims and others in tables and segments; says what the others are. The fault of
    `before` is met by all writes of the victims."""
    node.start()
    create_bucket(node)
    before()
    client = Client(node)
    others = {"other/large": content("other", LARGE.size)}
    for victim in VICTIMS:
        client.put(victim.key, victim.body)
    client.put("other/large", others["other/large"])
    others |= fill(client)
    assert node.stop() == 0, node.log_tail()
    node.start()
    return client, others


@pytest.mark.parametrize("fault", ["fail", "flip", "lose"])
def test_what_can_not_be_read_is_refused_and_all_else_is_served(faulty: tuple[Node, Volume], fault: str) -> None:
    node, volume = faulty
    device = volume.device

    def lose() -> None:
        device.lose_writes(LARGE.mark)
        # The first write of a small object is that of the log.
        device.lose_writes(SMALL.mark, after=1)

    client, others = prepare(node, lose if fault == "lose" else lambda: None)
    for victim in VICTIMS:
        match fault:
            case "fail":
                device.fail("read", having=victim.mark)
            case "flip":
                device.flip_reads(victim.mark)
    for victim in VICTIMS:
        client.check_refused(victim, "device" if fault == "fail" else "damaged")
    first = client.send("GET", LARGE.key, range=f"bytes=0-{MEBIBYTE - 1}")
    assert first.status == 206 and first.body == LARGE.body[:MEBIBYTE]
    if fault == "lose":
        # Small objects are written many at a time: some were in the write that was lost.
        assert len(others) // 2 < client.count_served(others) < len(others)
    else:
        client.check_served(others)
    assert set(listed_keys(node)) == {victim.key for victim in VICTIMS} | set(others)
    client.put("other/new", b"new")
    assert node.health("ready") == 200
    assert device.struck() >= len(VICTIMS), "no fault was met"
    if fault == "lose":
        for victim in VICTIMS:
            client.put(victim.key, content(f"{victim.key} again", victim.size))
            client.check_served({victim.key: content(f"{victim.key} again", victim.size)})
    else:
        device.heal()
        client.check_served({victim.key: victim.body for victim in VICTIMS})
    assert node.stop() == 0, node.log_tail()


@dataclass(frozen=True)
class Place:
    """Where a write or flush fails, and how the node calls it."""

    operation: str
    magic: bytes
    file: str
    # Fewer of them than this succeed before.
    after_max: int
    # Who writes meanwhile.
    writers: tuple[type[Writer], ...]


class IndexWriter(Writer):
    """The largest objects that are in the log and the index, until it is flushed and beyond."""

    def step(self, number: int) -> None:
        key = f"{self.name}-{number:06}"
        self.put(key, (key, FILL_BYTES))


ALL = (SmallWriter, SmallWriter, LargeWriter, MultipartWriter)
INDEX = (IndexWriter, IndexWriter)
PLACES = {
    "wal": Place("write", b"ANODEWAL", r"wal/wal-[0-9a-f]{8}", 80, ALL),
    "segment": Place("write", b"AEXT", r"segments/segment-[0-9a-f]{8}", 20, ALL),
    "table": Place("write", b"ANODETAB", r"tables/table-[0-9a-f]{8}", 1, INDEX),
    "manifest": Place("write", b"EDIT", r"tables/manifest-(draft|[0-9a-f]{8})", 1, INDEX),
    "flush": Place("flush", b"", r"(wal|segments|tables)/", 40, ALL),
}


def start_under_load(node: Node, place: Place) -> tuple[Ledger, list[Writer]]:
    """A node, and the writers of a place, each with keys of its own, at work on a sound disk still."""
    ledger = Ledger()
    node.start()
    create_bucket(node)
    writers = [kind(node, f"{number}", ledger) for number, kind in enumerate(place.writers)]
    for writer in writers:
        writer.start()
    wait_for(lambda: ledger.acknowledged >= WRITTEN_BEFORE, "nothing is written")
    # From now on a request may be refused.
    ledger.disturbed.set()
    return ledger, writers


def choose_write(name: str) -> int:
    """How many of the writes of a place succeed before the fault."""
    return random.Random(f"{SEED} {name}").randrange(PLACES[name].after_max)


def wait_for(is_met: Callable[[], bool], otherwise: str) -> None:
    """Waits for a condition that a working node meets."""
    deadline = time.monotonic() + END_SECONDS
    while not is_met():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@pytest.mark.parametrize("place", PLACES)
def test_a_failed_write_or_flush_ends_the_node_and_nothing_is_lost(faulty: tuple[Node, Volume], place: str) -> None:
    node, volume = faulty
    where = PLACES[place]
    ledger, writers = start_under_load(node, where)
    volume.device.fail(where.operation, after=choose_write(place), times=1, having=where.magic)
    status = node.wait(END_SECONDS)
    join_writers(writers)
    assert status == 1, node.log_tail()
    # Raft's own words may come behind the node's.
    [said] = [line for line in node.log().splitlines() if line.startswith("anode: ")]
    assert "the device failed" in said and re.search(where.file, said), said
    assert volume.device.struck() == 1
    volume.renew()
    node.start()
    check(node, ledger, "")
    check_listing(node, ledger)
    assert node.stop() == 0, node.log_tail()


def lose_writes(faulty: tuple[Node, Volume], place: str, times: int) -> Ledger:
    """A node that was killed some time after writes of a place, one after the other, were lost."""
    node, volume = faulty
    where = PLACES[place]
    ledger, writers = start_under_load(node, where)
    volume.device.lose_writes(where.magic, after=choose_write(place), times=times)
    wait_for(lambda: volume.device.struck() == times, "no write was lost")
    # What is written behind the lost write tells that it is missing; it may end all writers, too.
    enough = ledger.acknowledged + 50
    wait_for(lambda: ledger.acknowledged >= enough or not any(map(Writer.is_alive, writers)), "nothing is written")
    node.kill()
    join_writers(writers)
    volume.renew()
    return ledger


# The manifest is written twice, and which of the two the first of these writes is for isn't known.
@pytest.mark.parametrize(("place", "times"), [("wal", 1), ("table", 1), ("manifest", 3)])
def test_a_start_on_files_with_lost_writes_is_refused(faulty: tuple[Node, Volume], place: str, times: int) -> None:
    node, _ = faulty
    where = PLACES[place]
    lose_writes(faulty, place, times)
    node.launch()
    assert node.wait(END_SECONDS) == 1, node.log_tail()
    last = node.log().splitlines()[-1]
    assert "damaged" in last and re.search(where.file, last), last


def test_a_lost_write_of_one_of_the_two_manifests_is_made_good(faulty: tuple[Node, Volume]) -> None:
    node, _ = faulty
    ledger = lose_writes(faulty, "manifest", 1)
    node.start()
    check(node, ledger, "")
    check_listing(node, ledger)
    assert node.stop() == 0, node.log_tail()
