"""File systems of a test's own: an image file, made to ext4 or XFS and mounted through a loop device.

Only root may do this. Where it can't be done a test that needs it is skipped with the reason, and fails where CI is
set: there it must be possible.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import stat
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import machine

KINDS = ("ext4", "xfs")
PROGRAMS = ("mkfs.ext4", "mkfs.xfs", "mount", "umount", "losetup")
# Also where the shell of an ordinary user doesn't look.
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
# Between two node starts; a mount that replays its journal is done long before.
COMMAND_SECONDS = 60
IMAGE_BYTES = 4 << 30

# The same number for both: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN, _IOR('X', 125, __u32).
_SHUTDOWN = 0x8004587D
# Nothing of the file system's own log goes out any more, as when the power is cut.
_WITHOUT_LOG_FLUSH = 2


class FileSystem:
    """One file system at one mount point, on an image file or on whatever file stands for the device."""

    def __init__(self, kind: str, device: Path, mount_point: Path) -> None:
        self.kind = kind
        self.device = device
        self.mount_point = mount_point

    def make(self) -> None:
        """Makes it, empty."""
        force = "-F" if self.kind == "ext4" else "-f"
        # Discarding first would only punch holes into a file that has none but holes.
        discard = ["-E", "nodiscard"] if self.kind == "ext4" else ["-K"]
        run([f"mkfs.{self.kind}", "-q", force, *discard, str(self.device)])

    def mount(self) -> None:
        """Mounts it; what was not finished when it was cut off is replayed from its log."""
        self.mount_point.mkdir(parents=True, exist_ok=True)
        ensure_loop_device()
        run(["mount", "-t", self.kind, "-o", "loop", str(self.device), str(self.mount_point)])

    def unmount(self) -> str:
        """Unmounts it; that frees its loop device. The kernel closes the files of a killed node a moment late."""
        deadline = time.monotonic() + COMMAND_SECONDS
        while True:
            try:
                return run(["umount", str(self.mount_point)])
            except AssertionError as error:
                if "busy" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def cut_power(self) -> None:
        """Shuts it down in the midst of everything: from now on all I/O fails, and what was not durable is lost."""
        directory = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG_FLUSH))
        finally:
            os.close(directory)

    def remove(self) -> None:
        """Unmounts it if it is mounted."""
        # Asked of the kernel: what was shut down can't be looked at.
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        if str(self.mount_point) in (line.split()[1] for line in mounts):
            self.unmount()


def make_image(path: Path, size: int = IMAGE_BYTES) -> Path:
    """A sparse file to be a device."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as image:
        image.truncate(size)
    return path


def run(command: list[str]) -> str:
    """Runs a command of the system to its end and holds it to success."""
    program = shutil.which(command[0], path=SEARCHED)
    assert program is not None, f"{command[0]} is not installed"
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def ensure_loop_device() -> None:
    """In a container the node of a free loop device may be missing, because nobody runs udev."""
    free = Path(run(["losetup", "--find"]).strip())
    if not free.exists():
        number = int(free.name.removeprefix("loop"))
        with contextlib.suppress(FileExistsError):
            os.mknod(free, stat.S_IFBLK | 0o600, os.makedev(7, number))


@functools.cache
def hindrance() -> str | None:
    """Why no file system can be made and mounted here; None where it can. It is tried, not guessed."""
    if os.geteuid() != 0:
        return "only root may mount file systems"
    missing = [program for program in PROGRAMS if shutil.which(program, path=SEARCHED) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not Path("/dev/fuse").exists():
        return "/dev/fuse is not there"
    with tempfile.TemporaryDirectory(prefix="anode-probe-") as name:
        directory = Path(name)
        for kind in KINDS:
            probe = FileSystem(kind, make_image(directory / kind, 512 << 20), directory / f"{kind}-mounted")
            try:
                probe.make()
                probe.mount()
                probe.unmount()
            except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                return f"{kind} can't be mounted through a loop device: {error}"
    return None


def require() -> None:
    """Ends a test where it can't be done."""
    machine.require("tests on real file systems need root with loop devices, /dev/fuse, ext4 and XFS", hindrance())


if __name__ == "__main__":
    if said := hindrance():
        raise SystemExit(said)
