"""Files and connections that the contract suites try worlds with."""

from typing import Any

from app.world import World
from tests.sim.peer import Peer


async def pair(
    world: World, *, server_paused: bool = False, client_paused: bool = False
) -> tuple[Peer, Peer]:
    """Two connected ends: server, client."""
    server = Peer(paused=server_paused)
    client = Peer(paused=client_paused)
    listening = await world.network.listen("127.0.0.1", 0, lambda: server)
    await world.network.connect("127.0.0.1", listening.port, client)
    await server.until(lambda: server.channel)
    listening.close()
    return server, client


async def make_file(world: World, path: str, content: bytes) -> Any:
    def make() -> Any:
        file = world.files.open(path, create=True)
        file.write([content], 0, durable=True)
        return file

    return await world.lane("roll").run(make)


def pattern(length: int) -> bytes:
    """Bytes in which no part looks like another."""
    return b"".join(number.to_bytes(4, "big") for number in range(length // 4 + 1))[:length]
