"""Fetch over a real log: limits, parking, sessions, fencing, pins."""

from typing import Any

import pytest

from app import limits
from app.kafka.context import LEADER_CHANGED
from app.partitions import replica as roles
from tests.unit.kafka.arrange import DenyAll, Throttle, broker_shown, frames, records, request
from tests.unit.kafka.house_kit import HouseKit, fetch_fields, on_house, wanted

BY_NAME, SESSIONS, DIVERGING, BY_ID, NEWEST = 4, 7, 12, 13, 18


def only(answer: Any) -> Any:
    """The one partition of an answer."""
    (topic,) = answer.responses
    (partition,) = topic.partitions
    return partition


def held(answer: Any) -> dict[int, bytes]:
    """Records by partition of what an answer mentions."""
    return {
        each.partition_index: bytes(each.records or b"")
        for topic in answer.responses
        for each in topic.partitions
    }


@pytest.mark.parametrize("version", range(BY_NAME, NEWEST + 1))
def test_every_version_gives_the_same_records(version: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        for count in (2, 3, 4):
            await kit.produce(records(count))
        peer = kit.connect()
        answer = only(await kit.ask(peer, "Fetch", version, **fetch_fields(wanted(offset=3))))
        assert (answer.error_code, answer.high_watermark) == (0, 9)
        assert int.from_bytes(answer.records[:8], "big") == 2  # the batch that holds offset 3
        assert len(answer.records) == len(records(3)) + len(records(4))

    on_house(scenario)


def test_only_the_first_partition_with_anything_may_exceed_the_limits() -> None:
    async def scenario(kit: HouseKit) -> None:
        for partition in (0, 1):
            await kit.produce(records(100), partition)
        peer = kit.connect()
        tiny = fetch_fields(wanted(0, size_max=1), wanted(1, size_max=1), max_bytes=1)
        first = held(await kit.ask(peer, "Fetch", 4, **tiny))
        assert first[0] and not first[1]
        empty_first = fetch_fields(wanted(0, 100, size_max=1), wanted(1, size_max=1), max_bytes=1)
        second = held(await kit.ask(peer, "Fetch", 4, **empty_first))
        assert second[1] and not second[0]

    on_house(scenario)


def test_max_bytes_counts_over_all_partitions() -> None:
    async def scenario(kit: HouseKit) -> None:
        one = len(records(100))
        for partition in (0, 1):
            await kit.produce(records(100), partition)
            await kit.produce(records(100), partition)
        peer = kit.connect()
        fields = fetch_fields(wanted(0), wanted(1), max_bytes=3 * one)
        found = held(await kit.ask(peer, "Fetch", 4, **fields))
        assert (len(found[0]), len(found[1])) == (2 * one, one)

    on_house(scenario)


def test_a_fetch_parks_until_enough_is_committed() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        one = len(records(10))
        fields = fetch_fields(wanted(), max_wait_ms=60_000, min_bytes=one + 1)
        peer.send(request("Fetch", 4, **fields))
        assert len(kit.registry.parked) == 1
        await kit.produce(records(10))
        assert peer.channel.received == b"" and len(kit.registry.parked) == 1
        await kit.produce(records(10))
        answer = only(await kit.answer(peer, "Fetch", 4))
        assert len(answer.records) == 2 * one
        assert len(kit.registry.parked) == 0

    on_house(scenario)


def test_a_fetch_answers_with_nothing_when_its_wait_is_over() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        begun = kit.world.clock.monotonic_ms()
        answer = await kit.ask(peer, "Fetch", 4, **fetch_fields(wanted(), max_wait_ms=500))
        assert kit.world.clock.monotonic_ms() - begun >= 500
        assert only(answer).error_code == 0 and not only(answer).records

    on_house(scenario)


def test_an_error_in_reading_one_partition_answers_at_once() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        fields = fetch_fields(wanted(0), wanted(1, 99), max_wait_ms=60_000)
        begun = kit.world.clock.monotonic_ms()
        answer = await kit.ask(peer, "Fetch", 4, **fields)
        codes = {each.partition_index: each.error_code for each in answer.responses[0].partitions}
        assert codes == {0: 0, 1: 1}
        assert kit.world.clock.monotonic_ms() - begun < 1_000

    on_house(scenario)


def test_a_lost_connection_unparks_its_fetch() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        peer.send(request("Fetch", 4, **fetch_fields(wanted(), max_wait_ms=60_000)))
        assert len(kit.registry.parked) == 1
        peer.close()
        assert len(kit.registry.parked) == 0

    on_house(scenario)


def test_a_stopping_broker_answers_parked_fetches() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        peer.send(request("Fetch", 4, **fetch_fields(wanted(), max_wait_ms=60_000)))
        peer.connection.stop()
        assert frames(peer.taken()) and peer.channel.is_closed

    on_house(scenario)


@pytest.mark.parametrize(
    ("offset", "epoch", "code"), [(9, -1, 1), (-1, -1, 1), (0, 2, 74), (0, 4, 75), (0, 3, 0)]
)
def test_ranges_and_epochs_are_checked(offset: int, epoch: int, code: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(2))
        peer = kit.connect()
        fields = fetch_fields(wanted(offset=offset, epoch=epoch))
        answer = only(await kit.ask(peer, "Fetch", 12, **fields))
        assert answer.error_code == code
        if code:
            assert answer.high_watermark == -1
        if code in LEADER_CHANGED:
            assert (answer.current_leader.leader_id, answer.current_leader.leader_epoch) == (1, 3)

    on_house(scenario)


@pytest.mark.parametrize(("listener", "ports"), [("plain", [9092]), ("tls", [9093]), ("x", [])])
def test_a_moved_leader_is_named_with_its_endpoint_of_the_clients_listener(
    listener: str, ports: list[int]
) -> None:
    async def scenario(kit: HouseKit) -> None:
        kit.controller.register(broker_shown(1, plain=9092, tls=9093))
        peer = kit.connect(listener)
        answer = await kit.ask(peer, "Fetch", NEWEST, **fetch_fields(wanted(epoch=2)))
        assert only(answer).current_leader.leader_id == 1
        assert [each.port for each in answer.node_endpoints or ()] == ports

    on_house(scenario)


def test_a_client_with_a_tail_that_we_do_not_have_learns_where_it_diverges() -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(2))
        peer = kit.connect()
        same = fetch_fields(wanted(offset=2, last_epoch=3))
        assert only(await kit.ask(peer, "Fetch", 12, **same)).diverging_epoch is None
        older = fetch_fields(wanted(offset=2, last_epoch=2), max_wait_ms=60_000)
        diverging = only(await kit.ask(peer, "Fetch", 12, **older)).diverging_epoch
        assert (diverging.epoch, diverging.end_offset) == (2, 0)
        unheard_of = fetch_fields(wanted(offset=2, last_epoch=9))
        assert only(await kit.ask(peer, "Fetch", 12, **unheard_of)).error_code == 1

    on_house(scenario)


def test_an_unknown_topic_is_named_by_the_error_of_its_kind() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        by_name = await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted(), topic="nowhere"))
        assert only(by_name).error_code == 3
        by_id = await kit.ask(peer, "Fetch", 13, **fetch_fields(wanted(), topic="nowhere"))
        assert only(by_id).error_code == 100

    on_house(scenario)


def test_read_committed_gets_a_list_of_aborted_transactions() -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(2))
        peer = kit.connect()
        plain = only(await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted())))
        assert plain.aborted_transactions is None
        fields = fetch_fields(wanted(), isolation_level=1)
        committed = only(await kit.ask(peer, "Fetch", 12, **fields))
        assert committed.aborted_transactions == []
        assert committed.last_stable_offset == 2

    on_house(scenario)


@pytest.mark.parametrize("version", [SESSIONS, 11, 12, BY_ID, NEWEST])
def test_a_session_only_tells_what_changed(version: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(2), 0)
        peer = kit.connect()
        full = await kit.ask(
            peer, "Fetch", version, **fetch_fields(wanted(0), wanted(1), session_epoch=0)
        )
        assert full.session_id > 0 and set(held(full)) == {0, 1}
        session = {"session_id": full.session_id}
        moved = await kit.ask(
            peer, "Fetch", version, **fetch_fields(wanted(0, 2), session_epoch=1, **session)
        )
        assert moved.session_id == full.session_id and held(moved) == {}
        await kit.produce(records(3), 1)
        more = await kit.ask(peer, "Fetch", version, **fetch_fields(session_epoch=2, **session))
        assert set(held(more)) == {1} and held(more)[1]
        again = await kit.ask(peer, "Fetch", version, **fetch_fields(session_epoch=2, **session))
        assert again.error_code == 71 and again.responses == []
        gone = await kit.ask(
            peer, "Fetch", version, **fetch_fields(session_epoch=1, session_id=12345)
        )
        assert gone.error_code == 70

    on_house(scenario)


def test_served_partitions_go_behind_the_others() -> None:
    async def scenario(kit: HouseKit) -> None:
        one = len(records(100))
        for partition in (0, 1):
            for _ in range(3):
                await kit.produce(records(100), partition)
        peer = kit.connect()
        small = {"max_bytes": one}
        full = await kit.ask(
            peer, "Fetch", 12, **fetch_fields(wanted(0), wanted(1), session_epoch=0, **small)
        )
        assert held(full)[0]
        order = []
        for epoch in range(1, 5):
            answer = await kit.ask(
                peer,
                "Fetch",
                12,
                **fetch_fields(session_epoch=epoch, session_id=full.session_id, **small),
            )
            order += [number for number, found in held(answer).items() if found]
        assert order in ([0, 1, 0, 1], [1, 0, 1, 0])

    on_house(scenario)


def test_segments_lent_stay_pinned_until_the_client_reads_on() -> None:
    async def scenario(kit: HouseKit) -> None:
        size = 2 * limits.SMALL_READ_BYTES
        body = records(1, value=b"x" * size)
        await kit.produce(body)
        peer = kit.connect()
        answer = only(await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted())))
        assert len(answer.records) == len(body)
        assert peer.channel.ranges == 1
        assert len(peer.connection.pins) == 1
        again = only(await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted())))
        assert again.records == answer.records
        assert len(peer.connection.pins) == 2
        peer.channel.is_sending = True  # it cannot have read what has not left
        await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted(offset=1)))
        assert len(peer.connection.pins) == 2
        peer.channel.is_sending = False
        await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted(offset=1)))
        assert len(peer.connection.pins) == 0
        await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted()))
        assert len(peer.connection.pins) == 1
        peer.close()
        assert len(peer.connection.pins) == 0

    on_house(scenario)


def test_a_denied_fetch_tells_nothing_of_what_exists() -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(2))
        peer = kit.connect()
        for topic in ("orders", "nowhere"):
            answer = await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted(), topic=topic))
            assert only(answer).error_code == 29 and not only(answer).records

    on_house(scenario, authorizer=DenyAll())


def test_a_throttled_fetch_is_answered_at_once_without_records() -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(2))
        peer = kit.connect()
        answer = await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted(), session_epoch=0))
        assert answer.throttle_time_ms == 250 and answer.responses == []
        assert answer.session_id == 0

    on_house(scenario, quotas=Throttle(250))


def test_a_session_by_name_is_not_answered_by_id() -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        opened = await kit.ask(peer, "Fetch", 12, **fetch_fields(wanted(), session_epoch=0))
        await kit.produce(records())
        fields = fetch_fields(session_id=opened.session_id, session_epoch=1)
        answer = await kit.ask(peer, "Fetch", BY_ID, **fields)
        assert (answer.error_code, answer.session_id, answer.responses) == (106, 0, [])

    on_house(scenario)


def test_a_fetch_never_waits_for_more_than_it_may_get() -> None:
    async def scenario(kit: HouseKit) -> None:
        await kit.produce(records(100))
        before = kit.world.clock.monotonic_ms()
        fields = fetch_fields(wanted(), min_bytes=1 << 20, max_bytes=10, max_wait_ms=5_000)
        assert only(await kit.ask(kit.connect(), "Fetch", 4, **fields)).records
        assert kit.world.clock.monotonic_ms() - before < 1_000

    on_house(scenario)


@pytest.mark.parametrize("version", [4, BY_ID])
def test_a_partition_that_is_not_here_waits_with_the_others(version: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        peer = kit.connect()
        clock = kit.world.clock
        before = clock.monotonic_ms()
        alone = fetch_fields(wanted(9), max_wait_ms=5_000)
        answer = only(await kit.ask(peer, "Fetch", version, **alone))
        assert (answer.error_code, answer.aborted_transactions) == (3, [])
        assert clock.monotonic_ms() - before < 1_000
        both = fetch_fields(wanted(9), wanted(0), max_wait_ms=5_000)
        answer = await kit.ask(peer, "Fetch", version, **both)
        assert clock.monotonic_ms() - before >= 5_000
        assert [each.error_code for each in answer.responses[0].partitions] == [3, 0]

    on_house(scenario)


@pytest.mark.parametrize(("version", "code"), [(5, 6), (6, 56)])
def test_old_clients_are_told_of_a_failed_disk_in_a_word_they_know(version: int, code: int) -> None:
    async def scenario(kit: HouseKit) -> None:
        kit.replica().become(roles.QUARANTINED)
        answer = only(await kit.ask(kit.connect(), "Fetch", version, **fetch_fields(wanted())))
        assert answer.error_code == code

    on_house(scenario)


@pytest.mark.parametrize("limits", [{"max_bytes": 500}, {"size_max": 500}])
def test_what_a_limit_cut_counts_as_the_limit_towards_min_bytes(limits: dict[str, int]) -> None:
    async def scenario(kit: HouseKit) -> None:
        for _ in range(4):
            await kit.produce(records(1, value=bytes(80)))
        assert 450 < 3 * len(records(1, value=bytes(80))) < 490
        size_max = limits.get("size_max", 1 << 20)
        options = {"max_bytes": limits.get("max_bytes", 1 << 20), "max_wait_ms": 5_000}
        before = kit.world.clock.monotonic_ms()
        fields = fetch_fields(wanted(size_max=size_max), min_bytes=495, **options)
        assert len(only(await kit.ask(kit.connect(), "Fetch", 4, **fields)).records) > 450
        assert kit.world.clock.monotonic_ms() - before < 1_000
        fields = fetch_fields(wanted(size_max=size_max), min_bytes=700, **options)
        await kit.ask(kit.connect(), "Fetch", 4, **fields)
        waited = kit.world.clock.monotonic_ms() - before
        assert (waited >= 5_000) == ("size_max" in limits)

    on_house(scenario)


def test_a_fetch_that_names_a_negative_epoch_names_none() -> None:
    async def scenario(kit: HouseKit) -> None:
        answer = await kit.ask(kit.connect(), "Fetch", 9, **fetch_fields(wanted(epoch=-2)))
        assert only(answer).error_code == 0

    on_house(scenario)
