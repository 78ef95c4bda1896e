"""The Kafka port: accepts connections, owns their tasks, timers and shared bounds.

Owns    all connections of a broker, the receive pool, the task group of their requests, and the
        rounds in which answers are written.
Never   parses or answers: connection.py and handlers/ do.
Trusts  one event loop: everything here runs on it.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from types import TracebackType

from app import limits
from app.kafka.buffers import ReceivePool
from app.kafka.connection import LOG, Connection
from app.kafka.context import Broker
from app.kafka.handlers import produce
from app.kafka.router import Router
from app.telemetry import events
from app.telemetry.counts import Durations, RequestCounts
from app.world.ports import Listening
from streambus.protocol import api

SWEEP_MS = 1_000
"""How coarse the idle timeout is, and how long an empty borrowed buffer stays with a connection."""


class Door:
    """One address that clients connect to. Its name says which endpoints of brokers they are
    told."""

    __slots__ = ("_listener", "accepted", "name")

    def __init__(self, listener: "Listener", name: str) -> None:
        self._listener = listener
        self.name = name
        self.accepted = 0

    def accept(self) -> Connection:
        return Connection(self._listener, self)


class Listener:
    """The Kafka face of one broker.

        async with Listener(broker, router) as listener:
            listening = await listener.listen(host, port)              # any number of these
            listening = await listener.listen(host, port, tls=context, name="tls")
            ...

    Leaving the block closes the doors, lets what is in flight be answered for `close_ms` at most,
    closes the connections and ends their tasks. A request that trips over a bug of ours (an
    AssertionError) ends the block with that error: the broker stops.
    """

    def __init__(
        self, broker: Broker, router: Router, *, close_ms: int = limits.CLOSE_FLUSH_MS_MAX
    ) -> None:
        self.broker = broker
        self.router = router
        self.world = broker.world
        settings = broker.settings
        self.request_bytes_max = settings.request_bytes_max
        self.in_flight_bytes_max = settings.in_flight_bytes_max
        self.pool = ReceivePool(settings.receive_pool_bytes)
        self.connections: dict[Connection, None] = {}
        self.doors: list[Door] = []
        self.accepted = self.refused = 0
        self.refused_descriptors = 0  # of those refused, for want of descriptors
        self.idled = 0  # closed since nothing happened on them
        self.cut = 0  # closed for what they sent
        self.now_ns = broker.world.clock.monotonic_ns
        self.counts = {key: RequestCounts(api.name_of(key)) for key in router.routes}
        self.produced = self.counts.setdefault(produce.KEY, RequestCounts(api.name_of(produce.KEY)))
        self.fetches_parked = Durations()
        self._close_ms = close_ms
        self._listening: list[Listening] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._running: dict[asyncio.Task[None], None] = {}
        self._dirty: list[Connection] = []
        self._awaiting_log: dict[Connection, None] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._idle_sweeps_max = max(1, settings.connection_idle_ms // SWEEP_MS)
        self.arrival_sweeps_max = limits.REQUEST_ARRIVAL_MS_MAX // SWEEP_MS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closing = False
        self._emptied: asyncio.Event | None = None
        broker.advertised = router.advertised()
        broker.registry.after_release(self._write_round)
        broker.registry.after_drained(self._log_drained)

    # The composition root

    async def __aenter__(self) -> "Listener":
        self._loop = asyncio.get_running_loop()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._sweep = self.world.call_later(SWEEP_MS, self._swept)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        try:
            await self._close()
        finally:
            if isinstance(error, Exception):  # the block's own: not to be wrapped in a group
                kind = error = traceback = None
            await self._tasks.__aexit__(kind, error, traceback)

    async def listen(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, name: str = "plain"
    ) -> Listening:
        """Open one more door. Its clients are told the brokers' endpoints of this name. OSError if
        it cannot be bound."""
        assert self._tasks is not None, "listen inside `async with`"
        door = Door(self, name)
        listening = await self.world.network.listen(host, port, door.accept, tls)
        self.doors.append(door)
        self._listening.append(listening)
        return listening

    async def _close(self) -> None:
        self._is_closing = True
        for listening in self._listening:
            listening.close()
        self._emptied = asyncio.Event()
        for connection in list(self.connections):
            connection.stop()
        if self.connections:
            deadline = self.world.call_later(self._close_ms, self._emptied.set)
            await self._emptied.wait()
            deadline.cancel()
        for connection in list(self.connections):
            connection.abort()
        for task in list(self._running):
            task.cancel()  # a waiter; what it asked the manifest to do goes on or is void
        if self._sweep is not None:
            self._sweep.cancel()
        self._flush()

    # Connections

    def admit(self, connection: Connection) -> bool:
        """Whether one more connection may be; the event says why not."""
        if self._is_closing:
            return False
        assert connection.channel is not None
        settings = self.broker.settings
        is_short = connection.channel.descriptor >= settings.descriptors_max
        if is_short or len(self.connections) >= settings.connections_max:
            self.refused += 1
            self.refused_descriptors += is_short
            if self.refused & (self.refused - 1) == 0:  # 1, 2, 4, 8…: a flood is not a log flood
                events.emit(
                    "listener.full",
                    events.WARNING,
                    connections=len(self.connections),
                    descriptors=connection.channel.descriptor + 1,
                    refused=self.refused,
                )
            return False
        self.connections[connection] = None
        self.accepted += 1
        connection.number = self.accepted
        connection.door.accepted += 1
        return True

    def forget(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        self._awaiting_log.pop(connection, None)
        if self._emptied is not None and not self.connections:
            self._emptied.set()

    def spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        """Run a request that waits as a task of this listener's group."""
        assert self._tasks is not None
        task = self._tasks.create_task(work, name=name)
        self._running[task] = None
        task.add_done_callback(self._running.pop)

    def after_others(self, step: Callable[[], None]) -> None:
        """Go on with `step` when the loop has been round."""
        assert self._loop is not None
        self._loop.call_soon(step)

    # Rounds of answers

    def dirty(self, connection: Connection) -> None:
        """It has answers to write: at the end of this round of the log, or of this turn."""
        connection.is_dirty = True
        if not self._dirty:
            assert self._loop is not None
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _write_round(self) -> None:
        self._flush()
        if self._awaiting_log and not self.is_log_full:
            self._log_drained()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    # Back-pressure of the log

    @property
    def awaiting_log(self) -> int:
        """Connections that are not read until the log has room."""
        return len(self._awaiting_log)

    @property
    def is_log_full(self) -> bool:
        pending: int = self.broker.registry.wal.pending_bytes
        return pending > limits.WAL_PENDING_BYTES_MAX

    def await_log(self, connection: Connection) -> None:
        connection.hold(LOG)
        self._awaiting_log[connection] = None

    def _log_drained(self) -> None:
        waiting, self._awaiting_log = self._awaiting_log, {}
        for connection in waiting:  # first come, first served
            if self.is_log_full:
                self._awaiting_log[connection] = None
            else:
                connection.release(LOG)

    # The coarse timer

    def _swept(self) -> None:
        for connection in list(self.connections):
            connection.swept(self._idle_sweeps_max)
        self.pool.trim()
        self._sweep = self.world.call_later(SWEEP_MS, self._swept)
