"""What the Kafka port shows: why connections went, what holds the others, what answers carried."""

from datetime import timedelta
from typing import Any, cast

import pytest

from app.kafka.context import KafkaSettings
from app.kafka.metrics import KafkaMetrics
from app.kafka.router import codes_in
from streambus.protocol import api
from streambus.protocol.messages import control
from tests.unit.kafka.arrange import Kit, Throttle, produce, request, settled


def shown(kit: Kit) -> dict[tuple[str, ...], float]:
    """Every number that is not of a histogram, by name and labels."""
    cast(Any, kit.registry).parked = ()
    return {
        (family.name.removeprefix("streambus_"), *labels): numbers[0]
        for family in KafkaMetrics(kit.listener).collect()
        if family is not None and family.kind != "histogram"
        for labels, numbers in family.rows
    }


async def test_connections_that_were_refused_or_closed_are_counted_by_reason() -> None:
    settings = KafkaSettings(connections_max=2, connection_idle_ms=10_000, descriptors_max=50)
    async with Kit(settings=settings) as kit:
        idle, hostile = kit.connect(), kit.connect()
        kit.connect()
        hostile.send(b"\xff\xff\xff\xff")
        kit.world.advance(12_000)
        assert idle.channel.is_closed and hostile.channel.is_closed
        for each in (idle, hostile):
            each.close()
        numbers = shown(kit)
        assert numbers["connections_refused_total", "connections"] == 1
        assert numbers["connections_refused_total", "descriptors"] == 0
        assert numbers["connections_closed_total", "idle"] == 1
        assert numbers["connections_closed_total", "refused"] == 1
        assert ("connections", "plain") not in numbers


async def test_requests_in_flight_and_what_holds_a_connection_are_shown() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1) + produce(2))
        numbers = shown(kit)
        assert numbers["requests_in_flight", "Produce"] == 2
        assert numbers["produce_in_flight_bytes",] == peer.connection.in_flight_bytes > 0
        assert ("requests_total", "Produce") in numbers
        assert numbers["requests_total", "Produce"] == 0
        kit.replica("orders").sync()
        await settled()
        numbers = shown(kit)
        assert numbers["requests_total", "Produce"] == 2
        assert ("requests_in_flight", "Produce") not in numbers
        assert numbers["response_bytes_total", "Produce"] == len(peer.taken())
        peer.channel.is_full = True
        peer.send(request("ApiVersions", 0))
        await settled()
        assert shown(kit)["connections_held", "peer"] == 1


async def test_a_muted_connection_is_held_by_its_quota() -> None:
    async with Kit(quotas=Throttle(250)) as kit:
        kit.controller.add("orders")
        kit.connect().send(produce(1))
        assert shown(kit)["connections_held", "quota"] == 1
        kit.world.advance(250)
        assert shown(kit)["connections_held", "quota"] == 0


@pytest.mark.parametrize("cut", [0, 1])
async def test_bytes_of_requests_count_though_the_next_one_is_hostile(cut: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        good = produce(1)
        kit.connect().send(good + (b"\xff\xff\xff\xff" if cut else b""))
        assert shown(kit)["request_bytes_total", "Produce"] == len(good)


async def test_a_produce_without_an_answer_counts_and_its_error_too() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1, acks=0))
        peer.send(produce(2, acks=0, partition=5))
        await settled()
        numbers = shown(kit)
        assert numbers["requests_total", "Produce"] == 2
        assert numbers["response_bytes_total", "Produce"] == 0
        assert numbers["request_errors_total", "Produce", "UNKNOWN_TOPIC_OR_PARTITION"] == 1
        assert peer.channel.is_closed


def test_codes_are_found_wherever_a_message_has_them() -> None:
    types = control.response_types(api.OFFSET_FOR_LEADER_EPOCH, 4)
    ends = [
        control.fill(types.EpochEndOffset, error_code=types.ErrorCode(code), partition=0)
        for code in (0, 3, 6)
    ]
    topics = (control.fill(types.OffsetForLeaderTopicResult, topic="t", partitions=tuple(ends)),)
    reply = control.fill(
        types.OffsetForLeaderEpochResponse, topics=topics, throttle_time=timedelta()
    )
    assert list(codes_in(reply)) == [3, 6]
    assert list(codes_in(b"a frame")) == list(codes_in((1, 2))) == []
