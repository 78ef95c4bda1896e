"""What the broker may rely on of connections, in every world; file ranges whichever way they go."""

import asyncio
import ssl
from functools import partial
from typing import Any

import pytest
import trustme
import uvloop

from app.limits import OUTBOUND_BYTES_MAX
from app.world import FileRange, World
from app.world.real import RealWorld
from tests.contract.wares import make_file, pair, pattern
from tests.sim.peer import Peer


def test_bytes_are_echoed_in_order(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        server, client = Peer(echo=True, room=1_000), Peer()
        listening = await world.network.listen("127.0.0.1", 0, lambda: server)
        assert listening.host == "127.0.0.1"
        channel = await world.network.connect("127.0.0.1", listening.port, client)
        assert client.channel is channel
        content = pattern(300_000)
        for start in range(0, len(content), 7_000):
            channel.send([content[start : start + 7_000]])
        await client.until(lambda: len(client.received) >= len(content))
        assert client.received == content
        assert ":" in server.channel.peer
        channel.close()
        await server.until(lambda: server.ends)
        await client.until(lambda: client.ends)
        assert server.ends == client.ends == [None]
        listening.close()

    play(scenario)


def test_bytes_and_file_ranges_arrive_in_the_order_of_send(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        content = pattern(3_000_000)
        file = await make_file(world, f"{root}/f", content)
        server, client = await pair(world)
        expected = bytearray()
        for turn in range(6):
            start = turn * 400_001
            server.channel.send(
                [
                    b"head%d" % turn,
                    b"",
                    FileRange(file, start, 600_000),
                    b"between",
                    FileRange(file, 5, 0),
                    FileRange(file, turn, 1),
                    b"a",
                    b"b",
                ]
            )
            expected += b"head%d" % turn + content[start : start + 600_000] + b"between"
            expected += content[turn : turn + 1] + b"ab"
        server.channel.send([b"tail"])
        expected += b"tail"
        server.channel.close()
        await client.until(lambda: client.ends)
        assert client.received == expected
        assert client.ends == [None]

    play(scenario)


def test_a_range_beyond_the_end_of_its_file_ends_the_connection(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        file = await make_file(world, f"{root}/f", b"x" * 1_000)
        server, client = await pair(world)
        server.channel.send([FileRange(file, 500, 1_000)])
        await server.until(lambda: server.ends)
        assert isinstance(server.ends[0], OSError)
        await client.until(lambda: client.ends)

    play(scenario)


def test_a_peer_that_does_not_read_fills_the_queue_and_then_drains_it(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        server, client = await pair(world, client_paused=True)
        piece = bytes(4 << 20)
        sent = 0
        while not server.channel.is_full:
            server.channel.send([piece])
            sent += len(piece)
        assert sent > OUTBOUND_BYTES_MAX
        assert server.drains == 0
        client.received = _Counter()  # type: ignore[assignment]
        client._buffer = memoryview(bytearray(4 << 20))
        client.channel.resume_reading()
        await client.until(lambda: len(client.received) == sent)
        await server.until(lambda: server.drains)
        assert server.drains == 1
        assert not server.channel.is_full
        server.channel.abort()
        await client.until(lambda: client.ends)

    play(scenario)


class _Counter:
    """Counts bytes where keeping them would only fill the memory."""

    def __init__(self) -> None:
        self.count = 0

    def __iadd__(self, piece: bytes) -> "_Counter":
        self.count += len(piece)
        return self

    def __len__(self) -> int:
        return self.count


def test_pausing_holds_bytes_back_until_resumed(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        server, client = await pair(world)
        server.channel.pause_reading()
        server.channel.pause_reading()
        client.channel.send([b"later"])
        await world.sleep(30)
        assert not server.received
        server.channel.resume_reading()
        server.channel.resume_reading()
        await server.until(lambda: server.received == b"later")

    play(scenario)


def test_close_sends_what_is_queued_and_nothing_after(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        server, client = await pair(world)
        content = pattern(2_000_000)
        server.channel.send([content])
        server.channel.close()
        server.channel.send([b"too late"])
        server.channel.close()
        await client.until(lambda: client.ends)
        assert client.received == content
        await server.until(lambda: server.ends)
        assert server.ends == client.ends == [None]
        server.channel.send([b"much too late"])
        server.channel.abort()

    play(scenario)


def test_abort_ends_both_sides_once(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        server, client = await pair(world, client_paused=True)
        server.channel.send([bytes(20_000_000)])
        server.channel.abort()
        server.channel.abort()
        await server.until(lambda: server.ends)
        client.channel.resume_reading()
        await client.until(lambda: client.ends)
        await world.sleep(20)
        assert len(server.ends) == len(client.ends) == 1
        assert isinstance(client.ends[0], ConnectionResetError)

    play(scenario)


def test_a_reset_in_the_middle_of_a_range_is_told_once(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        file = await make_file(world, f"{root}/f", bytes(8_000_000))
        server, client = await pair(world, client_paused=True)
        server.channel.send([b"head"] + [FileRange(file, 0, 8_000_000)] * 4)
        await world.sleep(5)
        client.channel.abort()
        await server.until(lambda: server.ends)
        server.channel.send([b"into the void", FileRange(file, 0, 10)])
        await world.sleep(20)
        assert len(server.ends) == 1
        assert not server.channel.is_full

    play(scenario)


def test_a_receiver_that_raises_loses_only_its_own_connection(play: Any, request: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        class Careless(Peer):
            def buffer_updated(self, count: int) -> None:
                raise ValueError("cannot parse")

        careless, client, good = Careless(), Peer(), Peer(echo=True)
        receivers = iter([careless, good])
        listening = await world.network.listen("127.0.0.1", 0, lambda: next(receivers))
        channel = await world.network.connect("127.0.0.1", listening.port, client)
        await careless.until(lambda: careless.channel)
        other = Peer()
        await world.network.connect("127.0.0.1", listening.port, other)
        channel.send([b"boom"])
        await careless.until(lambda: careless.ends)
        assert isinstance(careless.ends[0], ValueError)
        other.channel.send([b"ok"])
        await other.until(lambda: other.received == b"ok")

    # The loop hears of the error: both runners hand it on.
    with pytest.raises(AssertionError, match="cannot parse"):
        play(scenario)


def test_a_port_is_taken_once_and_free_again_after_close(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        first = await world.network.listen("127.0.0.1", 0, Peer)
        with pytest.raises(OSError):
            await world.network.listen("127.0.0.1", first.port, Peer)
        first.close()
        await world.sleep(10)
        with pytest.raises(ConnectionRefusedError):
            await world.network.connect("127.0.0.1", first.port, Peer())
        second = await world.network.listen("127.0.0.1", first.port, Peer)
        second.close()

    play(scenario)


def test_a_closed_listener_leaves_open_channels_alone(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        server, client = await pair(world)  # closes its listener
        client.channel.send([b"still there"])
        await server.until(lambda: server.received == b"still there")

    play(scenario)


# The same bytes whichever way (real worlds only: the simulated one has a single way)


@pytest.mark.parametrize("way", ["sendfile", "cold", "pread", "tls", "tls-cold"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_same_bytes_arrive_by_sendfile_by_pread_and_over_tls(
    way: str, loop: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way.endswith("cold"):
        monkeypatch.setattr("app.world.files.DiskFile.read_cached", lambda *_: None)

    async def run() -> None:
        world: World = RealWorld()
        content = pattern(2_500_000)
        file = await make_file(world, str(tmp_path / "f"), content)
        server_tls, client_tls = tls_contexts() if way.startswith("tls") else (None, None)
        server, client = Peer(), Peer()
        listening = await world.network.listen("127.0.0.1", 0, lambda: server, server_tls)
        await world.network.connect("127.0.0.1", listening.port, client, client_tls)
        await server.until(lambda: server.channel)
        expected = b""
        for start, length in ((0, 700_000), (3, 65_537), (1_000_000, 1_500_000), (17, 1)):
            part: bytes | FileRange = FileRange(file, start, length)
            if way == "pread":
                part = await world.lane("reader").run(partial(file.read, start, length))
            server.channel.send([b"head", part])
            expected += b"head" + content[start : start + length]
        server.channel.close()
        await client.until(lambda: client.ends)
        assert client.received == expected
        listening.close()
        await server.until(lambda: server.ends)
        file.close()
        await world.close()

    async def bounded() -> None:
        async with asyncio.timeout(30):
            await run()

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(bounded())


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client
