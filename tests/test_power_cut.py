"""A power cut on ext4 and XFS: every acknowledged object is there, byte for byte, and no other one in part.

Writers put small, large and multipart objects, overwrite and delete; at a random moment the power is cut under them,
the node dies, and after a mount that replays the file system's log it starts again on what was durable. Two kinds:

- `shutdown`: the file system's own shutdown ioctl. What it had not committed is gone; the device loses nothing.
- `cache`: the device below (`faulty_device.py`) drops, keeps or tears each write that no flush followed.

ANODE_TEST_CUTS says how many cuts of each kind, ANODE_TEST_SEED when.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator

import pytest

import filesystem
from faulty_device import FaultyDevice
from filesystem import FileSystem, make_image
from node import Node
from writers import Ledger, check, check_listing, create_bucket, join_writers, remove_written, start_writers

CUTS = int(os.environ.get("ANODE_TEST_CUTS", "20"))
SEED = int(os.environ.get("ANODE_TEST_SEED", "3"))
# So many rounds' objects stay; more would only fill the image.
KEPT_ROUNDS = 3

MakeNode = Callable[..., Node]


class ShutdownCut:
    """Power cuts by the file system's shutdown ioctl."""

    def __init__(self, kind: str, node: Node, choose: random.Random) -> None:
        self.files = FileSystem(kind, make_image(node.directory / "image"), node.data)

    def cut(self) -> None:
        """Cuts the power."""
        self.files.cut_power()

    def restore(self) -> None:
        """Puts it back, once the node is gone."""
        self.files.unmount()

    def close(self) -> None:
        """Ends everything."""
        self.files.remove()


class CacheCut:
    """Power cuts of a device with a volatile cache."""

    def __init__(self, kind: str, node: Node, choose: random.Random) -> None:
        self.device = FaultyDevice(make_image(node.directory / "image"), node.directory / "device")
        self.files = FileSystem(kind, self.device.path, node.data)
        self.choose = choose

    def cut(self) -> None:
        """Cuts the power."""
        self.device.cut_power(self.choose.getrandbits(32))

    def restore(self) -> None:
        """Puts it back, once the node is gone."""
        self.files.unmount()
        self.device.heal()

    def close(self) -> None:
        """Ends everything."""
        self.files.remove()
        self.device.close()


@pytest.fixture
def power(request: pytest.FixtureRequest, make_node: MakeNode) -> Iterator[tuple[Node, ShutdownCut | CacheCut]]:
    """A node, not started, whose data directory is a file system that can lose its power."""
    filesystem.require()
    cut, kind = request.param
    node = make_node()
    node.directory.mkdir(parents=True)
    power = cut(kind, node, random.Random(SEED))
    try:
        power.files.make()
        power.files.mount()
        yield node, power
    finally:
        if node.is_running():
            node.kill()
        power.close()


def write_until_cut(
    node: Node, power: ShutdownCut | CacheCut, ledger: Ledger, turn: int, choose: random.Random
) -> None:
    """Cuts the power in the midst of the writers; the node ends by itself or is killed."""
    ledger.disturbed.clear()
    writers = start_writers(node, ledger, f"{turn}-")
    time.sleep(choose.uniform(0.1, 0.8))
    ledger.disturbed.set()
    power.cut()
    if choose.random() < 0.5:
        assert node.wait() not in (0, 101), f"a disk that is gone must end the node\n{node.log_tail()}"
    else:
        node.kill()
    join_writers(writers)
    power.restore()


@pytest.mark.parametrize(
    "power",
    [(cut, kind) for kind in filesystem.KINDS for cut in (ShutdownCut, CacheCut)],
    ids=lambda parameter: f"{parameter[0].__name__}-{parameter[1]}",
    indirect=True,
)
def test_what_was_acknowledged_survives_a_power_cut(
    power: tuple[Node, ShutdownCut | CacheCut], record_property: Callable[[str, object], None]
) -> None:
    print(f"replay with ANODE_TEST_SEED={SEED} ANODE_TEST_CUTS={CUTS}")
    node, cuts = power
    choose, ledger = random.Random(SEED), Ledger()
    started = time.monotonic()
    node.start()
    create_bucket(node)
    for turn in range(CUTS):
        write_until_cut(node, cuts, ledger, turn, choose)
        cuts.files.mount()
        node.start()
        check(node, ledger, f"{turn}-")
        check_listing(node, ledger)
        remove_written(node, ledger, f"{turn - KEPT_ROUNDS}-")
    check(node, ledger, "")
    assert ledger.acknowledged > CUTS * 20, "too little was written for the test to mean anything"
    assert node.stop() == 0
    assert "panicked" not in node.log(), node.log_tail()
    record_property(
        "measured", f"{CUTS} cuts in {time.monotonic() - started:.0f} s, {ledger.acknowledged} acknowledged"
    )
