"""From the first start to the last: what a node prints, what it refuses to start with, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import clients
import wire
from node import ROOT, Node, clean_environment, credentials_environment, run_anode
from signing import UNSIGNED, Request, Signer

MakeNode = Callable[..., Node]
LIST = Request("GET", "/")


def first_words(node: Node) -> str:
    """What a first start prints: it comes with the first moment of serving, so a little may still be missing."""
    deadline = time.monotonic() + 10
    while "--endpoint-url" not in node.output() or not node.output().endswith("\n"):
        assert time.monotonic() < deadline, f"nothing was shown: {node.output()}"
        time.sleep(0.02)
    return node.output()


def made_credentials(output: str) -> tuple[str, str]:
    """The access key and the secret that a first start shows."""
    access_key = re.search(r"\b[A-Z2-7]{20}\b", output)
    secret_key = re.search(r"(?<![\w+-])[A-Za-z0-9+-]{40}(?![\w+-])", output)
    assert access_key and secret_key, output
    return access_key.group(), secret_key.group()


def refused_start(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """What a start that must fail says, in one line without a backtrace."""
    done = run_anode("serve", *arguments, environment=credentials_environment() | (environment or {}))
    assert done.returncode not in (0, 101), done
    assert "panicked" not in done.stderr and "RUST_BACKTRACE" not in done.stderr
    return done.stderr


def test_the_first_start_shows_made_credentials_once(make_node: MakeNode) -> None:
    node = make_node(environment={})
    node.start()
    first = first_words(node)
    access_key, secret_key = made_credentials(first)
    assert "aws " in first and "--endpoint-url" in first and node.address in first
    signer = Signer(node.address, access_key, secret_key)
    assert wire.exchange(node.port, signer.sign(LIST)).status == 200
    assert secret_key not in node.log()
    assert node.stop() == 0

    node.start()
    assert secret_key not in node.output().removeprefix(first) and secret_key not in node.log()
    assert wire.exchange(node.port, signer.sign(LIST)).status == 200
    assert re.search(r"recover", node.log(), re.IGNORECASE), "a later start says how long recovery took"


def test_the_shown_example_works_as_it_is(make_node: MakeNode, home: Path) -> None:
    node = make_node(environment={})
    node.start()
    output = first_words(node)
    access_key, secret_key = made_credentials(output)
    examples = [line.strip(" $") for line in output.splitlines() if "--endpoint-url" in line]
    assert examples, output
    exports = [line.strip(" $") for line in output.splitlines() if line.strip(" $").startswith("export ")]
    path = f"{clients.aws_version_2().parent}:{clean_environment()['PATH']}"
    variables = clients.environment(home) | {
        "PATH": path,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
    }
    script = "\n".join([*exports, *examples])
    done = subprocess.run(
        ["bash", "-euc", script], env=variables, cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, (examples, done.stderr)


def test_given_credentials_are_not_shown(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    assert credentials_environment()["ANODE_SECRET_ACCESS_KEY"] not in node.output() + node.log()
    assert node.stop() == 0


def test_credentials_from_a_file(make_node: MakeNode, tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("AKIAFROMFILE\nsecret-of-the-file\n")
    node = make_node("--credentials-file", str(path), environment={})
    node.start()
    signer = Signer(node.address, "AKIAFROMFILE", "secret-of-the-file")
    assert wire.exchange(node.port, signer.sign(LIST)).status == 200


def test_everything_can_come_from_a_file(make_node: MakeNode, tmp_path: Path) -> None:
    path = tmp_path / "anode.toml"
    path.write_text('memory = "600MiB"\nregion = "eu-north-1"\ndrain_seconds = 5\n[log]\nformat = "json"\n')
    node = make_node("--config", str(path))
    node.start()
    assert wire.exchange(node.port, Signer(node.address, region="eu-north-1").sign(LIST)).status == 200
    assert wire.exchange(node.port, Signer(node.address).sign(LIST)).status == 400
    lines = [json.loads(line) for line in node.log().splitlines() if line]
    assert lines and all("level" in line and "timestamp" in line for line in lines)


def test_several_volumes_serve_as_one_node(make_node: MakeNode) -> None:
    node = make_node()
    node.arguments += ["--data", str(node.directory / "second")]
    signer_of = lambda: Signer(node.address)  # noqa: E731
    node.start()
    wire.exchange(node.port, signer_of().sign(Request("PUT", "/volumes")))
    for number in range(50):
        put = signer_of().sign(Request("PUT", f"/volumes/{number}", body=str(number).encode() * 9000))
        assert wire.exchange(node.port, put).status == 200
    assert node.stop() == 0
    assert any((node.directory / "second").iterdir())
    node.start()
    for number in range(50):
        got = wire.exchange(node.port, signer_of().sign(Request("GET", f"/volumes/{number}")))
        assert got.body == str(number).encode() * 9000


def test_sigterm_lets_requests_under_way_end(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    signer = Signer(node.address)
    wire.exchange(node.port, signer.sign(Request("PUT", "/drained")))
    body = b"d" * 200_000
    sent = signer.sign(Request("PUT", "/drained/k", body=body), UNSIGNED).encode()
    with wire.Connection(node.port) as connection:
        connection.send(sent[:100_000])
        time.sleep(0.2)
        node.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert node.is_running(), "it ended with a request under way"
        connection.send(sent[100_000:])
        assert connection.response("PUT").status == 200
    assert node.wait() == 0
    node.start()
    assert wire.exchange(node.port, signer.sign(Request("GET", "/drained/k"))).body == body


def test_sigterm_does_not_wait_for_idle_connections(make_node: MakeNode, tmp_path: Path) -> None:
    path = tmp_path / "anode.toml"
    path.write_text("drain_seconds = 3600\n")
    node = make_node("--config", str(path))
    node.start()
    with wire.Connection(node.port) as used, wire.Connection(node.port):
        used.exchange(Signer(node.address).sign(LIST))
        assert node.stop() == 0


def test_sigint_ends_it_as_well(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    node.signal(signal.SIGINT)
    assert node.wait() == 0


def test_health_answers_anybody_and_unready_before_recovery(make_node: MakeNode) -> None:
    node = make_node()
    node.launch()
    seen: set[int | None] = set()
    while node.health("ready") != 200:
        seen.add(node.health("ready"))
        assert node.is_running(), node.log_tail()
    assert seen <= {None, 503, 200}
    assert node.health("live") == 200


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("something")
    said = refused_start("--data", str(path), "--listen", "127.0.0.1:0")
    assert str(path) in said and path.read_text() == "something"


def test_a_directory_of_something_else_is_not_formatted(workspace: Path) -> None:
    foreign = workspace / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    said = refused_start("--data", str(foreign), "--listen", "127.0.0.1:0")
    assert str(foreign) in said
    assert (foreign / "thesis.txt").read_text() == "precious"


def test_a_damaged_superblock_is_named(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    node.stop()
    superblock = node.data / "superblock"
    superblock.write_bytes(b"\xa5" * superblock.stat().st_size)
    said = refused_start("--data", str(node.data), "--listen", "127.0.0.1:0")
    assert str(node.data) in said
    assert superblock.read_bytes().startswith(b"\xa5"), "it was formatted over"


def test_a_port_in_use_is_named(workspace: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        said = refused_start("--data", str(workspace / "port"), "--listen", f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in said and "in use" in said and "--listen" in said


def test_a_directory_in_use_is_named_with_its_user(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    said = refused_start("--data", str(node.data), "--listen", "127.0.0.1:0")
    assert str(node.data) in said and str(node.pid) in said
    assert node.health("ready") == 200


def test_a_killed_node_leaves_its_directory_usable(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    node.kill()
    node.start()
    assert node.health("ready") == 200


def test_the_last_of_many_starts_is_as_good_as_the_first(make_node: MakeNode) -> None:
    node = make_node()
    signer: Signer | None = None
    for number in range(5):
        node.start()
        signer = Signer(node.address)
        assert wire.exchange(node.port, signer.sign(Request("PUT", f"/bucket-{number}"))).status == 200
        assert node.stop() == 0
    node.start()
    listed = wire.exchange(node.port, signer.sign(LIST)).body
    assert listed.count(b"<Name>bucket-") == 5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--memory", "lots"], "--memory"),
        (["--memory", "1MiB"], "memory"),
        (["--listen", "nowhere"], "--listen"),
        (["--log-format", "xml"], "--log-format"),
        (["--unknown", "1"], "--unknown"),
        (["--tls-key", "/nonexistent/key.pem"], "tls"),
        (["--tls-key", "/nonexistent/key.pem", "--tls-certificate", "/nonexistent/cert.pem"], "/nonexistent/"),
        (["--credentials-file", "/nonexistent/credentials"], "/nonexistent/credentials"),
        (["--config", "/nonexistent/anode.toml"], "/nonexistent/anode.toml"),
        (["--log", "anode=shout"], "log"),
    ],
)
def test_a_wrong_setting_is_named(workspace: Path, arguments: list[str], named: str) -> None:
    for command in (["serve"], ["config", "check"]):
        environment = {} if "--credentials-file" in arguments else credentials_environment()
        done = run_anode(*command, "--data", str(workspace / "unused"), *arguments, environment=environment)
        assert done.returncode not in (0, 101) and named in done.stderr, done
        assert "panicked" not in done.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lisen = '127.0.0.1:9000'", "lisen"),
        ("memory = 'lots'", "memory"),
        ("listen = 9000", "listen"),
        ("[tls]\ncertificate = 'c'", "key"),
        ("not toml", "anode.toml"),
    ],
)
def test_a_wrong_key_of_the_file_is_named(workspace: Path, tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "anode.toml"
    path.write_text(text)
    done = run_anode("config", "check", "--config", str(path), "--data", str(workspace / "unused"))
    assert done.returncode != 0 and named in done.stderr and str(path) in done.stderr, done


def test_config_check_says_what_would_be_used(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "anode.toml"
    path.write_text('memory = "600MiB"\n')
    data = workspace / "checked"
    done = run_anode(
        "config", "check", "--config", str(path), "--data", str(data), environment=credentials_environment()
    )
    assert done.returncode == 0, done
    assert str(data) in done.stdout and "127.0.0.1:9000" in done.stdout
    assert credentials_environment()["ANODE_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr


def test_help_has_examples() -> None:
    for arguments in (["--help"], ["serve", "--help"]):
        done = run_anode(*arguments)
        assert done.returncode == 0 and "Examples:" in done.stdout and "anode serve --data" in done.stdout
    assert run_anode("--version").stdout.startswith("anode ")


def test_one_of_two_credentials_is_refused(workspace: Path) -> None:
    done = run_anode("serve", "--data", str(workspace / "half"), environment={"ANODE_ACCESS_KEY_ID": "AKIAONLY"})
    assert done.returncode != 0 and "ANODE_ACCESS_KEY_ID" in done.stderr


def test_requests_during_a_stop_are_answered_or_refused_never_lost(make_node: MakeNode) -> None:
    node = make_node()
    node.start()
    signer = Signer(node.address)
    wire.exchange(node.port, signer.sign(Request("PUT", "/stopped")))
    acknowledged: list[int] = []

    def write() -> None:
        try:
            for number in range(100_000):
                put = signer.sign(Request("PUT", f"/stopped/{number:06}", body=b"x" * 100), UNSIGNED)
                if wire.exchange(node.port, put).status != 200:
                    return
                acknowledged.append(number)
        except OSError:
            return

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    time.sleep(0.5)
    assert node.stop() == 0
    writer.join(30)
    node.start()
    with wire.Connection(node.port) as connection:
        for number in acknowledged:
            answer = connection.exchange(signer.sign(Request("HEAD", f"/stopped/{number:06}")))
            assert answer.status == 200, number
