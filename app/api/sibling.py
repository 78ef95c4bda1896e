"""The process beside a broker that speaks HTTP for it. Started by `app.api.plane` alone.

Owns    its own end: when its standard input ends, when the broker's socket does, when its parent
        dies (Linux: the kernel sees to that even if this process hangs).
Never   opens the data directory, nor listens: it inherits the socket that the broker bound.
Trusts  its errand, one line on its standard input.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from functools import partial
from typing import Any

import msgspec

from app.admin.remote import RemoteAdmin, connected
from app.api.plane import READY
from app.api.server import build, serving
from app.api.settings import Errand
from app.errors import StreamBusError
from app.telemetry import events

PR_SET_PDEATHSIG = 1
ORPHANED = 3  # exit status: the broker was gone before this process began


def main() -> int:
    told = sys.stdin.buffer.readline()
    if not told:
        return ORPHANED
    errand = msgspec.json.decode(told, type=Errand)
    if not die_with(errand.parent):
        return ORPHANED
    events.configure(errand.log_rendering, errand.log_level)
    with socket.socket(fileno=errand.listening) as listening:
        listening.setblocking(False)
        asyncio.run(_run(errand, listening, socket.socket(fileno=errand.broker)))
    return 0


def die_with(parent: int) -> bool:
    """Ask the kernel to end this process when its parent ends, however that ends. False if it has
    ended already. Elsewhere than on Linux the end of the socket has to do."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            events.emit("api.unguarded", events.WARNING, error=os.strerror(number))
    return os.getppid() == parent


async def _run(errand: Errand, listening: socket.socket, to_broker: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(partial(_unexpected, stop))
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)  # nothing more comes but its end
    try:
        async with connected(to_broker, errand.token) as admin:
            served = build(admin, errand.settings, errand.id_prefix)
            gc.collect()
            gc.freeze()  # everything that lives as long as the process is here now
            async with serving(served, listening):
                os.write(sys.stdout.fileno(), READY)
                await _first(stop, admin)
    except* StreamBusError as group:
        events.emit("api.failed", events.ERROR, error=group.exceptions[0])
    finally:
        loop.remove_reader(sys.stdin.fileno())


def _unexpected(
    stop: asyncio.Event, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """What goes wrong in a callback is one event; a bug of ours ends this process, and the broker
    starts another."""
    error = context.get("exception")
    events.emit("loop.error", events.ERROR, what=context["message"], error=repr(error))
    if isinstance(error, AssertionError):
        stop.set()


async def _first(stop: asyncio.Event, admin: RemoteAdmin) -> None:
    """Back when the broker wants this process to end, or is gone."""
    async with asyncio.TaskGroup() as tasks:
        waits = [
            tasks.create_task(stop.wait(), name="stop"),
            tasks.create_task(admin.ended.wait(), name="broker-gone"),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


if __name__ == "__main__":
    sys.exit(main())
