"""Every request that can be read in two ways is refused with the right status and code, and its connection closed."""

from __future__ import annotations

import pytest

import wire
from node import Node
from signing import Request, Signer

BAD = (400, "BadRequest")
TOO_LARGE = (400, "RequestHeaderSectionTooLarge")
NOT_IMPLEMENTED = (501, "NotImplemented")
VERSION = (505, "HttpVersionNotSupported")
URI = (400, "InvalidURI")

HEADERS: list[tuple[bytes, tuple[int, str]]] = [
    (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", BAD),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", BAD),
    (b"Content-Length: 1\r\nContent-Length: 1\r\n", BAD),
    (b"Content-Length: 1\r\ncontent-length: 2\r\n", BAD),
    (b"Content-Length: 1, 1\r\n", BAD),
    (b"Content-Length: +1\r\n", BAD),
    (b"Content-Length: -1\r\n", BAD),
    (b"Content-Length: 1 1\r\n", BAD),
    (b"Content-Length: 0x1\r\n", BAD),
    (b"Content-Length: 1e3\r\n", BAD),
    (b"Content-Length:\r\n", BAD),
    (b"Content-Length: 18446744073709551616\r\n", BAD),
    (b"Content-Length: 999999999999999999999999999999\r\n", BAD),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BAD),
    (b"Transfer-Encoding: gzip\r\n", NOT_IMPLEMENTED),
    (b"Transfer-Encoding: gzip, chunked\r\n", NOT_IMPLEMENTED),
    (b"Transfer-Encoding: chunked, identity\r\n", NOT_IMPLEMENTED),
    (b"Transfer-Encoding: xchunked\r\n", NOT_IMPLEMENTED),
    (b"Transfer-Encoding:\x0bchunked\r\n", BAD),
    (b"X: a\r\n b\r\n", BAD),
    (b"X: a\r\n\tb\r\n", BAD),
    (b"X: a\nY: b\r\n", BAD),
    (b"\n", BAD),
    (b"X: a\rY: b\r\n", BAD),
    (b"Content-Length : 1\r\n", BAD),
    (b"Content-Length\t: 1\r\n", BAD),
    (b"Transfer-Encoding : chunked\r\n", BAD),
    (b": empty\r\n", BAD),
    (b"no colon\r\n", BAD),
    (b"X(Y): a\r\n", BAD),
    (b"X: a\x00b\r\n", BAD),
    (b"X: a\x7fb\r\n", BAD),
    (b"X: caf\xe9\r\n", BAD),
    (b"Host: other\r\n", BAD),
    (b"Authorization: a\r\nAuthorization: b\r\n", BAD),
    (b"x-amz-date: a\r\nx-amz-date: b\r\n", BAD),
    (b"Expect: 200-maybe\r\n", (417, "ExpectationFailed")),
    (b"X: y\r\n" * 100, TOO_LARGE),
    (b"X: " + b"y" * 16_384 + b"\r\n", TOO_LARGE),
]

REQUEST_LINES: list[tuple[bytes, tuple[int, str]]] = [
    (b"GET / HTTP/1.0", VERSION),
    (b"GET / HTTP/2.0", VERSION),
    (b"PRI * HTTP/2.0", VERSION),
    (b"GET / HTTP/1.10", BAD),
    (b"GET / http/1.1", BAD),
    (b"GET  / HTTP/1.1", BAD),
    (b"GET /  HTTP/1.1", BAD),
    (b"GET / HTTP/1.1 ", BAD),
    (b"GET\t/ HTTP/1.1", BAD),
    (b"GET /a b HTTP/1.1", BAD),
    (b" GET / HTTP/1.1", BAD),
    (b"G(T / HTTP/1.1", BAD),
    (b"GET /\x00 HTTP/1.1", BAD),
    (b"GET /\xff HTTP/1.1", BAD),
    (b"\x16\x03\x01\x02\x00", BAD),
    (b"GET http://other/b/k HTTP/1.1", URI),
    (b"OPTIONS * HTTP/1.1", URI),
    (b"CONNECT other:443 HTTP/1.1", URI),
    (b"GET b/k HTTP/1.1", URI),
    (b"GET /b/k#part HTTP/1.1", URI),
    (b"GET /" + b"k" * 16_384 + b" HTTP/1.1", TOO_LARGE),
]

HOSTS = [b"", b"Host:\r\n", b"Host: a, b\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: u@a\r\n", b"Host: a\\b\r\n"]

# What would be a second request, were the first one's end misread.
SMUGGLED = b"GET /smuggled/k HTTP/1.1\r\nHost: h\r\n\r\n"


def assert_refused_and_closed(node: Node, sent: bytes, refusal: tuple[int, str]) -> None:
    """Sends bytes and something that must not be read as a request; exactly one answer comes, then the end."""
    with wire.Connection(node.port) as connection:
        connection.send(sent + SMUGGLED)
        answer = connection.response()
        assert answer.refusal == refusal, answer
        assert answer.headers["connection"] == "close" and answer.headers["server"] == "Anode"
        assert answer.headers["x-amz-request-id"] and answer.element("Message")
        assert connection.is_closed()


@pytest.mark.parametrize(("lines", "refusal"), HEADERS, ids=lambda value: ascii(value)[:60])
def test_a_header_that_can_be_read_in_two_ways(node: Node, lines: bytes, refusal: tuple[int, str]) -> None:
    assert_refused_and_closed(node, b"PUT /b/k HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n", refusal)


@pytest.mark.parametrize(("line", "refusal"), REQUEST_LINES, ids=lambda value: ascii(value)[:60])
def test_a_first_line_that_is_not_of_http_1_1(node: Node, line: bytes, refusal: tuple[int, str]) -> None:
    assert_refused_and_closed(node, line + b"\r\nHost: h\r\n\r\n", refusal)


@pytest.mark.parametrize("line", HOSTS, ids=ascii)
def test_a_host_that_is_missing_or_none(node: Node, line: bytes) -> None:
    assert_refused_and_closed(node, b"GET / HTTP/1.1\r\n" + line + b"\r\n", BAD)


@pytest.mark.parametrize(
    "target", ["/bucket/%", "/bucket/%2", "/bucket/%zz", "/bucket/%ff", "/bucket/%c3%28", "/bucket?x=%"]
)
def test_a_target_that_cannot_be_decoded(node: Node, signer: Signer, target: str) -> None:
    answer = wire.exchange(node.port, signer.sign(Request("GET", target)))
    assert answer.status in (400, 403) and answer.code in ("InvalidURI", "InvalidArgument", "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"10000000000000000\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n",
        b"5\r\nhello\r\n0\r\nHost: other\r\n\r\n",
        b"5\r\nhello\r\n0\r\nfolded: a\r\n b\r\n\r\n",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    ],
    ids=lambda body: ascii(body)[:50],
)
def test_chunks_that_can_be_read_in_two_ways(node: Node, signer: Signer, bucket: str, body: bytes) -> None:
    head = signer.sign(Request("PUT", f"/{bucket}/k", headers={"transfer-encoding": "chunked"}), "UNSIGNED-PAYLOAD")
    with wire.Connection(node.port) as connection:
        connection.send(head.encode() + body + SMUGGLED)
        answer = connection.response()
        assert answer.status == 400, answer
        assert connection.is_closed()
    absent = wire.exchange(node.port, signer.sign(Request("HEAD", f"/{bucket}/k")))
    assert absent.status == 404, "a part of a refused body was stored"


def test_chunked_bodies_are_read(node: Node, signer: Signer, bucket: str) -> None:
    head = signer.sign(Request("PUT", f"/{bucket}/k", headers={"transfer-encoding": "chunked"}), "UNSIGNED-PAYLOAD")
    body = b"5;ext=1\r\nhello\r\n00001\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: y\r\n\r\n"
    with wire.Connection(node.port) as connection:
        connection.send(head.encode() + body)
        stored = connection.response("PUT")
        # AWS wants a length before it takes a body; a node may take it or say so.
        assert stored.refusal in ((200, None), (411, "MissingContentLength")), stored
    if stored.status == 200:
        got = wire.exchange(node.port, signer.sign(Request("GET", f"/{bucket}/k")))
        assert got.body == b"hello world"
