"""Users, roles and accounts of a node, through boto3 as people make them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

import boto3
from botocore.client import BaseClient
from botocore.config import Config

import wire
from node import ACCESS_KEY, SECRET_KEY, Node
from signing import Request, Signer

ALL_OF_S3 = "arn:aws:iam::aws:policy/AmazonS3FullAccess"


@dataclass(frozen=True)
class Keys:
    """An access key, with its token where it is a session's."""

    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    token: str | None = None

    def client(self, node: Node, service: str = "s3") -> BaseClient:
        """A boto3 client without retries."""
        return boto3.client(
            service,
            endpoint_url=node.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token,
            region_name="us-east-1",
            # boto3's presigned URLs have a signature of version 2 else.
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                signature_version="s3v4" if service == "s3" else "v4",
            ),
        )

    @staticmethod
    def of(answer: dict) -> Keys:
        """Those of an answer's `AccessKey` or `Credentials`."""
        return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("SessionToken"))


def unique(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def document(*statements: dict) -> str:
    """A policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resource: str = "*", **more: object) -> dict:
    """A statement of an identity's policy."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource} | more


def deny(actions: str | list[str], resource: str = "*", **more: object) -> dict:
    """A statement that denies."""
    return allow(actions, resource, **more) | {"Effect": "Deny"}


def make_user(iam: BaseClient, *statements: dict) -> tuple[str, Keys]:
    """A user with a policy of its own, where statements are given, and a key."""
    name = unique("user")
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
    return name, Keys.of(iam.create_access_key(UserName=name)["AccessKey"])


def call(node: Node, action: str, keys: Keys | None = None, **parameters: str) -> wire.Response:
    """Makes a call of IAM that boto3 doesn't know."""
    body = urlencode({"Action": action} | parameters).encode()
    request = Request("POST", "/", (), {"content-type": "application/x-www-form-urlencoded"}, body)
    by = keys or Keys()
    signer = Signer(node.address, by.access_key, by.secret_key, service="iam")
    return wire.exchange(node.port, signer.sign(request))


def make_account(node: Node, name: str, email: str = "") -> tuple[str, str, Keys]:
    """Another account: its id, its canonical id, and keys of its root."""
    answer = call(node, "CreateAccount", AccountName=name, Email=email)
    assert answer.status == 200, answer.body
    text = answer.body.decode()

    def inside(element: str) -> str:
        return text.split(f"<{element}>")[1].split(f"</{element}>")[0]

    return inside("AccountId"), inside("CanonicalUserId"), Keys(inside("AccessKeyId"), inside("SecretAccessKey"))
