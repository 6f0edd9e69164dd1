"""The five payload modes: bodies arrive as they are, whatever frames them; what was signed otherwise is not stored."""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import replace

import pytest

import wire
from content import MEBIBYTE, content
from node import Node
from signing import STREAMING, STREAMING_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Chunked, Request, Signer

SIZES = [0, 1, 8192, 65_536, 65_537, 2 * MEBIBYTE + 9]
BEFORE = b"what was there before"


def crc32(data: bytes) -> str:
    """CRC32 as S3 writes it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def chunked(mode: str, data: bytes) -> Chunked:
    """An upload of a mode, with a trailer where the mode has one."""
    return Chunked(mode, data, None if mode == STREAMING else ("x-amz-checksum-crc32", crc32(data)))


@pytest.fixture
def target(node: Node, signer: Signer, bucket: str) -> Request:
    """A PUT to a key that has an object already."""
    request = Request("PUT", f"/{bucket}/k")
    assert wire.exchange(node.port, signer.sign(replace(request, body=BEFORE))).status == 200
    return request


def stored(node: Node, signer: Signer, target: Request) -> bytes:
    """What the key has now."""
    answer = wire.exchange(node.port, signer.sign(Request("GET", target.path)))
    assert answer.headers.get("content-encoding") is None
    return answer.body


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", [STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER])
def test_a_chunked_body_is_stored_without_its_frames(
    node: Node, signer: Signer, target: Request, mode: str, size: int
) -> None:
    data = content(mode, size)
    answer = wire.exchange(node.port, chunked(mode, data).sign(signer, target))
    assert answer.refusal == (200, None), answer
    assert answer.headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'
    if mode != STREAMING:
        assert answer.headers["x-amz-checksum-crc32"] == crc32(data)
    assert stored(node, signer, target) == data


@pytest.mark.parametrize("payload", [UNSIGNED, None])
def test_a_plain_body_is_stored_as_it_is(node: Node, signer: Signer, target: Request, payload: str | None) -> None:
    data = b"5;chunk-signature=" + content("plain", MEBIBYTE)
    assert wire.exchange(node.port, signer.sign(replace(target, body=data), payload)).status == 200
    assert stored(node, signer, target) == data


def test_parts_may_be_chunked_too(node: Node, signer: Signer, bucket: str) -> None:
    created = wire.exchange(node.port, signer.sign(Request("POST", f"/{bucket}/k", (("uploads", ""),))))
    upload = created.element("UploadId")
    part = Request("PUT", f"/{bucket}/k", (("partNumber", "1"), ("uploadId", upload)))
    data = content("part", 100_000)
    answer = wire.exchange(node.port, chunked(STREAMING_TRAILER, data).sign(signer, part))
    assert answer.headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'


def test_frames_may_be_sent_in_http_chunks(node: Node, signer: Signer, target: Request) -> None:
    data = content("twice chunked", 20_000)
    upload = chunked(UNSIGNED_TRAILER, data)
    head = signer.sign(replace(target, headers=upload.headers() | {"transfer-encoding": "chunked"}), UNSIGNED_TRAILER)
    body = upload.body(signer, head)
    framed = b"".join(
        b"%x\r\n%b\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999)
    )
    assert wire.exchange(node.port, replace(head, body=framed + b"0\r\n\r\n")).status == 200
    assert stored(node, signer, target) == data


@pytest.mark.parametrize("size", [100, 3 * MEBIBYTE])
def test_a_body_that_is_not_the_signed_one(node: Node, signer: Signer, target: Request, size: int) -> None:
    data = content("signed", size)
    signed = signer.sign(replace(target, body=data))
    for changed in (bytes([data[0] ^ 1]) + data[1:], data[:-1] + bytes([data[-1] ^ 1])):
        answer = wire.exchange(node.port, replace(signed, body=changed))
        assert answer.refusal == (400, "XAmzContentSHA256Mismatch")
    assert stored(node, signer, target) == BEFORE


@pytest.mark.parametrize("mode", ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "unsigned-payload", "0" * 63, "x", " "])
def test_an_unknown_mode_is_refused_and_never_stored_raw(
    node: Node, signer: Signer, target: Request, mode: str
) -> None:
    answer = wire.exchange(node.port, signer.sign(replace(target, body=b"raw"), mode))
    assert answer.status == 400 and answer.code in ("InvalidArgument", "InvalidRequest")
    assert stored(node, signer, target) == BEFORE


def flip(body: bytes, at: int) -> bytes:
    """The body with one bit changed."""
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


@pytest.mark.parametrize("mode", [STREAMING, STREAMING_TRAILER])
@pytest.mark.parametrize("where", ["first chunk", "last chunk", "signature of a chunk", "signature of the end"])
def test_a_signed_chunk_that_was_changed(node: Node, signer: Signer, target: Request, mode: str, where: str) -> None:
    data = content("chunks", 150_000)
    signed = chunked(mode, data).sign(signer, target)
    signatures = [at for at in range(len(signed.body)) if signed.body.startswith(b"chunk-signature=", at)]
    data_starts = [signed.body.index(b"\r\n", at) + 2 for at in signatures]
    at = {
        "first chunk": data_starts[0] + 5,
        "last chunk": data_starts[2] + 5,
        "signature of a chunk": signatures[1] + 30,
        "signature of the end": signatures[-1] + 30,
    }[where]
    answer = wire.exchange(node.port, replace(signed, body=flip(signed.body, at)))
    assert answer.status in (400, 403) and answer.code in ("SignatureDoesNotMatch", "InvalidRequest"), answer
    assert stored(node, signer, target) == BEFORE


def test_chunks_in_another_order(node: Node, signer: Signer, target: Request) -> None:
    signed = Chunked(STREAMING, content("order", 131_072)).sign(signer, target)
    size = signed.body.index(b"chunk-signature=", 100)
    first = signed.body.rindex(b"\r\n", 0, size) + 2
    swapped = signed.body[first : 2 * first] + signed.body[:first] + signed.body[2 * first :]
    answer = wire.exchange(node.port, replace(signed, body=swapped))
    assert answer.refusal == (403, "SignatureDoesNotMatch")
    assert stored(node, signer, target) == BEFORE


@pytest.mark.parametrize("mode", [STREAMING_TRAILER, UNSIGNED_TRAILER])
def test_a_wrong_checksum_in_the_trailer(node: Node, signer: Signer, target: Request, mode: str) -> None:
    data = content("trailer", 100_000)
    wrong = Chunked(mode, data, ("x-amz-checksum-crc32", crc32(b"other")))
    assert wire.exchange(node.port, wrong.sign(signer, target)).refusal == (400, "BadDigest")
    assert stored(node, signer, target) == BEFORE


def test_a_trailer_changed_after_signing(node: Node, signer: Signer, target: Request) -> None:
    signed = chunked(STREAMING_TRAILER, b"data").sign(signer, target)
    at = signed.body.index(b"x-amz-trailer-signature:") + 40
    answer = wire.exchange(node.port, replace(signed, body=flip(signed.body, at)))
    assert answer.status in (400, 403) and answer.code in ("SignatureDoesNotMatch", "MalformedTrailerError")
    assert stored(node, signer, target) == BEFORE


@pytest.mark.parametrize("mode", [UNSIGNED_TRAILER, STREAMING_TRAILER])
@pytest.mark.parametrize("name", ["x-amz-checksum-sha256", "x-amz-meta-smuggled", "x amz", ""])
def test_a_trailer_that_was_not_announced(node: Node, signer: Signer, target: Request, mode: str, name: str) -> None:
    announcing = replace(target, headers={"x-amz-trailer": "x-amz-checksum-crc32"})
    upload = Chunked(mode, b"data", (name, crc32(b"data")))
    assert wire.exchange(node.port, upload.sign(signer, announcing)).refusal == (400, "MalformedTrailerError")
    assert stored(node, signer, target) == BEFORE


@pytest.mark.parametrize(
    ("length", "refusal"),
    [
        (None, (411, "MissingContentLength")),
        ("3", (400, "IncompleteBody")),
        ("5", (400, "IncompleteBody")),
        ("-1", (400, "InvalidArgument")),
        ("4x", (400, "InvalidArgument")),
    ],
)
def test_the_decoded_length_must_be_right(
    node: Node, signer: Signer, target: Request, length: str | None, refusal: tuple[int, str]
) -> None:
    upload = Chunked(UNSIGNED_TRAILER, b"data", ("x-amz-checksum-crc32", crc32(b"data")))
    headers = upload.headers()
    headers["x-amz-decoded-content-length"] = length or ""
    if length is None:
        del headers["x-amz-decoded-content-length"]
    body = upload.body(signer, target)
    signed = signer.sign(replace(target, headers=headers, body=body), UNSIGNED_TRAILER)
    assert wire.exchange(node.port, signed).refusal == refusal
    assert stored(node, signer, target) == BEFORE


def test_small_chunks_are_refused(node: Node, signer: Signer, target: Request) -> None:
    upload = Chunked(STREAMING, content("small", 30_000), chunk_bytes=1000)
    answer = wire.exchange(node.port, upload.sign(signer, target))
    assert answer.refusal == (403, "InvalidChunkSizeError")
    assert stored(node, signer, target) == BEFORE


@pytest.mark.parametrize("cut", [1, 20, 90, 70_000])
def test_a_chunked_body_that_ends_early(node: Node, signer: Signer, target: Request, cut: int) -> None:
    signed = chunked(STREAMING, content("early", 140_000)).sign(signer, target)
    body = signed.body[:-cut]
    headers = signed.headers | {"content-length": str(len(body))}
    early = replace(signed, headers=headers, body=body)
    assert wire.exchange(node.port, early).status in (400, 403)
    assert stored(node, signer, target) == BEFORE


def test_a_body_without_a_length_is_refused(node: Node, signer: Signer, target: Request) -> None:
    head = signer.sign(target, UNSIGNED).encode().replace(b"content-length: 0\r\n", b"")
    with wire.Connection(node.port) as connection:
        connection.send(head)
        assert connection.response("PUT").refusal == (411, "MissingContentLength")


def test_too_large_a_body_is_refused_before_it_is_sent(node: Node, signer: Signer, target: Request) -> None:
    headers = {"content-length": str((5 << 30) + 1), "expect": "100-continue"}
    with wire.Connection(node.port) as connection:
        connection.send(signer.sign(replace(target, headers=headers), UNSIGNED).encode())
        assert connection.response("PUT").refusal == (400, "EntityTooLarge")


def test_two_checksums_are_one_too_many(node: Node, signer: Signer, target: Request) -> None:
    digest = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    headers = {"x-amz-checksum-crc32": crc32(b"data"), "x-amz-checksum-sha256": digest}
    answer = wire.exchange(node.port, signer.sign(replace(target, headers=headers, body=b"data")))
    assert answer.refusal == (400, "InvalidRequest")
    unknown = {"x-amz-checksum-xxhash64": "AAAAAAAAAAA="}
    answer = wire.exchange(node.port, signer.sign(replace(target, headers=unknown, body=b"data")))
    assert answer.refusal == (501, "NotImplemented")
