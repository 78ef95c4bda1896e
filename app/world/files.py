"""Files of the real world: by position, never by seek; a small durable group is one system call.

Owns    descriptors, short writes, how each platform and file system makes bytes durable.
Never   runs on the loop, but for `read_cached` and `fileno`; never retries a failed write or sync.
Trusts  that one process writes a file, and that `lock` was taken before any of them.
"""

import errno
import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence

from app.limits import KIB
from app.world.ports import Buffer

_IOV_MAX = min(os.sysconf("SC_IOV_MAX"), 1024) if hasattr(os, "sysconf") else 16
_RWF_DSYNC: int = getattr(os, "RWF_DSYNC", 0)
_RWF_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
_F_FULLFSYNC: int = getattr(
    fcntl, "F_FULLFSYNC", 0
)  # macOS: fsync alone stops at the drive's cache
# One call writes this much at most. The page cache takes pages in units as large as the call, and a
# virtual machine may have given its large free units back to the host: then 4 MiB in one call cost
# eight times the CPU of sixteen such calls.
_WRITE_BYTES_MAX = 256 * KIB
_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "hugetlbfs", "devtmpfs"})


def _sync_descriptor(descriptor: int) -> None:
    if _F_FULLFSYNC:
        fcntl.fcntl(descriptor, _F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def memory_devices() -> frozenset[int]:
    """Device numbers of mounted file systems that live in memory: their reads never block."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return frozenset()  # not Linux, or no /proc: nothing counts as cached
    devices = set()
    for line in lines:
        mount, separator, system = line.partition(" - ")
        if separator and system.split(" ", 1)[0] in _MEMORY_FILE_SYSTEMS:
            major, _, minor = mount.split(" ")[2].partition(":")
            devices.add(os.makedev(int(major), int(minor)))
    return frozenset(devices)


class DiskFile:
    """One open descriptor, used only by position, so that lanes may share it."""

    __slots__ = ("_cache", "_descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        # How `read_cached` learns that a read would not block, settled by the file system's first
        # answer: "nowait" asks the kernel each time, "memory" always reads, "never" cannot know.
        self._cache = "nowait" if _RWF_NOWAIT else "never"

    def read(self, position: int, length: int) -> bytes:
        read = os.pread(self._descriptor, length, position)
        if len(read) == length or not read:
            return read
        parts = [read]  # a read may be short before the end (a signal, or above 2 GiB)
        left, position = length - len(read), position + len(read)
        while left and (read := os.pread(self._descriptor, left, position)):
            parts.append(read)
            left, position = left - len(read), position + len(read)
        return b"".join(parts)

    def read_cached(self, position: int, length: int) -> bytes | None:
        if self._cache == "nowait":
            room = bytearray(length)
            try:
                count = os.preadv(self._descriptor, [room], position, _RWF_NOWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                    raise
                self._settle_cache()
                return self.read_cached(position, length)
            if count == length:
                return bytes(room)
            # Short: either the end of the file, or only its first pages are cached.
            at_end = position + count >= os.fstat(self._descriptor).st_size
            return bytes(memoryview(room)[:count]) if at_end else None
        return self.read(position, length) if self._cache == "memory" else None

    def _settle_cache(self) -> None:
        device = os.fstat(self._descriptor).st_dev
        self._cache = "memory" if device in memory_devices() else "never"

    def write(self, buffers: Sequence[Buffer], position: int, *, durable: bool) -> None:
        views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        length = sum(map(len, views))
        if durable and _RWF_DSYNC and length <= _WRITE_BYTES_MAX and len(views) <= _IOV_MAX:
            if not views:
                return
            try:
                written = os.pwritev(self._descriptor, views, position, _RWF_DSYNC)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                written = 0
            if written == length:
                return
            # RWF_DSYNC makes only its own bytes durable: after a short write one sync covers all.
            views, position = _skip(views, written), position + written
        while views:
            written = os.pwritev(self._descriptor, _first(views), position)
            views, position = _skip(views, written), position + written
        if durable:
            _sync_descriptor(self._descriptor)

    def sync(self) -> None:
        _sync_descriptor(self._descriptor)

    def resize(self, length: int, *, allocate: bool = False) -> None:
        size = os.fstat(self._descriptor).st_size
        if length < size or not allocate:
            os.ftruncate(self._descriptor, length)
        if allocate and length:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._descriptor, 0, length)
            else:  # macOS has no such call: there a full disk shows at the write
                os.ftruncate(self._descriptor, length)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _first(views: list[memoryview]) -> list[memoryview]:
    """As many of the first bytes of `views` as one call writes."""
    room = _WRITE_BYTES_MAX
    first: list[memoryview] = []
    for view in views:
        first.append(view[:room])
        room -= len(first[-1])
        if not room or len(first) == _IOV_MAX:
            break
    return first


def _skip(views: list[memoryview], count: int) -> list[memoryview]:
    """What is left of `views` after their first `count` bytes."""
    index = 0
    while index < len(views) and count >= len(views[index]):
        count -= len(views[index])
        index += 1
    left = views[index:]
    if count:
        left[0] = left[0][count:]
    return left


class DiskFiles:
    """Directories of the operating system."""

    __slots__ = ()

    def open(self, path: str, *, create: bool = False, writable: bool = True) -> DiskFile:
        flags = (os.O_RDWR if writable else os.O_RDONLY) | (os.O_CREAT if create else 0)
        return DiskFile(path, os.open(path, flags, 0o644))

    def list(self, directory: str) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def rename(self, source: str, target: str) -> None:
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def make_directory(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if _F_FULLFSYNC and sys.platform == "darwin":
                fcntl.fcntl(descriptor, _F_FULLFSYNC)
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def space(self, path: str) -> tuple[int, int]:
        found = os.statvfs(path)
        return found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail

    def lock(self, path: str) -> Callable[[], None]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        held = [descriptor]

        def release() -> None:
            while held:
                os.close(held.pop())

        return release

    def database(self, path: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection
