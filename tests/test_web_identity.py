"""Sessions of whom a provider of OpenID Connect speaks for, and of nobody else."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

import clients
from clients import code_of
from iam import ALL_OF_S3, Keys, call, make_account, unique
from node import Node
from oidc import AUDIENCE, Key, Provider, encode
from test_notifications import make_authority


@dataclass
class World:
    """A node, a provider that its first account knows, and whoever comes without keys."""

    node: Node
    provider: Provider
    iam: BaseClient
    nobody: BaseClient
    keys: dict[str, Key]
    arn: str

    def role(self, **conditions: str) -> str:
        """A role that the provider's tokens are for, where the claims are these."""
        names = {f"{self.provider.name}:{claim}": value for claim, value in conditions.items()}
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": self.arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringLike": names},
        }
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        name = unique("role")
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
        self.iam.attach_role_policy(RoleName=name, PolicyArn=ALL_OF_S3)
        return role["Arn"]

    def assume(self, role: str, token: str, **more: object) -> dict:
        return self.nobody.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="s1", WebIdentityToken=token, **more
        )

    def refusal(self, role: str, token: str, **more: object) -> str:
        return code_of(self.assume, role, token, **more)


def nobody(node: Node) -> BaseClient:
    config = Config(retries={"total_max_attempts": 1}, signature_version=UNSIGNED)
    return boto3.client("sts", endpoint_url=node.endpoint, region_name="us-east-1", config=config)


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[World]:
    # A module's fixture may be made twice, where its tests are mixed with those of others.
    directory = Path(tempfile.mkdtemp(prefix="oidc-", dir=workspace))
    authority, certificate = make_authority(directory)
    keys = {name: Key(directory, name, name[:5]) for name in ("RS256", "ES256", "RS256-new", "RS256-other")}
    node = Node(directory / "federated", ["--ca-file", str(authority)])
    node.start()
    with Provider(certificate, keys["RS256"], keys["ES256"]) as provider:
        iam = Keys().client(node, "iam")
        made = iam.create_open_id_connect_provider(Url=provider.issuer, ClientIDList=[AUDIENCE, "second"])
        yield World(node, provider, iam, nobody(node), keys, made["OpenIDConnectProviderArn"])
    assert node.stop() == 0, node.log_tail()
    assert "panicked" not in node.log(), node.log_tail()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_gives_a_session(world: World, algorithm: str) -> None:
    role = world.role(sub="repo:a/*", aud=AUDIENCE)
    token = world.keys[algorithm].token(world.provider.claims())
    answer = world.assume(role, token, DurationSeconds=900)
    assert answer["SubjectFromWebIdentityToken"] == "repo:a/b"
    assert (answer["Audience"], answer["Provider"]) == (AUDIENCE, world.arn)
    name = role.split("/")[-1]
    assert answer["AssumedRoleUser"]["Arn"].endswith(f":assumed-role/{name}/s1")
    session = Keys.of(answer["Credentials"])
    s3, bucket = session.client(world.node), clients.bucket_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert session.client(world.node, "sts").get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    narrow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}]}
    narrowed = Keys.of(world.assume(role, token, Policy=json.dumps(narrow))["Credentials"]).client(world.node)
    assert narrowed.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert code_of(narrowed.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    for secret in (token, answer["Credentials"]["SecretAccessKey"], answer["Credentials"]["SessionToken"]):
        assert secret not in world.node.log()


def test_what_is_no_good_token_is_refused(world: World) -> None:
    role, key, claims = world.role(sub="*"), world.keys["RS256"], world.provider.claims
    now = int(time.time())
    good = key.token(claims())
    world.assume(role, good)
    head, body, signature = good.split(".")
    none = encode(b'{"alg":"none","kid":"RS256"}')
    for code, token in {
        "ExpiredTokenException": [key.token(claims(exp=now - 1))],
        "InvalidIdentityToken": [
            key.token(claims(aud="somebody else")),
            key.token(claims(aud=[AUDIENCE, "somebody else"])),
            key.token(claims(azp="somebody else")),
            key.token(claims(iss="https://127.0.0.1:1/realm")),
            key.token(claims(iss=f"{world.provider.issuer}/")),
            key.token(claims(nbf=now + 3600)),
            key.token(claims(iat=now + 3600)),
            key.token({name: value for name, value in claims().items() if name != "sub"}),
            key.token(claims(), kid="unknown"),
            key.token(claims(), alg="HS256"),
            key.token(claims(), alg="ES256"),
            # Signed by another key under the name of a good one.
            world.keys["RS256-other"].token(claims(), kid="RS256"),
            f"{head}.{encode(json.dumps(claims(sub='root')).encode())}.{signature}",
            f"{none}.{body}.",
            f"{none}.{body}.{signature}",
            f"{head}.{body}.",
            "no.token.",
        ],
    }.items():
        for one in token:
            assert world.refusal(role, one) == code, one
    world.assume(role, key.token(claims(aud=["x", AUDIENCE], azp="second")))
    assert world.refusal(role, good, DurationSeconds=3601) == "ValidationError"
    assert world.refusal(role, good, ProviderId="www.amazon.com") == "ValidationError"


def test_a_role_says_whose_tokens_it_takes(world: World) -> None:
    token = world.keys["RS256"].token(world.provider.claims(email="me@example.com"))
    world.assume(world.role(sub="repo:a/b", email="me@*"), token)
    for conditions in ({"sub": "repo:a/c"}, {"aud": "second"}, {"sub": "*", "azp": "*"}):
        assert world.refusal(world.role(**conditions), token) == "AccessDenied"
    account = world.arn.split(":")[4]
    assert world.refusal(f"arn:aws:iam::{account}:role/none", token) == "AccessDenied"
    # A role of users, and one of another provider.
    for principal, action in (
        ({"AWS": account}, "sts:AssumeRole"),
        ({"AWS": account}, "sts:AssumeRoleWithWebIdentity"),
        ({"Federated": f"{world.arn}x"}, "sts:AssumeRoleWithWebIdentity"),
        ({"Federated": world.arn}, "sts:AssumeRole"),
    ):
        statement = {"Effect": "Allow", "Principal": principal, "Action": action}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        role = world.iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        assert world.refusal(role, token) == "AccessDenied", (principal, action)
    # Another account doesn't know the provider.
    _, _, root = make_account(world.node, unique("acme"))
    theirs = root.client(world.node, "iam")
    statement = {"Effect": "Allow", "Principal": {"Federated": world.arn}, "Action": "sts:AssumeRoleWithWebIdentity"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = theirs.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    assert world.refusal(role, token) == "InvalidIdentityToken"


def test_a_new_key_is_asked_for_at_a_limited_rate(world: World) -> None:
    role, new = world.role(sub="*"), world.keys["RS256-new"]
    world.assume(role, world.keys["RS256"].token(world.provider.claims()))
    world.provider.keys.append(new)
    token, deadline = new.token(world.provider.claims()), time.monotonic() + 60
    taken = 0
    # On each shard: a connection is one's.
    while taken < 20:
        try:
            replace(world, nobody=nobody(world.node)).assume(role, token)
            taken += 1
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidIdentityToken" and time.monotonic() < deadline
            time.sleep(0.5)
    asked = world.provider.asked
    for nth in range(30):
        unknown = new.token(world.provider.claims(), kid=f"unknown-{nth}")
        assert world.refusal(role, unknown) == "InvalidIdentityToken"
    # Each shard asks for itself.
    assert world.provider.asked - asked <= 3 * len(world.node.figures("anode_wal_held_bytes"))


def test_a_provider_that_cannot_be_asked(world: World, make_node: Callable[..., Node], tmp_path: Path) -> None:
    stranger = make_node()
    stranger.start()
    iam = Keys().client(stranger, "iam")
    made = iam.create_open_id_connect_provider(Url=world.provider.issuer, ClientIDList=[AUDIENCE])
    its = World(stranger, world.provider, iam, nobody(stranger), world.keys, made["OpenIDConnectProviderArn"])
    token = world.keys["RS256"].token(world.provider.claims())
    # Nobody vouches for its certificate.
    assert its.refusal(its.role(sub="*"), token) == "IDPCommunicationError"
    assert "the keys of a provider can't be had" in stranger.log()


def test_providers_are_made_and_changed(world: World) -> None:
    iam, url = world.iam, f"https://idp.example.com/{unique('realm')}"
    tags = [{"Key": "a", "Value": "b"}]
    arn = iam.create_open_id_connect_provider(Url=url, ThumbprintList=["a" * 40], Tags=tags)["OpenIDConnectProviderArn"]
    name = {"OpenIDConnectProviderArn": arn}
    assert arn.endswith(f":oidc-provider/{url.removeprefix('https://')}")
    assert code_of(iam.create_open_id_connect_provider, Url=url) == "EntityAlreadyExists"
    for client in ("one", "two", "one"):
        iam.add_client_id_to_open_id_connect_provider(**name, ClientID=client)
    for _ in range(2):
        iam.remove_client_id_from_open_id_connect_provider(**name, ClientID="two")
    iam.update_open_id_connect_provider_thumbprint(**name, ThumbprintList=["b" * 40, "c" * 40])
    found = iam.get_open_id_connect_provider(**name)
    assert (found["Url"], found["ClientIDList"], found["Tags"]) == (url.removeprefix("https://"), ["one"], tags)
    assert found["ThumbprintList"] == ["b" * 40, "c" * 40]
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    for wrong in ("http://a.example.com", "https://a.example.com?x=1", "https://", f"https://a.example.com/{'x' * 255}"):
        assert code_of(iam.create_open_id_connect_provider, Url=wrong) == "InvalidInput", wrong
    wrong = {"Url": f"{url}x", "ThumbprintList": ["g" * 40]}
    assert code_of(iam.create_open_id_connect_provider, **wrong) == "InvalidInput"
    _, _, root = make_account(world.node, unique("acme"))
    theirs = root.client(world.node, "iam")
    assert theirs.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    assert code_of(theirs.get_open_id_connect_provider, **name) == "NoSuchEntity"
    iam.delete_open_id_connect_provider(**name)
    assert code_of(iam.get_open_id_connect_provider, **name) == "NoSuchEntity"


def test_a_provider_that_goes_takes_its_sessions_to_be_along(world: World) -> None:
    account, _, root = make_account(world.node, unique("acme"))
    iam = root.client(world.node, "iam")
    arn = iam.create_open_id_connect_provider(Url=world.provider.issuer, ClientIDList=[AUDIENCE])["OpenIDConnectProviderArn"]
    theirs = World(world.node, world.provider, iam, world.nobody, world.keys, arn)
    role, token = theirs.role(sub="*"), world.keys["RS256"].token(world.provider.claims())
    theirs.assume(role, token)
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID=AUDIENCE)
    assert theirs.refusal(role, token) == "InvalidIdentityToken"
    iam.detach_role_policy(RoleName=role.split("/")[-1], PolicyArn=ALL_OF_S3)
    iam.delete_role(RoleName=role.split("/")[-1])
    refused = call(world.node, "DeleteAccount", AccountId=account)
    assert refused.status == 409 and b"providers" in refused.body
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert call(world.node, "DeleteAccount", AccountId=account).status == 200
