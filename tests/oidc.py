"""A provider of OpenID Connect: it publishes keys by HTTPS, and signs tokens with `openssl`."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path

from server import Quiet, end, serve

AUDIENCE = "anode-tests"


def encode(data: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments: object, data: bytes | None = None) -> bytes:
    """What the command writes."""
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, input=data, check=True, capture_output=True, timeout=60).stdout


class Key:
    """A key that signs tokens: `RS256` or `ES256`."""

    def __init__(self, directory: Path, name: str, algorithm: str = "RS256") -> None:
        self.name, self.algorithm, self.path = name, algorithm, directory / f"{name}.key"
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        if algorithm == "ES256":
            kind = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", "-quiet", "-algorithm", *kind, "-out", self.path)
        public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")
        self.public = {"kid": name, "alg": algorithm, "use": "sig"}
        if algorithm == "ES256":
            self.public |= {"kty": "EC", "crv": "P-256", "x": encode(public[-64:-32]), "y": encode(public[-32:])}
        else:
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").strip().split(b"=")[1]
            self.public |= {"kty": "RSA", "n": encode(bytes.fromhex(modulus.decode())), "e": "AQAB"}

    def signature(self, text: str) -> bytes:
        """That of a text."""
        made = openssl("dgst", "-sha256", "-sign", self.path, data=text.encode())
        if self.algorithm == "RS256":
            return made
        # A SEQUENCE of two INTEGERs; a token has two numbers of 32 bytes.
        first = made[4 : 4 + made[3]]
        second = made[6 + made[3] :]
        return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))

    def token(self, claims: dict, **header: str) -> str:
        """A token that says these claims."""
        parts = ({"alg": self.algorithm, "kid": self.name, "typ": "JWT"} | header, claims)
        text = ".".join(encode(json.dumps(part).encode()) for part in parts)
        return f"{text}.{encode(self.signature(text))}"


class Provider:
    """Publishes what `keys` has; `documents` says how often it was asked for that."""

    def __init__(self, certificate: tuple[Path, Path], *keys: Key) -> None:
        self.keys, self.asked, self.status = list(keys), 0, 200
        provider = self

        class Publisher(Quiet):
            def do_GET(self) -> None:
                document = {"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/keys"}
                if self.path == "/realm/keys":
                    provider.asked += 1
                    document = {"keys": [key.public for key in provider.keys]}
                elif self.path != "/realm/.well-known/openid-configuration":
                    self.send_error(404)
                    return
                body = json.dumps(document).encode()
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = serve(Publisher, certificate=certificate)
        self.issuer = f"https://127.0.0.1:{self._server.server_port}/realm"

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_error: object) -> None:
        end(self._server)

    @property
    def name(self) -> str:
        """What the names of its condition keys begin with."""
        return self.issuer.removeprefix("https://")

    def claims(self, **more: object) -> dict:
        """Those of a good token, with some that are others."""
        now = int(time.time())
        return {"iss": self.issuer, "sub": "repo:a/b", "aud": AUDIENCE, "iat": now, "exp": now + 600} | more
