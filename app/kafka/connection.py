"""One client's connection: bytes in, requests in order, answers out in the same order.

Owns    the order of work on one connection, and what holds it back.
Never   decides what an API does, and never touches another connection: bytes that do not parse
        close this one with one event, `connection.refused`.
Trusts  that all calls come on the loop, and that a handler is done with the request's bytes when it
        returns, or holds the buffer's lease: else the buffer is used again at once.

As in Kafka a connection runs one request at a time; only Produce is pipelined. A produce request
is decided (offsets assigned, bytes copied to the WAL) when it is parsed, and waits in `in_flight`
until what it reveals is durable. Any other request starts when everything before it was answered,
and nothing after it is parsed before it is answered. `holds` says what parsing waits for.
"""

import errno
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from app import limits
from app.kafka.context import RequestContext
from app.kafka.handlers import produce
from app.kafka.pins import Pins
from app.kafka.receive_buffer import ReceiveBuffer
from app.kafka.router import Route, answer
from app.kafka.routes import Routes
from app.model import ANONYMOUS, Principal
from app.security.ports import Operation
from app.telemetry import events
from app.world.ports import Channel, FileRange
from streambus.errors import Malformed, Unavailable
from streambus.protocol import frames

if TYPE_CHECKING:
    import asyncio

    from app.kafka.listener import Door, Listener
    from app.telemetry.counts import RequestCounts

Part = bytes | memoryview | FileRange

_LENGTH = Struct(">i").unpack_from
_HEADER = Struct(">hhih").unpack_from  # api key, version, correlation id, length of client id
_PRODUCE = produce.KEY
_PRODUCE_OLDEST, _PRODUCE_NEWEST = produce.VERSIONS
_API_VERSIONS = 18
REQUESTS_PER_TURN = 16
"""Answered at once (fetches of what is in the page cache) before other connections have a turn."""
_REQUEST_BYTES_MIN = 10  # api key, version, correlation id, client id: header v1

# What parsing waits for (bits of `Connection.holds`).
TURN = 1  # a request that is not Produce runs or is parked
ORDER = 2  # the next request is not Produce and must see everything before it answered
PIPELINE = 4  # CONNECTION_PIPELINE_MAX requests or CONNECTION_IN_FLIGHT_BYTES_MAX unanswered
MUTE = 8  # throttled
LOG = 16  # the WAL holds more than WAL_PENDING_BYTES_MAX unsynced
OUTBOUND = 32  # the peer does not read its answers
REWRITE = 64  # a lane reads the request: a produce before it is decided, a large one to decode it
STOP = 128  # the broker stops
CLOSED = 256
BREATH = 512  # REQUESTS_PER_TURN were answered in one turn of the loop: others first


_NETWORK_FAILED = (
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENOTCONN,
    errno.ENOBUFS, errno.EPROTO,
)  # fmt: skip
"""What a socket may say that is no subclass of OSError of its own."""


class State(Enum):
    """Where a connection is. SASL will add its two states between HANDSHAKE and READY."""

    HANDSHAKE = "handshake"
    READY = "ready"
    MUTED = "muted"
    CLOSED = "closed"


LEGAL = {
    State.HANDSHAKE: {State.READY, State.CLOSED},
    State.READY: {State.MUTED, State.CLOSED},
    State.MUTED: {State.READY, State.CLOSED},
    State.CLOSED: set[State](),
}


class Turn(Protocol):
    """A request that waits without a task: a parked fetch."""

    def hurry(self) -> None:
        """Answer now, with what there is."""

    def abandon(self) -> None:
        """The connection is gone: wait no longer, answer nothing."""


class Connection:
    """A `Receiver` (app/world/ports.py). Made by `Door.accept`."""

    __slots__ = (
        "_arrived_ns",
        "_client_id_bytes",
        "_correlation_id",
        "_counts",
        "_idle_sweeps",
        "_is_active",
        "_is_parsing",
        "_mute_timer",
        "_outbox",
        "buffer",
        "channel",
        "client_id",
        "door",
        "holds",
        "in_flight",
        "in_flight_bytes",
        "is_dirty",
        "listener",
        "number",
        "pins",
        "principal",
        "reads",
        "state",
        "turn",
        "writes",
    )

    def __init__(self, listener: "Listener", door: "Door") -> None:
        self.listener = listener
        self.door = door
        self.channel: Channel | None = None
        self.state = State.HANDSHAKE
        self.principal: Principal = ANONYMOUS
        self.number = 0  # among all that were accepted here; requests are named by it
        self.client_id = ""
        self._client_id_bytes = b""
        self._correlation_id = 0
        self._counts = listener.produced
        self._arrived_ns = 0  # when the newest request was parsed
        self.buffer = ReceiveBuffer(listener.pool)
        self._is_parsing = False
        self.holds = 0
        self.turn: Turn | None = None
        self.in_flight: deque[produce.Pending] = deque()
        self.in_flight_bytes = 0
        self._outbox: list[Part] = []
        self._mute_timer: asyncio.TimerHandle | None = None
        self.is_dirty = False
        self._is_active = True
        self._idle_sweeps = 0
        self.pins = Pins()
        self.writes = Routes(Operation.WRITE)
        self.reads = Routes(Operation.READ)

    # Receiver

    def connected(self, channel: Channel) -> None:
        self.channel = self.buffer.channel = channel
        if not self.listener.admit(self):
            self._move(State.CLOSED)
            self.holds |= CLOSED
            channel.abort()
            return
        self._move(State.READY)

    def get_buffer(self) -> memoryview:
        return self.buffer.room()

    def buffer_updated(self, count: int) -> None:
        if self.holds & CLOSED:
            return  # what still comes goes nowhere
        self._is_active = True
        if self.buffer.arrived(count):
            self._run()

    def drained(self) -> None:
        self.release(OUTBOUND)

    def disconnected(self, error: BaseException | None) -> None:
        if type(error) is OSError and error.errno not in _NETWORK_FAILED:
            # Not the network: a file that was being sent. Its reader sees no more than a reset.
            peer = None if self.channel is None else self.channel.peer
            events.emit(
                "connection.failed", events.ERROR, peer=peer, error=error, request=self.request_id
            )
        self._move(State.CLOSED)
        self.holds |= CLOSED
        self.buffer.discard()
        if self._mute_timer is not None:
            self._mute_timer.cancel()
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.abandon()
        self.pins.taint()
        self.in_flight.clear()
        self._outbox.clear()
        self.listener.forget(self)

    # What handlers and the listener call

    def reply(self, parts: Sequence[Part], throttle_ms: int = 0, parked_ns: int = 0) -> None:
        """The answer to the request that has the turn; then the next one starts."""
        assert self.holds & TURN, "nobody has the turn"
        self.turn = None
        if self.holds & CLOSED:
            return
        self._outbox += parts
        counts = self._counts
        counts.took.observe(self.listener.now_ns() - self._arrived_ns - parked_ns)
        for part in parts:
            counts.response_bytes += part.length if isinstance(part, FileRange) else len(part)
        if throttle_ms > 0:
            self.mute(throttle_ms)
        if not self._is_parsing:
            self._send()  # before the next starts: the peer may have had enough
        self.release(TURN)
        if self.holds & STOP:
            self.flush()

    def mute(self, throttle_ms: int) -> None:
        """Parse nothing for so long (KIP-219): the answer says so, the broker sees to it."""
        if self.state is not State.MUTED:
            self._move(State.MUTED)
        self.holds |= MUTE
        if self._mute_timer is not None:
            self._mute_timer.cancel()
        self._mute_timer = self.listener.world.call_later(throttle_ms, self._unmute)

    def hold(self, hold: int) -> None:
        self.holds |= hold

    def release(self, hold: int) -> None:
        """`hold` is over: parse on, unless something else holds."""
        if self.holds & hold:
            self.holds &= ~hold
            if not self.holds and not self._is_parsing:
                self._run()

    def refuse(self, reason: str, **fields: object) -> None:
        """Close this connection with the one event that says why."""
        if self.state is State.CLOSED:
            return
        assert self.channel is not None
        events.emit(
            "connection.refused",
            events.WARNING,
            peer=self.channel.peer,
            door=self.door.name,
            client_id=self.client_id,
            reason=reason,
            **{"request": self.request_id, **fields},
        )
        self.listener.cut += 1
        self.close()

    def close(self) -> None:
        """Send what is answered, then close; nothing more is parsed."""
        if self.state is State.CLOSED:
            return
        assert self.channel is not None
        self._send()
        self._move(State.CLOSED)
        self.holds |= CLOSED
        self.channel.close()

    def flush(self) -> None:
        """Write all answers that are ready, in order, as one."""
        self.is_dirty = False
        in_flight = self.in_flight
        if in_flight and not in_flight[0].outstanding:
            outbox, produced = self._outbox, self.listener.produced
            took = produced.took
            buckets, now_ns, took_ns, sent = took.buckets, self.listener.now_ns(), 0, 0
            unanswered = None
            while in_flight and not in_flight[0].outstanding:
                pending = in_flight.popleft()
                self.in_flight_bytes -= pending.size
                ns = now_ns - pending.arrived_ns
                buckets[ns.bit_length()] += 1  # as `Durations.observe` does
                took_ns += ns
                frame = pending.encode()
                if frame is not None:
                    outbox.append(frame)
                    sent += len(frame)
                elif pending.has_failed:
                    unanswered = pending
                    break
            took.sum_ns += took_ns
            produced.response_bytes += sent
            if unanswered is not None:
                # Nobody waits for an answer to acks=0; as in Kafka a closed connection tells the
                # producer to look at the metadata again.
                request = f"{self.number}-{unanswered.correlation_id}"
                why = "a produce request with acks=0 failed"
                self.refuse(why, request=request, **unanswered.failure())
                return
        if self._outbox:
            self._send()
        holds = self.holds
        if holds & (ORDER | PIPELINE):
            if not in_flight:
                self.release(ORDER | PIPELINE)
            elif holds & PIPELINE and self._has_room():
                self.release(PIPELINE)
        if holds & STOP and not in_flight and not holds & (TURN | REWRITE | CLOSED):
            self.close()

    def hold_buffer(self) -> None:
        """A lane reads the request where it lies: parse nothing and move nothing meanwhile."""
        self.holds |= REWRITE
        self.buffer.freeze()

    def release_buffer(self) -> None:
        self.buffer.thaw()
        self.release(REWRITE)

    @property
    def request_id(self) -> str:
        """Of the request that has the turn; otherwise this connection."""
        return f"{self.number}-{self._correlation_id}" if self.holds & TURN else f"{self.number}"

    @property
    def busy_with(self) -> "RequestCounts | None":
        """The API of the request that has the turn."""
        return self._counts if self.holds & TURN else None

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    def swept(self, idle_sweeps_max: int) -> None:
        """Called by the coarse timer: an empty borrowed buffer goes home after a quiet while, and
        a connection on which nothing happens for too long is closed."""
        if not self.holds and self.buffer.is_overdue(self.listener.arrival_sweeps_max):
            self.refuse("a request did not arrive in time, while others waited for its memory")
            return
        if self._is_active:
            self._is_active = False
            self._idle_sweeps = 0
            return
        self.buffer.give_back()
        if self.in_flight or self.holds & (TURN | MUTE | REWRITE):
            return
        self._idle_sweeps += 1
        if self._idle_sweeps >= idle_sweeps_max and not self.is_closed:
            self.listener.idled += 1
            self.close()

    def stop(self) -> None:
        """The broker stops: close as soon as what is in flight is answered."""
        self.holds |= STOP
        if self.turn is not None:
            self.turn.hurry()
        if not self.in_flight and not self.holds & (TURN | REWRITE):
            self.close()

    def abort(self) -> None:
        """The broker stops and has waited long enough."""
        if self.channel is not None:
            self.channel.abort()
        self.disconnected(None)

    def spawn(self, work: Coroutine[object, object, None], api: str, correlation_id: int) -> None:
        """Run what waits for a request of this connection as a task of the listener's group."""
        name = f"{api}-{self.number}-{correlation_id}"
        self.listener.spawn(self._guarded(work, api, correlation_id), name)

    async def _guarded(
        self, work: Coroutine[object, object, None], api: str, correlation_id: int
    ) -> None:
        """The root of such a task: what it says carries the request's name. Our own bugs
        (AssertionError) stop the broker; whatever else a request trips over costs its connection,
        and no other."""
        with events.bound(request=f"{self.number}-{correlation_id}"):
            try:
                await work
            except AssertionError:
                raise
            except Exception as error:
                events.emit(
                    "request.failed",
                    events.ERROR,
                    api=api,
                    client_id=self.client_id,
                    error=repr(error),
                )
                self.refuse("the broker failed to answer")

    # Parsing

    def _run(self) -> None:
        """Parse what may be parsed, and write what that answered, until nothing moves."""
        if self._is_parsing or self.holds & CLOSED:
            return
        self._is_parsing = True
        try:
            self._parse()
            turns = 0
            while self._outbox or (self.in_flight and not self.in_flight[0].outstanding):
                self.flush()
                if self.holds:
                    break
                turns += 1
                if turns == REQUESTS_PER_TURN:
                    self.holds |= BREATH
                    self.listener.after_others(partial(self.release, BREATH))
                    break
                self._parse()
        except Malformed as error:
            self.refuse(str(error))
        finally:
            self._is_parsing = False
        if not self.holds & CLOSED and not self.buffer.settle(is_held=bool(self.holds)):
            self.refuse("no memory for a request")

    def _parse(self) -> None:
        buffer = self.buffer
        view, start, end = buffer.view, buffer.start, buffer.end
        listener = self.listener
        request_bytes_max = listener.request_bytes_max
        arrived_ns, first = 0, start
        try:
            while end - start >= 4 and not self.holds:
                (length,) = _LENGTH(view, start)
                position = start + 4
                stop = position + length
                if not _REQUEST_BYTES_MIN <= length <= request_bytes_max:
                    raise Malformed(f"a request of {length} bytes")
                if stop > end:
                    break
                if not arrived_ns:  # asked once for all that a read brought
                    arrived_ns = self._arrived_ns = listener.now_ns()
                key, version, correlation_id, client_length = _HEADER(view, position)
                if key == _PRODUCE:
                    buffer.start = stop
                    body = position + 10 + (client_length if client_length > 0 else 0)
                    if view[position + 10 : body] != self._client_id_bytes:
                        self._name_client(view, position, stop)
                    if not _PRODUCE_OLDEST <= version <= _PRODUCE_NEWEST:
                        raise Malformed(f"Produce version {version} is not served")
                    if version >= 9:
                        if body < stop and view[body] == 0:
                            body += 1  # no tagged fields: the usual flexible header
                        else:
                            body = frames.read_request_header(view, position, stop).body
                    produce.arrived(self, view, body, stop, version, correlation_id)
                elif self.in_flight:
                    self.holds |= ORDER
                    return
                else:
                    buffer.start = stop
                    self._begin(key, version, correlation_id, view, position, stop)
                    return  # write the answer, if it is there already, before the next one is made
                start = stop
            if self.in_flight and listener.is_log_full:  # asked once for all that a read brought
                listener.await_log(self)
        finally:
            if start > first:
                listener.produced.request_bytes += start - first

    def _begin(
        self, key: int, version: int, correlation_id: int, view: memoryview, start: int, stop: int
    ) -> None:
        """Give the turn to a request that is not Produce."""
        listener = self.listener
        self.holds |= TURN
        self._correlation_id = correlation_id
        route = listener.router.route(key, version)
        if route is None:
            if key != _API_VERSIONS:
                raise Malformed(f"api key {key} version {version} is not served")
            route, version = listener.router.routes[key], -1
        counts = self._counts = listener.counts[key]
        counts.request_bytes += 4 + stop - start
        body = stop
        if version >= 0:  # else only the correlation id of a header can be trusted (KIP-511)
            header = frames.read_request_header(view, start, stop)
            self.client_id = header.client_id or ""
            self._client_id_bytes = self.client_id.encode()
            body = header.body
        context = RequestContext(
            listener.broker,
            self.principal,
            self.client_id,
            key,
            version,
            correlation_id,
            self.door.name,
            counts.failed,
        )
        if route.start is not None:
            route.start(self, context, view, body, stop)
            return
        assert route.decode is not None
        if stop - body > limits.DECODED_AT_ONCE_BYTES_MAX:
            context.is_large = True
            self.hold_buffer()
            decode = partial(route.decode, key, version, view, body, stop)
            self.spawn(self._answer_large(route, context, decode), route.name, correlation_id)
            return
        request = None if version < 0 else route.decode(key, version, view, body, stop)
        self.spawn(self._answer(route, context, request), route.name, correlation_id)

    async def _answer_large(
        self, route: Route, context: RequestContext, decode: Callable[[], object]
    ) -> None:
        """Decoding would hold the loop: a lane does it, where the request lies."""
        try:
            request = await context.aside(decode)
        except (Malformed, Unavailable) as error:
            self.refuse(str(error))
            return
        finally:
            self.release_buffer()
        await self._answer(route, context, request)

    async def _answer(self, route: Route, context: RequestContext, request: object) -> None:
        frame = await answer(route, context, request)
        events.emit(
            "request.answered",
            events.DEBUG,
            api=route.name,
            version=context.api_version,
            client_id=context.client_id,
            took_ns=self.listener.now_ns() - self._arrived_ns,
        )
        self.reply([frame], context.throttle_ms)

    def _name_client(self, view: memoryview, start: int, stop: int) -> None:
        self.client_id = frames.read_request_header(view, start, stop).client_id or ""
        self._client_id_bytes = self.client_id.encode()

    def _has_room(self) -> bool:
        return (
            self.in_flight_bytes < self.listener.in_flight_bytes_max
            and len(self.in_flight) < limits.CONNECTION_PIPELINE_MAX
        )

    def accepted(self, pending: "produce.Pending", throttle_ms: int) -> None:
        """A produce request was decided: it is answered after those before it."""
        pending.arrived_ns = self._arrived_ns
        in_flight = self.in_flight
        in_flight.append(pending)
        in_flight_bytes = self.in_flight_bytes = self.in_flight_bytes + pending.size
        if (
            in_flight_bytes >= self.listener.in_flight_bytes_max
            or len(in_flight) >= limits.CONNECTION_PIPELINE_MAX
        ):
            self.holds |= PIPELINE
        if throttle_ms > 0:
            self.mute(throttle_ms)

    # Writing

    def _send(self) -> None:
        parts, self._outbox = self._outbox, []
        if not parts or self.state is State.CLOSED:
            return
        assert self.channel is not None
        self.channel.send(joined(parts))
        if self.channel.is_full:
            self.holds |= OUTBOUND

    def _unmute(self) -> None:
        self._mute_timer = None
        if self.state is State.MUTED:
            self._move(State.READY)
            self.release(MUTE)

    def _move(self, state: State) -> None:
        if state is not self.state:
            assert state in LEGAL[self.state], f"{self.state} cannot become {state}"
            self.state = state


def joined(parts: list[Part]) -> list[bytes | FileRange]:
    """The same bytes with neighbouring buffers made one: one system call each, not one per part."""
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return [parts[0]]
    result: list[bytes | FileRange] = []
    run: list[bytes | memoryview] = []
    for part in parts:
        if isinstance(part, FileRange):
            if run:
                result.append(b"".join(run))
                run = []
            result.append(part)
        else:
            run.append(part)
    if run:
        result.append(b"".join(run))
    return result
