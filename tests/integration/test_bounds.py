"""A live broker against clients that want it to run out of something: over a bound is a clear
answer or a closed connection, never a slow death, and nobody else notices."""

import json
import select
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.broker import BrokerProcess, answers
from streambus.protocol import api, batch, record_codec
from streambus.protocol.messages import control
from tests.integration.wire import (
    API_VERSIONS,
    Serving,
    Wire,
    a_batch,
    eventually,
    fetched,
    frame_of,
    open_files,
    produced,
    resident_mb,
)

HUGE = 100 << 20


@pytest.fixture
def wires(broker: BrokerProcess) -> Iterator[list[Wire]]:
    """Hostile connections; all of them closed and forgotten after the test."""
    opened: list[Wire] = []
    before = open_files(broker)
    yield opened
    for wire in opened:
        wire.close()
    eventually(lambda: open_files(broker) <= before + 2)


def test_an_idle_connection_costs_less_than_40_kb(broker: BrokerProcess, wires: list[Wire]) -> None:
    before = resident_mb(broker)
    wires += [Wire(broker) for _ in range(1_000)]
    for wire in wires:
        wire.send(API_VERSIONS)
    for wire in wires:
        wire.answer()
    assert resident_mb(broker) - before < 40


def test_a_length_alone_costs_no_memory_and_keeps_nobody_waiting(
    broker: BrokerProcess, wires: list[Wire]
) -> None:
    good = Wire(broker)
    good.create("lengths")
    before = resident_mb(broker)
    wires += [Wire(broker) for _ in range(300)]
    for wire in wires:
        wire.send(struct.pack(">ihhih", HUGE, 0, 8, 1, -1) + bytes(10))
    assert good.produce("lengths", [bytes(200_000)])[0] == 0
    assert resident_mb(broker) - before < 60
    good.close()


def test_100_mb_of_junk_are_refused_and_cost_their_connection_alone(
    broker: BrokerProcess,
) -> None:
    good, bad = Wire(broker), Wire(broker)
    good.create("junk")
    assert bad.produce_batch("junk", bytes(HUGE - 1_000))[0] != 0
    bad.send(frame_of(b"\0\0\0\x08\0\0\0\1\xff\xff" + b"\xee" * 1_000_000))
    assert bad.is_closed_by_broker()
    assert good.produce("junk", [b"good"]) == (0, 0)
    good.close()


def test_consumers_that_never_read_cost_little_memory(
    broker: BrokerProcess, wires: list[Wire]
) -> None:
    """Small runs of two partitions alternate, so that what is fetched has to be copied."""
    good = Wire(broker)
    good.create("unread", 2)
    for _ in range(60):
        for turn in range(20):
            good.send(produced("unread", a_batch([bytes(2_000)]), turn % 2))
        for _ in range(20):
            good.answer()
    before = resident_mb(broker)
    wires += [Wire(broker) for _ in range(60)]
    for wire in wires:
        wire.send(fetched("unread", [0, 1] * 20) * 20)
    good.send(fetched("unread", [0]))
    assert len(good.answer()) > 100_000
    assert resident_mb(broker) - before < 60 * 2
    good.close()


def test_small_copied_runs_arrive_whole_although_each_answer_is_bounded(
    broker: BrokerProcess,
) -> None:
    good = Wire(broker)
    good.create("copied", 2)
    for round_ in range(80):
        for turn in range(20):
            value = b"%d-%d" % (round_, turn) + bytes(2_000)
            good.send(produced("copied", a_batch([value]), turn % 2))
        for _ in range(20):
            good.answer()
    values, error = good.read("copied")
    expected = [
        b"%d-%d" % (round_, turn) + bytes(2_000) for round_ in range(80) for turn in range(0, 20, 2)
    ]
    assert (values, error) == (expected, 0)
    good.close()


def test_a_fetch_of_100_000_partitions_is_answered(broker: BrokerProcess) -> None:
    good = Wire(broker)
    good.send(fetched("nowhere", range(100_000)))
    assert len(good.answer()) > 100_000 * 20
    good.send(API_VERSIONS)
    good.answer()
    good.close()


def test_others_are_answered_while_a_request_of_100_000_names_is_looked_at(
    broker: BrokerProcess, wires: list[Wire]
) -> None:
    large, other = Wire(broker), Wire(broker)
    wires += [large, other]
    keys = tuple([f"group-{number}" for number in range(100_000)])
    types = control.request_types(api.FIND_COORDINATOR, 4)
    request = types.FindCoordinatorRequest(key_type=0, coordinator_keys=keys)
    large.send(control.encode_request(request, 1, "wire"))
    for _ in range(5):
        other.send(API_VERSIONS)
        other.answer()
        ready, _, _ = select.select([large.socket], [], [], 0)
        assert not ready, "the large one was answered first"
    frame = memoryview(large.answer())
    answer = control.decode_response(api.FIND_COORDINATOR, 4, frame, 5)
    assert tuple([each.key for each in answer.coordinators]) == keys


def test_parked_fetches_cost_no_time_while_they_wait(
    broker: BrokerProcess, wires: list[Wire]
) -> None:
    good = Wire(broker)
    good.create("parked")
    wires += [Wire(broker) for _ in range(300)]
    for wire in wires:
        wire.send(fetched("parked", wait_ms=3_000))
    good.send(API_VERSIONS)
    good.answer()  # by now all are parked, or nearly
    before = broker.cpu_seconds()
    good.send(fetched("parked", wait_ms=1_500))
    good.answer()
    assert broker.cpu_seconds() - before < 0.5
    good.close()


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_decompression_bomb_is_refused_where_it_would_be_opened(
    broker: BrokerProcess, codec: int
) -> None:
    section = record_codec.encode([(0, 0, None, bytes(200 << 20), ())])
    bomb = batch.assemble(
        bytes(section), 1, 0, 1_700_000_000_000, codec=codec, base_timestamp=1_700_000_000_000
    )
    good = Wire(broker)
    good.create(f"reencoded-{codec}", compression_type="lz4" if codec != 3 else "zstd")
    good.create(f"verbatim-{codec}")
    assert good.produce_batch(f"reencoded-{codec}", bomb)[0] != 0
    error, _ = good.produce_batch(f"verbatim-{codec}", bomb)
    if error == 0:  # small enough to be stored as it came: a look-up by time would have to open it
        good.offset_at(f"verbatim-{codec}", 1_600_000_000_000)
    good.send(API_VERSIONS)
    good.answer()
    good.close()


def test_more_connections_than_the_limit_are_closed_and_idle_ones_make_room(
    tmp_path: Path,
) -> None:
    broker = Serving(
        tmp_path / "data", settings="limits: {connections: 20, connection_idle_ms: 2000}\n"
    )
    broker.start()
    try:
        wires = [Wire(broker) for _ in range(60)]
        assert sum(wire.is_closed_by_broker() for wire in wires) == 60
        assert "listener.full" in broker.log()
        assert answers(broker.port)
    finally:
        assert broker.stop() == 0


def test_connections_leave_files_their_descriptors(tmp_path: Path) -> None:
    broker = Serving(tmp_path / "data", settings="wal: {segment_bytes: 1048576}\n", descriptors=64)
    broker.start()
    try:
        good = Wire(broker)
        good.create("kept")
        crowd = [Wire(broker) for _ in range(200)]
        for number in range(12):  # through several segments, each a new file
            assert good.produce("kept", [bytes(300_000)]) == (0, number)
        assert "wal.failed" not in broker.log()
        assert "listener.full" in broker.log()
        for wire in crowd:
            wire.close()
        eventually(lambda: answers(broker.port))
        good.close()
    finally:
        assert broker.stop() == 0


def test_too_few_descriptors_are_refused_at_the_start(tmp_path: Path) -> None:
    broker = Serving(tmp_path / "data", descriptors=24)
    with pytest.raises(RuntimeError, match="ulimit -n"):
        broker.start()
    assert "Traceback" not in broker.log()


def test_a_flood_of_hostile_connections_is_no_flood_of_log_lines(tmp_path: Path) -> None:
    broker = Serving(tmp_path / "data", settings="log: {rendering: json}\n")
    broker.start()
    try:
        for _ in range(600):
            bad = Wire(broker)
            bad.send(b"GET / HTTP/1.1\r\n\r\n")
            assert bad.is_closed_by_broker()
            bad.close()
    finally:
        assert broker.stop() == 0
    lines = [json.loads(line) for line in broker.log().splitlines()]
    seconds = Counter(
        line["at_ms"] // 1000 for line in lines if line["event"] == "connection.refused"
    )
    assert seconds and max(seconds.values()) <= 20
    assert sum(seconds.values()) < 600
