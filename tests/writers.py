"""Writers that note what a node acknowledges, and the check that this, and nothing in part, is there afterwards.

Each writer has a connection and keys of its own. What a node did not answer may have happened whole or not at all; what
is found settles it. `content` makes a body from a name, so the ledger holds names and sizes only.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import wire
from content import MEBIBYTE, content
from node import Node
from signing import UNSIGNED, Request, Signer

BUCKET = "written"
SMALL_SIZES = [0, 1, 1024, 4096, 32 * 1024, 32 * 1024 + 1, 100_000]
LARGE_BYTES = 5 * MEBIBYTE
TAIL_BYTES = 12_345


class Interrupted(Exception):
    """The node didn't answer, or could not tell: what was asked may have happened or not."""


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
        # Set before the disk is made to fail: from then on an answer of 5xx is no failure of the test.
        self.disturbed = threading.Event()

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
        if answer.status >= 500 and self.ledger.disturbed.is_set():
            raise Interrupted
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


KINDS: list[tuple[str, type[Writer]]] = [
    ("small-a", SmallWriter),
    ("small-b", SmallWriter),
    ("small-c", SmallWriter),
    ("large", LargeWriter),
    ("multipart", MultipartWriter),
]


def start_writers(node: Node, ledger: Ledger, prefix: str) -> list[Writer]:
    """One of each kind, small ones three times; their keys begin with the prefix."""
    writers = [kind(node, f"{prefix}{name}", ledger) for name, kind in KINDS]
    for writer in writers:
        writer.start()
    return writers


def join_writers(writers: list[Writer]) -> None:
    """Waits for writers whose node is gone, and raises what one of them found wrong."""
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
        if writer.failure:
            raise writer.failure


def create_bucket(node: Node) -> None:
    """The bucket that they write to."""
    created = wire.exchange(node.port, Signer(node.address).sign(Request("PUT", f"/{BUCKET}")))
    assert created.status == 200, created


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


def check_listing(node: Node, ledger: Ledger) -> None:
    """Holds the listing to a ledger in which every key was checked: no key more and none less."""
    assert listed_keys(node) == sorted(key for key, expected in ledger.keys.items() if expected.certain is not None)


def remove_written(node: Node, ledger: Ledger, prefix: str) -> None:
    """Deletes every key with a prefix; each deletion is acknowledged and to be held to as any write."""
    signer = Signer(node.address)
    with wire.Connection(node.port) as connection:
        for key, expected in list(ledger.keys.items()):
            if key.startswith(prefix) and expected.certain is not None:
                answer = connection.exchange(signer.sign(Request("DELETE", f"/{BUCKET}/{key}")))
                assert answer.status == 204, answer
                ledger.acknowledge(key, None)
