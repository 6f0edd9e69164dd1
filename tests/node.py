"""One Anode process: started, waited for, stopped or killed, always by its own id.

Its data directory is below the build directory, because it needs a file system with direct I/O; its logs and its
standard output go to files beside the data, so that nothing ever blocks on a pipe.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACCESS_KEY = "AKIABLACKBOXTESTS"
# Also the canary that must not be found in any log.
SECRET_KEY = "canary7f3c/secret+of/the=black-box+tests"
READY_SECONDS = 30.0
STOP_SECONDS = 40.0
LOG_TAIL_BYTES = 8192

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def target_directory() -> Path:
    """Cargo's build directory."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def binary() -> Path:
    """The binary under test: ANODE_BINARY, or what `make black-box` builds."""
    given = os.environ.get("ANODE_BINARY")
    return Path(given).resolve() if given else target_directory() / "ci" / "anode"


def clean_environment() -> dict[str, str]:
    """This environment without what would change how a node or a client behaves."""
    dropped = ("ANODE_", "AWS_", "RCLONE_", "RESTIC_")
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) and name.lower() not in proxies
    }


def credentials_environment() -> dict[str, str]:
    """The root credentials, as a node reads them."""
    return {"ANODE_ACCESS_KEY_ID": ACCESS_KEY, "ANODE_SECRET_ACCESS_KEY": SECRET_KEY}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_anode(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command of the binary that ends by itself."""
    return subprocess.run(
        [binary(), *arguments],
        env=clean_environment() | (environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Node:
    """A node and its files. `directory` holds `data`, `log` and `output`."""

    directory: Path
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=credentials_environment)
    certificate: Path | None = None
    port: int = 0
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return f"{'https' if self.certificate else 'http'}://{self.address}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self.process is not None, "the node was not started"
        return self.process.pid

    def start(self) -> float:
        """Starts the process and waits until it is ready; returns the seconds that took."""
        started = time.monotonic()
        self.launch()
        self.wait_ready()
        return time.monotonic() - started

    def launch(self) -> None:
        """Starts the process without waiting for anything."""
        assert not self.is_running(), "the node runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        command = [binary(), "serve", "--data", self.data, "--listen", self.address, *self.arguments]
        if "--memory" not in self.arguments:
            command += ["--memory", "512MiB"]
        with open(self.directory / "log", "ab") as log, open(self.directory / "output", "ab") as output:
            self.process = subprocess.Popen(
                command,
                env=clean_environment() | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        RUNNING.append(self)

    def wait_ready(self) -> None:
        """Waits until /health/ready answers 200."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.is_running(), f"the node ended with {self.process.returncode}:\n{self.log_tail()}"
            if self.health("ready") == 200:
                return
            time.sleep(0.01)
        raise AssertionError(f"the node is not ready after {READY_SECONDS} s:\n{self.log_tail()}")

    def health(self, probe: str) -> int | None:
        """The status of a health probe, None where nobody answers."""
        connection = self.connection()
        try:
            connection.request("GET", f"/health/{probe}")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def figures(self, name: str) -> list[float]:
        """What the shards tell of one metric."""
        connection = self.connection()
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        assert found, f"no {name} in:\n{text}"
        return [float(value) for value in found]

    def connection(self) -> http.client.HTTPConnection:
        """A connection of Python's own HTTP client."""
        if not self.certificate:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        context = ssl.create_default_context(cafile=str(self.certificate))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as systemd does it; returns the exit status."""
        return self._end(signal.SIGTERM)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Waits for the process to end by itself; returns the exit status."""
        assert self.process is not None
        status = self.process.wait(seconds)
        if self in RUNNING:
            RUNNING.remove(self)
        return status

    def log(self) -> str:
        """All that it logged."""
        return _text(self.directory / "log")

    def output(self) -> str:
        """All that it printed."""
        return _text(self.directory / "output")

    def log_tail(self) -> str:
        """The end of the log."""
        return self.log()[-LOG_TAIL_BYTES:]

    def _end(self, number: signal.Signals) -> int:
        if self.is_running():
            self.signal(number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise


# Every node that was started and not ended yet, for the log of a failure and for the end of the session.
RUNNING: list[Node] = []


def _die_with_parent() -> None:
    """A test process that is killed takes its nodes with it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
