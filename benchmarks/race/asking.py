"""Single requests over a plain socket: the first Metadata, the first acknowledged produce."""

import resource
import socket
import struct
import time
from collections.abc import Callable

from benchmarks.frames import produce_frame

METADATA_OF_NOTHING = struct.pack(">ihhih4si", 18, 3, 1, 0, 4, b"race", 0)
API_VERSIONS = struct.pack(">ihhih4s", 14, 18, 0, 0, 4, b"race")
RETRY_S = 0.005


def answer(port: int, frame: bytes, timeout_s: float = 5.0) -> bytes:
    """The answer to one request on a connection of its own, without its length; b"" if there is
    none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            return ask(connection, frame)
    except OSError:
        return b""


def ask(connection: socket.socket, frame: bytes) -> bytes:
    connection.sendall(frame)
    (length,) = struct.unpack(">i", _take(connection, 4))
    return _take(connection, length)


def _take(connection: socket.socket, count: int) -> bytes:
    taken = b""
    while len(taken) < count:
        more = connection.recv(count - len(taken))
        if not more:
            raise ConnectionError("the broker closed the connection")
        taken += more
    return taken


def knows_its_broker(port: int) -> bool:
    """Whether Metadata is answered, with one broker in it."""
    answered = answer(port, METADATA_OF_NOTHING)
    return len(answered) >= 8 and struct.unpack_from(">i", answered, 4)[0] == 1


def takes_a_record(port: int, topic: str) -> bool:
    """Whether a Produce of one record to partition 0 of `topic` is acknowledged."""
    frame, (error_at, _, _) = produce_frame(topic, 1, 1, 100)
    answered = answer(port, frame)
    at = error_at - 4
    return len(answered) >= at + 2 and struct.unpack_from(">h", answered, at)[0] == 0


def seconds_until(holds: Callable[[], bool], began: float, seconds_max: float = 120) -> float:
    """How long after `began` (of `time.perf_counter`) it held first."""
    while time.perf_counter() < began + seconds_max:
        if holds():
            return time.perf_counter() - began
        time.sleep(RETRY_S)
    raise TimeoutError(f"not within {seconds_max} s")


def idle_connections(port: int, count: int) -> list[socket.socket]:
    """Connections that asked for ApiVersions once and then say nothing."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        ask(connection, API_VERSIONS)
        opened.append(connection)
    return opened
