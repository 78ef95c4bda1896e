"""Disks of the simulated world: what was written and what would survive are two things.

A file has its page cache (what reads see) and its durable bytes; writes are between the two until
a sync. A crash keeps any subset of the unsynced writes, torn at sectors of 512 bytes. Names are
the same one level up: created, renamed and unlinked names survive from `sync_directory`, before
that any prefix of them does (file systems journal them in order). Compromise: directories
themselves are durable at once.

After a failed sync the cache still shows the bytes, but they count as clean and a later sync will
not write them: that is what Linux does.
"""

import errno
import io
import os
import posixpath
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal

from app.world.ports import Buffer
from tests.sim.database import StoredDatabase, connect
from tests.sim.lanes import Crashed
from tests.sim.trace import digest

if TYPE_CHECKING:
    from tests.sim.loop import Life
    from tests.sim.world import Machine, SimWorld

SECTOR_BYTES = 512

Operation = Literal[
    "read", "write", "sync", "resize", "open", "rename", "unlink", "sync_directory", "commit"
]


@dataclass(slots=True)
class Fault:
    """Fail the `nth` matching operation from now on, and the `times - 1` after it."""

    operation: Operation
    error: int
    nth: int
    times: int
    path: str
    seen: int = 0

    def strikes(self, operation: str, path: str) -> bool:
        if operation != self.operation or self.path not in path:
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


class Inode:
    """The bytes of one file, whatever its names."""

    __slots__ = ("allocated", "content", "database", "durable", "number", "unsynced")

    def __init__(self, number: int) -> None:
        self.number = number
        self.content = bytearray()  # the page cache
        self.durable = bytearray()
        self.unsynced: list[tuple[int, bytes] | int] = []  # (position, bytes), or a new length
        self.allocated = 0
        self.database: StoredDatabase | None = None

    def change(self, change: tuple[int, bytes] | int) -> None:
        _apply(self.content, change)
        self.unsynced.append(change)
        self.allocated = max(self.allocated, len(self.content)) if change else 0

    def sync(self) -> None:
        for change in self.unsynced:
            _apply(self.durable, change)
        self.unsynced.clear()

    def lose(self, random: Random) -> None:
        """A failed sync: some of it reached the disk, and the rest is no longer dirty."""
        self.durable = _surviving(self.durable, self.unsynced, random)
        self.unsynced.clear()

    def forget_cache(self) -> None:
        """Memory was short: clean pages are read again from the disk."""
        self.content = bytearray(self.durable)
        for change in self.unsynced:
            _apply(self.content, change)

    def crash(self, random: Random) -> None:
        self.durable = _surviving(self.durable, self.unsynced, random)
        self.content = bytearray(self.durable)
        self.unsynced.clear()
        self.allocated = len(self.content)


def _apply(target: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        if change < len(target):
            del target[change:]
        else:
            target.extend(bytes(change - len(target)))
        return
    position, written = change
    if position > len(target):
        target.extend(bytes(position - len(target)))
    target[position : position + len(written)] = written


def _surviving(
    durable: bytearray, unsynced: list[tuple[int, bytes] | int], random: Random
) -> bytearray:
    survivor = bytearray(durable)
    chance = random.choice((0.0, 1.0, 0.5, random.random()))
    for change in unsynced:
        if isinstance(change, int):
            if random.random() < chance:
                _apply(survivor, change)
            continue
        position, written = change
        start = 0
        while start < len(written):
            # Up to the next sector's edge: a sector is written whole or not at all.
            end = min(len(written), start + SECTOR_BYTES - (position + start) % SECTOR_BYTES)
            if random.random() < chance:
                _apply(survivor, (position + start, written[start:end]))
            start = end
    return survivor


@dataclass(slots=True)
class Directory:
    names: dict[str, Inode] = field(default_factory=dict)
    durable: dict[str, Inode] = field(default_factory=dict)
    unsynced: list[tuple[str, str, Inode | None]] = field(default_factory=list)

    def change(self, kind: str, name: str, inode: Inode | None, source: str = "") -> None:
        change = (kind, f"{source}/{name}" if source else name, inode)
        self.apply(self.names, change)
        self.unsynced.append(change)

    @staticmethod
    def apply(names: dict[str, Inode], change: tuple[str, str, Inode | None]) -> None:
        kind, name, inode = change
        if kind == "unlink":
            names.pop(name, None)
            return
        if kind == "rename":
            source, name = name.split("/")
            names.pop(source, None)
        assert inode is not None
        names[name] = inode

    def sync(self) -> None:
        for change in self.unsynced:
            self.apply(self.durable, change)
        self.unsynced.clear()

    def crash(self, random: Random) -> None:
        for change in self.unsynced[: random.randint(0, len(self.unsynced))]:
            self.apply(self.durable, change)
        self.names = dict(self.durable)
        self.unsynced.clear()


CAPACITY_BYTES = 1 << 40
"""Of a disk on which no test has put a bound."""


class Disk:
    """What a machine keeps when its process dies, and the ways in which a test may hurt it."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self.directories: dict[str, Directory] = {"/": Directory(), ".": Directory()}
        self.locks: dict[str, Life] = {}
        self.bytes_max: int | None = None
        self.is_read_only = False
        self.cold_chance = 0.1  # that `read_cached` has to say None
        self.steps = 0  # operations that change something, for `crash_at`
        self._crash_at: int | None = None
        self._faults: list[Fault] = []
        self._inodes = 0

    # What tests do to it

    def fail(
        self,
        operation: Operation,
        error: int = errno.EIO,
        *,
        nth: int = 1,
        times: int = 1,
        path: str = "",
    ) -> Fault:
        """The `nth` such operation from now (on a path that contains `path`) raises OSError."""
        fault = Fault(operation, error, nth, times, path)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        self._faults.clear()
        self.is_read_only = False
        self.bytes_max = None

    def crash_at(self, steps_from_now: int) -> None:
        """Power fails just before that many more changing operations were done."""
        self._crash_at = self.steps + steps_from_now

    def never_crash(self) -> None:
        """Take back a `crash_at` that has not struck."""
        self._crash_at = None

    def forget_cache(self) -> None:
        """Clean pages of files are read again from the disk (databases keep what was committed)."""
        for inode in self.inodes():
            inode.forget_cache()

    def read(self, path: str) -> bytes:
        """What the page cache shows of a file; for checks."""
        return bytes(self.inode(path).content)

    def overwrite(self, path: str, position: int, written: bytes) -> None:
        """Rot: the bytes change on the disk itself and in the cache."""
        inode = self.inode(path)
        _apply(inode.content, (position, written))
        _apply(inode.durable, (position, written))

    # What the operating system does

    def inode(self, path: str) -> Inode:
        directory, name = self.place(path)
        if name not in directory.names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return directory.names[name]

    def place(self, path: str) -> tuple[Directory, str]:
        parent, name = posixpath.split(posixpath.normpath(path))
        directory = self.directories.get(parent or ".")
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return directory, name

    def create(self, path: str) -> Inode:
        directory, name = self.place(path)
        self._inodes += 1
        inode = Inode(self._inodes)
        directory.change("link", name, inode)
        return inode

    def inodes(self) -> list[Inode]:
        found: dict[int, Inode] = {}
        for directory in self.directories.values():
            for names in (directory.names, directory.durable):
                for inode in names.values():
                    found[inode.number] = inode
        return [found[number] for number in sorted(found)]

    def crash(self, random: Random, *, lose: bool) -> None:
        """The process is gone; with `lose` the power failed as well."""
        self.locks.clear()
        self._crash_at = None
        inodes = self.inodes()
        for inode in inodes:
            if inode.database is not None:
                inode.database.crash(random, lose=lose)
            elif lose:
                inode.crash(random)
        if lose:
            for name in sorted(self.directories):
                self.directories[name].crash(random)

    def step(self, operation: Operation, path: str) -> None:
        """Before anything is done: is the machine to stop here, or the operation to fail?"""
        if operation not in ("read", "open"):
            if self._crash_at is not None and self.steps >= self._crash_at:
                raise Crashed(f"power failed before {operation} of {path}")
            self.steps += 1
            if self.is_read_only:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        for fault in self._faults:
            if fault.strikes(operation, path):
                raise OSError(fault.error, os.strerror(fault.error), path)

    def check_room(self, inode: Inode, end: int, path: str) -> None:
        grows = end - inode.allocated
        if self.bytes_max is None or grows <= 0:
            return
        if sum(other.allocated for other in self.inodes()) + grows > self.bytes_max:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


class SimFile:
    def __init__(self, path: str, inode: Inode, writable: bool, world: "SimWorld") -> None:
        self.path = path
        self.inode = inode
        self.is_closed = False
        self._writable = writable
        self._world = world
        self._disk = world.machine.disk

    def read(self, position: int, length: int) -> bytes:
        self._world.check_lane("read")
        self._check_open()
        self._disk.step("read", self.path)
        return bytes(self.inode.content[position : position + length])

    def read_cached(self, position: int, length: int) -> bytes | None:
        self._check_open()
        if self._world.random.random() < self._disk.cold_chance:
            return None
        return bytes(self.inode.content[position : position + length])

    def write(self, buffers: Sequence[Buffer], position: int, *, durable: bool) -> None:
        self._world.check_lane("write")
        self._check_writable()
        written = b"".join(buffers)
        self._world.trace("write", self.path, position, len(written), digest(written), durable)
        try:
            self._disk.step("write", self.path)
            self._disk.check_room(self.inode, position + len(written), self.path)
        except OSError as error:
            if error.errno != errno.EROFS:  # how much was written is unknown
                part = written[: self._world.random.randint(0, len(written))]
                self.inode.change((position, part))
            raise
        if written:
            self.inode.change((position, written))
        if durable:
            self._sync()

    def sync(self) -> None:
        self._world.check_lane("sync")
        self._check_open()
        self._sync()

    def _sync(self) -> None:
        self._world.trace("sync", self.path)
        try:
            self._disk.step("sync", self.path)
        except OSError:
            self.inode.lose(self._world.random)
            raise
        self.inode.sync()

    def resize(self, length: int, *, allocate: bool = False) -> None:
        self._world.check_lane("resize")
        self._check_writable()
        self._world.trace("resize", self.path, length, allocate)
        self._disk.step("resize", self.path)
        if allocate:
            self._disk.check_room(self.inode, length, self.path)
        if length != len(self.inode.content):
            allocated = self.inode.allocated
            self.inode.change(length)
            self.inode.allocated = max(allocated, length) if allocate else min(allocated, length)

    def size(self) -> int:
        self._check_open()
        return len(self.inode.content)

    def fileno(self) -> int:
        raise io.UnsupportedOperation(f"{self.path} is simulated: it has no descriptor")

    def close(self) -> None:
        self.is_closed = True

    def _check_open(self) -> None:
        self._world.check_alive()
        if self.is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self.path)

    def _check_writable(self) -> None:
        self._check_open()
        if not self._writable:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self.path)


class SimFiles:
    """One life's view of its machine's disk."""

    def __init__(self, world: "SimWorld") -> None:
        self._world = world
        self._disk = world.machine.disk

    def open(self, path: str, *, create: bool = False, writable: bool = True) -> SimFile:
        self._world.check_lane("open")
        disk = self._disk
        disk.step("open", path)
        if writable and disk.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        directory, name = disk.place(path)
        inode = directory.names.get(name)
        if inode is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self._world.trace("create", path)
            inode = disk.create(path)
        return SimFile(path, inode, writable, self._world)

    def list(self, directory: str) -> list[str]:
        self._world.check_lane("list")
        path = posixpath.normpath(directory)
        found = self._disk.directories.get(path)
        if found is None:
            return []
        inside = [posixpath.split(child) for child in self._disk.directories]
        children = {
            name for parent, name in inside if (parent or ".") == path and name not in ("", ".")
        }
        return sorted(children | set(found.names))

    def rename(self, source: str, target: str) -> None:
        self._world.check_lane("rename")
        self._world.trace("rename", source, target)
        self._disk.step("rename", source)
        inode = self._disk.inode(source)
        directory, name = self._disk.place(source)
        target_directory, target_name = self._disk.place(target)
        assert directory is target_directory, "a rename across directories is not simulated"
        directory.change("rename", target_name, inode, source=name)

    def unlink(self, path: str) -> None:
        self._world.check_lane("unlink")
        self._world.trace("unlink", path)
        self._disk.step("unlink", path)
        inode = self._disk.inode(path)
        assert inode.database is None or not inode.database.is_open, f"{path} is open"
        directory, name = self._disk.place(path)
        directory.change("unlink", name, None)

    def make_directory(self, path: str) -> None:
        self._world.check_lane("make_directory")
        path = posixpath.normpath(path)
        if path not in self._disk.directories and self._disk.is_read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        while path and path not in self._disk.directories:
            self._disk.directories[path] = Directory()
            path = posixpath.dirname(path)

    def sync_directory(self, path: str) -> None:
        self._world.check_lane("sync_directory")
        self._world.trace("sync_directory", path)
        self._disk.step("sync_directory", path)
        directory = self._disk.directories.get(posixpath.normpath(path))
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        directory.sync()

    def space(self, path: str) -> tuple[int, int]:
        self._world.check_lane("space")
        self._disk.step("read", path)
        total = CAPACITY_BYTES if self._disk.bytes_max is None else self._disk.bytes_max
        return total, max(total - sum(inode.allocated for inode in self._disk.inodes()), 0)

    def lock(self, path: str) -> Callable[[], None]:
        self._world.check_lane("lock")
        self._disk.place(path)
        path = posixpath.normpath(path)
        locks = self._disk.locks
        if path in locks:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
        directory, name = self._disk.place(path)
        if name not in directory.names:
            self._disk.create(path)
        locks[path] = life = self._world.life

        def release() -> None:
            if locks.get(path) is life:
                del locks[path]

        return release

    def database(self, path: str) -> sqlite3.Connection:
        self._world.check_lane("database")
        directory, name = self._disk.place(path)
        inode = directory.names.get(name)
        if inode is None:
            inode = self._disk.create(path)
            directory.sync()  # SQLite syncs its directory itself
        if inode.database is None:
            inode.database = StoredDatabase(path)
        return connect(inode.database, self._world)


def write(
    world: "SimWorld", path: str, content: bytes, *, durable: bool, position: int = 0
) -> None:
    """Create or change a file from outside of any job; for the set-up of tests."""
    with world.on_lane("wal"):
        file = world.files.open(path, create=True)
        file.write([content], position, durable=durable)
        file.close()
