"""Signature Version 4, written from AWS's description: what the tests sign with, right or deliberately wrong.

A `Request` is what goes over the wire. A `Signer` adds the headers or the query of a signature to one, and signs the
chunks of an `aws-chunked` body.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import node

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@dataclass(frozen=True)
class Request:
    """A request: `path` as it is sent (escaped), `query` as pairs not yet escaped."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def target(self) -> str:
        """Path and query, escaped."""
        text = "&".join(f"{escape(name)}={escape(value)}" for name, value in self.query)
        return f"{self.path}?{text}" if text else self.path

    def with_headers(self, **headers: str) -> Request:
        """The same with further headers; `_` stands for `-`."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers=self.headers | added)

    def encode(self) -> bytes:
        """The bytes on the wire; Content-Length is added where the request doesn't say how long it is."""
        headers = dict(self.headers)
        names = {name.lower() for name in headers}
        if not names & {"content-length", "transfer-encoding"} and (self.body or self.method in ("PUT", "POST")):
            headers["content-length"] = str(len(self.body))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


@dataclass(frozen=True)
class Signer:
    """Who signs, and for where. `shift_seconds` is how wrong the signer's clock is."""

    host: str
    access_key: str = node.ACCESS_KEY
    secret_key: str = node.SECRET_KEY
    region: str = "us-east-1"
    service: str = "s3"
    shift_seconds: int = 0

    def timestamp(self) -> str:
        """The signer's time, as in x-amz-date."""
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.shift_seconds)
        return now.strftime("%Y%m%dT%H%M%SZ")

    def scope(self, timestamp: str) -> str:
        """The credential scope."""
        return f"{timestamp[:8]}/{self.region}/{self.service}/aws4_request"

    def sign(self, request: Request, payload: str | None = None, unsigned: tuple[str, ...] = ()) -> Request:
        """Adds the Authorization header. `payload` is x-amz-content-sha256, the body's digest by default; headers
        named in `unsigned` are left out of the signature."""
        timestamp = self.timestamp()
        added = {
            "host": self.host,
            "x-amz-date": timestamp,
            "x-amz-content-sha256": payload or hashlib.sha256(request.body).hexdigest(),
        }
        given = {name.lower(): value for name, value in request.headers.items()}
        headers = added | given
        names = sorted(name for name in headers if name not in unsigned)
        signature = self.signature(replace(request, headers=headers), names, timestamp, headers["x-amz-content-sha256"])
        headers["authorization"] = (
            f"{ALGORITHM} Credential={self.access_key}/{self.scope(timestamp)}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return replace(request, headers=headers)

    def presign(self, request: Request, expires: str = "300") -> Request:
        """Adds the query of a presigned URL; every header that the request has is signed."""
        timestamp = self.timestamp()
        headers = {"host": self.host} | {name.lower(): value for name, value in request.headers.items()}
        names = sorted(headers)
        query = request.query + (
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{self.access_key}/{self.scope(timestamp)}"),
            ("X-Amz-Date", timestamp),
            ("X-Amz-Expires", expires),
            ("X-Amz-SignedHeaders", ";".join(names)),
        )
        unsigned = replace(request, headers=headers, query=query)
        signature = self.signature(unsigned, names, timestamp, UNSIGNED)
        return replace(unsigned, query=query + (("X-Amz-Signature", signature),))

    def signature(self, request: Request, names: list[str], timestamp: str, payload: str) -> str:
        """The signature of a request whose headers are all there."""
        query = "&".join(sorted(f"{escape(name)}={escape(value)}" for name, value in request.query))
        lines = [f"{name}:{' '.join(request.headers[name].split())}\n" for name in names]
        canonical = "\n".join([request.method, request.path, query, "".join(lines), ";".join(names), payload])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return self._hmac(timestamp, "\n".join([ALGORITHM, timestamp, self.scope(timestamp), digest]))

    def chunk_signature(self, timestamp: str, previous: str, data: bytes) -> str:
        """The signature of one chunk of a body."""
        digest = hashlib.sha256(data).hexdigest()
        kind = f"{ALGORITHM}-PAYLOAD"
        return self._hmac(
            timestamp, "\n".join([kind, timestamp, self.scope(timestamp), previous, EMPTY_SHA256, digest])
        )

    def trailer_signature(self, timestamp: str, previous: str, trailers: str) -> str:
        """The signature of a body's trailers, given as `name:value` lines."""
        digest = hashlib.sha256(trailers.encode()).hexdigest()
        return self._hmac(
            timestamp, "\n".join([f"{ALGORITHM}-TRAILER", timestamp, self.scope(timestamp), previous, digest])
        )

    def _hmac(self, timestamp: str, text: str) -> str:
        key = f"AWS4{self.secret_key}".encode()
        for step in self.scope(timestamp).split("/"):
            key = hmac.new(key, step.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Chunked:
    """An `aws-chunked` upload of `data`, with at most one trailer."""

    mode: str
    data: bytes
    trailer: tuple[str, str] | None = None
    chunk_bytes: int = 65536

    @property
    def pieces(self) -> list[bytes]:
        """The chunks, and the empty one that ends them."""
        step = self.chunk_bytes
        return [self.data[at : at + step] for at in range(0, len(self.data), step)] + [b""]

    def headers(self) -> dict[str, str]:
        """The headers that such an upload is announced by."""
        headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(self.data))}
        return headers | ({"x-amz-trailer": self.trailer[0]} if self.trailer else {})

    def sign(self, signer: Signer, request: Request) -> Request:
        """The whole request: its head signed, and then its body."""
        head = signer.sign(
            replace(request, headers=self.headers() | request.headers | {"content-length": str(self._length())}),
            self.mode,
        )
        return replace(head, body=self.body(signer, head))

    def body(self, signer: Signer, head: Request) -> bytes:
        """The body that follows a signed head."""
        timestamp = head.headers.get("x-amz-date", "20200101T000000Z")
        previous = head.headers.get("authorization", "")[-64:]
        body = bytearray()
        for piece in self.pieces:
            extension = ""
            if self.mode != UNSIGNED_TRAILER:
                previous = signer.chunk_signature(timestamp, previous, piece)
                extension = f";chunk-signature={previous}"
            body += f"{len(piece):x}{extension}\r\n".encode() + piece + (b"\r\n" if piece else b"")
        if self.trailer:
            line = f"{self.trailer[0]}:{self.trailer[1]}"
            body += f"{line}\r\n".encode()
            if self.mode == STREAMING_TRAILER:
                signature = signer.trailer_signature(timestamp, previous, line + "\n")
                body += f"x-amz-trailer-signature:{signature}\r\n".encode()
        return bytes(body + b"\r\n")

    def _length(self) -> int:
        # Signatures have a fixed length, so any signer gives the right one.
        return len(self.body(Signer("h"), Request("PUT", "/")))


def escape(text: str) -> str:
    """Escapes one name or value of a query, or a whole key where slashes are to be escaped too."""
    return quote(text, safe="-_.~")


def key_path(bucket: str, key: str) -> str:
    """The path of an object, as S3 clients escape it."""
    return f"/{bucket}/{quote(key, safe='-_.~/')}"
