"""One connection, many requests: keep-alive, pipelining in order, 100-continue, HEAD without a body, slow clients."""

from __future__ import annotations

import os
import time

import pytest
from botocore.client import BaseClient

import wire
from content import MEBIBYTE, content
from node import Node
from signing import Request, Signer

LONG = bool(os.environ.get("ANODE_TEST_LONG"))


def test_a_connection_serves_many_requests(node: Node, signer: Signer, bucket: str) -> None:
    with wire.Connection(node.port) as connection:
        for number in range(200):
            body = content(str(number), number * 37)
            put = connection.exchange(signer.sign(Request("PUT", f"/{bucket}/k", body=body)))
            assert put.status == 200 and put.headers.get("connection") != "close"
            assert connection.exchange(signer.sign(Request("GET", f"/{bucket}/k"))).body == body


def test_pipelined_requests_are_answered_in_order(node: Node, signer: Signer, bucket: str) -> None:
    bodies = [content(str(number), number * 1000) for number in range(60)]
    puts = [Request("PUT", f"/{bucket}/{number}", body=body) for number, body in enumerate(bodies)]
    gets = [Request("GET", f"/{bucket}/{number}") for number in range(len(bodies))]
    with wire.Connection(node.port) as connection:
        connection.send(b"".join(signer.sign(request).encode() for request in puts + gets))
        assert [connection.response("PUT").status for _ in puts] == [200] * len(puts)
        assert [connection.response("GET").body for _ in gets] == bodies


def test_a_pipelined_get_sees_the_put_before_it(node: Node, signer: Signer, bucket: str) -> None:
    with wire.Connection(node.port) as connection:
        for number in range(50):
            body = str(number).encode()
            put = signer.sign(Request("PUT", f"/{bucket}/k", body=body))
            get = signer.sign(Request("GET", f"/{bucket}/k"))
            connection.send(put.encode() + get.encode())
            assert connection.response("PUT").status == 200
            assert connection.response("GET").body == body


def test_an_error_keeps_the_connection(node: Node, signer: Signer, bucket: str) -> None:
    with wire.Connection(node.port) as connection:
        assert connection.exchange(signer.sign(Request("GET", f"/{bucket}/absent"))).status == 404
        refused = Request("PUT", f"/{bucket}/k", headers={"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, body=b"x" * 5000)
        assert connection.exchange(signer.sign(refused)).refusal == (400, "BadDigest")
        assert connection.exchange(signer.sign(Request("PUT", f"/{bucket}/k", body=b"y"))).status == 200


def test_close_is_obeyed(node: Node, signer: Signer, bucket: str) -> None:
    with wire.Connection(node.port) as connection:
        request = Request("PUT", f"/{bucket}/k", headers={"connection": "close"}, body=b"x")
        answer = connection.exchange(signer.sign(request))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert connection.is_closed()


def test_a_client_that_finished_sending_gets_its_answer(node: Node, signer: Signer, bucket: str) -> None:
    with wire.Connection(node.port) as connection:
        connection.send(signer.sign(Request("PUT", f"/{bucket}/k", body=b"x")).encode())
        connection.finish()
        assert connection.response("PUT").status == 200
        assert connection.is_closed()


def test_head_has_the_headers_of_get_and_no_body(node: Node, signer: Signer, bucket: str, s3: BaseClient) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=content("head", 70_000))
    with wire.Connection(node.port) as connection:
        head = connection.exchange(signer.sign(Request("HEAD", f"/{bucket}/k")))
        got = connection.exchange(signer.sign(Request("GET", f"/{bucket}/k")))
        absent = connection.exchange(signer.sign(Request("HEAD", f"/{bucket}/absent")))
        again = connection.exchange(signer.sign(Request("HEAD", f"/{bucket}/k")))
    assert head.headers["content-length"] == "70000" and again.status == 200 and absent.status == 404
    changing = {"x-amz-request-id", "x-amz-id-2", "date"}
    assert {name: value for name, value in head.headers.items() if name not in changing} == {
        name: value for name, value in got.headers.items() if name not in changing
    }


def test_continue_comes_after_authorization(node: Node, signer: Signer, bucket: str) -> None:
    body = content("continued", MEBIBYTE)
    request = Request("PUT", f"/{bucket}/k", headers={"expect": "100-continue"}, body=body)
    signed = signer.sign(request).encode()
    head = signed[: len(signed) - len(body)]
    with wire.Connection(node.port) as connection:
        connection.send(head)
        assert connection.response().status == 100
        connection.send(body)
        assert connection.response("PUT").status == 200
        assert connection.exchange(signer.sign(Request("GET", f"/{bucket}/k"))).body == body


@pytest.mark.parametrize(
    ("secret", "path", "refusal"),
    [
        ("wrong-secret", "/{bucket}/k", (403, "SignatureDoesNotMatch")),
        (None, "/absent-bucket/k", (404, "NoSuchBucket")),
        (None, "/{bucket}/" + "k" * 1025, (400, "KeyTooLongError")),
    ],
)
def test_no_continue_for_what_is_refused(
    node: Node, signer: Signer, bucket: str, secret: str | None, path: str, refusal: tuple[int, str]
) -> None:
    who = Signer(node.address, secret_key=secret or signer.secret_key)
    headers = {"expect": "100-continue", "content-length": "1000000"}
    with wire.Connection(node.port) as connection:
        connection.send(who.sign(Request("PUT", path.format(bucket=bucket), headers=headers)).encode())
        assert connection.response("PUT").refusal == refusal


def test_continue_is_said_before_an_empty_body_too(node: Node, signer: Signer, bucket: str) -> None:
    # botocore asks for it with every file, also an empty one; without it, it misreads the next answer.
    request = Request("PUT", f"/{bucket}/empty", headers={"expect": "100-continue"})
    with wire.Connection(node.port) as connection:
        connection.send(signer.sign(request).encode())
        assert connection.response().status == 100
        assert connection.response("PUT").status == 200


def test_a_refusal_instead_of_continue_closes(node: Node, signer: Signer, bucket: str) -> None:
    request = Request("PUT", f"/{bucket}/k", headers={"expect": "100-continue", "if-match": '"0"'})
    for body_bytes in ("0", "1000"):
        with wire.Connection(node.port) as connection:
            asked = signer.sign(request.with_headers(content_length=body_bytes, x_amz_acl="public-read"))
            connection.send(asked.encode())
            answer = connection.response("PUT")
            assert answer.refusal == (400, "AccessControlListNotSupported")
            assert answer.headers["connection"] == "close" and connection.is_closed()


def test_continue_is_not_said_where_the_body_came_along(node: Node, signer: Signer, bucket: str) -> None:
    request = Request("PUT", f"/{bucket}/k", headers={"expect": "100-continue"}, body=b"x")
    with wire.Connection(node.port) as connection:
        connection.send(signer.sign(request).encode())
        answer = connection.response("PUT")
        # RFC 9110, 10.1.1: the interim answer may be left out, but never comes after the final one.
        if answer.status == 100:
            answer = connection.response("PUT")
        assert answer.status == 200
        assert connection.exchange(signer.sign(Request("GET", f"/{bucket}/k"))).body == b"x"


def test_requests_in_small_pieces_are_understood(node: Node, signer: Signer, bucket: str) -> None:
    sent = signer.sign(Request("PUT", f"/{bucket}/k", body=b"pieces")).encode()
    with wire.Connection(node.port) as connection:
        for at in range(0, len(sent), 7):
            connection.send(sent[at : at + 7])
        assert connection.response("PUT").status == 200
        assert connection.exchange(signer.sign(Request("GET", f"/{bucket}/k"))).body == b"pieces"


def test_an_upload_cut_short_leaves_nothing(node: Node, signer: Signer, bucket: str, s3: BaseClient) -> None:
    for size in (1000, 3 * MEBIBYTE):
        sent = signer.sign(Request("PUT", f"/{bucket}/k", body=content("cut", size))).encode()
        with wire.Connection(node.port) as connection:
            connection.send(sent[:-1])
            connection.finish()
            try:
                assert connection.response("PUT").refusal == (400, "IncompleteBody")
            except ConnectionError:
                pass  # closing without an answer is as good: nobody may be there to read one
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_empty_lines_between_requests_are_skipped(node: Node) -> None:
    request = b"\r\n\r\nGET /health/live HTTP/1.1\r\nHost: h\r\n\r\n"
    with wire.Connection(node.port) as connection:
        connection.send(request * 3)
        assert [connection.response().status for _ in range(3)] == [200] * 3


def test_many_idle_connections_disturb_nobody(node: Node, s3: BaseClient, bucket: str) -> None:
    idle = [wire.Connection(node.port) for _ in range(300)]
    try:
        for connection in idle[::2]:
            connection.send(b"GET / HTTP/1.1\r\nHos")
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    finally:
        for connection in idle:
            connection.__exit__()


@pytest.mark.skipif(not LONG, reason="takes over a minute: set ANODE_TEST_LONG=1")
def test_a_slow_head_is_not_waited_for(node: Node) -> None:
    with wire.Connection(node.port, timeout=40) as connection:
        started = time.monotonic()
        connection.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: ")
        try:
            assert connection.response().status in (400, 408)
        except ConnectionError:
            pass
        assert time.monotonic() - started < 30
        assert connection.is_closed()


@pytest.mark.skipif(not LONG, reason="takes over a minute: set ANODE_TEST_LONG=1")
def test_an_idle_connection_is_closed_in_the_end(node: Node) -> None:
    with wire.Connection(node.port, timeout=120) as connection:
        connection.send(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.response().status == 200
        assert connection.is_closed()


@pytest.mark.skipif(not LONG, reason="takes over a minute: set ANODE_TEST_LONG=1")
def test_a_body_below_the_lowest_rate_is_given_up(node: Node, signer: Signer, bucket: str) -> None:
    headers = {"content-length": "1000000"}
    with wire.Connection(node.port, timeout=5) as connection:
        connection.send(signer.sign(Request("PUT", f"/{bucket}/k", headers=headers), "UNSIGNED-PAYLOAD").encode())
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            connection.send(b"x")
            try:
                assert connection.response("PUT").refusal in ((400, "RequestTimeout"), (408, "RequestTimeout"))
                return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    raise AssertionError("a body of a byte every five seconds is still waited for")
