"""Upload forms by hand: the fields, the policy, its signature, and the body of `multipart/form-data`."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace

import wire
from node import ACCESS_KEY, SECRET_KEY
from signing import ALGORITHM, Request, Signer

BOUNDARY = "----form7f3c"


def expiration(seconds: int = 600) -> str:
    """So many seconds from now, as policies have it."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Form:
    """A form to a bucket: fields in their order, and what its policy says. `policy` overrides all of it."""

    bucket: str
    fields: tuple[tuple[str, str], ...] = (("key", "k"),)
    conditions: tuple[object, ...] | None = None
    expires: str = field(default_factory=expiration)
    policy: object = None
    data: bytes = b"the file"
    filename: str | None = "name.txt"
    version: int = 4
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    def with_fields(self, **fields: str) -> Form:
        """The same with further fields, `_` for `-`, each with a condition where the form makes its own."""
        added = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        return replace(self, fields=self.fields + added)

    def signed(self) -> list[tuple[str, str]]:
        """The fields with policy and signature."""
        signer = Signer("", self.access_key, self.secret_key)
        timestamp = signer.timestamp()
        fields = list(self.fields)
        if self.version == 4:
            fields += [
                ("x-amz-algorithm", ALGORITHM),
                ("x-amz-credential", f"{self.access_key}/{signer.scope(timestamp)}"),
                ("x-amz-date", timestamp),
            ]
        conditions = self.conditions
        if conditions is None:
            conditions = ({"bucket": self.bucket}, ["starts-with", "$key", ""])
            conditions += tuple({name: value} for name, value in fields if name != "key")
        elif self.version == 4:
            conditions += tuple({name: value} for name, value in fields[-3:])
        document = self.policy
        if document is None:
            document = {"expiration": self.expires, "conditions": list(conditions)}
        text = document if isinstance(document, str) else json.dumps(document)
        policy = base64.b64encode(text.encode()).decode()
        if self.version == 4:
            return [*fields, ("policy", policy), ("x-amz-signature", signer._hmac(timestamp, policy))]
        digest = hmac.new(self.secret_key.encode(), policy.encode(), hashlib.sha1).digest()
        signature = base64.b64encode(digest).decode()
        return [*fields, ("AWSAccessKeyId", self.access_key), ("policy", policy), ("signature", signature)]

    def send(self, port: int, **changes: str | None) -> wire.Response:
        """Sends it signed, with fields changed after signing (`_` for `-`), or taken out by None."""
        renamed = {name.replace("_", "-"): value for name, value in changes.items()}
        fields = [(name, renamed.pop(name, value)) for name, value in self.signed()]
        fields += renamed.items()
        sent = [(name, value) for name, value in fields if value is not None]
        return send(port, self.bucket, body(sent, self.data, self.filename))


def body(fields: list[tuple[str, str]], data: bytes | None, filename: str | None = None) -> bytes:
    """The body with these fields and, unless it is None, a file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    if data is not None:
        disposition = 'form-data; name="file"' + (f'; filename="{filename}"' if filename is not None else "")
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: text/html\r\n\r\n"
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def request(bucket: str, content: bytes, **headers: str) -> Request:
    """The request that carries a body."""
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", f"/{bucket}", headers={"host": "localhost:9000"} | kind | given, body=content)


def send(port: int, bucket: str, content: bytes, **headers: str) -> wire.Response:
    """Sends a body on a connection of its own."""
    return wire.exchange(port, request(bucket, content, **headers))
