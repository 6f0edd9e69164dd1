"""Mutated requests, thousands of them, crash nothing: the node answers, never with a 500, and serves on as before.

Half are changed after signing, so that they test HTTP and authentication; half are changed first and then signed, so
that they reach the operations. ANODE_TEST_MUTATIONS says how many, ANODE_TEST_SEED which.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from dataclasses import replace

import wire
from node import Node
from signing import STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER, Chunked, Request, Signer

COUNT = int(os.environ.get("ANODE_TEST_MUTATIONS", "3000"))
SEED = int(os.environ.get("ANODE_TEST_SEED", "77"))

TOKENS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"=", b"&", b"?", b"/", b"//", b"..", b"%", b"%00",
    b"%2f", b"%ff", b"\xff", b"\xf0\x9f\x98\x80", b"-1", b"0", b"18446744073709551615", b"18446744073709551616",
    b"9" * 40, b"0x10", b"1e9", b"null", b"bytes=", b"bytes=0-0,", b"-", b"\"", b"W/", b"*", b"chunked",
    b"100-continue", b"close", b"HTTP/1.1", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Host: x\r\n", b"x-amz-", b"<", b">", b"&lt;", b"&#0;", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<![CDATA[", b"]]>",
    b"<a>" * 50, b"A" * 5000, b"%41" * 400,
]  # fmt: skip
PARAMETERS = [
    "uploads", "uploadId", "partNumber", "delete", "list-type", "prefix", "delimiter", "marker", "max-keys",
    "continuation-token", "start-after", "encoding-type", "versionId", "attributes", "location", "acl", "policy",
    "tagging", "response-content-type", "max-parts", "part-number-marker", "key-marker", "upload-id-marker",
    "X-Amz-Expires",
]  # fmt: skip
HEADERS = [
    "range", "if-match", "if-none-match", "if-modified-since", "if-range", "content-md5", "content-type",
    "content-encoding", "expires", "expect", "connection", "x-amz-copy-source", "x-amz-copy-source-range",
    "x-amz-metadata-directive", "x-amz-meta-a", "x-amz-checksum-crc32", "x-amz-checksum-algorithm",
    "x-amz-checksum-mode", "x-amz-trailer", "x-amz-decoded-content-length", "x-amz-object-attributes",
    "x-amz-storage-class", "x-amz-acl", "x-amz-mp-object-size",
]  # fmt: skip
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"]


def templates(bucket: str, upload: str) -> list[Request]:
    """Good requests of every kind."""
    completion = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
    )
    deletion = b"<Delete><Quiet>true</Quiet><Object><Key>absent</Key></Object></Delete>"
    creation = b"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>"
    part = (("partNumber", "2"), ("uploadId", upload))
    return [
        Request("GET", "/"),
        Request("PUT", f"/{bucket}", body=creation),
        Request("HEAD", f"/{bucket}"),
        Request("GET", f"/{bucket}", (("list-type", "2"), ("prefix", "m"), ("delimiter", "/"), ("max-keys", "2"))),
        Request("GET", f"/{bucket}", (("marker", "a"), ("encoding-type", "url"))),
        Request("GET", f"/{bucket}", (("uploads", ""),)),
        Request("POST", f"/{bucket}", (("delete", ""),), {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, deletion),
        Request("PUT", f"/{bucket}/m", headers={"x-amz-meta-a": "b", "content-type": "text/plain"}, body=b"body"),
        Request("GET", f"/{bucket}/m", headers={"range": "bytes=0-1", "if-none-match": '"x"'}),
        Request("HEAD", f"/{bucket}/m", headers={"x-amz-checksum-mode": "ENABLED"}),
        Request("GET", f"/{bucket}/m", (("attributes", ""),), {"x-amz-object-attributes": "ETag,ObjectParts"}),
        Request("PUT", f"/{bucket}/copy", headers={"x-amz-copy-source": f"/{bucket}/m"}),
        Request("POST", f"/{bucket}/u", (("uploads", ""),)),
        Request("PUT", f"/{bucket}/u", part, body=b"part"),
        Request(
            "PUT", f"/{bucket}/u", part, {"x-amz-copy-source": f"{bucket}/m", "x-amz-copy-source-range": "bytes=0-1"}
        ),
        Request("GET", f"/{bucket}/u", (("uploadId", upload),)),
        Request("POST", f"/{bucket}/u", (("uploadId", upload),), body=completion),
        Request("DELETE", f"/{bucket}/absent"),
    ]


class Mutator:
    """Seeded changes of requests."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)

    def bytes(self, data: bytes, most: int = 4) -> bytes:
        """Changes some places of a byte string."""
        for _ in range(self.choose.randint(1, most)):
            at = self.choose.randint(0, len(data))
            end = min(len(data), at + self.choose.choice([0, 1, 1, 2, 8, 40]))
            replacement = self.choose.choice(
                [b"", bytes([self.choose.randrange(256)]), self.choose.choice(TOKENS), data[end : end + 20]]
            )
            data = data[:at] + replacement + data[end:]
        return data

    def text(self, text: str) -> str:
        """Changes a text; what isn't UTF-8 any more is replaced."""
        return self.bytes(text.encode(), 2).decode(errors="replace")

    def request(self, request: Request) -> Request:
        """Changes the parts of a request, each to something that can still be signed."""
        choice = self.choose.randrange(7)
        if choice == 0:
            return replace(request, method=self.choose.choice(METHODS))
        if choice == 1:
            return replace(request, body=self.bytes(request.body))
        if choice == 2:
            name = self.choose.choice(PARAMETERS)
            value = self.choose.choice(["", "1", "-1", "url", self.text("value")])
            return replace(request, query=(*request.query, (name, value)))
        if choice == 3 and request.query:
            return replace(request, query=tuple((name, self.text(value)) for name, value in request.query))
        if choice == 4:
            return replace(request, path="/" + wire_safe(self.text(request.path[1:]), "/%"))
        name = self.choose.choice([*HEADERS, *request.headers])
        old = request.headers.get(
            name, self.choose.choice(["1", "bytes=0-1", '"x"', "AAAAAA==", "Wed, 21 Oct 2015 07:28:00 GMT"])
        )
        return replace(request, headers=request.headers | {name: wire_safe(self.text(old), ' ",/=%*').strip() or "x"})


def wire_safe(text: str, kept: str) -> str:
    """Only what may stand on the wire unescaped, so that it can be signed."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.~" + kept) else "%F0" for letter in text
    )


def answers(port: int, sent: bytes) -> bytes:
    """Everything that comes back for some bytes and the end of the stream."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return bytes(received)


def assert_no_failure(sent: bytes, received: bytes) -> None:
    """Nothing, or HTTP; and never an internal error."""
    assert received == b"" or received.startswith(b"HTTP/1.1 "), (sent, received[:200])
    assert not received.startswith(b"HTTP/1.1 500") and b"<Code>InternalError</Code>" not in received, (sent, received)


def run(node: Node, count: int, make: Callable[[int], bytes]) -> None:
    """Sends so many mutated requests; says how to get the same ones again where one fails."""
    print(f"replay with ANODE_TEST_SEED={SEED} ANODE_TEST_MUTATIONS={COUNT}")
    process = node.pid
    for number in range(count):
        sent = make(number)
        assert_no_failure(sent, answers(node.port, sent))
    assert node.is_running() and node.pid == process
    assert node.health("live") == 200
    assert "panicked" not in node.log()


def start_upload(node: Node, signer: Signer, bucket: str) -> str:
    """An upload for the templates to name."""
    created = wire.exchange(node.port, signer.sign(Request("POST", f"/{bucket}/u", (("uploads", ""),))))
    return created.element("UploadId")


def test_requests_changed_after_signing(node: Node, signer: Signer, bucket: str) -> None:
    mutator = Mutator(SEED)
    requests = templates(bucket, start_upload(node, signer, bucket))
    signed = [signer.sign(request).encode() for request in requests]
    signed += [signer.presign(request).encode() for request in requests]
    run(node, COUNT // 3, lambda number: mutator.bytes(signed[number % len(signed)]))


def test_requests_changed_before_signing(node: Node, signer: Signer, bucket: str) -> None:
    mutator = Mutator(SEED + 1)
    requests = templates(bucket, start_upload(node, signer, bucket))

    def make(number: int) -> bytes:
        request = requests[number % len(requests)]
        for _ in range(mutator.choose.randint(1, 3)):
            request = mutator.request(request)
        return signer.sign(request).encode()

    run(node, COUNT // 3, make)


def test_chunked_bodies_changed_after_signing(node: Node, signer: Signer, bucket: str) -> None:
    mutator = Mutator(SEED + 2)
    target = Request("PUT", f"/{bucket}/chunked")
    uploads = [
        Chunked(STREAMING, b"x" * 20_000, chunk_bytes=8192),
        Chunked(STREAMING_TRAILER, b"y" * 9000, ("x-amz-checksum-crc32", "AAAAAA=="), 8192),
        Chunked(UNSIGNED_TRAILER, b"z" * 9000, ("x-amz-checksum-crc32", "AAAAAA=="), 8192),
    ]
    signed = [upload.sign(signer, target) for upload in uploads]

    def make(number: int) -> bytes:
        request = signed[number % len(signed)]
        body = mutator.bytes(request.body)
        return replace(request, headers=request.headers | {"content-length": str(len(body))}, body=body).encode()

    run(node, COUNT // 3, make)
    stored = wire.exchange(node.port, signer.sign(Request("GET", target.path)))
    assert stored.status == 404 or set(stored.body) <= set(b"xyz"), "frames were stored"
