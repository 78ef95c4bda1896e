"""ApiVersions, FindCoordinator, InitProducerId, ListOffsets, OffsetForLeaderEpoch."""

from typing import Any

import pytest
from kio.schema.api_versions.v3.response import ApiVersionsResponse
from kio.serial import entity_reader

from app.kafka.features import FEATURES
from app.kafka.handlers import ROUTES
from app.kafka.router import Router, code_of, message_of
from app.model import Principal
from app.security.ports import Operation, Resource
from tests.unit.kafka.arrange import Kit, decoded, frames, records, request, settled
from tests.unit.kafka.house_kit import HouseKit, on_house

SOFTWARE = {"client_software_name": "tester", "client_software_version": "1.0"}


@pytest.mark.parametrize("version", range(5))
async def test_what_is_served_is_what_is_advertised(version: int) -> None:
    async with Kit() as kit:
        answer = await kit.ask("ApiVersions", version, **(SOFTWARE if version >= 3 else {}))
        listed = {each.api_key: (each.min_version, each.max_version) for each in answer.api_keys}
        served = {route.key: route.versions for route in ROUTES}
        assert listed == {**served, 0: (0, 13)}
        if version >= 3:
            finalised = {each.name: each.max_version_level for each in answer.finalized_features}
            assert finalised == {each.name: each.finalised for each in FEATURES}
            assert "transaction.version" not in finalised
            assert answer.finalized_features_epoch >= 0


async def test_an_unknown_version_of_api_versions_is_answered_in_version_0() -> None:
    async with Kit() as kit:
        peer = kit.connect()
        sent = bytearray(request("ApiVersions", 4, 77, **SOFTWARE))
        sent[6:8] = (99).to_bytes(2, "big")
        peer.send(bytes(sent))
        await settled()
        (frame,) = frames(peer.taken())
        answer = decoded("ApiVersions", 0, frame)
        assert answer.error_code == 35
        assert 18 in [each.api_key for each in answer.api_keys]
        again = await kit.ask("ApiVersions", 4, peer, **SOFTWARE)
        assert again.error_code == 0


@pytest.mark.parametrize("name", ["", "-x", "x-", "a b", "näme"])
async def test_software_names_are_words(name: str) -> None:
    async with Kit() as kit:
        peer = kit.connect()
        fields = {"client_software_name": name, "client_software_version": "1"}
        peer.send(request("ApiVersions", 3, **fields))
        await settled()
        (frame,) = frames(peer.taken())
        # kafka-python reads any error of this API as version 0; kio reads what was asked for.
        answer = entity_reader(ApiVersionsResponse)(frame, 8)[0]
        assert int(answer.error_code) == 42 and answer.api_keys == ()


@pytest.mark.parametrize("version", range(7))
async def test_there_are_no_coordinators_yet(version: int) -> None:
    async with Kit() as kit:
        if version >= 4:
            answer = await kit.ask(
                "FindCoordinator", version, key_type=0, coordinator_keys=["a", "b"]
            )
            assert [(each.key, each.error_code) for each in answer.coordinators] == [
                ("a", 15),
                ("b", 15),
            ]
            assert answer.coordinators[0].node_id == -1
        else:
            answer = await kit.ask("FindCoordinator", version, key="a", key_type=0)
            assert (answer.error_code, answer.node_id) == (15, -1)


async def test_an_unknown_kind_of_coordinator_is_an_invalid_request() -> None:
    async with Kit() as kit:
        answer = await kit.ask("FindCoordinator", 4, key_type=9, coordinator_keys=["a"])
        assert answer.coordinators[0].error_code == 42


def init(producer_id: int = -1, epoch: int = -1, transactional_id: Any = None) -> dict[str, Any]:
    return {
        "transactional_id": transactional_id,
        "transaction_timeout_ms": 1_000,
        "producer_id": producer_id,
        "producer_epoch": epoch,
    }


@pytest.mark.parametrize("version", range(6))
async def test_every_idempotent_producer_gets_an_id_of_its_own(version: int) -> None:
    async with Kit() as kit:
        first = await kit.ask("InitProducerId", version, **init())
        second = await kit.ask("InitProducerId", version, **init())
        assert (first.error_code, first.producer_epoch) == (0, 0)
        assert second.producer_id == first.producer_id + 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (init(5, 3), 0),
        (init(5, -1), 42),
        (init(-1, 3), 42),
        (init(transactional_id="tx"), 15),
        (init(5, -1, transactional_id="tx"), 42),
        (init(transactional_id=""), 42),
    ],
)
async def test_what_a_producer_may_ask_for(fields: dict[str, Any], code: int) -> None:
    async with Kit() as kit:
        answer = await kit.ask("InitProducerId", 4, **fields)
        assert answer.error_code == code
        assert (answer.producer_id == -1) == (code != 0)


async def test_write_on_any_topic_is_enough_for_an_id() -> None:
    class Writer:
        generation = 0

        def allows(self, *asked: object) -> bool:
            return False

        def allows_any(
            self, principal: Principal, operation: Operation, resource: Resource
        ) -> bool:
            return (operation, resource) == (Operation.WRITE, Resource.TOPIC)

    async with Kit(authorizer=Writer()) as kit:
        assert (await kit.ask("InitProducerId", 4, **init())).error_code == 0


def asked(
    timestamp: int, partition: int = 0, epoch: int = -1, topic: str = "orders"
) -> dict[str, Any]:
    row = {"partition_index": partition, "current_leader_epoch": epoch, "timestamp": timestamp}
    return {
        "replica_id": -1,
        "isolation_level": 0,
        "topics": [{"name": topic, "partitions": [row]}],
        "timeout_ms": 1_000,
    }


@pytest.mark.parametrize(
    ("version", "timestamp", "found"),
    [
        (1, -1, (0, 5)),
        (1, -2, (0, 0)),
        (1, 1_700_000_000_000, (0, 0)),
        (1, 1_900_000_000_000, (0, -1)),
        (1, -3, (35, -1)),
        (6, -3, (35, -1)),
        (7, -3, (0, 0)),
        (7, -4, (35, -1)),
        (8, -4, (0, 0)),
        (8, -5, (35, -1)),
        (9, -5, (0, -1)),
        (10, -6, (35, -1)),
        (11, -6, (0, -1)),
        (11, -7, (35, -1)),
        (11, -99, (35, -1)),
        (1, -(2**63), (35, -1)),
    ],
)
def test_offsets_by_name_and_by_time(version: int, timestamp: int, found: tuple[int, int]) -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(5))
        peer = kit.connect()
        answer = await kit.ask(peer, "ListOffsets", version, **asked(timestamp))
        (partition,) = answer.topics[0].partitions
        assert (partition.error_code, partition.offset) == found

    on_house(scenario)


def test_epochs_and_missing_partitions_of_offset_questions() -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(5))
        peer = kit.connect()
        for fields, code in (
            (asked(-1, epoch=2), 74),
            (asked(-1, epoch=3), 0),
            (asked(-1, epoch=4), 75),
            (asked(-1, partition=9), 3),
            (asked(-1, topic="nowhere"), 3),
        ):
            answer = await kit.ask(peer, "ListOffsets", 4, **fields)
            assert answer.topics[0].partitions[0].error_code == code
        twice = asked(-1)
        twice["topics"][0]["partitions"] *= 2
        answer = await kit.ask(peer, "ListOffsets", 4, **twice)
        assert [each.error_code for each in answer.topics[0].partitions] == [42]

    on_house(scenario)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_where_an_epoch_ended(version: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(5))
        peer = kit.connect()

        async def ask(leader_epoch: int, current: int = -1, partition: int = 0) -> Any:
            row = {
                "partition": partition,
                "current_leader_epoch": current,
                "leader_epoch": leader_epoch,
            }
            answer = await kit.ask(
                peer,
                "OffsetForLeaderEpoch",
                version,
                replica_id=-1,
                topics=[{"topic": "orders", "partitions": [row]}],
            )
            (found,) = answer.topics[0].partitions
            return found.error_code, found.leader_epoch, found.end_offset

        assert await ask(3) == (0, 3, 5)
        assert await ask(9) == (0, -1, -1)
        assert await ask(3, current=2) == (74, -1, -1)
        assert await ask(3, partition=9) == (3, -1, -1)

    on_house(scenario)


async def test_a_failing_handler_answers_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Kit() as kit:

        async def broken() -> int:
            raise KeyError("our mistake")

        kit.producer_ids.next = broken  # type: ignore[method-assign]
        answer = await kit.ask("InitProducerId", 4, **init())
        assert answer.error_code == -1
        assert "request.failed" in [each.getMessage() for each in caplog.records]


def test_errors_of_ours_say_nothing_of_the_inside() -> None:
    assert code_of(KeyError("secret")) == -1
    assert "secret" not in message_of(KeyError("secret"))


def test_a_version_outside_the_table_has_no_route() -> None:
    router = Router(ROUTES)
    for route in ROUTES:
        lowest, highest = route.versions
        assert router.route(route.key, lowest) is route is router.route(route.key, highest)
        assert router.route(route.key, highest + 1) is None
        assert router.route(route.key, lowest - 1) is None
    assert router.route(99, 0) is None


@pytest.mark.parametrize(
    ("version", "key", "code"),
    [
        (5, "group:4rKpDy4tQ5iQ9dJtCAQTVQ:0", 42),
        (6, "group:4rKpDy4tQ5iQ9dJtCAQTVQ:0", 15),
        (6, "a:group:4rKpDy4tQ5iQ9dJtCAQTVQ:0", 15),
        (6, "group", 42),
    ],
)
async def test_share_coordinators_are_asked_for_by_whole_keys_since_version_6(
    version: int, key: str, code: int
) -> None:
    async with Kit() as kit:
        answer = await kit.ask("FindCoordinator", version, key_type=2, coordinator_keys=[key])
        assert [each.error_code for each in answer.coordinators] == [code]


def test_a_topic_without_partitions_is_left_out_of_offsets() -> None:
    async def scenario(kit: HouseKit) -> None:
        nothing = asked(-1)
        nothing["topics"][0]["partitions"] = []
        answer = await kit.ask(kit.connect(), "ListOffsets", 4, **nothing)
        assert answer.topics == []

    on_house(scenario)


@pytest.mark.parametrize("current", [-2, -(2**31)])
def test_only_minus_one_names_no_epoch(current: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        answer = await kit.ask(kit.connect(), "ListOffsets", 4, **asked(-1, epoch=current))
        assert answer.topics[0].partitions[0].error_code == 74

    on_house(scenario)
