"""Buckets named by the host, beside path style, under the domain that the node was given."""

from __future__ import annotations

import pytest
from botocore.client import BaseClient

import forms
import wire
from node import Node
from signing import Request, Signer


@pytest.mark.parametrize("port", ["", ":9000"])
def test_the_host_names_the_bucket(s3: BaseClient, node: Node, bucket: str, port: str) -> None:
    signer = Signer(f"{bucket}.s3.example.test{port}")
    with wire.Connection(node.port) as connection:
        assert connection.exchange(signer.sign(Request("PUT", "/dir//k", body=b"by host"))).status == 200
        assert connection.exchange(signer.sign(Request("GET", "/dir//k"))).body == b"by host"
        listed = connection.exchange(signer.sign(Request("GET", "/", (("list-type", "2"),))))
        assert (listed.element("Name"), listed.element("Key")) == (bucket, "dir//k")
        assert connection.exchange(signer.sign(Request("HEAD", "/"))).status == 200
    assert s3.get_object(Bucket=bucket, Key="dir//k")["Body"].read() == b"by host"


def test_the_domain_itself_is_path_style(node: Node, bucket: str) -> None:
    signer = Signer("s3.example.test")
    assert wire.exchange(node.port, signer.sign(Request("HEAD", f"/{bucket}"))).status == 200
    listed = wire.exchange(node.port, signer.sign(Request("GET", "/")))
    assert bucket.encode() in listed.body


def test_another_domain_is_path_style(node: Node, bucket: str) -> None:
    for host in ("example.org", f"{bucket}.s3.example.org", f"{bucket}-s3.example.test"):
        assert wire.exchange(node.port, Signer(host).sign(Request("HEAD", f"/{bucket}"))).status == 200, host


def test_a_bucket_is_made_and_removed_by_host(node: Node) -> None:
    signer = Signer("made-by-host.s3.example.test")
    assert wire.exchange(node.port, signer.sign(Request("PUT", "/"))).status == 200
    assert wire.exchange(node.port, signer.sign(Request("DELETE", "/"))).status == 204
    assert wire.exchange(node.port, signer.sign(Request("HEAD", "/"))).status == 404


def test_a_host_that_names_no_bucket_is_refused(node: Node) -> None:
    answer = wire.exchange(node.port, Signer("A_B.s3.example.test").sign(Request("GET", "/k")))
    assert answer.refusal == (400, "InvalidBucketName")


def test_a_form_may_go_to_the_host_of_its_bucket(s3: BaseClient, node: Node, bucket: str) -> None:
    host = f"{bucket}.s3.example.test"
    fields = (("key", "a/b"), ("success_action_status", "201"))
    answer = forms.send(node.port, "", forms.body(forms.Form(bucket, fields).signed(), b"by form"), host=host)
    assert (answer.status, answer.element("Location")) == (201, f"http://{host}/a%2Fb")
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"by form"
