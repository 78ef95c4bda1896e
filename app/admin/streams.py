"""One end of the sibling's socket: whole frames in, whole frames out.

Owns    the stream, the order of writers, and its end.
Never   knows what a frame means.
"""

import asyncio
import socket

from app.admin import frames


class FrameStream:
    """Frames of one connected socket. `open` takes the socket over."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, connected: socket.socket) -> "FrameStream":
        return cls(*await asyncio.open_connection(sock=connected))

    async def read(self) -> bytes | None:
        """The next frame without its length; None once the peer is gone. Raises `Malformed`."""
        try:
            prefix = await self._reader.readexactly(frames.LENGTH_BYTES)
            return await self._reader.readexactly(frames.length_of(prefix))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def write(self, frame: frames.FromSibling | frames.FromBroker) -> None:
        """Back when the peer has room for more: who writes to a slow one waits, one after another,
        and no more than one frame is encoded ahead. A peer that is gone is found by `read`."""
        async with self._turn:
            self.write_soon(frame)
            try:
                await self._writer.drain()
            except ConnectionError:
                return

    def write_soon(self, frame: frames.FromSibling | frames.FromBroker) -> None:
        """Without waiting: for a few bytes. Raises what `frames.encode` does."""
        encoded = frames.encode(frame)
        if not self._writer.is_closing():
            self._writer.write(encoded)

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()
