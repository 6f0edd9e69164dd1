"""Buckets as websites: pages for whoever asks, folders, errors in HTML, and where rules and objects send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import wire
from clients import bucket_name, s3_client
from node import Node
from signing import Request

DOMAIN = "site.example.test"
CUSTOM = "www.custom.test"
INDEX = b"<h1>home</h1>"
ERROR_PAGE = b"<h1>not here</h1>"


@pytest.fixture(scope="module")
def site_node(workspace: Path) -> Iterator[Node]:
    """A node with websites; S3's own domain is below that of the websites."""
    arguments = ["--domain", f"s3.{DOMAIN}", "--website-domain", DOMAIN, "--website-host", CUSTOM]
    node = Node(workspace / "websites", arguments)
    node.start()
    yield node
    assert node.stop() == 0, node.log_tail()
    assert "panicked" not in node.log(), node.log_tail()


@pytest.fixture(scope="module")
def api(site_node: Node) -> BaseClient:
    return s3_client(site_node)


def publish(api: BaseClient, bucket: str, lists: bool = True) -> None:
    """Everybody may read all but private/*; `lists` is whether they may know what is not there."""
    allow = {"Effect": "Allow", "Principal": "*"}
    statements = [
        allow | {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/private/*",
        },
    ]
    if lists:
        statements.append(allow | {"Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"})
    api.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def configure(api: BaseClient, bucket: str, **more: object) -> None:
    website = {"IndexDocument": {"Suffix": "index.html"}} | more
    api.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)


@pytest.fixture
def site(api: BaseClient) -> str:
    """A bucket that is a website with pages in two folders."""
    name = bucket_name()
    api.create_bucket(Bucket=name)
    publish(api, name)
    configure(api, name)
    for key in ("index.html", "folder/index.html", "a b/ü/index.html", "private/index.html"):
        api.put_object(Bucket=name, Key=key, Body=INDEX, ContentType="text/html", Metadata={"k": "v"})
    return name


def get(node: Node, bucket: str, path: str, method: str = "GET", **headers: str) -> wire.Response:
    request = Request(method, path, headers={"host": f"{bucket}.{DOMAIN}"}).with_headers(**headers)
    return wire.exchange(node.port, request)


def test_a_configuration_comes_back(api: BaseClient, site: str) -> None:
    website = {
        "IndexDocument": {"Suffix": "i.html"},
        "ErrorDocument": {"Key": "e.html"},
        "RoutingRules": [
            {"Condition": {"KeyPrefixEquals": "a/"}, "Redirect": {"ReplaceKeyPrefixWith": "b/", "HttpRedirectCode": "302"}}
        ],
    }
    api.put_bucket_website(Bucket=site, WebsiteConfiguration=website)
    found = api.get_bucket_website(Bucket=site)
    assert {name: found[name] for name in website} == website
    api.delete_bucket_website(Bucket=site)
    with pytest.raises(ClientError, match="NoSuchWebsiteConfiguration"):
        api.get_bucket_website(Bucket=site)
    api.delete_bucket_website(Bucket=site)


def test_a_configuration_that_is_wrong_changes_nothing(api: BaseClient, site: str) -> None:
    for website, code in (
        ({}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "i"}, "RedirectAllRequestsTo": {"HostName": "h"}}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "i"}, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "300"}}]}, "InvalidRequest"),
    ):
        with pytest.raises(ClientError) as refused:
            api.put_bucket_website(Bucket=site, WebsiteConfiguration=website)
        assert refused.value.response["Error"]["Code"] == code, website
    assert api.get_bucket_website(Bucket=site)["IndexDocument"] == {"Suffix": "index.html"}


def test_a_folder_shows_its_index(site_node: Node, site: str) -> None:
    for path in ("/", "/index.html", "/folder/", "/a%20b/%C3%BC/", "/folder/index.html?x=1"):
        answer = get(site_node, site, path)
        assert (answer.status, answer.body) == (200, INDEX), path
        assert answer.headers["content-type"] == "text/html"
        assert answer.headers["x-amz-meta-k"] == "v"
    head = get(site_node, site, "/", "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(INDEX)))


def test_a_folder_without_its_slash_is_sent_to_it(site_node: Node, api: BaseClient, site: str) -> None:
    api.put_object(Bucket=site, Key="/evil.test/index.html", Body=b"x")
    for path, location in (
        ("/folder", "/folder/"),
        ("/a%20b/%C3%BC", "/a%20b/%C3%BC/"),
        # Not another host, which two slashes at the beginning would be.
        ("//evil.test", f"http://{site}.{DOMAIN}//evil.test/"),
    ):
        answer = get(site_node, site, path)
        assert (answer.status, answer.headers.get("location"), answer.body) == (302, location, b""), path
    # An object of the name comes first, and who may not read the index isn't sent there.
    api.put_object(Bucket=site, Key="folder", Body=b"object")
    assert get(site_node, site, "/folder").body == b"object"
    assert get(site_node, site, "/private").status == 404


def test_parts_and_conditions_are_understood(site_node: Node, site: str) -> None:
    part = get(site_node, site, "/index.html", Range="bytes=1-2")
    assert (part.status, part.body) == (206, INDEX[1:3])
    etag = part.headers["etag"]
    assert get(site_node, site, "/", If_None_Match=etag).status == 304
    assert get(site_node, site, "/", If_Match='"other"').status == 412
    assert get(site_node, site, "/", Range="bytes=99-").status == 416


def items(answer: wire.Response) -> list[str]:
    text = answer.body.decode()
    return [item.split("</li>")[0] for item in text.split("<li>")[1:]]


def test_an_error_is_a_page(site_node: Node, site: str) -> None:
    answer = get(site_node, site, "/no%3Cscript%3E")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert answer.headers["x-amz-error-code"] == "NoSuchKey"
    assert b"<h1>404 Not Found</h1>" in answer.body
    assert items(answer)[:3] == [
        "Code: NoSuchKey",
        "Message: The specified key does not exist.",
        "Key: no&lt;script&gt;",
    ]
    denied = get(site_node, site, "/private/index.html")
    assert (denied.status, items(denied)[0]) == (403, "Code: AccessDenied")
    assert get(site_node, site, "/no", "HEAD").headers["x-amz-error-detail-Key".lower()] == "no"


def test_who_may_not_list_is_told_nothing_of_what_is_absent(site_node: Node, api: BaseClient, site: str) -> None:
    publish(api, site, lists=False)
    assert get(site_node, site, "/no").status == 403
    assert get(site_node, site, "/folder").status == 302
    api.delete_bucket_policy(Bucket=site)
    assert get(site_node, site, "/").status == 403


def test_a_bucket_that_is_no_website_says_so(site_node: Node, api: BaseClient, site: str) -> None:
    api.delete_bucket_website(Bucket=site)
    answer = get(site_node, site, "/")
    assert (answer.status, items(answer)[0]) == (404, "Code: NoSuchWebsiteConfiguration")
    answer = get(site_node, "no-such-bucket", "/")
    assert (answer.status, items(answer)[0]) == (404, "Code: NoSuchBucket")


def test_nobody_writes_through_a_website(site_node: Node, site: str) -> None:
    for method in ("PUT", "POST", "DELETE"):
        answer = get(site_node, site, "/index.html", method)
        assert (answer.status, items(answer)[0]) == (405, "Code: MethodNotAllowed"), method
    assert get(site_node, site, "/").body == INDEX


def test_a_page_of_ones_own_has_the_status_of_the_error(site_node: Node, api: BaseClient, site: str) -> None:
    configure(api, site, ErrorDocument={"Key": "error.html"})
    missing = get(site_node, site, "/no")
    assert missing.status == 404
    assert "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>" in missing.body.decode()
    assert items(missing)[-1] == "Key: error.html"
    api.put_object(Bucket=site, Key="error.html", Body=ERROR_PAGE, ContentType="text/html")
    # A range and a condition are not about the page of the error.
    answer = get(site_node, site, "/no", Range="bytes=0-0", If_None_Match="*")
    assert (answer.status, answer.body) == (404, ERROR_PAGE)
    assert answer.headers["x-amz-error-code"] == "NoSuchKey"
    answer = get(site_node, site, "/private/x")
    assert (answer.status, answer.body) == (403, ERROR_PAGE)
    assert get(site_node, site, "/error.html").status == 200
    head = get(site_node, site, "/no", "HEAD")
    assert (head.status, head.headers["content-length"]) == (404, str(len(ERROR_PAGE)))


def test_an_object_can_be_elsewhere(site_node: Node, api: BaseClient, site: str) -> None:
    for location in ("/new", "https://example.org/x?y=1"):
        api.put_object(Bucket=site, Key="old", Body=b"x", WebsiteRedirectLocation=location)
        answer = get(site_node, site, "/old")
        assert (answer.status, answer.headers["location"], answer.body) == (301, location, b"")
        assert api.get_object(Bucket=site, Key="old")["WebsiteRedirectLocation"] == location


def test_rules_send_where_they_say(site_node: Node, api: BaseClient, site: str) -> None:
    rules = [
        {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "documents/"}},
        {
            "Condition": {"KeyPrefixEquals": "images/"},
            "Redirect": {"ReplaceKeyWith": "gone.html", "HttpRedirectCode": "302"},
        },
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "old/"},
            "Redirect": {"HostName": "old.test", "Protocol": "https", "HttpRedirectCode": "307"},
        },
    ]
    configure(api, site, RoutingRules=rules)
    api.put_object(Bucket=site, Key="old/there", Body=b"there")
    host = f"http://{site}.{DOMAIN}"
    for path, status, location in (
        ("/docs/a%20b?q=1", 301, f"{host}/documents/a%20b?q=1"),
        ("/images/x/y", 302, f"{host}/gone.html"),
        ("/old/x", 307, "https://old.test/old/x"),
        ("/old/there", 200, None),
        ("/other", 404, None),
    ):
        answer = get(site_node, site, path)
        assert (answer.status, answer.headers.get("location")) == (status, location), path


def test_all_of_a_bucket_can_be_elsewhere(site_node: Node, api: BaseClient, site: str) -> None:
    everything = {"RedirectAllRequestsTo": {"HostName": "new.test", "Protocol": "https"}}
    api.put_bucket_website(Bucket=site, WebsiteConfiguration=everything)
    answer = get(site_node, site, "/a/b?c=d")
    assert (answer.status, answer.headers["location"]) == (301, "https://new.test/a/b?c=d")


def test_a_bucket_may_be_called_as_its_host(site_node: Node, api: BaseClient, site: str) -> None:
    names = [bucket["Name"] for bucket in api.list_buckets()["Buckets"]]
    if CUSTOM not in names:
        api.create_bucket(Bucket=CUSTOM)
    publish(api, CUSTOM)
    configure(api, CUSTOM)
    api.put_object(Bucket=CUSTOM, Key="index.html", Body=b"custom")
    answer = wire.exchange(site_node.port, Request("GET", "/", headers={"host": CUSTOM}))
    assert (answer.status, answer.body) == (200, b"custom")
    # A host that nobody named is S3's, whatever buckets are called.
    answer = wire.exchange(site_node.port, Request("GET", "/", headers={"host": site}))
    assert answer.refusal == (403, "AccessDenied")


def test_s3_keeps_its_own_domain(site_node: Node, site: str) -> None:
    answer = wire.exchange(site_node.port, Request("GET", "/index.html", headers={"host": f"{site}.s3.{DOMAIN}"}))
    assert (answer.status, answer.body) == (200, INDEX)
    answer = wire.exchange(site_node.port, Request("GET", "/no", headers={"host": f"{site}.s3.{DOMAIN}"}))
    assert answer.refusal == (404, "NoSuchKey")


def test_pages_of_other_origins_are_let_in_by_cors(site_node: Node, api: BaseClient, site: str) -> None:
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://app.test"]}
    api.put_bucket_cors(Bucket=site, CORSConfiguration={"CORSRules": [rule]})
    for path in ("/", "/no"):
        assert get(site_node, site, path, Origin="https://app.test").headers["access-control-allow-origin"] == "https://app.test"
    asked = get(site_node, site, "/", "OPTIONS", Origin="https://app.test", Access_Control_Request_Method="GET")
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, "https://app.test")


def test_a_node_without_a_website_domain_has_none(node: Node) -> None:
    answer = wire.exchange(node.port, Request("GET", "/", headers={"host": f"bucket.{DOMAIN}"}))
    assert answer.refusal == (403, "AccessDenied")


def test_one_domain_cannot_be_both(make_node: Callable[..., Node]) -> None:
    node = make_node("--domain", "one.test", "--website-domain", "one.test")
    node.launch()
    assert node.wait(30) != 0
    assert "website.domain" in node.log() + node.output()
