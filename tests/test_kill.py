"""kill -9 under load: every acknowledged object is there, byte for byte, and no other one in part.

Writers put small objects (on both sides of the inline limit), large ones and multipart ones, overwrite a register each
and delete; at a random moment the node is killed and started again. What was not acknowledged may be there whole or not
at all. ANODE_TEST_KILL_ROUNDS says how often, ANODE_TEST_SEED when.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

import wire
from content import content
from node import Node
from signing import Request, Signer
from writers import BUCKET, LARGE_BYTES, Ledger, check, check_listing, create_bucket, join_writers, start_writers

ROUNDS = int(os.environ.get("ANODE_TEST_KILL_ROUNDS", "4"))
SEED = int(os.environ.get("ANODE_TEST_SEED", "9"))


def write_until_killed(node: Node, ledger: Ledger, turn: int, seconds: float) -> None:
    """Starts the writers, kills the node in their midst and lets them end."""
    writers = start_writers(node, ledger, f"{turn}-")
    time.sleep(seconds)
    node.kill()
    join_writers(writers)


def kill_in_recovery(node: Node, seconds: float) -> None:
    """Starts the node and kills it again, most likely before it has recovered."""
    node.launch()
    time.sleep(seconds)
    node.kill()


def test_what_was_acknowledged_survives_kill_9(
    make_node: Callable[..., Node], record_property: Callable[[str, object], None]
) -> None:
    print(f"replay with ANODE_TEST_SEED={SEED} ANODE_TEST_KILL_ROUNDS={ROUNDS}")
    choose = random.Random(SEED)
    node, ledger = make_node(), Ledger()
    node.start()
    create_bucket(node)
    recoveries: list[int] = []
    for turn in range(ROUNDS):
        write_until_killed(node, ledger, turn, choose.uniform(0.3, 2.0))
        if choose.random() < 0.5:
            kill_in_recovery(node, choose.uniform(0, 0.4))
        recoveries.append(round(node.start() * 1000))
        check(node, ledger, f"{turn}-")
        check_listing(node, ledger)
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
