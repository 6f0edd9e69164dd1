"""The real clients: where their programs are, and how they are told about a node.

A client that is not installed fails the whole session before its first test; `make setup-test` installs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from node import ACCESS_KEY, ROOT, SECRET_KEY, Node, clean_environment

PROGRAMS = ("s3cmd", "rclone", "restic", "node", "openssl")
JAVASCRIPT = ROOT / "tests" / "javascript"
TIMEOUT_SECONDS = 120


def missing() -> list[str]:
    """What the tests need and isn't here."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if aws_version_2() is None:
        absent.append("aws-cli version 2")
    if not aws_version_1().exists():
        absent.append("aws-cli version 1 in the virtual environment")
    if not (JAVASCRIPT / "node_modules" / "@aws-sdk" / "client-s3").exists():
        absent.append("the JavaScript SDK")
    return absent


def aws_version_1() -> Path:
    """The aws-cli beside boto3: the newest botocore, with the checksums that SDKs send since 2025."""
    return Path(sys.executable).parent / "aws"


def aws_version_2() -> Path | None:
    """The aws-cli of the system; another `aws` may come before it in the path."""
    for directory in os.get_exec_path():
        program = Path(directory) / "aws"
        if program.is_file() and _version(program).startswith("aws-cli/2."):
            return program
    return None


def environment(home: Path) -> dict[str, str]:
    """What every client sees: the root credentials, and no configuration of the user's own."""
    return clean_environment() | {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
        "AWS_PAGER": "",
        "RCLONE_CONFIG": str(home / "rclone.conf"),
    }


def run(
    command: list[str | Path], variables: dict[str, str], status: int = 0, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Runs a client to its end and holds it to its exit status."""
    done = subprocess.run(
        command, env=variables, input=stdin, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
    )
    shown = f"{command} ended with {done.returncode}\n{_tail(done.stdout)}\n{_tail(done.stderr)}"
    assert done.returncode == status, shown
    return done


def rclone_environment(node: Node, home: Path) -> dict[str, str]:
    """A remote named `anode:`."""
    return environment(home) | {
        "RCLONE_CONFIG_ANODE_TYPE": "s3",
        "RCLONE_CONFIG_ANODE_PROVIDER": "Other",
        "RCLONE_CONFIG_ANODE_ENDPOINT": node.endpoint,
        "RCLONE_CONFIG_ANODE_ACCESS_KEY_ID": ACCESS_KEY,
        "RCLONE_CONFIG_ANODE_SECRET_ACCESS_KEY": SECRET_KEY,
    }


def s3_client(node: Node, **settings: object) -> BaseClient:
    """A boto3 client as people make them, but without retries, so that no error is hidden."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **settings)
    return boto3.client(
        "s3",
        endpoint_url=node.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        verify=str(node.certificate) if node.certificate else None,
        config=config,
    )


def code_of(call: Callable[..., object], *positional: object, **arguments: object) -> str:
    """The code of the error that a call of boto3 has to be refused with."""
    with pytest.raises(ClientError) as refusal:
        call(*positional, **arguments)
    return refusal.value.response["Error"]["Code"]


def bucket_name() -> str:
    """A name that no other test uses."""
    return f"test-{uuid.uuid4().hex[:16]}"


def _version(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def _tail(output: bytes) -> str:
    return output[-4000:].decode(errors="replace")
