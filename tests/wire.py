"""HTTP by hand: bytes out, responses in, nothing corrected on the way."""

from __future__ import annotations

import html
import re
import socket
from dataclasses import dataclass, replace

from signing import Request

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Response:
    """A response: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The `Code` of an S3 error."""
        return self.element("Code")

    @property
    def refusal(self) -> tuple[int, str | None]:
        """Status and code, as tests compare them."""
        return self.status, self.code

    def element(self, name: str) -> str | None:
        """The text of an XML element of the body, without its escapes."""
        found = re.search(f"<{name}>(.*?)</{name}>".encode(), self.body, re.DOTALL)
        return html.unescape(found.group(1).decode()) if found else None


class Connection:
    """One TCP connection to a node."""

    def __init__(self, port: int, timeout: float = TIMEOUT_SECONDS) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends bytes. That the node has closed already is no error: its answer is there to be read."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def finish(self) -> None:
        """Says that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def exchange(self, request: Request) -> Response:
        """Sends a request and reads the answer."""
        self.send(request.encode())
        return self.response(request.method)

    def response(self, method: str = "GET") -> Response:
        """Reads one response to a request with this method."""
        head = self.response_head()
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return head
        if head.headers.get("transfer-encoding") == "chunked":
            return replace(head, body=self._take_chunks())
        return replace(head, body=self.take(int(head.headers["content-length"])))

    def response_head(self) -> Response:
        """Reads the head of a response and nothing more."""
        head = self._take_until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head[:-4].split("\r\n")
        assert re.fullmatch(r"HTTP/1\.1 \d{3} [ -~]*", status_line), f"not a status line: {status_line!r}"
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        return Response(int(status_line[9:12]), headers, b"")

    def take(self, count: int) -> bytes:
        """Reads so many bytes."""
        while len(self._buffer) < count:
            self._receive()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def take_rest(self) -> bytes:
        """Reads all that comes before the node closes the connection."""
        try:
            while True:
                self._receive()
        except ConnectionError:
            return self.take(len(self._buffer))

    def is_closed(self) -> bool:
        """Whether the node closes the connection without sending anything more."""
        try:
            return not self._buffer and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _take_chunks(self) -> bytes:
        body = b""
        while size := int(self._take_until(b"\r\n"), 16):
            body += self.take(size)
            assert self.take(2) == b"\r\n"
        assert self._take_until(b"\r\n") == b"\r\n", "trailers in a response"
        return body

    def _take_until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._receive()
        return self.take(self._buffer.index(end) + len(end))

    def _receive(self) -> None:
        received = self._socket.recv(1 << 20)
        if not received:
            raise ConnectionError(f"the node closed the connection after {bytes(self._buffer[:200])!r}")
        self._buffer += received


def exchange(port: int, request: Request) -> Response:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        return connection.exchange(request)
