"""A target of notifications: a server that keeps what it is sent, and can be away, refuse, or want a token."""

from __future__ import annotations

import http.server
import json
import time
from pathlib import Path
from urllib.parse import unquote_plus

from node import free_port
from server import Quiet, end, serve

WAIT_SECONDS = 60.0


class Webhook:
    """Listens on a port of its own, and again on the same one after it was away."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self.status = 200
        self.token: str | None = None
        self.protocol = "HTTP/1.1"
        self.events: list[dict] = []
        self.tests: list[dict] = []
        self.refused = 0
        self.connections = 0
        self.certificate = certificate
        self._server: http.server.ThreadingHTTPServer | None = None
        self.up()

    def __enter__(self) -> Webhook:
        return self

    def __exit__(self, *_error: object) -> None:
        self.down()

    @property
    def url(self) -> str:
        """Where it is told."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}/hook?from=anode"

    def up(self) -> None:
        """Begins to listen."""
        webhook = self

        class Taker(Quiet):
            protocol_version = self.protocol

            def setup(self) -> None:
                super().setup()
                webhook.connections += 1
                webhook._open.append(self.connection)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert self.path == "/hook?from=anode" and self.headers["content-type"] == "application/json"
                is_known = webhook.token is None or self.headers["authorization"] == f"Bearer {webhook.token}"
                status = webhook.status if is_known else 401
                if status != 200:
                    webhook.refused += 1
                elif body.get("Event") == "s3:TestEvent":
                    webhook.tests.append(body)
                else:
                    webhook.events.extend(body["Records"])
                self.send_response(status)
                if self.protocol_version == "HTTP/1.1":
                    self.send_header("Content-Length", "0")
                self.end_headers()

        self._open: list = []
        self._server = serve(Taker, self.port, self.certificate)

    def down(self) -> None:
        """Is gone, with all connections."""
        if self._server is None:
            return
        end(self._server)
        self._server = None
        for connection in self._open:
            try:
                connection.shutdown(2)
            except OSError:
                pass

    def wait(self, count: int) -> list[dict]:
        """The events that came, once there are so many of them."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.events) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.events) >= count, f"{len(self.events)} of {count}: {self.seen()}"
        return self.events

    def seen(self) -> list[tuple[str, str]]:
        """What was told, as pairs of an event and a key."""
        return [(event["eventName"], key_of(event)) for event in self.events]


def key_of(event: dict) -> str:
    """The object's key."""
    return unquote_plus(event["s3"]["object"]["key"])
