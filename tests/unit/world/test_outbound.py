"""The queue to one peer, step by step, on a pair of sockets: turns, warming, order, errors."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from app.errors import Unavailable
from app.limits import SEND_TURN_BYTES, TLS_TURN_BYTES, WARM_BYTES
from app.world import FileRange
from app.world.files import DiskFile, DiskFiles
from app.world.outbound import PlainOutbound, TlsOutbound


class Reader:
    """A `reader` lane whose jobs run when the test says so."""

    name = "reader"

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.has_jobs = asyncio.Event()
        self.is_full = False

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        if self.is_full:
            raise Unavailable("full")
        self.jobs.append((job, done))
        self.has_jobs.set()

    async def run(self, job: Callable[[], Any]) -> Any:
        return job()

    def work(self) -> None:
        jobs, self.jobs = self.jobs, []
        for job, done in jobs:
            try:
                result = job()
            except OSError as error:
                result = error
            done(result)


class Bench:
    """An outbound queue on one end of a socket pair; the test reads the other."""

    def __init__(self, path: str) -> None:
        self.near, self.far = socket.socketpair()
        self.far.setblocking(False)
        self.reader = Reader()
        self.errors: list[BaseException] = []
        self.drains: list[int] = []
        self.outbound = PlainOutbound(
            asyncio.get_running_loop(),
            self.reader,
            self.fail,
            lambda: self.drains.append(1),
            self.near.fileno(),
        )
        self.content = os.urandom(3 * WARM_BYTES)
        self.file: DiskFile = DiskFiles().open(path, create=True)
        self.file.write([self.content], 0, durable=False)

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.outbound.end()
        self.near.close()

    def range(self, position: int, length: int) -> FileRange:
        return FileRange(self.file, position, length)

    async def receive(self, count: int) -> bytes:
        loop, parts = asyncio.get_running_loop(), []
        while count:
            part = await asyncio.wait_for(loop.sock_recv(self.far, count), 20)
            assert part, "the stream ended early"
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def waiting(self) -> int:
        """Bytes that have arrived and were not read."""
        try:
            return len(self.far.recv(1 << 24, socket.MSG_PEEK))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self.outbound.end()
        self.near.close()
        self.far.close()
        self.file.close()


@pytest.fixture
async def bench(tmp_path: Any) -> Any:
    bench = Bench(str(tmp_path / "f"))
    yield bench
    bench.close()


async def test_a_small_answer_is_sent_at_once(bench: Bench) -> None:
    bench.outbound.send([b"answer"])
    assert bench.waiting() == 6


async def test_small_parts_leave_in_one_system_call_before_their_range(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    whole = os.sendfile

    def sendfile(out: int, file: int, position: int, count: int) -> int:
        sent.append(bench.waiting())
        return whole(out, file, position, count)

    monkeypatch.setattr(os, "sendfile", sendfile)
    bench.outbound.send([b"ab", b"cd", b"ef", bench.range(0, 10), b"gh"])
    assert sent == [6]
    assert await bench.receive(18) == b"abcdef" + bench.content[:10] + b"gh"


async def test_a_turn_sends_no_more_than_its_bound_of_a_range(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def sendfile(out: int, file: int, position: int, count: int) -> int:
        asked.append(count)
        return count

    monkeypatch.setattr(os, "sendfile", sendfile)
    bench.outbound.send([bench.range(0, 2 * SEND_TURN_BYTES + 5), bench.range(9, 7)])
    assert asked == [SEND_TURN_BYTES]
    await asyncio.sleep(0)
    assert asked == [SEND_TURN_BYTES] * 2
    await asyncio.sleep(0)
    assert asked == [SEND_TURN_BYTES, SEND_TURN_BYTES, 5, 7]


@pytest.mark.parametrize("cold", ["first", "last", "middle", "behind"])
async def test_the_first_and_the_last_byte_of_a_turn_say_whether_a_range_is_cold(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, cold: str
) -> None:
    start, length = 50, SEND_TURN_BYTES + 100
    at = {"first": 50, "last": 50 + SEND_TURN_BYTES - 1, "middle": 50 + SEND_TURN_BYTES // 2}
    cold_at = at.get(cold, 50 + SEND_TURN_BYTES)
    sent: list[int] = []
    whole = DiskFile.read_cached

    def read_cached(file: DiskFile, position: int, count: int) -> bytes | None:
        is_cold = position <= cold_at < position + count
        return None if is_cold else whole(file, position, count)

    def sendfile(out: int, file: int, position: int, count: int) -> int:
        sent.append(count)
        return count

    monkeypatch.setattr(DiskFile, "read_cached", read_cached)
    monkeypatch.setattr(os, "sendfile", sendfile)
    bench.outbound.send([bench.range(start, length)])
    is_asked = cold in ("first", "last")
    assert len(bench.reader.jobs) == is_asked
    assert sent == ([] if is_asked else [SEND_TURN_BYTES])


async def test_a_cold_range_is_warmed_on_the_reader_lane_before_it_is_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskFile, "read_cached", lambda *_: None)
    length = WARM_BYTES + 100
    bench.outbound.send([b"head", bench.range(50, length)])
    bench.outbound.send([b"tail"])
    await asyncio.sleep(0)
    assert bench.waiting() == 4
    assert len(bench.reader.jobs) == 1
    received = asyncio.ensure_future(bench.receive(4 + length + 4))
    bench.reader.has_jobs.clear()
    bench.reader.work()
    await bench.reader.has_jobs.wait()  # the rest is warmed in its turn
    bench.reader.work()
    assert await received == b"head" + bench.content[50 : 50 + length] + b"tail"
    assert not bench.reader.jobs


async def test_a_range_that_cannot_be_read_fails_the_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskFile, "read_cached", lambda *_: None)
    bench.outbound.send([bench.range(0, 100)])
    bench.file.close()
    bench.reader.work()
    assert len(bench.errors) == 1
    assert isinstance(bench.errors[0], OSError)


async def test_a_full_reader_lane_fails_the_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskFile, "read_cached", lambda *_: None)
    bench.reader.is_full = True
    bench.outbound.send([bench.range(0, 100)])
    assert isinstance(bench.errors[0], Unavailable)


async def test_a_file_cut_under_its_range_fails_instead_of_turning_for_ever(bench: Bench) -> None:
    bench.outbound.send([bench.range(0, 3 * WARM_BYTES)])
    bench.file.resize(10)
    with pytest.raises(AssertionError, match="ended early"):
        await bench.receive(3 * WARM_BYTES)
    assert len(bench.errors) == 1
    assert "ends before" in str(bench.errors[0])


async def test_a_peer_that_left_is_told_once(bench: Bench) -> None:
    bench.far.close()
    bench.outbound.send([b"x"])
    bench.outbound.send([b"y", bench.range(0, 5)])
    assert len(bench.errors) == 1
    assert isinstance(bench.errors[0], OSError)


async def test_what_a_lane_answers_after_the_end_is_ignored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskFile, "read_cached", lambda *_: None)
    bench.outbound.send([bench.range(0, 100)])
    bench.outbound.end()
    bench.reader.work()
    assert not bench.errors
    assert bench.waiting() == 0


async def test_a_blocked_socket_is_continued_where_it_stopped(bench: Bench) -> None:
    big = os.urandom(3_000_000)
    bench.outbound.send([big])
    bench.outbound.send([b"between", bench.range(1, 500_000)])
    bench.outbound.send([b"end"])
    emptied: list[int] = []
    bench.outbound.flush(lambda: emptied.append(1))
    assert not emptied
    expected = big + b"between" + bench.content[1:500_001] + b"end"
    assert await bench.receive(len(expected)) == expected
    await asyncio.sleep(0)
    assert emptied == [1]


class Transport:
    """A TLS transport as the queue sees it."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.pause_after = 1 << 60
        self.outbound: TlsOutbound | None = None

    def write(self, part: Any) -> None:
        self.written += part
        if len(self.written) >= self.pause_after:
            assert self.outbound is not None
            self.outbound.pause()


def tls_queue(bench: Bench) -> tuple[TlsOutbound, Transport]:
    transport = Transport()
    outbound = TlsOutbound(
        asyncio.get_running_loop(),
        bench.reader,
        bench.fail,
        lambda: None,
        transport,  # type: ignore[arg-type]
    )
    transport.outbound = outbound
    return outbound, transport


async def test_tls_waits_for_room_in_the_transport(bench: Bench, tmp_path: Any) -> None:
    outbound, transport = tls_queue(bench)
    transport.pause_after = 1
    expected = b"head" + bench.content[: 2 * TLS_TURN_BYTES] + b"tail"
    outbound.send([b"head", bench.range(0, 2 * TLS_TURN_BYTES)])
    assert transport.written == b"head"
    outbound.send([b"tail"])
    assert transport.written == b"head"
    transport.pause_after = 1 << 60
    outbound.resume()
    emptied: list[int] = []
    outbound.flush(lambda: emptied.append(1))
    assert len(transport.written) <= 4 + TLS_TURN_BYTES
    for _ in range(5):
        await asyncio.sleep(0)
    assert transport.written == expected
    assert emptied == [1]


async def test_a_turn_of_tls_is_bounded_apart(bench: Bench) -> None:
    outbound, transport = tls_queue(bench)
    outbound.send([bench.range(0, TLS_TURN_BYTES + 5), b"tail"])
    assert len(transport.written) == TLS_TURN_BYTES < SEND_TURN_BYTES
    await asyncio.sleep(0)
    assert transport.written == bench.content[: TLS_TURN_BYTES + 5] + b"tail"


async def test_tls_reads_cold_ranges_on_the_reader_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskFile, "read_cached", lambda *_: None)
    outbound, transport = tls_queue(bench)
    outbound.send([bench.range(3, TLS_TURN_BYTES + 3), b"tail"])
    while bench.reader.jobs:
        assert b"tail" not in transport.written
        bench.reader.work()
        await asyncio.sleep(0)
    assert transport.written == bench.content[3 : TLS_TURN_BYTES + 6] + b"tail"


async def test_tls_fails_on_a_range_beyond_its_file(bench: Bench) -> None:
    outbound, _ = tls_queue(bench)
    outbound.send([bench.range(3 * WARM_BYTES, 10)])
    assert "ends before" in str(bench.errors[0])
