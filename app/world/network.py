"""Sockets of the real world: listeners, and one channel for each connection.

Owns    the life of a connection: connected, sending, closing, ended (told once).
Never   looks at what is received: it goes from the kernel into the receiver's own buffer.
Trusts  that receivers do not raise; one that does loses its connection, and the loop hears of it.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from app.limits import (
    CLOSE_FLUSH_MS_MAX,
    LISTEN_BACKLOG,
    SEND_BUFFER_BYTES,
    TLS_HANDSHAKE_MS_MAX,
    TLS_TURN_BYTES,
)
from app.world.outbound import Outbound, PlainOutbound, TlsOutbound
from app.world.ports import FileRange, Lane, Receiver

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is unsent is dropped, the peer sees a reset


class SocketChannel(asyncio.BufferedProtocol):
    """A connection: the loop's protocol on one side, `Channel` on the other."""

    def __init__(self, receiver: Receiver, reader: Lane) -> None:
        self._receiver: Receiver | None = receiver
        self._reader = reader
        self._transport: asyncio.Transport | None = None
        self._outbound: Outbound | None = None
        self._error: BaseException | None = None
        self._is_closing = False
        self._deadline: asyncio.TimerHandle | None = None
        self.peer = ""
        self.descriptor = -1
        # The hot path: the loop reaches the receiver in one call, with no method of ours between.
        receiver_buffer = receiver.get_buffer
        self.get_buffer = lambda hint: receiver_buffer()  # type: ignore[assignment, method-assign]
        self.buffer_updated = receiver.buffer_updated  # type: ignore[assignment, method-assign]

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self.peer = _name(transport.get_extra_info("peername"))
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        receiver = self._receiver
        assert receiver is not None
        drained = receiver.drained
        try:
            if transport.get_extra_info("sslcontext") is None:
                self._outbound = outbound = PlainOutbound(
                    loop, self._reader, self._fail, drained, connection.fileno()
                )
                self.descriptor = outbound.descriptor
            else:
                transport.set_write_buffer_limits(high=TLS_TURN_BYTES)
                self.descriptor = connection.fileno()
                self._outbound = TlsOutbound(loop, self._reader, self._fail, drained, transport)
        except OSError as error:  # no descriptor left for the duplicate
            self._error = error
            transport.abort()
            return
        self.send = self._outbound.send  # type: ignore[method-assign]
        receiver.connected(self)

    def pause_writing(self) -> None:
        if isinstance(self._outbound, TlsOutbound):
            self._outbound.pause()

    def resume_writing(self) -> None:
        if isinstance(self._outbound, TlsOutbound):
            self._outbound.resume()

    def connection_lost(self, error: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._outbound is None:
            return  # the receiver was never told of it
        self._outbound.end()
        self.send = _drop  # type: ignore[method-assign]
        receiver, self._receiver, self._transport = self._receiver, None, None
        del self.get_buffer, self.buffer_updated
        assert receiver is not None
        receiver.disconnected(self._error or error)

    # Channel

    @property
    def is_full(self) -> bool:
        return self._outbound is not None and self._outbound.is_full

    @property
    def is_sending(self) -> bool:
        return self._outbound is not None and self._outbound.is_sending

    def send(self, parts: Sequence[bytes | FileRange]) -> None:
        raise AssertionError("send before connected: `connection_made` puts the real one here")

    def pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        transport = self._transport
        if transport is not None and not self._is_closing and not transport.is_reading():
            transport.resume_reading()

    def close(self) -> None:
        if self._is_closing or self._outbound is None or self._outbound.has_ended:
            return
        self._is_closing = True
        self.send = _drop  # type: ignore[method-assign]
        self.pause_reading()
        self._deadline = asyncio.get_running_loop().call_later(
            CLOSE_FLUSH_MS_MAX / 1000,
            partial(self._fail, TimeoutError("closed before all was sent")),
        )
        self._outbound.flush(self._finish)

    def abort(self) -> None:
        if self._outbound is not None and not self._outbound.has_ended:
            self._end(self._error)

    def _finish(self) -> None:
        assert self._transport is not None
        if isinstance(self._outbound, PlainOutbound):
            self._outbound.finish()
        self._transport.close()

    def _fail(self, error: BaseException) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        assert self._transport is not None and self._outbound is not None
        self._error = self._error or error
        self._is_closing = True
        self.send = _drop  # type: ignore[method-assign]
        connection = self._transport.get_extra_info("socket")
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # already disconnected: nothing is left to be dropped
        self._outbound.end()
        self._transport.abort()  # the loop calls `connection_lost` next


def _drop(parts: Sequence[bytes | FileRange]) -> None:
    """What is sent to a channel that closes goes nowhere: its peer has been told the end."""


def _name(address: object) -> str:
    match address:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return "unknown"  # the peer left before we could ask


class SocketListening:
    __slots__ = ("_server", "host", "port")

    def __init__(self, host: str, server: asyncio.Server) -> None:
        self._server = server
        self.host = host
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._server.close()


class SocketNetwork:
    """TCP, with or without TLS, on the loop that runs."""

    __slots__ = ("_reader",)

    def __init__(self, reader: Lane) -> None:
        self._reader = reader

    async def listen(
        self,
        host: str,
        port: int,
        accept: Callable[[], Receiver],
        tls: ssl.SSLContext | None = None,
    ) -> SocketListening:
        server = await asyncio.get_running_loop().create_server(
            lambda: SocketChannel(accept(), self._reader),
            host,
            port,
            ssl=tls,
            backlog=LISTEN_BACKLOG,
            ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_MS_MAX / 1000,
            ssl_shutdown_timeout=None if tls is None else CLOSE_FLUSH_MS_MAX / 1000,
        )
        return SocketListening(host, server)

    async def connect(
        self, host: str, port: int, receiver: Receiver, tls: ssl.SSLContext | None = None
    ) -> SocketChannel:
        _, channel = await asyncio.get_running_loop().create_connection(
            lambda: SocketChannel(receiver, self._reader),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_MS_MAX / 1000,
            ssl_shutdown_timeout=None if tls is None else CLOSE_FLUSH_MS_MAX / 1000,
        )
        return channel
