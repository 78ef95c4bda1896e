"""One connection: frames in any cut, order of answers, back-pressure, limits."""

import pytest

from app import limits
from app.kafka.connection import LEGAL, State
from app.kafka.context import KafkaSettings
from app.kafka.listener import Door
from streambus.protocol import batch
from tests.unit.kafka.arrange import (
    Kit,
    MemoryChannel,
    Throttle,
    correlation_ids,
    decoded,
    frames,
    id_of,
    produce,
    records,
    request,
    settled,
)
from tests.unit.kafka.house_kit import HouseKit, HousePeer, on_house

ASSIGNED_BYTES = 16  # base offset, length, leader epoch: the broker's own


@pytest.mark.parametrize("piece", [1, 3, 7, 100, 1 << 20])
async def test_requests_arrive_whole_however_they_are_cut(piece: int) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        bodies = [records(count) for count in (1, 50, 2)]
        peer.send(b"".join(produce(n, body=body) for n, body in enumerate(bodies)), piece)
        kit.replica("orders").sync()
        kit.registry.round()
        assert correlation_ids(peer.taken()) == [0, 1, 2]
        assert [stored for stored, _ in kit.replica("orders").appended] == bodies


async def test_a_large_request_borrows_a_buffer_and_gives_it_back() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        body = bytes(3 * limits.MIB)
        peer.send(produce(1, body=body) + produce(2, body=body), 100_000)
        assert kit.listener.pool.lent_bytes >= 3 * limits.MIB
        assert [len(stored) for stored, _ in kit.replica("orders").appended] == [len(body)] * 2
        kit.replica("orders").sync()
        kit.registry.round()
        kit.world.advance(5_000)
        assert kit.listener.pool.lent_bytes == 0
        peer.send(produce(3))
        assert len(kit.replica("orders").appended) == 3


@pytest.mark.parametrize("piece", [5_000, 30_000, 1 << 20])
async def test_a_large_produce_keeps_its_bytes_until_the_log_wrote_them_whatever_follows(
    piece: int,
) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        replica, pool = kit.replica("orders"), kit.listener.pool
        replica.keeps = True
        peer, other = kit.connect(), kit.connect()
        bodies = [bytes([65 + n]) * (40_000, 70, 200_000, 9_000)[n % 4] for n in range(12)]
        for n in range(0, 12, 3):
            peer.send(b"".join(produce(n + i, body=bodies[n + i]) for i in range(3)), piece)
            other.send(produce(n, body=b"other" * 20_000), piece)
        large = [sent for sent, _ in replica.appended if len(sent) >= limits.LEASED_BATCH_BYTES_MIN]
        assert [bytes(lies) for lies, _ in replica.kept] == large
        assert len(large) == 6 + 4
        assert pool.lent_bytes >= sum(map(len, large))
        peer.close()
        other.send(produce(99, body=b"more" * 20_000), piece)
        assert [bytes(lies) for lies, _ in replica.kept[:10]] == large
        replica.let_go()
        other.close()
        assert pool.lent_bytes == 0


async def test_a_small_request_and_a_small_batch_are_not_kept_where_they_lie() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        replica, peer = kit.replica("orders"), kit.connect()
        replica.keeps = True
        peer.send(produce(1, body=bytes(limits.LEASED_BATCH_BYTES_MIN - 1)))
        assert len(replica.appended) == 1 and not replica.kept
        peer.send(produce(2, body=bytes(limits.LEASED_BATCH_BYTES_MIN)))
        assert len(replica.kept) == 1


def produce_many(correlation_id: int, *bodies: bytes) -> bytes:
    """One batch for each partition from 0 on."""
    parts = [{"index": index, "records": body} for index, body in enumerate(bodies)]
    data = [{"name": "orders", "topic_id": id_of("orders"), "partition_data": parts}]
    fields = {"transactional_id": None, "acks": -1, "timeout_ms": 30_000, "topic_data": data}
    return request("Produce", 9, correlation_id, **fields)


async def test_who_waits_for_memory_is_not_read_though_its_answers_go_out_meanwhile() -> None:
    """Else the buffer comes when it has read on in its old one, which a lane may be reading."""
    settings = KafkaSettings(receive_pool_bytes=512 * limits.KIB)
    async with Kit(settings=settings) as kit:
        kit.controller.add("orders")
        kit.controller.add("slow")
        orders, slow = kit.replica("orders"), kit.replica("slow")
        orders.keeps = slow.prepares = True
        peer, others = kit.connect(), [kit.connect() for _ in range(3)]
        next_one = produce(2, topic="slow", body=b"b" * 50_000)
        peer.send(produce(1, body=b"a" * 60_000) + next_one[:2])
        for other, size in zip(others, (200_000, 100_000, 50_000), strict=True):
            other.send(produce(9, body=bytes(size))[:10_000])
        assert kit.listener.pool.lent_bytes == 512 * limits.KIB and len(orders.kept) == 1
        peer.send(next_one[2:10])
        assert peer.channel.is_paused, "its own buffer is kept, and there is no other"
        peer.channel.is_full = True
        orders.sync()
        kit.registry.round()
        orders.let_go()
        peer.channel.is_full = False
        peer.connection.drained()
        peer.send(next_one[10:])
        others[2].close()
        kit.connect().send(produce(3, body=b"c" * 50_000))
        peer.more()
        await settled()
        assert slow.appended == [(b"B" * 50_000, -1)]


async def test_large_batches_of_one_request_are_all_kept_where_they_lie() -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=3)
        replicas = [kit.replica("orders", partition) for partition in range(3)]
        for replica in replicas:
            replica.keeps = True
        peer = kit.connect()
        bodies = [b"a" * 40_000, b"b" * 50, b"c" * 60_000]
        peer.send(produce_many(1, *bodies), 10_000)
        peer.send(produce(2, body=b"d" * 100_000), 10_000)
        kept = [[bytes(lies) for lies, _ in replica.kept] for replica in replicas]
        assert kept == [[bodies[0], b"d" * 100_000], [], [bodies[2]]]


def large_batch(value: bytes) -> bytes:
    return records(1, value=value * 50_000)


@pytest.mark.parametrize("seed", range(3))
def test_the_log_gets_large_batches_as_they_were_sent_though_others_follow_at_once(
    seed: int,
) -> None:
    async def scenario(kit: HouseKit) -> None:
        peer, other = kit.connect(), kit.connect()
        sent = [produce(1, body=large_batch(b"a")), produce(2, body=large_batch(b"b"))]
        sent.append(produce_many(3, large_batch(b"c"), large_batch(b"d")))
        sent.append(produce(4, body=records(3)))
        peer.send(b"".join(sent), 30_000)
        other.send(produce(1, partition=1, body=large_batch(b"e")), 20_000)
        assert kit.listener.pool.lent_bytes > 5 * 50_000, "nothing was kept where it lies"
        found = correlation_ids(await received(kit, peer, 4))
        assert found == [1, 2, 3, 4]
        await received(kit, other, 1)
        for partition, values in enumerate((b"abc", b"de")):
            expected = [large_batch(bytes([value])) for value in values]
            if partition == 0:
                expected.append(records(3))
            _, stored = await kit.house.fetch(0, partition=partition)
            at = 0
            for body in expected:
                header = batch.read_header(stored, at)
                batch.verify(memoryview(stored), at, header)
                assert stored[at + ASSIGNED_BYTES : at + len(body)] == body[ASSIGNED_BYTES:]
                at += len(body)
            assert at == len(stored)
        peer.close()
        other.close()
        assert kit.listener.pool.lent_bytes == 0

    on_house(scenario, seed)


async def received(kit: HouseKit, peer: HousePeer, count: int) -> bytes:
    """So many answers."""
    for _ in range(10_000):
        if len(frames(peer.channel.received)) == count:
            break
        await kit.world.sleep(1)
    return peer.taken()


async def test_produce_is_pipelined_and_answered_in_order_by_one_write() -> None:
    async with Kit() as kit:
        kit.controller.add("orders", partitions=2)
        peer = kit.connect()
        peer.send(produce(1, partition=0) + produce(2, partition=1) + produce(3, partition=0))
        kit.replica("orders", 1).sync()
        kit.registry.round()
        assert peer.taken() == b""  # the first is not durable yet
        kit.replica("orders", 0).sync()
        kit.registry.round()
        assert correlation_ids(peer.taken()) == [1, 2, 3]
        assert peer.channel.writes == 1


async def test_answers_of_a_round_nobody_announces_go_out_all_the_same() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1) + produce(2))
        kit.replica("orders").sync()
        await settled()
        assert correlation_ids(peer.taken()) == [1, 2]
        assert peer.channel.writes == 1


async def test_another_request_sees_everything_before_it_answered() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1) + request("ApiVersions", 0, 2) + produce(3))
        await settled()
        assert peer.taken() == b""
        assert len(kit.replica("orders").appended) == 1
        kit.replica("orders").sync()
        await settled()
        assert correlation_ids(peer.taken()) == [1, 2]
        assert len(kit.replica("orders").appended) == 2
        kit.replica("orders").sync()
        await settled()
        assert correlation_ids(peer.taken()) == [3]


async def test_reading_stops_only_when_what_waits_fills_the_buffer() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(0) + request("ApiVersions", 0, 1))
        assert not peer.channel.is_paused
        peer.send(b"".join(produce(n) for n in range(2, 202)))
        assert peer.channel.is_paused
        assert len(kit.replica("orders").appended) == 1
        while peer.unsent or kit.replica("orders").appended[200:] == []:
            kit.replica("orders").sync()
            await settled()
            peer.more()
        kit.replica("orders").sync()
        await settled()
        assert correlation_ids(peer.taken()) == list(range(202))
        assert not peer.channel.is_paused


async def test_unanswered_bytes_of_a_connection_are_bounded() -> None:
    settings = KafkaSettings(in_flight_bytes_max=10_000)
    async with Kit(settings=settings) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(b"".join(produce(n, body=bytes(1_000)) for n in range(50)))
        appended = kit.replica("orders").appended
        assert 9 <= len(appended) <= 10
        rounds = 0
        while len(appended) < 50:
            kit.replica("orders").sync()
            kit.registry.round()
            peer.more()
            rounds += 1
        assert rounds >= 4
        kit.replica("orders").sync()
        kit.registry.round()
        assert correlation_ids(peer.taken()) == list(range(50))


async def test_requests_wait_in_order_while_the_log_holds_too_much() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        first, second = kit.connect(), kit.connect()
        kit.registry.wal.pending_bytes = limits.WAL_PENDING_BYTES_MAX + 1
        first.send(produce(1))  # what one read brings is taken, and then no more
        second.send(produce(3))
        first.send(produce(2))
        second.send(produce(4))
        assert len(kit.replica("orders").appended) == 2
        kit.registry.wal.pending_bytes = 0
        kit.registry.drained()
        assert len(kit.replica("orders").appended) == 4


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        (limits.REQUEST_BYTES_MAX + 1).to_bytes(4, "big"),
        (9).to_bytes(4, "big") + bytes(9),
        (12).to_bytes(4, "big") + b"\x7f\xff" + bytes(10),
        (12).to_bytes(4, "big") + b"\x00\x00\x00\x02" + bytes(8),
        (12).to_bytes(4, "big") + b"\x00\x00\x00\x09" + bytes(8),
        (12).to_bytes(4, "big") + b"\x00\x01\x00\x04" + bytes(8),
        (14).to_bytes(4, "big") + b"\x00\x03\x00\x01\x00\x00\x00\x07\x7f\xff" + bytes(4),
    ],
    ids=[
        "negative size",
        "too large",
        "no header",
        "unknown api",
        "Produce 2",
        "Produce 9 without a body",
        "Fetch without a body",
        "client id beyond the frame",
    ],
)
async def test_what_does_not_parse_closes_its_connection_with_one_event(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        bystander, peer = kit.connect(), kit.connect()
        bystander.send(produce(1))
        peer.send(sent)
        await settled()
        assert peer.channel.is_closed
        assert [each.getMessage() for each in caplog.records] == ["connection.refused"]
        peer.close()
        kit.replica("orders").sync()
        kit.registry.round()
        assert correlation_ids(bystander.taken()) == [1]
        assert list(kit.listener.connections) == [bystander.connection]


async def test_a_request_is_refused_before_memory_is_taken_for_it() -> None:
    settings = KafkaSettings(request_bytes_max=1_000)
    async with Kit(settings=settings) as kit:
        peer = kit.connect()
        peer.send((1_001).to_bytes(4, "big"))
        assert peer.channel.is_closed
        assert kit.listener.pool.lent_bytes == 0


async def test_connections_over_the_limit_are_turned_away() -> None:
    async with Kit(settings=KafkaSettings(connections_max=2)) as kit:
        kept = [kit.connect(), kit.connect()]
        turned_away = kit.connect()
        assert turned_away.channel.is_aborted
        kept[0].close()
        assert not kit.connect().channel.is_closed


async def test_an_idle_connection_is_closed_and_a_waiting_one_is_not() -> None:
    async with Kit(settings=KafkaSettings(connection_idle_ms=10_000)) as kit:
        kit.controller.add("orders")
        idle, waiting, busy = kit.connect(), kit.connect(), kit.connect()
        waiting.send(produce(1))
        for _ in range(12):
            kit.world.advance(1_000)
            busy.send(request("ApiVersions", 0))
            await settled()
        assert idle.channel.is_closed
        assert not waiting.channel.is_closed
        assert not busy.channel.is_closed


async def test_a_peer_that_does_not_read_is_not_served_on() -> None:
    async with Kit() as kit:
        peer = kit.connect()
        peer.channel.is_full = True
        peer.send(request("ApiVersions", 0, 1) + request("ApiVersions", 0, 2))
        await settled()
        assert correlation_ids(peer.taken()) == [1]
        peer.channel.is_full = False
        peer.connection.drained()
        await settled()
        assert correlation_ids(peer.taken()) == [2]


async def test_a_throttled_connection_is_answered_at_once_and_muted() -> None:
    async with Kit(quotas=Throttle(250)) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1) + produce(2))
        kit.replica("orders").sync()
        await settled()
        (frame,) = frames(peer.taken())
        assert decoded("Produce", 9, frame).throttle_time_ms == 250
        assert peer.connection.state is State.MUTED
        kit.world.advance(249)
        assert len(kit.replica("orders").appended) == 1
        kit.world.advance(1)
        assert len(kit.replica("orders").appended) == 2


async def test_a_lost_connection_leaves_nothing_behind() -> None:
    async with Kit(quotas=Throttle(250)) as kit:
        kit.controller.add("orders")
        peer = kit.connect()
        peer.send(produce(1, body=bytes(200_000))[:150_000])
        assert kit.listener.pool.lent_bytes > 0
        peer.close()
        assert kit.listener.pool.lent_bytes == 0
        other = kit.connect()
        other.send(produce(1))
        other.close()
        kit.replica("orders").sync()
        kit.registry.round()
        await settled()
        assert other.taken() == b""
        assert not kit.listener.connections


async def test_a_full_pool_makes_requests_wait_in_order() -> None:
    settings = KafkaSettings(receive_pool_bytes=4 * limits.MIB)
    async with Kit(settings=settings) as kit:
        kit.controller.add("orders")
        body = bytes(2 * limits.MIB - 500)
        frame = produce(1, body=body)
        peers = [kit.connect() for _ in range(4)]
        for peer in peers:
            peer.send(frame[:100_000])
        assert [peer.channel.is_paused for peer in peers] == [False, False, True, True]
        for peer in peers:
            peer.send(peer.unsent + frame[100_000:] if not peer.channel.is_paused else b"")
        kit.replica("orders").sync()
        kit.registry.round()
        kit.world.advance(3_000)
        assert [peer.channel.is_paused for peer in peers] == [False] * 4
        assert kit.listener.pool.lent_bytes <= 4 * limits.MIB


async def test_stopping_answers_what_is_in_flight_and_takes_nothing_more() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        peer, idle = kit.connect(), kit.connect()
        peer.send(produce(1))
        peer.connection.stop()
        idle.connection.stop()
        assert idle.channel.is_closed
        peer.send(produce(2))
        assert len(kit.replica("orders").appended) == 1
        kit.replica("orders").sync()
        kit.registry.round()
        assert correlation_ids(peer.taken()) == [1]
        assert peer.channel.is_closed


def test_states_only_move_where_they_may() -> None:
    assert LEGAL[State.CLOSED] == set()
    assert all(State.CLOSED in after for state, after in LEGAL.items() if state is not State.CLOSED)


async def test_hostile_pipelines_do_not_exhaust_the_stack() -> None:
    async with Kit() as kit:
        kit.controller.add("orders")
        kit.replica("orders").refuses = 56
        peer = kit.connect()
        one = produce(1) + request(
            "Fetch", 4, 2, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1,
            isolation_level=0, topics=[],
        )  # fmt: skip
        peer.send(one * 5_000)
        await settled()
        answered = correlation_ids(peer.taken())
        assert len(answered) < 10_000, "one connection had the loop for itself"
        while len(answered) < 10_000:
            peer.more()
            await settled()
            answered += correlation_ids(peer.taken())
        assert answered == [1, 2] * 5_000


async def test_connections_never_take_the_last_descriptors() -> None:
    async with Kit(settings=KafkaSettings(descriptors_max=100)) as kit:
        accepted = kit.connect()
        assert not accepted.channel.is_aborted
        late = MemoryChannel()
        late.descriptor = 100
        Door(kit.listener, "plain").accept().connected(late)
        assert late.is_aborted
        assert kit.listener.refused == 1


async def test_a_file_that_could_not_be_sent_is_an_event_and_a_lost_peer_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Kit() as kit:
        kit.connect().connection.disconnected(ConnectionResetError(104, "reset"))
        kit.connect().connection.disconnected(TimeoutError("closed before all was sent"))
        assert not caplog.records
        kit.connect().connection.disconnected(OSError(5, "Input/output error"))
        assert [record.getMessage() for record in caplog.records] == ["connection.failed"]
