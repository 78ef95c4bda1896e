"""Sockets beyond the contract: options, deadlines, listeners that fail, names of peers."""

import asyncio
import socket
import weakref
from pathlib import Path
from typing import Any

import pytest

from app.limits import CLOSE_FLUSH_MS_MAX, SEND_BUFFER_BYTES
from app.world import network
from app.world.network import SocketChannel
from app.world.real import RealWorld
from tests.contract.wares import pair
from tests.sim.peer import Peer

OPEN_FILES = Path("/proc/self/fd")


def descriptors() -> int:
    return len(list(OPEN_FILES.iterdir()))


@pytest.fixture
async def world() -> Any:
    world = RealWorld()
    yield world
    await world.close()


def option(channel: SocketChannel, level: int, name: int) -> int:
    assert channel._transport is not None
    found: int = channel._transport.get_extra_info("socket").getsockopt(level, name)
    return found


async def test_both_ends_send_without_delay_and_notice_a_dead_peer(world: RealWorld) -> None:
    server, client = await pair(world)
    for peer in (server, client):
        assert option(peer.channel, socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert option(peer.channel, socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    client.channel.close()
    await server.until(lambda: server.ends)


async def test_a_socket_queues_as_much_as_is_asked_for_and_grows_no_further(
    world: RealWorld,
) -> None:
    server, client = await pair(world)
    with socket.socket() as asked:  # the kernel has its own bound and its own rounding
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        expected = asked.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    for peer in (server, client):
        assert option(peer.channel, socket.SOL_SOCKET, socket.SO_SNDBUF) == expected
    client.channel.close()
    await server.until(lambda: server.ends)


async def test_bytes_go_from_the_loop_to_the_receiver_with_nothing_between(
    world: RealWorld,
) -> None:
    server, client = await pair(world)
    assert server.channel.buffer_updated == server.buffer_updated
    assert server.channel.get_buffer(-1) is server.get_buffer()
    client.channel.abort()
    await server.until(lambda: server.ends)


async def ended_pair(world: RealWorld) -> tuple[list[Any], list[weakref.ref[Peer]]]:
    server, client = await pair(world)
    client.channel.close()
    await server.until(lambda: server.ends)
    await client.until(lambda: client.ends)
    peers = (server, client)
    return [peer.channel for peer in peers], [weakref.ref(peer) for peer in peers]


async def test_an_ended_channel_holds_on_to_nothing(world: RealWorld) -> None:
    channels, receivers = await ended_pair(world)
    await asyncio.sleep(0)
    # A receiver has large buffers: they must not wait for the collector of cycles.
    assert [receiver() for receiver in receivers] == [None, None]
    for channel in channels:
        channel.send([b"nobody"])
        channel.pause_reading()
        channel.resume_reading()
        channel.close()
        channel.abort()
        assert not channel.is_full


async def test_a_close_that_cannot_flush_gives_up_after_its_deadline(
    world: RealWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CLOSE_FLUSH_MS_MAX > 20
    monkeypatch.setattr(network, "CLOSE_FLUSH_MS_MAX", 20)
    server, client = await pair(world, client_paused=True)
    server.channel.send([bytes(32 << 20)])
    server.channel.close()
    await server.until(lambda: server.ends)
    assert isinstance(server.ends[0], TimeoutError)
    client.channel.resume_reading()
    await client.until(lambda: client.ends)


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="no /proc to count descriptors in")
async def test_a_connection_uses_two_descriptors_and_gives_both_back(world: RealWorld) -> None:
    before = descriptors()
    server, client = await pair(world)
    assert descriptors() == before + 4
    client.channel.close()
    await client.until(lambda: client.ends)
    await server.until(lambda: server.ends)
    await asyncio.sleep(0)
    assert descriptors() == before


async def test_the_peer_is_named_by_address_and_port(world: RealWorld) -> None:
    server, client = await pair(world)
    host, _, port = server.channel.peer.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0
    client.channel.abort()
    await server.until(lambda: server.ends)
    assert network._name(("::1", 9092, 0, 0)) == "[::1]:9092"
    assert network._name(None) == "unknown"


async def test_a_receiver_that_refuses_at_once_is_told_of_the_end(world: RealWorld) -> None:
    class Refusing(Peer):
        def connected(self, channel: Any) -> None:
            super().connected(channel)
            channel.send([b"full"])
            channel.close()

    refusing, client = Refusing(), Peer()
    listening = await world.network.listen("127.0.0.1", 0, lambda: refusing)
    await world.network.connect("127.0.0.1", listening.port, client)
    await client.until(lambda: client.ends)
    assert client.received == b"full"
    await refusing.until(lambda: refusing.ends)
    assert refusing.ends == [None]
    listening.close()


async def test_a_client_that_speaks_no_tls_reaches_no_receiver(world: RealWorld) -> None:
    from tests.contract.test_world_network import tls_contexts

    server = Peer()
    listening = await world.network.listen("127.0.0.1", 0, lambda: server, tls_contexts()[0])
    client = Peer()
    await world.network.connect("127.0.0.1", listening.port, client)
    client.channel.send([b"\x00\x00\x00\x10plain bytes, no handshake"])
    await client.until(lambda: client.ends)
    assert server.channel is None
    assert not server.ends
    listening.close()
