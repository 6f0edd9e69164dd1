"""A file that behaves like a bad disk: a FUSE file system of one file, to be mounted through a loop device.

It fails writes, flushes and reads with EIO, acknowledges writes that it drops, flips bits of what is read, and loses
what was not flushed when its power is cut. `FaultyDevice` is its owner in the tests; the server is a process of its own
(this file run as a program), because a process that waits for a file it serves itself waits for ever. The server speaks
the kernel's protocol by hand (`linux/fuse.h`, 7.23 and later): a file that only reads, writes and flushes needs ten of
its operations and no library. Orders and answers are a JSON line each, on its standard input and output.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import select
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
ALWAYS = 1 << 30
_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2

# linux/fuse.h: operations.
_FORGET, _GETATTR, _OPEN, _READ, _WRITE, _RELEASE, _FSYNC, _FLUSH, _INIT = 2, 3, 14, 15, 16, 18, 20, 25, 26
_INTERRUPT, _DESTROY, _BATCH_FORGET = 36, 38, 42
_SILENT = (_FORGET, _INTERRUPT, _BATCH_FORGET)
# Of INIT: the flags for large requests; of OPEN: no page cache between the loop device and this file.
_BIG_WRITES, _MAX_PAGES, _DIRECT_IO = 1 << 5, 1 << 22, 1
_PAGES_MAX = 256
_WRITE_BYTES_MAX = _PAGES_MAX * 4096
_HEADER = struct.Struct("<IIQQIIII")
_READ_WRITE = struct.Struct("<QQIIQII")


class FaultyDevice:
    """A faulty disk at `path`, sound until told otherwise. The image holds what it really keeps."""

    def __init__(self, image: Path, path: Path) -> None:
        self.path = path
        path.touch()
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(image), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def fail(self, operation: str, after: int = 0, times: int = ALWAYS, having: bytes = b"") -> None:
        """Lets so many reads, writes or flushes that have these bytes succeed, then so many fail with EIO."""
        self._order({"fault": "fail", "operation": operation, "after": after, "times": times, "having": having.hex()})

    def lose_writes(self, having: bytes, after: int = 0, times: int = ALWAYS) -> None:
        """Acknowledges such writes and keeps the old bytes."""
        self._order({"fault": "lose", "operation": "write", "after": after, "times": times, "having": having.hex()})

    def flip_reads(self, having: bytes, after: int = 0, times: int = ALWAYS) -> None:
        """Flips a bit of these bytes in what is read; the image keeps them."""
        self._order({"fault": "flip", "operation": "read", "after": after, "times": times, "having": having.hex()})

    def cut_power(self, seed: int) -> None:
        """From now on everything fails; each write that no flush followed is kept, dropped or torn."""
        self._order({"order": "cut", "seed": seed})

    def heal(self) -> None:
        """A sound disk from now on, with the bytes that it has."""
        self._order({"order": "heal"})

    def struck(self) -> int:
        """How many operations the faults since the last `heal` changed."""
        return self._order({"order": "struck"})["struck"]

    def close(self) -> None:
        """Ends it. Nothing may be mounted on it any more."""
        _LIBC.umount2(os.fsencode(self.path), _MNT_DETACH)
        self._server.stdin.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
            raise
        finally:
            self._server.stdout.close()

    def _order(self, order: dict[str, object]) -> dict[str, int]:
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, int]:
        line = self._server.stdout.readline()
        assert line, f"the faulty device ended with {self._server.wait(10)}"
        return json.loads(line)


@dataclass
class Fault:
    """What goes wrong with which operations."""

    fault: str
    operation: str
    after: int
    times: int
    having: bytes

    def strikes(self, operation: str, data: bytes) -> bool:
        """Whether it changes this operation; counts it."""
        if operation != self.operation or self.having not in data:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return self.times >= 0


class Disk:
    """The image, and what goes wrong with it."""

    def __init__(self, image: str) -> None:
        self.image = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.faults: list[Fault] = []
        self.is_cut = False
        self.struck = 0
        # What unflushed writes replaced, oldest first: a power cut puts some of it back.
        self.replaced: list[tuple[int, bytes]] = []

    def order(self, order: dict[str, object]) -> dict[str, int]:
        """Obeys an order of the test."""
        match order:
            case {"fault": _}:
                self.faults.append(Fault(**order | {"having": bytes.fromhex(order["having"])}))
            case {"order": "cut", "seed": seed}:
                self.cut(random.Random(seed))
            case {"order": "heal"}:
                self.faults, self.is_cut, self.struck = [], False, 0
        return {"struck": self.struck}

    def read(self, offset: int, size: int) -> bytes:
        """What is read."""
        data = os.pread(self.image, size, offset)
        for fault in self._striking("read", data):
            if fault.fault == "fail":
                raise OSError(errno.EIO, "fault")
            at = data.index(fault.having)
            data = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Writes, to the volatile cache so to speak."""
        for fault in self._striking("write", data):
            if fault.fault == "fail":
                raise OSError(errno.EIO, "fault")
            return
        self.replaced.append((offset, os.pread(self.image, len(data), offset)))
        os.pwrite(self.image, data, offset)

    def flush(self) -> None:
        """Makes what was written durable."""
        for _ in self._striking("flush", b""):
            raise OSError(errno.EIO, "fault")
        self.replaced.clear()

    def cut(self, choose: random.Random) -> None:
        """Puts back what unflushed writes replaced, all of it, nothing, or the sectors behind a tear."""
        self.is_cut = True
        while self.replaced:
            offset, old = self.replaced.pop()
            kept = choose.choice([0, len(old), choose.randrange(len(old) // SECTOR_BYTES + 1) * SECTOR_BYTES])
            os.pwrite(self.image, old[kept:], offset + kept)

    def _striking(self, operation: str, data: bytes) -> list[Fault]:
        if self.is_cut:
            raise OSError(errno.EIO, "no power")
        striking = [fault for fault in self.faults if fault.strikes(operation, data)]
        self.struck += len(striking)
        return striking


class Server:
    """Answers the kernel: the root of the file system is the one file."""

    def __init__(self, disk: Disk, mount_point: str) -> None:
        self.disk = disk
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode=100000,user_id=0,group_id=0".encode()
        if _LIBC.mount(b"anode-faulty", os.fsencode(mount_point), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), f"can't mount {mount_point}")
        self.buffer = bytearray(_WRITE_BYTES_MAX + 4096)

    def serve(self) -> None:
        """Answers one request after the other, until the file system is unmounted or the test has gone."""
        print("{}", flush=True)
        while True:
            ready, _, _ = select.select([self.device, sys.stdin], [], [])
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                print(json.dumps(self.disk.order(json.loads(line))), flush=True)
            if self.device in ready and not self._serve_request():
                return

    def _serve_request(self) -> bool:
        try:
            length = os.readv(self.device, [self.buffer])
        except OSError as error:
            # ENODEV: unmounted. ENOENT: the request was taken back.
            return error.errno != errno.ENODEV
        request = memoryview(self.buffer)[:length]
        _, operation, unique, *_ = _HEADER.unpack_from(request)
        if operation in _SILENT:
            return True
        try:
            failure, answer = 0, self._answer(operation, request[_HEADER.size :])
        except OSError as error:
            failure, answer = -error.errno, b""
        os.writev(self.device, [struct.pack("<IiQ", 16 + len(answer), failure, unique), answer])
        return True

    def _answer(self, operation: int, body: memoryview) -> bytes:
        if operation == _INIT:
            return self._init(body)
        if operation == _GETATTR:
            return struct.pack("<QII", 1, 0, 0) + self._attributes()
        if operation == _OPEN:
            return struct.pack("<QII", 0, _DIRECT_IO, 0)
        if operation == _READ:
            _, offset, size, *_ = _READ_WRITE.unpack_from(body)
            return self.disk.read(offset, size)
        if operation == _WRITE:
            _, offset, size, *_ = _READ_WRITE.unpack_from(body)
            self.disk.write(offset, bytes(body[_READ_WRITE.size : _READ_WRITE.size + size]))
            return struct.pack("<II", size, 0)
        if operation == _FSYNC:
            self.disk.flush()
            return b""
        if operation in (_FLUSH, _RELEASE, _DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "not needed here")

    def _init(self, body: memoryview) -> bytes:
        _, _, readahead, flags = struct.unpack_from("<IIII", body)
        taken = flags & (_BIG_WRITES | _MAX_PAGES)
        limits = struct.pack("<HHIIHH", 16, 12, _WRITE_BYTES_MAX, 1, _PAGES_MAX, 0)
        return struct.pack("<IIII", 7, 31, readahead, taken) + limits + bytes(32)

    def _attributes(self) -> bytes:
        times = (0,) * 3
        numbers = (1, self.disk.size, self.disk.size // SECTOR_BYTES)
        return struct.pack("<6Q10I", *numbers, *times, *times, 0o100600, 1, 0, 0, 0, 4096, 0)


if __name__ == "__main__":
    Server(Disk(sys.argv[1]), sys.argv[2]).serve()
