"""A receiver for tests, on any world: it keeps what arrives and lets a test wait for it."""

import asyncio
from collections.abc import Callable
from typing import Any


class Peer:
    """A receiver that keeps what arrives."""

    def __init__(self, *, echo: bool = False, room: int = 65_536, paused: bool = False) -> None:
        self.received = bytearray()
        self.channel: Any = None
        self.drains = 0
        self.ends: list[BaseException | None] = []
        self._echo = echo
        self._paused = paused
        self._buffer = memoryview(bytearray(room))
        self._changed = asyncio.Event()

    def connected(self, channel: Any) -> None:
        assert self.channel is None
        self.channel = channel
        if self._paused:
            channel.pause_reading()
        self._changed.set()

    def get_buffer(self) -> memoryview:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        piece = bytes(self._buffer[:count])
        self.received += piece
        if self._echo:
            self.channel.send([piece])
        self._changed.set()

    def drained(self) -> None:
        self.drains += 1
        self._changed.set()

    def disconnected(self, error: BaseException | None) -> None:
        self.ends.append(error)
        self._changed.set()

    async def until(self, reached: Callable[[], Any]) -> None:
        while not reached():
            await self._changed.wait()
            self._changed.clear()
