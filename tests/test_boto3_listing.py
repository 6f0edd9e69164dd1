"""Listings against a model: a page is complete and true, and nothing is skipped or repeated over its edge."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import bucket_name
from node import Node
from signing import Request, Signer, key_path

SEED = int(os.environ.get("ANODE_TEST_SEED", "20240607"))


@dataclass(frozen=True)
class Listing:
    """What a listing is asked for."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""


def model(keys: list[str], asked: Listing) -> list[tuple[str, str]]:
    """Every entry of a listing in order: ("key", key) or ("prefix", common prefix)."""
    entries: list[tuple[str, str]] = []
    for key in keys:
        if not key.startswith(asked.prefix) or key <= asked.after:
            continue
        at = key.find(asked.delimiter, len(asked.prefix)) if asked.delimiter else -1
        if at < 0:
            entries.append(("key", key))
            continue
        common = key[: at + len(asked.delimiter)]
        if common > asked.after and (not entries or entries[-1] != ("prefix", common)):
            entries.append(("prefix", common))
    return entries


def at_the_edge(asked: Listing) -> Listing:
    """Moves a start inside a common prefix to that prefix: AWS's documents don't say whether it would be shown."""
    at = asked.after.find(asked.delimiter, len(asked.prefix)) if asked.delimiter else -1
    if at < 0 or not asked.after.startswith(asked.prefix):
        return asked
    return replace(asked, after=asked.after[: at + len(asked.delimiter)])


def entries(page: dict) -> list[tuple[str, str]]:
    """A page's entries in order."""
    found = [("key", each["Key"]) for each in page.get("Contents", [])]
    found += [("prefix", each["Prefix"]) for each in page.get("CommonPrefixes", [])]
    return sorted(found, key=lambda entry: entry[1])


def list_v2(s3: BaseClient, bucket: str, asked: Listing, page_size: int) -> list[tuple[str, str]]:
    """Every page of ListObjectsV2, each held to its size."""
    found: list[tuple[str, str]] = []
    arguments = {"Bucket": bucket, "Prefix": asked.prefix, "Delimiter": asked.delimiter, "MaxKeys": page_size}
    arguments["StartAfter"] = asked.after
    while True:
        page = s3.list_objects_v2(**arguments)
        found += entries(page)
        assert page["KeyCount"] == len(entries(page)) <= page_size
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            return found
        assert page["KeyCount"] == page_size, "a page with room left says that there is more"
        arguments["ContinuationToken"] = page["NextContinuationToken"]


def list_v1(s3: BaseClient, bucket: str, asked: Listing, page_size: int) -> list[tuple[str, str]]:
    """Every page of ListObjects."""
    found: list[tuple[str, str]] = []
    arguments = {"Bucket": bucket, "Prefix": asked.prefix, "Delimiter": asked.delimiter, "MaxKeys": page_size}
    arguments["Marker"] = asked.after
    while True:
        page = s3.list_objects(**arguments)
        found += entries(page)
        assert len(entries(page)) <= page_size
        if not page["IsTruncated"]:
            return found
        # AWS gives NextMarker with a delimiter only; without one the last key is the marker.
        arguments["Marker"] = page.get("NextMarker") or page["Contents"][-1]["Key"]


def keys_of_the_bucket() -> list[str]:
    """A few thousand keys: long runs below one prefix, many small folders, neighbours of delimiters."""
    keys = {f"run/{number:04}" for number in range(1200)}
    keys |= {f"folder{number:03}/{name}" for number in range(450) for name in ("a", "b", "deep/er")}
    keys |= {f"dash-{number % 7}-{number}" for number in range(100)}
    keys |= {"a", "a!", "a/", "a//", "a/b", "a0", "run", "run0", "/", "//x", "zz::1", "zz::2", "ü/ü", "\U0010ffff/x"}
    keys |= {"%2F", "a b/c d", "a+b/c+d", "&<>/x", "\x7f/x"}
    return sorted(keys)


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """The bucket's keys in order."""
    return keys_of_the_bucket()


@pytest.fixture(scope="module")
def filled(s3: BaseClient, node: Node, signer: Signer, keys: list[str]) -> str:
    """The bucket with all keys, written over a few raw connections."""
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)

    def write(share: list[str]) -> None:
        with wire.Connection(node.port) as connection:
            for key in share:
                request = Request("PUT", key_path(bucket, key), body=key.encode())
                assert connection.exchange(signer.sign(request)).status == 200, key

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [keys[start::8] for start in range(8)]))
    return bucket


@pytest.mark.parametrize("page_size", [1000, 999, 7])
@pytest.mark.parametrize("walk", [list_v1, list_v2])
def test_all_keys_once_whatever_the_page_size(
    s3: BaseClient, filled: str, keys: list[str], walk, page_size: int
) -> None:
    asked = Listing(prefix="run" if page_size == 7 else "")
    assert walk(s3, filled, asked, page_size) == model(keys, asked)


@pytest.mark.parametrize("page_size", [1000, 100, 3])
@pytest.mark.parametrize("walk", [list_v1, list_v2])
def test_common_prefixes_once_over_the_edges_of_pages(
    s3: BaseClient, filled: str, keys: list[str], walk, page_size: int
) -> None:
    asked = Listing(delimiter="/", prefix="folder1" if page_size == 3 else "")
    assert walk(s3, filled, asked, page_size) == model(keys, asked)


def test_random_listings_agree_with_the_model(s3: BaseClient, filled: str, keys: list[str]) -> None:
    print(f"replay with ANODE_TEST_SEED={SEED}")
    choose = random.Random(SEED)
    for _ in range(30):
        key, other = choose.choice(keys), choose.choice(keys)
        asked = Listing(
            prefix=choose.choice(["", "", key[: choose.randint(0, len(key))]]),
            delimiter=choose.choice(["", "/", "/", "-", "::", "er", "1", "ü"]),
            after=choose.choice(["", other, other[: choose.randint(0, len(other))], key]),
        )
        asked = at_the_edge(asked)
        expected = model(keys, asked)
        page_size = min(1000, choose.choice([1000, len(expected) // 3 + 1, len(expected) + 1]))
        for walk in (list_v1, list_v2):
            assert walk(s3, filled, asked, page_size) == expected, (walk.__name__, asked, page_size)


def test_page_sizes_at_the_bounds(s3: BaseClient, filled: str) -> None:
    none = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"], none["MaxKeys"]) == (0, False, 0)
    more = s3.list_objects_v2(Bucket=filled, MaxKeys=5000)
    assert (more["KeyCount"], more["IsTruncated"], more["MaxKeys"]) == (1000, True, 1000)


def test_a_listing_says_what_was_asked(s3: BaseClient, filled: str) -> None:
    page = s3.list_objects_v2(
        Bucket=filled, Prefix="run/", Delimiter="/", MaxKeys=2, StartAfter="run/0100", FetchOwner=True
    )
    assert (page["Name"], page["Prefix"], page["Delimiter"], page["StartAfter"]) == (filled, "run/", "/", "run/0100")
    assert (page["MaxKeys"], page["KeyCount"], page["IsTruncated"]) == (2, 2, True)
    first = page["Contents"][0]
    assert (first["Key"], first["Size"], first["StorageClass"]) == ("run/0101", 8, "STANDARD")
    assert first["Owner"]["ID"] and first["ETag"].startswith('"') and first["LastModified"]
    assert "Owner" not in s3.list_objects_v2(Bucket=filled, MaxKeys=1)["Contents"][0]
    assert s3.list_objects(Bucket=filled, MaxKeys=1)["Contents"][0]["Owner"]["ID"]


def test_url_encoding_covers_everything_that_xml_cannot_carry(node: Node, signer: Signer, filled: str) -> None:
    query = (("list-type", "2"), ("prefix", "&<>/"), ("encoding-type", "url"))
    answer = wire.exchange(node.port, signer.sign(Request("GET", f"/{filled}", query)))
    assert answer.element("EncodingType") == "url"
    assert answer.element("Key") == "%26%3C%3E/x"
    plain = wire.exchange(node.port, signer.sign(Request("GET", f"/{filled}", query[:2])))
    assert plain.element("Key") == "&<>/x"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ContinuationToken": "made-up"}, "InvalidArgument"),
        ({"ContinuationToken": ""}, "InvalidArgument"),
        ({"MaxKeys": -1}, "InvalidArgument"),
        ({"MaxKeys": 1 << 40}, "InvalidArgument"),
        ({"EncodingType": "base64"}, "InvalidArgument"),
    ],
)
def test_a_wrong_parameter_is_refused(s3: BaseClient, filled: str, arguments: dict, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.list_objects_v2(Bucket=filled, **arguments)
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (400, code)


def test_a_finished_write_is_in_every_later_listing(s3: BaseClient, bucket: str) -> None:
    def write(number: int) -> None:
        key = f"k{number:03}"
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 1
        if number % 2:
            s3.delete_object(Bucket=bucket, Key=key)
            assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    left = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == [f"k{number:03}" for number in range(0, 200, 2)]
