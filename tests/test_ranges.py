"""Several ranges in one request come as one `multipart/byteranges`, as RFC 9110 has it; nobody gets more than the object."""

from __future__ import annotations

import re

import pytest
from botocore.client import BaseClient

import wire
from content import MEBIBYTE, content
from node import Node
from signing import Request, Signer

SIZE = 3 * MEBIBYTE + 5
DATA = content("ranges", SIZE)


@pytest.fixture
def path(s3: BaseClient, bucket: str) -> str:
    """An object of four chunks."""
    s3.put_object(Bucket=bucket, Key="k", Body=DATA, ContentType="text/plain")
    return f"/{bucket}/k"


def ask(node: Node, signer: Signer, path: str, ranges: str, method: str = "GET", **headers: str) -> wire.Response:
    """A request for ranges."""
    asked = Request(method, path, headers={"range": ranges}).with_headers(**headers)
    return wire.exchange(node.port, signer.sign(asked))


def parts(answer: wire.Response) -> list[tuple[str, str, bytes]]:
    """Content-Range, Content-Type and bytes of each part; every byte of the body is accounted for."""
    kind, boundary = answer.headers["content-type"].split("; boundary=")
    assert (answer.status, kind) == (206, "multipart/byteranges")
    assert "content-range" not in answer.headers
    rest, found = answer.body, []
    head = re.compile(rb"\r\n--%b\r\n((?:[^\r\n]+\r\n)+)\r\n" % re.escape(boundary.encode()))
    while match := head.match(rest):
        lines = match.group(1).decode().strip().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        first, last = re.fullmatch(rf"bytes (\d+)-(\d+)/{SIZE}", fields["content-range"]).groups()
        length = int(last) - int(first) + 1
        data, rest = rest[match.end() :][:length], rest[match.end() + length :]
        assert data == DATA[int(first) : int(last) + 1]
        found.append((fields["content-range"], fields["content-type"], data))
    assert rest == f"\r\n--{boundary}--\r\n".encode()
    return found


def shown(answer: wire.Response) -> list[str]:
    """First and last byte of each part."""
    return [each[0].removeprefix("bytes ").removesuffix(f"/{SIZE}") for each in parts(answer)]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ("bytes=0-1,5-9", ["0-1", "5-9"]),
        ("bytes=5-9,0-1", ["5-9", "0-1"]),
        (f"bytes={MEBIBYTE - 1}-{MEBIBYTE},{2 * MEBIBYTE - 3}-{3 * MEBIBYTE + 3}", None),
        (f"bytes=0-0, {SIZE - 1}-, -2", ["0-0", f"{SIZE - 1}-{SIZE - 1}", f"{SIZE - 2}-{SIZE - 1}"]),
        (f"bytes=0-0,{SIZE}-,1-1", ["0-0", "1-1"]),
        ("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 640, 10)), [f"{at}-{at}" for at in range(0, 640, 10)]),
    ],
)
def test_each_range_is_a_part_in_its_order(
    node: Node, signer: Signer, path: str, ranges: str, expected: list[str] | None
) -> None:
    answer = ask(node, signer, path, ranges)
    assert shown(answer) == (expected or ranges.removeprefix("bytes=").split(","))
    assert {kind for _, kind, _ in parts(answer)} == {"text/plain"}
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["etag"] and answer.headers["last-modified"]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ("bytes=0-,0-,0-", f"0-{SIZE - 1}"),
        (f"bytes=100-,0-{SIZE - 200}", f"0-{SIZE - 1}"),
        (f"bytes=7-7,{SIZE}-", "7-7"),
        ("bytes=" + ",".join(["1000000-"] * 64), f"1000000-{SIZE - 1}"),
    ],
)
def test_ranges_that_overlap_bring_no_byte_twice(
    node: Node, signer: Signer, path: str, ranges: str, expected: str
) -> None:
    answer = ask(node, signer, path, ranges)
    assert (answer.status, answer.headers["content-range"]) == (206, f"bytes {expected}/{SIZE}")
    first, last = map(int, expected.split("-"))
    assert answer.body == DATA[first : last + 1]


def test_too_many_ranges_are_ignored(node: Node, signer: Signer, path: str) -> None:
    answer = ask(node, signer, path, "bytes=" + ",".join(["0-0"] * 65))
    assert (answer.status, len(answer.body)) == (200, SIZE)


def test_ranges_without_a_byte_are_refused(node: Node, signer: Signer, path: str) -> None:
    answer = ask(node, signer, path, f"bytes={SIZE}-,{SIZE + 5}-{SIZE + 9}")
    assert answer.refusal == (416, "InvalidRange")


def test_conditions_come_first_and_if_range_decides(node: Node, signer: Signer, path: str) -> None:
    two = "bytes=0-1,5-9"
    etag = ask(node, signer, path, two).headers["etag"]
    assert ask(node, signer, path, two, if_match='"other"').refusal == (412, "PreconditionFailed")
    assert ask(node, signer, path, f"bytes={SIZE}-", if_match='"other"').refusal == (412, "PreconditionFailed")
    assert ask(node, signer, path, two, if_none_match=etag).status == 304
    assert shown(ask(node, signer, path, two, if_range=etag)) == ["0-1", "5-9"]
    assert ask(node, signer, path, two, if_range='"other"').body == DATA


def test_head_tells_what_get_would_bring(node: Node, signer: Signer, path: str) -> None:
    got = ask(node, signer, path, "bytes=0-1,5-9", x_amz_checksum_mode="ENABLED")
    told = ask(node, signer, path, "bytes=0-1,5-9", "HEAD")
    assert (told.status, told.headers["content-length"]) == (206, str(len(got.body)))
    assert told.headers["content-type"] == got.headers["content-type"]
    # A checksum would be that of other bytes.
    assert not [name for name in got.headers if name.startswith("x-amz-checksum")]


def test_parts_have_the_type_that_the_request_wants(node: Node, signer: Signer, path: str) -> None:
    query = (("response-content-type", "image/png"),)
    asked = Request("GET", path, query, {"range": "bytes=0-1,5-9"})
    answer = wire.exchange(node.port, signer.sign(asked))
    assert [kind for _, kind, _ in parts(answer)] == ["image/png", "image/png"]
