"""The world as ports: clock, randomness, files, lanes, network. Everything outside the process
comes through here.

Owns    the protocols that the real world (`app.world.real`) and the simulated one (`tests/sim`)
        both implement.
Never   does anything: shells receive a `World`, cores receive the values that a shell read from it.
Trusts  that one process uses one world, that file calls are made on lanes, and callbacks run on
        the loop.

Seams sit per group commit, job or connection, never per batch (ADR 8).
"""

import asyncio
import sqlite3
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")


class Lease(Protocol):
    """Someone's memory, which stays as it is while it is held."""

    def hold(self) -> None: ...

    def release(self) -> None:
        """Once for each `hold`, on the loop."""


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970 UTC. May jump either way: see
        core/hybrid_clock.py."""

    def monotonic_ms(self) -> int:
        """Milliseconds that never go back, from an arbitrary start; for deadlines and durations."""

    def monotonic_ns(self) -> int:
        """The same in nanoseconds, as cheap as can be: for durations that are measured."""


class Randomness(Protocol):
    def bytes(self, count: int) -> bytes: ...

    def below(self, bound: int) -> int:
        """A uniform integer, 0 <= x < bound."""


class File(Protocol):
    """One open file. Blocking: call it on a lane (`read_cached` and `fileno` alone are for the
    loop)."""

    path: str

    def read(self, position: int, length: int) -> bytes:
        """Up to `length` bytes at `position`; shorter only at the end of the file. Raises
        OSError."""

    def read_cached(self, position: int, length: int) -> bytes | None:
        """The same bytes if the page cache holds them all, None if reading would block
        (RWF_NOWAIT)."""

    def write(self, buffers: Sequence[Buffer], position: int, *, durable: bool) -> None:
        """Write all buffers one after another at `position`; with `durable`, return after they and
        the file's size are on stable storage (one GIL-free call: RWF_DSYNC, or F_FULLFSYNC on
        macOS). Raises OSError; how much was written is then unknown."""

    def sync(self) -> None:
        """Everything written so far reaches stable storage (fdatasync; F_FULLFSYNC on macOS)."""

    def resize(self, length: int, *, allocate: bool = False) -> None:
        """Cut or extend to `length`; with `allocate` reserve the blocks too (ENOSPC now, not
        later)."""

    def size(self) -> int: ...

    def fileno(self) -> int:
        """The descriptor, for `os.sendfile`; simulated files raise `io.UnsupportedOperation`."""

    def close(self) -> None: ...


class Files(Protocol):
    """Names in directories. Paths are absolute or relative to the process, '/'-separated.
    Blocking."""

    def open(self, path: str, *, create: bool = False, writable: bool = True) -> File:
        """Open an existing file, or with `create` make it if missing. FileNotFoundError
        otherwise."""

    def list(self, directory: str) -> list[str]:
        """Sorted names in `directory`; empty if it does not exist."""

    def rename(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def make_directory(self, path: str) -> None:
        """With parents; nothing happens if it exists."""

    def sync_directory(self, path: str) -> None:
        """Names created, renamed or unlinked in `path` reach stable storage."""

    def space(self, path: str) -> tuple[int, int]:
        """(bytes of the file system that holds `path`, those of them that can still be
        written)."""

    def lock(self, path: str) -> Callable[[], None]:
        """Take an exclusive lock that dies with the process (flock); returns its release.
        Raises BlockingIOError if another broker holds it."""

    def database(self, path: str) -> sqlite3.Connection:
        """SQLite at `path` (WAL mode, synchronous=NORMAL, autocommit off: `isolation_level=None`
        and explicit BEGIN). Usable only on the lane that opened it."""


class Lane(Protocol):
    """A named executor of blocking work. Jobs of a serial lane run one after another, in order."""

    name: str

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Run `job` on the lane; call `done(result or exception)` on the loop. Never blocks.
        Raises `Unavailable` above LANE_QUEUE_MAX."""

    async def run(self, job: Callable[[], T]) -> T:
        """`submit` for coroutines. Cancelling the waiter never cancels the job."""

    def inline(self, job: Callable[[], T]) -> T:
        """Run now, on the loop, what would take less time than to wake a thread. Raises what it
        raises. Whoever calls this knows that the order of the lane does not matter to the job."""


@dataclass(slots=True)
class FileRange:
    """Bytes of a file by reference: what a read gives where a copy would cost more than
    `sendfile`."""

    file: File
    position: int
    length: int


class Receiver(Protocol):
    """What a connection does with what arrives: the read half of asyncio's BufferedProtocol."""

    def connected(self, channel: "Channel") -> None: ...

    def get_buffer(self) -> memoryview:
        """Room for the next bytes (never empty)."""

    def buffer_updated(self, count: int) -> None: ...

    def drained(self) -> None:
        """The outbound queue fell below half of its bound, after `Channel.is_full` was true."""

    def disconnected(self, error: BaseException | None) -> None: ...


class Channel(Protocol):
    """One connected byte stream, seen from our end. Never blocks; order of `send` is order on the
    wire."""

    peer: str
    descriptor: int
    """The newest of its file descriptors (systems give the lowest that is free, so this tells how
    many are in use); -1 where it has none."""

    @property
    def is_full(self) -> bool:
        """More than OUTBOUND_BYTES_MAX of copied bytes or OUTBOUND_PARTS_MAX parts wait for the
        peer: produce no more."""

    @property
    def is_sending(self) -> bool:
        """Something of what was sent has not left yet: file ranges may still be read here."""

    def send(self, parts: Sequence[bytes | FileRange]) -> None:
        """Queue parts. Bytes go at once where the socket takes them; file ranges by `os.sendfile`
        in turns of SEND_TURN_BYTES, ranges that may not be cached first warmed on the `reader`
        lane; over TLS and in the simulation they are read and sent as bytes. The same bytes arrive
        whichever way."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """After what is queued was sent (bounded by a deadline)."""

    def abort(self) -> None: ...


class Listening(Protocol):
    host: str
    port: int

    def close(self) -> None:
        """Accept nothing more; open channels go on."""


class Network(Protocol):
    async def listen(
        self,
        host: str,
        port: int,
        accept: Callable[[], Receiver],
        tls: ssl.SSLContext | None = None,
    ) -> Listening:
        """Accept connections (port 0: any free one); OSError if the address cannot be bound."""

    async def connect(
        self, host: str, port: int, receiver: Receiver, tls: ssl.SSLContext | None = None
    ) -> Channel: ...


class World(Protocol):
    """All ports together. `lane(name)` gives the same lane each time; `wal`, `roll`, `raft` are
    serial, `reader` runs READER_THREADS jobs at once."""

    clock: Clock
    randomness: Randomness
    files: Files
    network: Network

    def lane(self, name: str) -> Lane: ...

    async def sleep(self, ms: int) -> None: ...

    def call_later(self, ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle: ...

    async def close(self) -> None:
        """Ends the lanes after their queued jobs."""
