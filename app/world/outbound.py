"""What waits to be sent to one peer: bytes and file ranges in one queue, in order.

Owns    the queue, its bound, turns of a bounded size, warming of file ranges that may be cold.
Never   blocks the loop, copies a file range into memory (TLS excepted), or sends out of order.
Trusts  that a file of a queued range stays open until the range was sent or the channel ended.
"""

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

from app.errors import Unavailable
from app.limits import (
    OUTBOUND_BYTES_MAX,
    OUTBOUND_PARTS_MAX,
    SEND_TURN_BYTES,
    TLS_TURN_BYTES,
    WARM_BYTES,
)
from app.world.ports import File, FileRange, Lane

_MSG_MORE: int = getattr(socket, "MSG_MORE", 0)
_PARTS_MAX = 64  # joined in one system call


class Outbound(ABC):
    """The queue and its bound; how parts leave it is the subclass's.

    While the queue is not empty exactly one thing will go on with it: a turn that is scheduled,
    a peer that is awaited, or a job on the `reader` lane.
    """

    __slots__ = (
        "_bytes_waiting",
        "_drained",
        "_emptied",
        "_fail",
        "_loop",
        "_queue",
        "_reader",
        "has_ended",
        "is_full",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reader: Lane,
        fail: Callable[[BaseException], None],
        drained: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._reader = reader
        self._fail = fail  # ends the connection with an error
        self._drained = drained  # `is_full` is over
        self._emptied: Callable[[], None] | None = None
        self._queue: deque[bytes | memoryview | FileRange] = deque()
        self._bytes_waiting = 0  # of copied bytes; file ranges cost no memory
        self.is_full = False
        self.has_ended = False

    @abstractmethod
    def send(self, parts: Sequence[bytes | FileRange]) -> None: ...

    @abstractmethod
    def _turn(self) -> None:
        """Send what the peer takes, one turn's bytes at most, then see to the next turn."""

    @property
    def is_sending(self) -> bool:
        return bool(self._queue)

    def flush(self, emptied: Callable[[], None]) -> None:
        """Call `emptied` once, when all that is queued has left."""
        if self._queue:
            self._emptied = emptied
        else:
            emptied()

    def end(self) -> None:
        """The connection is gone: forget what is queued."""
        self.has_ended = True
        self._queue.clear()
        self._bytes_waiting = 0
        self.is_full = False
        self._emptied = None
        self._fail, self._drained = _ignore, _nothing  # a cycle of references would live on

    def _enqueue(self, parts: Sequence[bytes | memoryview | FileRange]) -> None:
        for part in parts:
            if isinstance(part, FileRange):
                if part.length:
                    self._queue.append(part)
            elif part:
                self._queue.append(part)
                self._bytes_waiting += len(part)
        if self._bytes_waiting > OUTBOUND_BYTES_MAX or len(self._queue) > OUTBOUND_PARTS_MAX:
            self.is_full = True

    def _advance(self, taken: FileRange, count: int) -> None:
        """Drop the first `count` bytes of the range at the head of the queue."""
        if count == taken.length:
            self._queue.popleft()
        else:
            self._queue[0] = FileRange(taken.file, taken.position + count, taken.length - count)

    def _tell(self) -> None:
        """After a turn: tell who waits for room in the queue, or for its end."""
        if (
            self.is_full
            and self._bytes_waiting < OUTBOUND_BYTES_MAX // 2
            and len(self._queue) < OUTBOUND_PARTS_MAX // 2
        ):
            self.is_full = False
            self._loop.call_soon(self._drained)
        if self._emptied is not None and not self._queue:
            emptied, self._emptied = self._emptied, None
            emptied()

    def _read(self, job: Callable[[], bytes], then: Callable[[bytes], None]) -> None:
        """Run `job` on the `reader` lane, then go on, unless the connection ended meanwhile."""

        def done(result: bytes | BaseException) -> None:
            if self.has_ended:
                return
            if isinstance(result, BaseException):
                self._fail(result)
            else:
                then(result)

        try:
            self._reader.submit(job, done)
        except Unavailable as error:
            self._fail(error)


class PlainOutbound(Outbound):
    """Straight to the socket: `send` for bytes, `os.sendfile` for file ranges.

    The transport only reads, on its own descriptor. We write on a duplicate of it, because neither
    asyncio nor uvloop keeps bytes and file ranges in one queue (ADR 4).
    """

    __slots__ = ("_is_awaited", "_socket", "_socket_send", "_warm_bytes", "descriptor")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reader: Lane,
        fail: Callable[[BaseException], None],
        drained: Callable[[], None],
        descriptor: int,
    ) -> None:
        super().__init__(loop, reader, fail, drained)
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._socket.setblocking(False)
        self._socket_send = self._socket.send
        self.descriptor = self._socket.fileno()
        self._is_awaited = False  # the loop watches for room in the socket
        self._warm_bytes = 0  # of the range at the head, read a moment ago

    def send(self, parts: Sequence[bytes | FileRange]) -> None:
        if self.has_ended:
            return
        if self._queue:
            self._enqueue(parts)
            return
        if len(parts) == 1 and type(part := parts[0]) is bytes:
            # The common case: one joined answer that the socket takes whole.
            try:
                sent = self._socket_send(part)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._fail(error)
                return
            if sent == len(part):
                return
            self._enqueue([memoryview(part)[sent:]])
            self._await_room()
            return
        self._enqueue(parts)
        if self._queue:
            self._turn()

    def finish(self) -> None:
        """Tell the peer that no more comes."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the peer has gone already, which is what we wanted

    def end(self) -> None:
        if not self.has_ended:
            super().end()
            self._leave_room()
            self._socket.close()

    def _turn(self) -> None:
        if self.has_ended:
            return
        queue, budget = self._queue, SEND_TURN_BYTES
        try:
            while queue and budget > 0:
                head = queue[0]
                if not isinstance(head, FileRange):
                    self._send_bytes()
                    continue
                asked = min(head.length, budget)
                if self._warm_bytes < asked and not _is_cached(head.file, head.position, asked):
                    self._warm(head)
                    return
                sent = os.sendfile(self.descriptor, head.file.fileno(), head.position, asked)
                if sent == 0:
                    raise OSError(f"{head.file.path} ends before {head.position + asked}")
                budget -= sent
                self._warm_bytes = max(0, self._warm_bytes - sent) if sent < head.length else 0
                self._advance(head, sent)
                if sent < asked:
                    raise BlockingIOError
        except BlockingIOError:
            self._await_room()
        except OSError as error:
            self._fail(error)
            return
        else:
            if not queue:
                self._leave_room()
            elif not self._is_awaited:
                self._loop.call_soon(self._turn)  # others have their turn first
        self._tell()

    def _send_bytes(self) -> None:
        """One system call for the bytes at the head of the queue. Raises BlockingIOError."""
        queue = self._queue
        parts: list[bytes | memoryview] = []
        flags = 0
        for part in queue:
            if isinstance(part, FileRange):
                flags = _MSG_MORE  # one packet for a header and the start of its range
                break
            parts.append(part)
            if len(parts) == _PARTS_MAX:
                break
        if len(parts) == 1:
            sent = self._socket_send(parts[0], flags)
        else:
            sent = self._socket.sendmsg(parts, [], flags)
        self._bytes_waiting -= sent
        for part in parts:
            if sent < len(part):
                queue[0] = memoryview(part)[sent:]
                raise BlockingIOError
            sent -= len(part)
            queue.popleft()

    def _await_room(self) -> None:
        if not self._is_awaited:
            self._is_awaited = True
            self._loop.add_writer(self.descriptor, self._turn)

    def _leave_room(self) -> None:
        if self._is_awaited:
            self._is_awaited = False
            self._loop.remove_writer(self.descriptor)

    def _warm(self, cold: FileRange) -> None:
        """Read what comes next on the `reader` lane: `sendfile` must not wait for the disk."""
        self._leave_room()
        file, position, length = cold.file, cold.position, min(cold.length, WARM_BYTES)

        def warmed(_: bytes) -> None:
            # Not asked again: were memory so short that it is cold once more, we would never end.
            self._warm_bytes = length
            self._turn()

        self._read(lambda: _read_through(file, position, length), warmed)


class TlsOutbound(Outbound):
    """Over a TLS transport: file ranges are read, in turns, as its buffer has room."""

    __slots__ = ("_is_paused", "_is_reading", "_is_scheduled", "_transport")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        reader: Lane,
        fail: Callable[[BaseException], None],
        drained: Callable[[], None],
        transport: asyncio.Transport,
    ) -> None:
        super().__init__(loop, reader, fail, drained)
        self._transport = transport
        self._is_paused = False
        self._is_reading = False
        self._is_scheduled = False

    def send(self, parts: Sequence[bytes | FileRange]) -> None:
        if self.has_ended:
            return
        self._enqueue(parts)
        if not (self._is_paused or self._is_reading or self._is_scheduled):
            self._turn()

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        if self._queue and not (self._is_reading or self._is_scheduled):
            self._turn()

    def _scheduled_turn(self) -> None:
        self._is_scheduled = False
        if not (self._is_paused or self._is_reading):
            self._turn()

    def _turn(self) -> None:
        if self.has_ended:
            return
        queue, budget = self._queue, TLS_TURN_BYTES
        while queue and budget > 0 and not self._is_paused:
            head = queue[0]
            if isinstance(head, FileRange):
                length = min(head.length, budget)
                try:
                    read = head.file.read_cached(head.position, length)
                except OSError as error:
                    self._fail(error)
                    return
                if read is None:
                    self._read_cold(head, length)
                    return
                if not self._write_range(head, read):
                    return
                budget -= len(read)
            else:
                view = memoryview(head)
                if len(view) > budget:
                    queue[0], view = view[budget:], view[:budget]
                else:
                    queue.popleft()
                self._bytes_waiting -= len(view)
                budget -= len(view)
                self._transport.write(view)
        if queue and not self._is_paused:
            self._is_scheduled = True
            self._loop.call_soon(self._scheduled_turn)
        self._tell()

    def _write_range(self, head: FileRange, read: bytes) -> bool:
        if not read:
            self._fail(OSError(f"{head.file.path} ends before {head.position + head.length}"))
            return False
        self._advance(head, len(read))
        self._transport.write(read)
        return True

    def _read_cold(self, head: FileRange, length: int) -> None:
        file, position = head.file, head.position

        def then(read: bytes) -> None:
            self._is_reading = False
            if self._write_range(head, read):
                self._turn()

        self._is_reading = True
        self._read(lambda: file.read(position, length), then)


def _ignore(error: BaseException) -> None:
    """Who would hear of it has ended."""


def _nothing() -> None:
    """Who would hear of it has ended."""


def _is_cached(file: File, position: int, length: int) -> bool:
    """A sample: pages come and go in runs, so the first and the last speak for the rest."""
    cached = file.read_cached
    return cached(position, 1) is not None and cached(position + length - 1, 1) is not None


def _read_through(file: File, position: int, length: int) -> bytes:
    """Blocking: bring a range into the page cache."""
    end = position + length
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), position, length, os.POSIX_FADV_WILLNEED)
    while position < end and (read := file.read(position, min(SEND_TURN_BYTES, end - position))):
        position += len(read)
    return b""
