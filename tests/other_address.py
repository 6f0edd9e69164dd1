"""Asks a node for its metrics from the loopback address and from another one, in a network namespace of its own.

`python other_address.py DIRECTORY WHO` prints a JSON object: address to status and body. It makes the other address, so
it runs where `unshare --user --map-root-user --net` has put it, and the node, which listens on all addresses there, is
seen by nobody else.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import socket
import struct
import sys
from pathlib import Path

from node import Node

LOOPBACK = "127.0.0.1"
# RFC 5737: for documentation, nobody's.
OTHER = "192.0.2.1"
UNSHARE = ["unshare", "--user", "--map-root-user", "--net"]

_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_IFF_UP = 1


def make_address() -> None:
    """Gives the namespace's own loopback interface both addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
        address = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(OTHER))
        fcntl.ioctl(control, _SIOCSIFADDR, address)


def ask(node: Node, address: str) -> tuple[int, str]:
    """Status and body of /metrics, asked from an address at the same one."""
    connection = http.client.HTTPConnection(address, node.port, timeout=30, source_address=(address, 0))
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    return response.status, response.read().decode()


def main(directory: str, who: str) -> None:
    """Starts the node, asks, ends it."""
    make_address()
    node = Node(Path(directory), ["--metrics", who], host="0.0.0.0")
    node.start()
    try:
        print(json.dumps({address: ask(node, address) for address in (LOOPBACK, OTHER)}))
    finally:
        node.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
