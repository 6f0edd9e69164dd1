"""TLS inside the process: SDKs over HTTPS with their trailing checksums, and certificates changed without a restart."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients import s3_client
from content import MEBIBYTE, content
from node import Node


def make_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 signed by itself, and its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key


@pytest.fixture
def secure(make_node: Callable[..., Node], tmp_path: Path) -> Node:
    """A node that serves HTTPS."""
    certificate, key = make_certificate(tmp_path, "first")
    node = make_node("--tls-certificate", str(certificate), "--tls-key", str(key), certificate=certificate)
    node.start()
    return node


def served_certificate(node: Node) -> str:
    """What a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", node.port), timeout=10)


def pem(path: Path) -> str:
    """A certificate as `served_certificate` writes it."""
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(path.read_text()))


def test_sdks_work_over_https_with_trailing_checksums(secure: Node) -> None:
    client = s3_client(secure)
    client.create_bucket(Bucket="secure")
    for size in (0, 100, 70_000, 3 * MEBIBYTE):
        body = content("secure", size)
        # Over HTTPS boto3 sends aws-chunked bodies with an unsigned trailer.
        put = client.put_object(Bucket="secure", Key="k", Body=body, ChecksumAlgorithm="SHA256")
        got = client.get_object(Bucket="secure", Key="k")
        assert (got["Body"].read(), got["ChecksumSHA256"]) == (body, put["ChecksumSHA256"])
        assert "ContentEncoding" not in got


def test_a_certificate_is_changed_without_a_restart(secure: Node, tmp_path: Path) -> None:
    assert served_certificate(secure) == pem(tmp_path / "first.pem")
    old = secure.connection()
    old.request("GET", "/health/live")
    old.getresponse().read()
    second, second_key = make_certificate(tmp_path, "second")
    os.replace(second_key, tmp_path / "first.key")
    os.replace(second, tmp_path / "first.pem")
    secure.signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while served_certificate(secure) != pem(tmp_path / "first.pem"):
        assert time.monotonic() < deadline, "the old certificate is still served"
        time.sleep(0.1)
    old.request("GET", "/health/live")
    assert old.getresponse().status == 200, "a connection was lost by the change"


def test_a_broken_certificate_changes_nothing(secure: Node, tmp_path: Path) -> None:
    before = served_certificate(secure)
    (tmp_path / "first.pem").write_text("no certificate")
    secure.signal(signal.SIGHUP)
    time.sleep(1)
    assert secure.is_running() and served_certificate(secure) == before


def test_plain_http_is_not_spoken_there(secure: Node) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), 10) as plain:
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n")
        received = plain.recv(1000)
        assert b" 200 " not in received.split(b"\r\n")[0]
    assert secure.health("live") == 200


def test_only_today_s_protocols_are_spoken(secure: Node) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(secure.certificate))
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", secure.port), 10) as raw:
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped:
                assert wrapped.version() == version.name.replace("_", ".")
