"""The network between simulated machines: bytes arrive late, in pieces of any size, or not at all.

A file range is read when it is delivered, not when it is sent: `sendfile` too lends pages that
show what was written to them later, whether or not the file was closed meanwhile, so a range whose
pin ended early arrives as foreign bytes here as well. Loss on TCP is a reset connection. A
partition holds bytes back until it heals; who connects through one waits for a timeout. TLS
contexts are taken and ignored.
"""

import errno
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from app.limits import OUTBOUND_BYTES_MAX, OUTBOUND_PARTS_MAX
from app.world.ports import FileRange, Receiver
from tests.sim.files import SimFile
from tests.sim.trace import digest

if TYPE_CHECKING:
    from tests.sim.world import Simulation, SimWorld

CONNECT_TIMEOUT_S = 30.0
_LOOPBACK = ("", "0.0.0.0", "127.0.0.1", "localhost", "::", "::1")
_FIRST_FREE_PORT = 40_000


class Fabric:
    """All listeners and connections of one simulation, and the faults between machines."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.reset_chance = 0.0  # for each delivery
        self.listeners: dict[tuple[str, int], SimListening] = {}
        self.channels: list[SimChannel] = []
        self._partitions: list[tuple[str, str]] = []
        self._next_port = _FIRST_FREE_PORT

    def partition(self, one: str, other: str) -> None:
        """Nothing passes between two machines, either way, until `heal`."""
        self._partitions.append((one, other))

    def heal(self) -> None:
        self._partitions.clear()
        for channel in self.channels:
            channel.schedule()

    def is_cut(self, one: str, other: str) -> bool:
        return (one, other) in self._partitions or (other, one) in self._partitions

    def reset(self, machine: str | None = None) -> None:
        """Break every connection (of one machine)."""
        for channel in list(self.channels):
            if machine in (None, channel.world.machine.name):
                channel.fail(ConnectionResetError(errno.ECONNRESET, "reset by the test"))

    def free_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def end(self, world: "SimWorld") -> None:
        """A process is gone: its kernel resets what it had open."""
        for address in [a for a, other in self.listeners.items() if other.world is world]:
            del self.listeners[address]
        for channel in [channel for channel in self.channels if channel.world is world]:
            channel.fail(ConnectionResetError(errno.ECONNRESET, "the peer's process died"))


class SimListening:
    def __init__(
        self, host: str, port: int, accept: Callable[[], Receiver], world: "SimWorld"
    ) -> None:
        self.host = host
        self.port = port
        self.accept = accept
        self.world = world

    def close(self) -> None:
        listeners = self.world.fabric.listeners
        if listeners.get((self.world.machine.name, self.port)) is self:
            del listeners[self.world.machine.name, self.port]


class SimChannel:
    """One end of a connection. What it sends waits here until the other end took it."""

    descriptor = -1

    def __init__(self, world: "SimWorld", receiver: Receiver, peer: str) -> None:
        self.world = world
        self.peer = peer
        self.is_full = False
        self._receiver = receiver
        self._other: SimChannel = self
        self._queue: deque[bytes | FileRange] = deque()
        self._bytes_waiting = 0
        self._is_reading = True
        self._is_scheduled = False
        self._is_closing = False
        self._has_ended = False

    def join(self, other: "SimChannel") -> None:
        self._other, other._other = other, self

    # Channel

    @property
    def is_sending(self) -> bool:
        return bool(self._queue)

    def send(self, parts: Sequence[bytes | FileRange]) -> None:
        if self._is_closing or self._has_ended:
            return
        for part in parts:
            if isinstance(part, FileRange):
                assert isinstance(part.file, SimFile), "a range of a file of another world"
                self.world.trace(
                    "send.range", self.peer, part.file.path, part.position, part.length
                )
                if part.length:
                    self._queue.append(FileRange(part.file, part.position, part.length))
            elif part:
                assert type(part) is bytes, f"bytes or file ranges are sent, not {type(part)}"
                self.world.trace("send", self.peer, len(part), digest(part))
                self._queue.append(part)
                self._bytes_waiting += len(part)
        if self._bytes_waiting > OUTBOUND_BYTES_MAX or len(self._queue) > OUTBOUND_PARTS_MAX:
            self.is_full = True
        self.schedule()

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self._other.schedule()

    def close(self) -> None:
        if not self._is_closing and not self._has_ended:
            self._is_closing = True
            self._is_reading = False
            self.world.later(5.0, self._give_up)
            self.schedule()

    def abort(self) -> None:
        if not self._has_ended:
            self._end(None)
            self._other.fail(ConnectionResetError(errno.ECONNRESET, "reset by the peer"))

    # The network

    def schedule(self) -> None:
        """See to it that what waits is delivered, unless something holds it back."""
        other = self._other
        if self._is_scheduled or self._has_ended or other._has_ended:
            return
        if not (self._queue or self._is_closing):
            return
        if self._queue and not other._is_reading:
            return
        if self.world.fabric.is_cut(self.world.machine.name, other.world.machine.name):
            return
        self._is_scheduled = True
        other.world.later(self.world.machine.delays.network(), self._deliver)

    def fail(self, error: BaseException) -> None:
        if not self._has_ended:
            self._end(error)
            self._other.fail(error)

    def _deliver(self) -> None:
        """Runs as the other end's machine: one read of its loop."""
        self._is_scheduled = False
        other = self._other
        if self._has_ended or other._has_ended:
            return
        if self.world.fabric.is_cut(self.world.machine.name, other.world.machine.name):
            return
        random = other.world.machine.random
        if random.random() < self.world.fabric.reset_chance:
            self.world.trace("reset", self.peer)
            self.fail(ConnectionResetError(errno.ECONNRESET, "lost by the network"))
            return
        if self._queue and other._is_reading:
            buffer = other._receiver.get_buffer()
            assert len(buffer), "a receiver must have room"
            count = self._take(buffer[: self._piece(len(buffer), random)])
            if count == 0:
                self.fail(OSError(errno.EIO, "a range of a file that ends before"))
                return
            other.world.trace("receive", other.peer, count, digest(buffer[:count]))
            try:
                other._receiver.buffer_updated(count)
            except Exception as error:  # as the real loop does: that connection alone is lost
                other.world.report("a receiver raised", error)
                other.fail(error)
                return
        if (
            self.is_full
            and self._bytes_waiting < OUTBOUND_BYTES_MAX // 2
            and len(self._queue) < OUTBOUND_PARTS_MAX // 2
        ):
            self.is_full = False
            self.world.later(0.0, self._receiver.drained)
        if self._is_closing and not self._queue:
            self._end(None)
            other._end(None)
        self.schedule()

    def _piece(self, room: int, random: Random) -> int:
        """How much one read gets: often all that is there, sometimes a byte or a few."""
        waiting = sum(_length(part) for part in self._queue)
        drawn = random.random()
        if drawn < 0.5:
            return room
        return random.randint(1, min(room, waiting if drawn < 0.9 else 16))

    def _take(self, room: memoryview) -> int:
        """Move bytes from the queue into the peer's buffer."""
        count = 0
        while self._queue and count < len(room):
            head = self._queue[0]
            if isinstance(head, FileRange):
                asked = min(head.length, len(room) - count)
                assert isinstance(head.file, SimFile)
                piece = bytes(head.file.inode.content[head.position : head.position + asked])
                if len(piece) < asked:
                    return 0
                rest: bytes | FileRange = FileRange(
                    head.file, head.position + asked, head.length - asked
                )
                is_empty = head.length == asked
            else:
                piece = head[: len(room) - count]
                rest = head[len(piece) :]
                is_empty = not rest
                self._bytes_waiting -= len(piece)
            room[count : count + len(piece)] = piece
            count += len(piece)
            if is_empty:
                self._queue.popleft()
            else:
                self._queue[0] = rest
        return count

    def _give_up(self) -> None:
        if not self._has_ended:
            self.fail(TimeoutError("closed before all was sent"))

    def _end(self, error: BaseException | None) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._queue.clear()
            self._bytes_waiting = 0
            self.is_full = False
            self.world.fabric.channels.remove(self)
            self.world.later(0.0, self._receiver.disconnected, error)


def _length(part: bytes | FileRange) -> int:
    return part.length if isinstance(part, FileRange) else len(part)


class SimNetwork:
    """One life's view of the network."""

    def __init__(self, world: "SimWorld") -> None:
        self._world = world

    async def listen(
        self,
        host: str,
        port: int,
        accept: Callable[[], Receiver],
        tls: ssl.SSLContext | None = None,
    ) -> SimListening:
        fabric = self._world.fabric
        port = port or fabric.free_port()
        address = (self._world.machine.name, port)
        if address in fabric.listeners:
            raise OSError(errno.EADDRINUSE, f"{host}:{port} is in use")
        listening = SimListening(host, port, accept, self._world)
        fabric.listeners[address] = listening
        return listening

    async def connect(
        self, host: str, port: int, receiver: Receiver, tls: ssl.SSLContext | None = None
    ) -> SimChannel:
        world, fabric = self._world, self._world.fabric
        name = world.machine.name if host in _LOOPBACK else host
        await world.sleep_s(world.machine.delays.network())
        if fabric.is_cut(world.machine.name, name):
            await world.sleep_s(CONNECT_TIMEOUT_S)
            raise TimeoutError(errno.ETIMEDOUT, f"{host}:{port} does not answer")
        listening = fabric.listeners.get((name, port))
        if listening is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host}:{port}")
        server = listening.world
        client_end = SimChannel(world, receiver, f"{name}:{port}")
        server_end = SimChannel(
            server, listening.accept(), f"{world.machine.name}:{fabric.free_port()}"
        )
        client_end.join(server_end)
        fabric.channels += [client_end, server_end]
        world.trace("connect", client_end.peer, server_end.peer)
        server.later(0.0, server_end._receiver.connected, server_end)
        await world.sleep_s(world.machine.delays.network())
        receiver.connected(client_end)
        return client_end
