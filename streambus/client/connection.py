"""One connection to one broker: frames, correlation ids, pipelining, deadlines.

Owns    the socket, the requests in flight on it, and the versions that the broker serves.
Never   retries and never looks inside a message but ApiVersions.
Trusts  no size that the broker claims above `response_bytes_max`.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from streambus.client.errors import ConnectionLost, NotInTime, NotSupported, Refused
from streambus.errors import Malformed
from streambus.protocol import api, frames
from streambus.protocol.messages import control

RESPONSE_BYTES_MAX = 128 * 1024 * 1024
IN_FLIGHT_MAX = 64

Answer = tuple[memoryview, int]
"""(the frame without its length, position of the body in it)."""
Encode = Callable[[int], Sequence[bytes | memoryview]]
"""From a correlation id to the buffers of the frame."""


class _Pending:
    __slots__ = ("answer", "is_flexible")

    def __init__(self, answer: "asyncio.Future[Answer]", *, is_flexible: bool) -> None:
        self.answer = answer
        self.is_flexible = is_flexible


class _Frames(asyncio.BufferedProtocol):
    """Receives each frame into a buffer of just its size, which then belongs to whoever asked."""

    def __init__(self, connection: "Connection", response_bytes_max: int) -> None:
        self.connection = connection
        self.response_bytes_max = response_bytes_max
        self.length = bytearray(4)
        self.is_body = False
        self.view = memoryview(self.length)
        self.filled = 0
        self.may_write = asyncio.Event()
        self.may_write.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.filled += nbytes
        if self.filled < len(self.view):
            return
        received = self.view
        if self.is_body:
            self.view = memoryview(self.length)
            self.connection.received(received)
        else:
            size = int.from_bytes(self.length, "big", signed=True)
            if not 4 <= size <= self.response_bytes_max:
                self.connection.fail(Malformed(f"a response of {size} bytes"))
                return
            self.view = memoryview(bytearray(size))
        self.is_body = not self.is_body
        self.filled = 0

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.may_write.set()
        reason = "closed the connection" if exc is None else str(exc)
        where = f"{self.connection.host}:{self.connection.port}"
        self.connection.fail(ConnectionLost(f"{where} {reason}"))


class Connection:
    """Requests may be sent before earlier ones are answered; each waits for its own answer."""

    def __init__(self, host: str, port: int, client_id: str) -> None:
        self.host = host
        self.port = port
        self.client_id = client_id
        self.versions: dict[int, tuple[int, int]] = {}
        self._pending: dict[int, _Pending] = {}
        self._next_id = 0
        self._transport: asyncio.Transport | None = None
        self._frames: _Frames | None = None
        self._failure: Exception | None = None
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        client_id: str = "streambus",
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
        response_bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> "Connection":
        """Connects and learns the broker's versions."""
        connection = cls(host, port, client_id)
        received = _Frames(connection, response_bytes_max)
        try:
            async with asyncio.timeout(timeout_s):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    lambda: received, host, port, ssl=tls
                )
        except TimeoutError:
            raise ConnectionLost(f"{host}:{port} did not answer in {timeout_s:g} s") from None
        except ConnectionRefusedError:
            raise ConnectionLost(f"{host}:{port}: nobody listens there") from None
        except OSError as error:
            raise ConnectionLost(f"{host}:{port}: {error.strerror or error}") from error
        connection._transport, connection._frames = transport, received
        try:
            await connection._learn_versions(timeout_s)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def is_open(self) -> bool:
        return self._failure is None

    def version(self, api_key: int, at_most: int | None = None) -> int:
        """The newest version of an API that both sides speak."""
        row = api.BY_KEY[api_key]
        oldest, newest = self.versions.get(api_key, (0, -1))
        chosen = min(row.newest, newest, row.newest if at_most is None else at_most)
        if chosen < max(row.oldest, oldest):
            raise NotSupported(f"{self.host}:{self.port} serves no {row.name} that we speak")
        return chosen

    async def request(self, api_key: int, version: int, encode: Encode, timeout_s: float) -> Answer:
        """Sends what `encode` makes of a correlation id, and waits for the answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s), self._in_flight:
                correlation_id = await self._write(encode)
                is_flexible = frames.has_flexible_response_header(api_key, version)
                self._pending[correlation_id] = _Pending(answer, is_flexible=is_flexible)
                return await answer
        except TimeoutError:
            # Its entry stays until the answer comes, late, and is dropped.
            where = f"{self.host}:{self.port}"
            raise NotInTime(f"{where} did not answer {api.name_of(api_key)} in time") from None

    async def send(self, encode: Encode, timeout_s: float) -> None:
        """Sends a request that is never answered: Produce with acks=0."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._write(encode)
        except TimeoutError:
            raise NotInTime(f"{self.host}:{self.port} does not read what we send") from None

    async def _write(self, encode: Encode) -> int:
        assert self._frames is not None
        assert self._transport is not None
        await self._frames.may_write.wait()
        if self._failure is not None:
            raise self._failure
        correlation_id = self._next_id
        self._next_id = (correlation_id + 1) & 0x7FFFFFFF
        self._transport.writelines(encode(correlation_id))
        return correlation_id

    async def _learn_versions(self, timeout_s: float) -> None:
        version = api.BY_KEY[api.API_VERSIONS].newest
        while True:
            entity_type = control.request_types(api.API_VERSIONS, version).ApiVersionsRequest
            entity = control.fill(
                entity_type, client_software_name="streambus", client_software_version="0"
            )
            view, body = await self._ask(entity, timeout_s)
            error = int.from_bytes(view[body : body + 2], "big", signed=True)
            # A broker that does not know our version says so in version 0 (KIP-511).
            answered = 0 if error else version
            response: Any = control.decode_response(api.API_VERSIONS, answered, view, body)
            self.versions = {
                int(row.api_key): (int(row.min_version), int(row.max_version))
                for row in response.api_keys
            }
            if not error:
                return
            newest = self.versions.get(api.API_VERSIONS, (0, 0))[1]
            if error != NotSupported.code or newest >= version:
                raise Refused(f"{self.host}:{self.port}", error)
            version = max(newest, 0)

    async def _ask(self, entity: Any, timeout_s: float) -> Answer:
        return await self.request(
            int(entity.__api_key__),
            int(entity.__version__),
            lambda correlation_id: [control.encode_request(entity, correlation_id, self.client_id)],
            timeout_s,
        )

    async def ask(self, entity: Any, timeout_s: float) -> Any:
        """Sends a control request and gives the answer as kio's entity."""
        view, body = await self._ask(entity, timeout_s)
        key, version = int(entity.__api_key__), int(entity.__version__)
        return control.decode_response(key, version, view, body)

    def received(self, frame: memoryview) -> None:
        correlation_id = int.from_bytes(frame[:4], "big", signed=True)
        pending = self._pending.pop(correlation_id, None)
        if pending is None:
            self.fail(Malformed(f"an answer to request {correlation_id}, which was never made"))
            return
        try:
            _, body = frames.read_response_header(
                frame, 0, len(frame), flexible=pending.is_flexible
            )
        except Malformed as error:
            self.fail(error)
            return
        if not pending.answer.done():
            pending.answer.set_result((frame, body))

    def fail(self, error: Exception) -> None:
        """Ends the connection; whoever waits for an answer gets `error`."""
        if self._failure is None:
            self._failure = error
        pending, self._pending = self._pending, {}
        for waiting in pending.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(self._failure)
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._failure is None:
            self._failure = ConnectionLost("closed here")
        if self._transport is not None:
            self._transport.close()
