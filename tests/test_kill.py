"""kill -9 under load: every acknowledged object is there, byte for byte, and no other one in part.

Writers put small objects (on both sides of the inline limit), large ones and multipart ones, overwrite a register each
and delete; at a random moment the node is killed and started again. What was not acknowledged may be there whole or not
at all. ANODE_TEST_KILL_ROUNDS says how often, ANODE_TEST_SEED when.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

import wire
from content import MEBIBYTE, content
from node import Node
from signing import UNSIGNED, Request, Signer

ROUNDS = int(os.environ.get("ANODE_TEST_KILL_ROUNDS", "4"))
SEED = int(os.environ.get("ANODE_TEST_SEED", "9"))
BUCKET = "killed"
SMALL_SIZES = [0, 1, 1024, 4096, 32 * 1024, 32 * 1024 + 1, 100_000]
LARGE_BYTES = 5 * MEBIBYTE
TAIL_BYTES = 12_345


class Interrupted(Exception):
    """The node was killed before it answered: what was asked may have happened or not."""


@dataclass
class Expected:
    """What a key may hold: sizes of contents by name; `None` for absence."""

    certain: tuple[str, int] | None = None
    possible: list[tuple[str, int] | None] = field(default_factory=list)

    def allowed(self) -> list[tuple[str, int] | None]:
        """Everything that may be found."""
        return [self.certain, *self.possible]


class Ledger:
    """What every key must hold, written down by the writers as the node answers."""

    def __init__(self) -> None:
        self.keys: dict[str, Expected] = {}
        self.acknowledged = 0

    def attempt(self, key: str, value: tuple[str, int] | None) -> None:
        """Before a write: from now on the key may hold this value too."""
        self.keys.setdefault(key, Expected()).possible.append(value)

    def acknowledge(self, key: str, value: tuple[str, int] | None) -> None:
        """After its answer: the key holds this value and nothing else."""
        self.keys[key] = Expected(value)
        self.acknowledged += 1


class Writer(threading.Thread):
    """One client on one connection, until the node dies."""

    def __init__(self, node: Node, name: str, ledger: Ledger) -> None:
        super().__init__(name=name, daemon=True)
        self.signer = Signer(node.address)
        self.node = node
        self.ledger = ledger
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Writes one object after the other."""
        try:
            with wire.Connection(self.node.port) as self.connection:
                for number in range(1_000_000):
                    self.step(number)
        except Interrupted:
            pass
        except BaseException as error:  # noqa: BLE001 (told by the test, in its own thread)
            self.failure = error

    def step(self, number: int) -> None:
        """One write of this writer's kind."""
        raise NotImplementedError

    def exchange(self, request: Request, payload: str | None = UNSIGNED) -> wire.Response:
        """Sends a request; the node's death is told apart from its refusals."""
        try:
            answer = self.connection.exchange(self.signer.sign(request, payload))
        except (ConnectionError, TimeoutError) as error:
            raise Interrupted from error
        assert answer.status in (200, 204), answer
        return answer

    def put(self, key: str, value: tuple[str, int]) -> None:
        """Puts the content that belongs to a value's name."""
        self.ledger.attempt(key, value)
        self.exchange(Request("PUT", f"/{BUCKET}/{key}", body=content(*value)))
        self.ledger.acknowledge(key, value)


class SmallWriter(Writer):
    """New small objects, one register that is overwritten, and a deletion now and then."""

    def step(self, number: int) -> None:
        key = f"{self.name}-{number:06}"
        self.put(key, (key, SMALL_SIZES[number % len(SMALL_SIZES)]))
        register = f"{self.name}-register"
        self.put(register, (f"{register}-{number}", 500 + number % 50_000))
        if number % 5 == 4:
            self.ledger.attempt(key, None)
            self.exchange(Request("DELETE", f"/{BUCKET}/{key}"))
            self.ledger.acknowledge(key, None)


class LargeWriter(Writer):
    """Objects of five chunks; every third overwrites the one before."""

    def step(self, number: int) -> None:
        key = f"{self.name}-{number - (number % 3 == 2):06}"
        self.put(key, (f"{key}-{number}", LARGE_BYTES + number))


class MultipartWriter(Writer):
    """Uploads of two parts."""

    def step(self, number: int) -> None:
        key = f"{self.name}-{number:06}"
        path = f"/{BUCKET}/{key}"
        value = (key, LARGE_BYTES + TAIL_BYTES)
        body = content(*value)
        upload = self.exchange(Request("POST", path, (("uploads", ""),))).element("UploadId")
        listed = ""
        for part, piece in ((1, body[:LARGE_BYTES]), (2, body[LARGE_BYTES:])):
            query = (("partNumber", str(part)), ("uploadId", upload))
            etag = self.exchange(Request("PUT", path, query, body=piece)).headers["etag"]
            listed += f"<Part><PartNumber>{part}</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        self.ledger.attempt(key, value)
        answer = self.exchange(Request("POST", path, (("uploadId", upload),), body=document))
        assert answer.code is None, answer
        self.ledger.acknowledge(key, value)


def write_until_killed(node: Node, ledger: Ledger, turn: int, seconds: float) -> None:
    """Starts the writers, kills the node in their midst and lets them end."""
    kinds: list[tuple[str, type[Writer]]] = [
        ("small-a", SmallWriter),
        ("small-b", SmallWriter),
        ("small-c", SmallWriter),
        ("large", LargeWriter),
        ("multipart", MultipartWriter),
    ]
    writers = [kind(node, f"{turn}-{name}", ledger) for name, kind in kinds]
    for writer in writers:
        writer.start()
    time.sleep(seconds)
    node.kill()
    for writer in writers:
        writer.join(30)
        assert not writer.is_alive()
        if writer.failure:
            raise writer.failure


def kill_in_recovery(node: Node, seconds: float) -> None:
    """Starts the node and kills it again, most likely before it has recovered."""
    node.launch()
    time.sleep(seconds)
    node.kill()


def check(node: Node, ledger: Ledger, prefix: str) -> None:
    """Holds every key with a prefix to the ledger; what is found settles what was uncertain."""
    signer = Signer(node.address)
    with wire.Connection(node.port) as connection:
        for key, expected in ledger.keys.items():
            if not key.startswith(prefix):
                continue
            answer = connection.exchange(signer.sign(Request("GET", f"/{BUCKET}/{key}")))
            found = [value for value in expected.allowed() if holds(answer, value)]
            assert found, f"{key}: {answer.status} with {len(answer.body)} bytes, allowed: {expected.allowed()}"
            ledger.keys[key] = Expected(found[0])


def holds(answer: wire.Response, value: tuple[str, int] | None) -> bool:
    """Whether an answer is this content, or this absence."""
    if value is None:
        return answer.refusal == (404, "NoSuchKey")
    return answer.status == 200 and len(answer.body) == value[1] and answer.body == content(*value)


def listed_keys(node: Node) -> list[str]:
    """All keys of the bucket."""
    signer = Signer(node.address)
    keys: list[str] = []
    with wire.Connection(node.port) as connection:
        while True:
            query = (("list-type", "2"), ("start-after", keys[-1] if keys else ""))
            page = connection.exchange(signer.sign(Request("GET", f"/{BUCKET}", query)))
            names = [name.split(b"</Key>")[0].decode() for name in page.body.split(b"<Key>")[1:]]
            keys += names
            if page.element("IsTruncated") == "false":
                return keys


def test_what_was_acknowledged_survives_kill_9(
    make_node: Callable[..., Node], record_property: Callable[[str, object], None]
) -> None:
    print(f"replay with ANODE_TEST_SEED={SEED} ANODE_TEST_KILL_ROUNDS={ROUNDS}")
    choose = random.Random(SEED)
    node, ledger = make_node(), Ledger()
    node.start()
    created = wire.exchange(node.port, Signer(node.address).sign(Request("PUT", f"/{BUCKET}")))
    assert created.status == 200
    recoveries: list[int] = []
    for turn in range(ROUNDS):
        write_until_killed(node, ledger, turn, choose.uniform(0.3, 2.0))
        if choose.random() < 0.5:
            kill_in_recovery(node, choose.uniform(0, 0.4))
        recoveries.append(round(node.start() * 1000))
        check(node, ledger, f"{turn}-")
        there = sorted(key for key, expected in ledger.keys.items() if expected.certain is not None)
        assert listed_keys(node) == there
    check(node, ledger, "")
    assert ledger.acknowledged > ROUNDS * 20, "too little was written for the test to mean anything"
    record_property("measured", f"{ledger.acknowledged} acknowledged, ready again after {recoveries} ms")
    assert node.stop() == 0


@pytest.mark.parametrize("signal_name", ["kill", "stop"])
def test_an_upload_under_way_survives(make_node: Callable[..., Node], signal_name: str) -> None:
    node = make_node()
    node.start()
    signer = Signer(node.address)

    def send(request: Request) -> wire.Response:
        answer = wire.exchange(node.port, signer.sign(request))
        assert answer.status == 200, answer
        return answer

    body = content("under way", LARGE_BYTES + 10)
    send(Request("PUT", f"/{BUCKET}"))
    upload = send(Request("POST", f"/{BUCKET}/k", (("uploads", ""),))).element("UploadId")
    first = (("partNumber", "1"), ("uploadId", upload))
    etags = [send(Request("PUT", f"/{BUCKET}/k", first, body=body[:LARGE_BYTES])).headers["etag"]]
    getattr(node, signal_name)()
    node.start()
    assert send(Request("GET", f"/{BUCKET}/k", (("uploadId", upload),))).element("ETag") == etags[0]
    second = (("partNumber", "2"), ("uploadId", upload))
    etags.append(send(Request("PUT", f"/{BUCKET}/k", second, body=body[LARGE_BYTES:])).headers["etag"])
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in enumerate(etags, 1))
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    send(Request("POST", f"/{BUCKET}/k", (("uploadId", upload),), body=document))
    assert send(Request("GET", f"/{BUCKET}/k")).body == body
