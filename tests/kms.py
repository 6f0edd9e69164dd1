"""A key service: what of AWS KMS's protocol a node speaks, with signatures verified by botocore's own signer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import os

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from server import Quiet, end, serve

ACCESS_KEY, SECRET_KEY = "AKIAKEYSERVICE", "the-key-services-secret"
REGION = "eu-test-1"
ARN = f"arn:aws:kms:{REGION}:111122223333:key/"


class KeyService:
    """Makes keys and takes them back; `faults` are answers that come first, `calls` what it was asked."""

    def __init__(self) -> None:
        self.secret, self.faults, self.calls = os.urandom(32), [], []
        self.made: list[bytes] = []
        self.status: dict[str, str] = {}
        service = self

        class Answerer(Quiet):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = service.answer(self, body)
                data = json.dumps(answer).encode() if status else b""
                self.send_response(status or 500)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = serve(Answerer)
        self.port = self._server.server_port

    def __enter__(self) -> KeyService:
        return self

    def __exit__(self, *_error: object) -> None:
        end(self._server)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_signed(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> bool:
        """Whether the signature is what botocore makes of the same request."""
        sent = request.headers["authorization"]
        names = sent.split("SignedHeaders=")[1].split(",")[0].split(";")
        if not {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(names):
            return False
        fields = "\n".join(f"{name}:{request.headers[name].strip()}" for name in sorted(names))
        digest = hashlib.sha256(body).hexdigest()
        canonical = "\n".join(["POST", request.path, "", fields, "", ";".join(sorted(names)), digest])
        same = AWSRequest("POST", self.url + request.path, data=body)
        same.context["timestamp"] = request.headers["x-amz-date"]
        signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "kms", REGION)
        signature = signer.signature(signer.string_to_sign(same, canonical), same)
        return f"Credential={ACCESS_KEY}/" in sent and hmac.compare_digest(signature, sent.split("Signature=")[1])

    def answer(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict]:
        """The status and the document; no status is one that isn't JSON."""
        action, asked = request.headers["x-amz-target"].removeprefix("TrentService."), json.loads(body)
        self.calls.append((action, asked))
        if self.faults:
            return self.faults.pop(0)
        if not self.is_signed(request, body):
            return 400, {"__type": "InvalidSignatureException", "message": "no"}
        bound = json.dumps(asked["EncryptionContext"], sort_keys=True).encode()
        if action == "GenerateDataKey":
            assert asked["KeySpec"] == "AES_256"
            name = asked["KeyId"].removeprefix(ARN)
            if name in self.status or name == "nobody":
                return 400, {"__type": self.status.get(name, "NotFoundException"), "message": "no"}
            key = os.urandom(32)
            self.made.append(key)
            mask = hashlib.sha256(self.secret + name.encode()).digest()
            sealed = bytes(one ^ other for one, other in zip(key, mask, strict=True))
            tag = hmac.digest(self.secret, name.encode() + sealed + bound, "sha256")
            blob = json.dumps([name, sealed.hex(), tag.hex()]).encode()
            answer = {"KeyId": ARN + name, "Plaintext": base64.b64encode(key).decode()}
            return 200, answer | {"CiphertextBlob": base64.b64encode(blob).decode()}
        name, sealed, tag = json.loads(base64.b64decode(asked["CiphertextBlob"]))
        if name in self.status:
            return 400, {"__type": f"com.amazonaws.kms#{self.status[name]}", "message": "no"}
        if hmac.digest(self.secret, name.encode() + bytes.fromhex(sealed) + bound, "sha256").hex() != tag:
            return 400, {"__type": "InvalidCiphertextException", "message": "no"}
        mask = hashlib.sha256(self.secret + name.encode()).digest()
        key = bytes(one ^ other for one, other in zip(bytes.fromhex(sealed), mask, strict=True))
        return 200, {"KeyId": ARN + name, "Plaintext": base64.b64encode(key).decode()}
