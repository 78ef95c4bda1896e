"""The listener: doors, and how it ends. Over the simulated network."""

from typing import Any

import pytest

from tests.unit.kafka.arrange import (
    Kit,
    broker_shown,
    correlation_ids,
    decoded,
    frames,
    produce,
    records,
    request,
    settled,
)
from tests.unit.kafka.house_kit import HouseKit, fetch_fields, on_house, wanted


class Client:
    """The other end of a simulated connection."""

    def __init__(self) -> None:
        self.received = b""
        self.is_over = False
        self._room = memoryview(bytearray(1 << 16))

    def connected(self, channel: Any) -> None:
        self.channel = channel

    def get_buffer(self) -> memoryview:
        return self._room

    def buffer_updated(self, count: int) -> None:
        self.received += bytes(self._room[:count])

    def drained(self) -> None:
        pass

    def has_whole_answer(self) -> bool:
        return len(self.received) >= 4 and (
            len(self.received) >= 4 + int.from_bytes(self.received[:4], "big")
        )

    def disconnected(self, error: BaseException | None) -> None:
        self.is_over = True


async def dialled(kit: HouseKit, port: int) -> Client:
    client = Client()
    await kit.world.network.connect("127.0.0.1", port, client)
    return client


async def until(kit: HouseKit, condition: Any) -> None:
    for _ in range(10_000):
        if condition():
            return
        await kit.world.sleep(1)
    raise AssertionError("it never happened")


def test_every_door_leads_in_and_tells_its_address() -> None:
    async def scenario(kit: HouseKit) -> None:
        plain = await kit.listener.listen("127.0.0.1", 0)
        other = await kit.listener.listen("127.0.0.1", 0, name="other")
        kit.controller.register(broker_shown(1, plain=9092, other=9999))
        for door, port in ((plain, 9092), (other, 9999)):
            client = await dialled(kit, door.port)
            client.channel.send([request("Metadata", 9, topics=None)])
            await until(kit, client.has_whole_answer)
            (frame,) = frames(client.received)
            (broker,) = decoded("Metadata", 9, frame).brokers
            assert (broker.host, broker.port) == ("127.0.0.1", port)

    on_house(scenario)


def test_a_whole_conversation_over_the_network() -> None:
    async def scenario(kit: HouseKit) -> None:
        door = await kit.listener.listen("127.0.0.1", 0)
        client = await dialled(kit, door.port)
        sent = b"".join(produce(number, body=records(5)) for number in range(20))
        client.channel.send([sent + request("Fetch", 4, 20, **fetch_fields(wanted()))])
        await until(kit, lambda: client.received.count(b"value") == 100)
        assert correlation_ids(client.received) == list(range(21))

    on_house(scenario)


def test_leaving_answers_what_is_in_flight_and_closes_the_doors() -> None:
    kept: list[tuple[Client, Client]] = []

    async def scenario(kit: HouseKit) -> None:
        door = await kit.listener.listen("127.0.0.1", 0)
        busy, parked = await dialled(kit, door.port), await dialled(kit, door.port)
        busy.channel.send([produce(1)])
        parked.channel.send([request("Fetch", 4, **fetch_fields(wanted(1), max_wait_ms=60_000))])
        await until(kit, lambda: len(kit.registry.parked) == 1)
        await until(kit, lambda: kit.replica().log.end == 1)
        begun = kit.world.clock.monotonic_ms()
        await kit.listener.__aexit__(None, None, None)
        assert kit.world.clock.monotonic_ms() - begun < 5_000
        with pytest.raises(ConnectionRefusedError):
            await dialled(kit, door.port)
        await until(kit, lambda: busy.is_over and parked.is_over)
        kept.append((busy, parked))
        await kit.listener.__aenter__()

    on_house(scenario)
    ((busy, parked),) = kept
    assert correlation_ids(busy.received) == [1]
    assert len(frames(parked.received)) == 1


async def test_a_bug_in_a_handler_stops_the_broker() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with Kit() as kit:

            async def broken() -> int:
                raise AssertionError("our bug")

            kit.producer_ids.next = broken  # type: ignore[method-assign]
            kit.connect().send(
                request(
                    "InitProducerId",
                    4,
                    transactional_id=None,
                    transaction_timeout_ms=1,
                    producer_id=-1,
                    producer_epoch=-1,
                )
            )
            await settled()
            raise AssertionError("the block went on")
    assert caught.group_contains(AssertionError, match="our bug")


async def test_an_error_of_the_block_itself_is_not_wrapped() -> None:
    with pytest.raises(KeyError):
        async with Kit():
            raise KeyError("from the block")


async def test_connections_that_stop_reading_are_cut_when_the_broker_leaves() -> None:
    kit = Kit()
    await kit.listener.__aenter__()
    kit.controller.add("orders")
    peer = kit.connect()
    peer.send(produce(1))  # never synced
    leaving = kit.listener.__aexit__(None, None, None)
    import asyncio

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(leaving)
        await settled()
        assert not task.done()
        kit.world.advance(10_000)
    assert peer.channel.is_aborted and not kit.listener.connections
