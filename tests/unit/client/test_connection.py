"""Twin of streambus/client/connection.py."""

import asyncio

import pytest
import trustme

from streambus.client.connection import Connection
from streambus.client.errors import ConnectionLost, NotInTime, NotSupported
from streambus.errors import Malformed
from streambus.protocol import api
from streambus.protocol.messages import list_offsets
from tests.unit.client.scripted_broker import ScriptedBroker


def ask_latest(connection: Connection, timeout_s: float = 5.0):
    version = connection.version(api.LIST_OFFSETS)
    request = list_offsets.Request([(b"orders", [(0, -1, list_offsets.LATEST)])])

    def encode(correlation_id: int) -> list[bytes]:
        return [list_offsets.encode_request(correlation_id, "test", version, request)]

    return connection.request(api.LIST_OFFSETS, version, encode, timeout_s)


async def raw_server(answer):
    """A server that answers every read with `answer`, whatever it is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_the_newest_version_that_both_speak_is_chosen():
    async with ScriptedBroker(newest={api.FETCH: 12}) as broker:
        connection = await Connection.open(*broker.address)
        assert connection.version(api.FETCH) == 12
        assert connection.version(api.PRODUCE) == api.BY_KEY[api.PRODUCE].newest
        assert connection.version(api.PRODUCE, 9) == 9
        connection.close()


async def test_an_api_that_the_broker_lacks_is_not_supported():
    async with ScriptedBroker(newest={api.FETCH: -1}) as broker:
        connection = await Connection.open(*broker.address)
        with pytest.raises(NotSupported, match="Fetch"):
            connection.version(api.FETCH)
        connection.close()


async def test_an_old_broker_that_refuses_our_api_versions_is_asked_in_its_own():
    async with ScriptedBroker(newest={api.API_VERSIONS: 2}) as broker:
        connection = await Connection.open(*broker.address)
        assert broker.seen == [(api.API_VERSIONS, 4), (api.API_VERSIONS, 2)]
        assert connection.version(api.METADATA) == 13
        connection.close()


async def test_requests_in_flight_together_each_get_their_own_answer():
    async with ScriptedBroker() as broker:
        connection = await Connection.open(*broker.address)
        answers = await asyncio.gather(*(ask_latest(connection) for _ in range(200)))
        assert len({int.from_bytes(view[:4]) for view, _ in answers}) == 200
        connection.close()


async def test_a_late_answer_is_dropped_and_the_connection_goes_on():
    async with ScriptedBroker() as broker:
        connection = await Connection.open(*broker.address)
        broker.hang.add(api.LIST_OFFSETS)
        with pytest.raises(NotInTime, match="ListOffsets"):
            await ask_latest(connection, timeout_s=0.01)
        broker.hang.clear()
        await ask_latest(connection)
        assert connection.is_open
        connection.close()


async def test_a_connection_that_ends_fails_every_request_on_it():
    async with ScriptedBroker() as broker:
        connection = await Connection.open(*broker.address)
        broker.drop[api.LIST_OFFSETS] = 1
        answers = await asyncio.gather(
            *(ask_latest(connection) for _ in range(3)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [ConnectionLost] * 3
        assert not connection.is_open
        with pytest.raises(ConnectionLost):
            await ask_latest(connection)


async def test_nobody_listening_is_a_lost_connection_that_names_the_address():
    broker = await ScriptedBroker().start()
    address = broker.address
    await broker.stop()
    with pytest.raises(ConnectionLost, match=f"127.0.0.1:{address[1]}"):
        await Connection.open(*address)


@pytest.mark.parametrize("size", [-1, 3, 200 * 1024 * 1024])
async def test_a_response_of_an_impossible_size_ends_the_connection(size):
    server, port = await raw_server(size.to_bytes(4, "big", signed=True) + b"x" * 8)
    with pytest.raises(Malformed, match=f"{size} bytes"):
        await Connection.open("127.0.0.1", port)
    server.close()


async def test_an_answer_that_nobody_asked_for_ends_the_connection():
    server, port = await raw_server(b"\0\0\0\x06\0\0\x7f\xff\0\0")
    with pytest.raises(Malformed, match="never made"):
        await Connection.open("127.0.0.1", port)
    server.close()


async def test_tls_is_spoken_where_asked_for():
    import ssl

    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    broker = await ScriptedBroker().start(serving)
    connection = await Connection.open(*broker.address, tls=trusting)
    await ask_latest(connection)
    connection.close()
    with pytest.raises(ConnectionLost, match="certificate"):
        await Connection.open(*broker.address, tls=ssl.create_default_context())
    await broker.stop()
