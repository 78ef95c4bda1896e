"""The HTTP/1.1 door: uvicorn's protocol over h11, with the bounds that uvicorn leaves to others.

Owns    how many connections there are, how long the head of a request may take, and what a client
        hears that does not speak HTTP.
Never   sees a request whose head is whole: that is uvicorn's and then the application's.
"""

import asyncio
import socket
import struct
import sys
from typing import Any

import h11
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from app import limits
from app.api import problems

RESET = struct.pack("ii", 1, 0)  # SO_LINGER
CLOSE = [(b"connection", b"close")]


class Door(H11Protocol):
    """One connection."""

    def __init__(
        self, config: Config, *, connections_max: int, app_state: dict[str, Any], **named: Any
    ) -> None:
        super().__init__(config, app_state={**app_state, "door": self}, **named)
        self._connections_max = connections_max
        self._drained = 0
        self._idle_ms = 0
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._connections_max + limits.API_CONNECTIONS_REFUSED_MAX:
            transport.abort()
            return
        if len(self.connections) > self._connections_max:
            self.app = crowded
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._head_is_here()
            self._drained = 0
        elif self.conn.their_state is h11.SEND_BODY:
            self._drained += len(data)
            if self._drained > limits.API_DRAINED_BYTES_MAX:
                self.break_off()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering():
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or too much of it. Called while the parser's error is handled."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        if self.conn.our_state is not h11.IDLE and self.conn.our_state is not h11.SEND_RESPONSE:
            self.break_off()
            return
        if self._is_answering():  # the head was good, its body is not: the application has it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        name = problems.OF_STATUS.get(status, problems.OF_STATUS[400])
        detail = f"this is no HTTP request that can be answered: {error}"
        document = problems.of_refusal(status, name, detail, "")
        body = msgspec.json.encode(document)
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            *CLOSE,
        ]
        answer = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_is_here()
        self._idle_ms = 0
        self._arm()

    def _arm(self) -> None:
        self._head_deadline = self.loop.call_later(limits.API_HEAD_MS_MAX / 1000, self._head_late)

    def _head_is_here(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_late(self) -> None:
        """No next request; or this side has closed, and its client does not take the rest."""
        if self._is_answering():
            return
        self._idle_ms += limits.API_HEAD_MS_MAX
        if self.transport.get_write_buffer_size() and self._idle_ms < limits.API_SEND_MS_MAX:
            self._arm()
        else:
            self.break_off()

    def break_off(self) -> None:
        """End the connection at once. What its client has not taken is dropped, by the kernel
        too: the client sees a reset, not an end."""
        if self._is_answering() or self.transport.get_write_buffer_size():
            connection = self.transport.get_extra_info("socket")
            if connection is not None and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.abort()


async def crowded(scope: Any, receive: Any, send: Any) -> None:
    """The application of a connection that is one too many."""
    document = problems.of_refusal(
        503, "TOO_MANY_CONNECTIONS", "api.connections are open: try again later", ""
    )
    headers = {"connection": "close"}
    await problems.response(document, headers)(scope, receive, send)
