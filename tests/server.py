"""Servers of the tests' own, each on a thread: what a node asks, or tells."""

from __future__ import annotations

import http.server
import ssl
import threading
from pathlib import Path


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers without a line in the tests' output."""

    def log_message(self, *_arguments: object) -> None:
        pass


def serve(
    answers: type[Quiet], port: int = 0, certificate: tuple[Path, Path] | None = None
) -> http.server.ThreadingHTTPServer:
    """Listens on a port of this machine, by HTTPS where there is a certificate."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), answers)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # Else a client that sends nothing would keep all others waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def end(server: http.server.ThreadingHTTPServer) -> None:
    """Listens no more."""
    server.shutdown()
    server.server_close()
