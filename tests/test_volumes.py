"""One of a node's two file systems is gone in mid-load: what is on the other is served, and all of it comes back.

The file system that has buckets and credentials takes the node with it, the other one only what lies on it. Each is cut
off in turn, so both are seen, whichever has them.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator

import pytest

import filesystem
import wire
from content import content
from filesystem import FileSystem, make_image
from node import Node
from signing import Request, Signer
from writers import BUCKET, Ledger, check, check_listing, create_bucket, holds, join_writers, start_writers

FAILED = "a data directory has failed"
# A refusal doesn't wait for a disk, and neither does the end of a node without one of its volumes.
ANSWER_SECONDS = 5.0
SETTLE_SECONDS = 20.0
SAMPLE_COUNT = 30
# However slow the machine is.
WRITTEN_BEFORE = 60

MakeNode = Callable[..., Node]


@pytest.fixture(params=filesystem.KINDS)
def volumes(request: pytest.FixtureRequest, make_node: MakeNode) -> Iterator[tuple[Node, list[FileSystem]]]:
    """A node, not started, with two data directories, each a file system of its own."""
    filesystem.require()
    node = make_node()
    second = node.directory / "second"
    node.arguments += ["--data", str(second)]
    node.directory.mkdir(parents=True)
    systems = [
        FileSystem(request.param, make_image(node.directory / f"image-{path.name}"), path)
        for path in (node.data, second)
    ]
    try:
        for system in systems:
            system.make()
            system.mount()
        yield node, systems
    finally:
        if node.is_running():
            node.kill()
        for system in systems:
            system.remove()


def test_a_failed_volume_takes_down_only_what_lies_on_it(volumes: tuple[Node, list[FileSystem]]) -> None:
    node, systems = volumes
    choose, ledger = random.Random(7), Ledger()
    node.start()
    create_bucket(node)
    survived = []
    for victim in systems:
        node.wait_ready()
        fail_under_load(node, victim, ledger, choose)
        if node.is_running():
            check_degraded(node, victim, ledger)
            stopping = time.monotonic()
            assert node.stop() == 1, node.log_tail()
            assert time.monotonic() - stopping < ANSWER_SECONDS, "the end waits for a volume that is gone"
            assert f"stopped, but without these data directories, which had failed: {victim.mount_point}" in node.log()
        else:
            assert node.wait() == 1, node.log_tail()
            assert "buckets and credentials" in node.log_tail()
        survived.append(FAILED in node.log().split("serving S3")[-1])
        check_start_is_refused(node, victim)
        victim.unmount()
        victim.mount()
        node.start()
        check(node, ledger, "")
        check_listing(node, ledger)
    assert sorted(survived) == [False, True], "one of the two has buckets and credentials"
    assert ledger.acknowledged > 100, "too little was written for the test to mean anything"
    assert node.stop() == 0
    assert "panicked" not in node.log(), node.log_tail()


def check_start_is_refused(node: Node, victim: FileSystem) -> None:
    """A node doesn't start without one of its data directories, and says without which."""
    logged = len(node.log())
    node.launch()
    assert node.wait() == 1, node.log_tail()
    assert str(victim.mount_point) in node.log()[logged:].splitlines()[-1], node.log_tail()


def fail_under_load(node: Node, victim: FileSystem, ledger: Ledger, choose: random.Random) -> None:
    """Cuts a file system off in the midst of the writers; waits until the node has met that, one way or the other."""
    told = node.log().count(FAILED)
    enough = ledger.acknowledged + WRITTEN_BEFORE
    ledger.disturbed.clear()
    writers = start_writers(node, ledger, f"{victim.mount_point.name}-")
    time.sleep(choose.uniform(0.5, 1.5))
    deadline = time.monotonic() + SETTLE_SECONDS
    while ledger.acknowledged < enough and all(writer.is_alive() for writer in writers):
        assert time.monotonic() < deadline, f"too little is written\n{node.log_tail()}"
        time.sleep(0.02)
    ledger.disturbed.set()
    victim.cut_power()
    join_writers(writers)
    deadline = time.monotonic() + SETTLE_SECONDS
    while node.is_running() and node.log().count(FAILED) == told:
        assert time.monotonic() < deadline, f"nothing was told\n{node.log_tail()}"
        time.sleep(0.02)
    # What one shard has told, the other has heard by then.
    time.sleep(0.2)


def check_degraded(node: Node, victim: FileSystem, ledger: Ledger) -> None:
    """Every key is served or refused by the name of the volume, and nothing is kept quiet."""
    signer = Signer(node.address)
    with wire.Connection(node.port) as connection:

        def exchange(request: Request) -> wire.Response | None:
            """The answer; none where the volume is the reason that there is none."""
            begun = time.monotonic()
            answer = connection.exchange(signer.sign(request))
            assert time.monotonic() - begun < ANSWER_SECONDS, f"{request.target} took too long"
            if answer.status < 500:
                return answer
            assert answer.refusal == (503, "ServiceUnavailable"), answer
            assert str(victim.mount_point) in answer.element("Message"), answer
            return None

        served, refused = [], []
        for key, expected in list(ledger.keys.items()):
            answer = exchange(Request("GET", f"/{BUCKET}/{key}"))
            (refused if answer is None else served).append(key)
            assert answer is None or any(holds(answer, value) for value in expected.allowed()), (key, answer)
        assert served and refused, (len(served), len(refused))
        for key in served[:SAMPLE_COUNT]:
            value = (f"{key}-degraded", 5000)
            ledger.attempt(key, value)
            assert exchange(Request("PUT", f"/{BUCKET}/{key}", body=content(*value))).status == 200
            ledger.acknowledge(key, value)
        for key in refused[:SAMPLE_COUNT]:
            assert exchange(Request("PUT", f"/{BUCKET}/{key}", body=b"refused")) is None
        assert exchange(Request("GET", f"/{BUCKET}", (("list-type", "2"),))) is None, "a shortened listing"
        assert exchange(Request("DELETE", f"/{BUCKET}")) is None
        assert exchange(Request("PUT", f"/made-without-{victim.mount_point.name}")).status == 200
        check_deletions(exchange, ledger, served[0], refused[0])
        ready = connection.exchange(signer.sign(Request("GET", "/health/ready")))
        assert ready.status == 200 and ready.body.count(b" has failed\n") == 1, ready
        check_metrics(connection.exchange(Request("GET", "/metrics", headers={"host": node.address})))


def check_metrics(answer: wire.Response) -> None:
    """The failure is seen; the shards of the volume tell what they do for clients and not what they store."""
    text = answer.body.decode()
    assert answer.status == 200, answer
    assert sorted(re.findall(r"^anode_volume_failed{.*} (\d)$", text, re.MULTILINE)) == ["0", "1"], text
    assert set(re.findall(r"^anode_shard_unanswered{.*} (\d)$", text, re.MULTILINE)) == {"0"}, text
    storing, serving = (text.count(f"\n{name}{{") for name in ("anode_wal_held_bytes", "anode_connections_open"))
    assert 0 < storing < serving, text


def check_deletions(
    exchange: Callable[[Request], wire.Response | None], ledger: Ledger, served: str, refused: str
) -> None:
    """DeleteObjects answers for each key."""
    listed = "".join(f"<Object><Key>{key}</Key></Object>" for key in (served, refused))
    body = f"<Delete>{listed}</Delete>".encode()
    headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    ledger.attempt(served, None)
    answer = exchange(Request("POST", f"/{BUCKET}", (("delete", ""),), headers, body))
    deleted, errors = answer.body.split(b"<Error>")[0], answer.body.split(b"<Error>")[1:]
    assert answer.status == 200 and served.encode() in deleted, answer
    assert len(errors) == 1 and refused.encode() in errors[0] and b"ServiceUnavailable" in errors[0], answer
    ledger.acknowledge(served, None)
